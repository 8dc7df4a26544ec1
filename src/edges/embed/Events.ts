/**
 * Events handed to a function of the host, by the relay that posts them to endpoints otherwise: in order within a payment, at least once,
 * repeated while the function rejects. One that takes too long is told by its signal: the event comes again, and what has not stopped runs beside
 * the repetition.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { PublicEvent } from "../../domain/payment/PublicEvent.ts"
import { type Delivery, Notifier } from "../../services/notify/Notifier.ts"
import type { AegisPayOptions } from "./Options.ts"

/** As long as a merchant's endpoint commonly has: after it the event counts as not taken, and comes again. */
const limitMillis = 15_000

const delivered: Delivery = { _tag: "Delivered" }

/** Every event goes to `onEvent`; without one there is no receiver here. */
export const layer = (onEvent: AegisPayOptions["onEvent"]): Layer.Layer<Notifier> =>
  Layer.succeed(
    Notifier,
    Notifier.of({
      endpointOf: () => (onEvent === undefined ? undefined : "onEvent"),
      deliver: (_endpoint, { body, tenant }) =>
        Effect.tryPromise(async (signal) => {
          await onEvent?.({ ...(JSON.parse(body) as PublicEvent), merchant: tenant }, { signal })
        }).pipe(
          Effect.as(delivered),
          Effect.timeoutOption(Duration.millis(limitMillis)),
          Effect.map(Option.getOrElse((): Delivery => ({ _tag: "Retry", reason: `onEvent took longer than ${limitMillis} ms` }))),
          Effect.catch((error) =>
            Effect.as(Effect.logWarning("onEvent rejected an event, which comes again", error.cause), {
              _tag: "Retry",
              reason: "onEvent rejected it"
            } satisfies Delivery)
          )
        )
    })
  )
