/**
 * Lines of the log about a payment: each says which payment and which gateway, so that everything about one can be found.
 *
 * The annotations are put on where a line is written, so a payment that writes none pays nothing for them. The correlation id comes from
 * whoever began the work: the HTTP request, or a round of a background program (`inRound`).
 */
import * as Effect from "effect/Effect"
import type { GatewayName, PaymentId } from "../../domain/payment/Ids.ts"
import { Ids } from "../../services/Ids.ts"

/** Annotates lines about a payment, and about what a gateway has to do with it. */
export const about = (payment: PaymentId, gateway?: GatewayName) =>
  Effect.annotateLogs(gateway === undefined ? { payment } : { payment, gateway })

/** Gives the lines of one round of a background program a correlation id of their own: the program's name and 8 random digits. */
export const inRound =
  (program: string) =>
  <A, E, R>(round: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Ids> =>
    Effect.gen(function* () {
      const ids = yield* Ids
      const [uuid = ""] = yield* ids.uuids(1)
      return yield* Effect.annotateLogs(round, { correlationId: `${program}-${uuid.slice(-8)}` })
    })
