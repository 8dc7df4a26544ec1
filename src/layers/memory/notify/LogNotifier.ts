/**
 * A notifier that writes one log line for each event: for development, and for hosts whose log is their queue.
 *
 * The line holds ids, version and type. What is in the event is not logged: it may hold personal data.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Delivery, Notifier } from "../../../services/notify/Notifier.ts"

const delivered: Delivery = { _tag: "Delivered" }

/** Every merchant's endpoint is the log. */
export const layer: Layer.Layer<Notifier> = Layer.succeed(
  Notifier,
  Notifier.of({
    endpointOf: () => "log",
    deliver: (_endpoint, { id, payment, tenant, type, version }) =>
      Effect.logInfo("payment event").pipe(
        Effect.annotateLogs({ eventId: id, merchant: tenant, payment, version, type }),
        Effect.as(delivered)
      )
  })
)
