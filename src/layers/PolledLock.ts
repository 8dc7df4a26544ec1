/**
 * Waiting for a lock by asking for it again and again: what the stores have in common that tell nobody when a lock is free.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { type Lease, type Lock, LockNotAcquired, type LockUnavailable } from "../services/Lock.ts"

/** Between two questions of a waiter: often enough to be quick, seldom enough that 100 waiters ask 400 times a second. */
const firstPollMillis = 50
const longestPollMillis = 250
const pollGrowth = 1.5

type Acquire = (typeof Lock.Service)["acquire"]

/** One question each. `tryAcquire`: `undefined` where somebody holds the lock. */
export interface Store {
  readonly tryAcquire: (options: Parameters<Acquire>[0]) => Effect.Effect<Lease | undefined, LockUnavailable>
  readonly release: (lease: Lease) => Effect.Effect<boolean, LockUnavailable>
}

/**
 * `acquire` of a store: asks first after 50 ms, later every 250 ms, jittered; waiters are not served in order.
 *
 * A question is not interrupted, since it would be carried out all the same; waiting is. Whoever is interrupted meanwhile gives back what
 * the last question got.
 */
export const acquireFrom = ({ release, tryAcquire }: Store): Acquire =>
  Effect.fn("Lock.acquire")(function* (options) {
    const { key, owner, waitMillis = 0 } = options
    let taken: Lease | undefined
    const waiting = Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const startedAt = yield* Clock.monotonicTimeNanos
        for (let pollMillis = firstPollMillis; ; pollMillis = Math.min(pollMillis * pollGrowth, longestPollMillis)) {
          taken = yield* tryAcquire(options)
          if (taken !== undefined) return taken
          const waitedMillis = Number((yield* Clock.monotonicTimeNanos) - startedAt) / 1e6
          if (waitedMillis >= waitMillis) return yield* new LockNotAcquired({ key, owner, waitedMillis: Math.round(waitedMillis) })
          const jitter = yield* Random.nextBetween(0.5, 1)
          yield* restore(Effect.sleep(Math.ceil(Math.min(pollMillis * jitter, waitMillis - waitedMillis))))
        }
      })
    )
    return yield* Effect.onInterrupt(waiting, () => (taken === undefined ? Effect.void : Effect.ignore(release(taken))))
  })
