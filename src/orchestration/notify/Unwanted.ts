/**
 * Events that nobody in this process receives. Another process on the database may, now or when it is back, so they are not taken off before
 * they are old; then they are, so that the outbox does not grow for ever where nobody wants them.
 *
 * A relay that has receivers for other merchants meets them among the rest (`handled`). A process without any receiver leaves the outbox to
 * the others, and looks after what is old now and then (`run`).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Presets from "../../domain/Presets.ts"
import { Ids } from "../../services/Ids.ts"
import { Outbox, type OutboxBatch } from "../../services/Outbox.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import * as Backoff from "./Backoff.ts"

/** What became of one payment, and how many of its events were taken off. */
interface Handled {
  readonly end: "done" | "postponed" | "lost"
  readonly discarded: number
}

/** Nothing of it can be read before the event that cannot. */
export const isStuck = (batch: OutboxBatch): batch is OutboxBatch & { readonly unreadable: string } =>
  batch.events.length === 0 && batch.unreadable !== undefined

/**
 * Takes off what of a leased batch is old, or frees the payment. `release`: for others at once. Otherwise for all after a wait that grows
 * with its age: whoever has a receiver takes it soon, and a relay that has none does not meet it at every turn. What cannot be read tells no
 * age and waits longest, so that it stands before nothing else.
 */
export const handled = Effect.fnUntraced(function* (batch: OutboxBatch, discardAfterMillis: number, release = false) {
  const outbox = yield* Outbox
  const { events, payment, token } = batch
  const now = yield* Clock.currentTimeMillis
  const old = events.filter(({ recordedAt }) => now - recordedAt >= discardAfterMillis)
  const last = old.at(-1)
  if (last !== undefined) {
    if (!(yield* outbox.acknowledge({ payment, token, upToVersion: last.version }))) return { end: "lost", discarded: 0 } satisfies Handled
    return { end: "done", discarded: old.length } satisfies Handled
  }
  const { unwantedBaseMillis, unwantedCapMillis, retryJitter } = Presets.relay
  const age = isStuck(batch) ? Number.POSITIVE_INFINITY : now - (events[0]?.recordedAt ?? now)
  const wait = Math.min(Math.max(unwantedBaseMillis.value, age / 4), unwantedCapMillis.value)
  const delayMillis =
    release && !isStuck(batch) ? 0 : yield* Backoff.delayMillis({ baseMillis: wait, capMillis: wait, jitter: retryJitter.value }, 1)
  const isFree = yield* outbox.retryLater({ payment, token, delayMillis, failed: false })
  return { end: isFree ? "postponed" : "lost", discarded: 0 } satisfies Handled
})

/** One round: the oldest payments first, until one page has nothing old and nothing that cannot be read. Answers how many events were taken off. */
const round = Effect.fnUntraced(function* (owner: string, discardAfterMillis: number) {
  yield* outsideTransaction("Unwanted.run")
  const outbox = yield* Outbox
  const { discardPage, leaseMillis } = Presets.relay
  let total = 0
  for (;;) {
    const batches = yield* outbox.lease({ owner, payments: discardPage.value, ttlMillis: leaseMillis.value })
    const results = yield* Effect.forEach(batches, (batch) => handled(batch, discardAfterMillis, true), { concurrency: "unbounded" })
    const discarded = results.reduce((sum, one) => sum + one.discarded, 0)
    total += discarded
    if (discarded === 0 && !batches.some(isStuck)) return total
  }
})

/** Takes off what nobody received for so long, until it is interrupted. The database being away is waited for. */
export const run = Effect.fnUntraced(function* (discardAfterMillis: number) {
  const [owner = ""] = yield* (yield* Ids).uuids(1)
  const { discardIntervalMillis, pollMillis } = Presets.relay
  const idle = Effect.sleep(Duration.millis(Math.max(pollMillis.value, Math.min(discardIntervalMillis.value, discardAfterMillis / 10))))
  const step = round(owner, discardAfterMillis).pipe(
    Effect.tap((count) =>
      count === 0
        ? Effect.void
        : Effect.logInfo(
            `${count} events that nobody received for ${Duration.format(Duration.millis(discardAfterMillis))} were taken off the outbox`
          )
    ),
    Effect.catch((error) => Effect.logWarning(`the outbox cannot be read: ${error.message}`))
  )
  return yield* Effect.forever(Effect.andThen(step, idle))
})
