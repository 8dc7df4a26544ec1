/**
 * Runs a program while holding a lock, and never longer: the lease is extended while the program runs, and the program is
 * interrupted when the lease is lost.
 *
 * The body gets the lease; whoever commits with its token is refused when the lock has a newer holder. That fence is what is
 * safe: between losing a lease and noticing it there is always a moment.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Presets from "../../domain/Presets.ts"
import { type Lease, LeaseLost, Lock, type LockNotAcquired, type LockUnavailable } from "../../services/Lock.ts"

/** The lease is extended this often within its time to live: two extensions may fail. */
const extensionsPerTtl = 3

/** The longest a release is waited for; after it the lease ends by its time to live. */
const releaseLimit = "5 seconds"

/** `ttlMillis`: 1 to 86,400,000, default the preset `lock.ttlMillis` (30,000). `waitMillis`: how long to wait for a held lock, default 0. */
export interface WithLockOptions {
  readonly key: string
  readonly owner: string
  readonly ttlMillis?: number
  readonly waitMillis?: number
}

/**
 * Acquires the lock, runs `body`, releases the lock: on success, failure and interruption.
 *
 * While `body` runs the lease is extended every third of its time to live. Where the store does not answer this is tried again
 * until the time to live is over by this process' monotonic clock; then, or as soon as the store says so, the lease is lost: `body`
 * is interrupted, and once it has ended the result is `LeaseLost`. A release that fails is logged; the lease then ends by itself.
 *
 * Fails with `LockNotAcquired` when the lock is held, with `LockUnavailable` when the store does not answer at the start.
 */
export const withLock = <A, E, R>(
  options: WithLockOptions,
  body: (lease: Lease) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | LockNotAcquired | LockUnavailable | LeaseLost, R | Lock> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const { key, owner, ttlMillis = Presets.lock.ttlMillis.value, waitMillis = 0 } = options
      const askedAt = yield* monotonicMillis
      const lease = yield* restore(lock.acquire({ key, owner, ttlMillis, waitMillis }))
      return yield* restore(Effect.raceFirst(body(lease), keep(lease, { ttlMillis, askedAt }))).pipe(Effect.ensuring(release(lease)))
    })
  )

/** With fractions. Waits are rounded up to whole milliseconds: timers cut fractions off and would wake too early, again and again. */
const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/**
 * Extends the lease for as long as it can be; ends only by losing it.
 *
 * A lease is certain from when it was asked for. One that was waited for began some time after, at the earliest when asking
 * began; so then it is extended at once.
 */
const keep = Effect.fnUntraced(function* (lease: Lease, options: { readonly ttlMillis: number; readonly askedAt: number }) {
  const lock = yield* Lock
  const { ttlMillis } = options
  const intervalMillis = ttlMillis / extensionsPerTtl
  let extendAt = options.askedAt + intervalMillis
  let certainUntil = Math.max(options.askedAt + ttlMillis, (yield* monotonicMillis) + intervalMillis)
  while (true) {
    const before = yield* monotonicMillis
    if (before < extendAt) {
      yield* Effect.sleep(Math.ceil(Math.min(extendAt, certainUntil) - before))
      continue
    }
    if (before >= certainUntil) return yield* new LeaseLost({ key: lease.key, owner: lease.owner })
    const extended = yield* lock.extend(lease, { ttlMillis }).pipe(
      Effect.timeoutOption(Math.ceil(certainUntil - before)),
      Effect.catchTag("LockUnavailable", (error) => Effect.as(Effect.logDebug("a lease could not be extended", error), Option.none()))
    )
    if (Option.isSome(extended)) {
      extendAt = before + intervalMillis
      certainUntil = before + ttlMillis
    } else {
      extendAt = Math.min((yield* monotonicMillis) + intervalMillis / extensionsPerTtl, certainUntil)
    }
  }
})

const release = Effect.fnUntraced(function* (lease: Lease) {
  const lock = yield* Lock
  yield* Effect.interruptible(lock.release(lease)).pipe(
    Effect.timeout(releaseLimit),
    Effect.catch((error) => Effect.logWarning(`lock ${lease.key} could not be released; its lease ends by itself`, error))
  )
})
