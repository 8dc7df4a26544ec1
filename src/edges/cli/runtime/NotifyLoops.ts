/**
 * What a server does with news: it processes the webhooks that gateways sent, and delivers the events of payments to the merchants.
 *
 * Any number of servers may run both on one database. The database being away is waited for by the loops themselves; a loop that dies of
 * a defect is logged and started again after a pause, and the other goes on. When the scope closes, deliveries under way are finished.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Relay from "../../../orchestration/notify/Relay.ts"
import * as Unwanted from "../../../orchestration/notify/Unwanted.ts"
import * as WebhookProcessing from "../../../orchestration/notify/WebhookProcessing.ts"

/** Before a loop that died is started again, in milliseconds: a defect that comes back each time does not fill the log. */
export const restartMillis = 1_000

/** Runs a loop for ever, whatever it dies of. Ends by interruption only. */
export const keptUp = <E, R>(what: string, loop: Effect.Effect<never, E, R>): Effect.Effect<never, never, R> =>
  loop.pipe(
    Effect.catchCause((cause) =>
      Effect.andThen(Effect.logError(`${what} died and is started again`, cause), Effect.sleep(Duration.millis(restartMillis)))
    ),
    Effect.forever
  )

/** Runs both until the scope closes. Never fails. `receives`: does anything in this process take events? */
export const start = Effect.fnUntraced(function* (options: { readonly receives: boolean; readonly discardAfterMillis: number }) {
  yield* Effect.forkScoped(keptUp("the processing of webhooks", WebhookProcessing.run()))
  yield* Effect.forkScoped(relay(options))
})

/** The relay, where anything receives; otherwise events are left to other processes until they are old. */
export const relay = ({ discardAfterMillis, receives }: { readonly receives: boolean; readonly discardAfterMillis: number }) =>
  receives
    ? keptUp("the relay of notifications", Relay.run({ discardAfterMillis }))
    : keptUp("the discarding of events that nobody receives", Unwanted.run(discardAfterMillis))
