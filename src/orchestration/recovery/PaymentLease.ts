/**
 * The lease of a payment while somebody looks after it, so that two recoveries do not ask the gateway the same thing at the same time.
 *
 * It is extended for as long as the work takes, however slow the gateway is, and released when the work ends, fails or is interrupted.
 *
 * **Gotchas**: a lease may be lost nevertheless, while the process is suspended or the store of the lock is away. That interrupts nothing:
 * an answer that is on its way is still handed in, and the store refuses the decisions of whoever lost the lease (rule 10).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import type { Fence } from "../../services/EventStore.ts"
import { Ids } from "../../services/Ids.ts"
import { type Lease, Lock } from "../../services/Lock.ts"
import { Settings } from "../../services/Settings.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"

/** The lease is extended this often within its time to live: two extensions may fail. */
const extensionsPerLease = 3

/** The longest a release is waited for; after it the lease ends by its time to live. */
const releaseLimit = "5 seconds"

/** Works on a payment under its lease; `None` where somebody else has it. */
export const underLease = <A, E, R>(payment: PaymentId, work: (fence: Fence) => Effect.Effect<A, E, R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const locks = yield* Lock
      const ids = yield* Ids
      const { recoveryLeaseMillis: ttlMillis } = yield* Settings
      const [owner = ""] = yield* ids.uuids(1)
      // Not interruptible: an interruption that comes with the answer would leave a lease that nobody gives back.
      const acquired = yield* locks.acquire({ key: `recovery:${payment}`, owner, ttlMillis }).pipe(
        Effect.map(Option.some),
        Effect.catchTag("LockNotAcquired", () => Effect.succeed(Option.none<Lease>()))
      )
      if (Option.isNone(acquired)) return Option.none<A>()
      const lease = acquired.value
      const done = Effect.raceFirst(work({ key: lease.key, token: lease.token }), PaymentLog.about(payment)(extend(lease, ttlMillis)))
      return Option.some(yield* restore(done).pipe(Effect.ensuring(release(lease))))
    })
  )

/** Extends the lease until it is interrupted, or the lease is lost; does not end. */
const extend = Effect.fnUntraced(function* (lease: Lease, ttlMillis: number) {
  const locks = yield* Lock
  for (let isHeld = true; isHeld;) {
    yield* Effect.sleep(Duration.millis(ttlMillis / extensionsPerLease))
    isHeld = yield* locks.extend(lease, { ttlMillis }).pipe(
      Effect.as(true),
      Effect.catchTags({
        LockUnavailable: (error) => Effect.as(Effect.logDebug("a lease could not be extended", error), true),
        LeaseLost: (error) => Effect.as(Effect.logDebug(`${error.message}: what follows is left to its new holder`), false)
      })
    )
  }
  return yield* Effect.never
})

const release = Effect.fnUntraced(function* (lease: Lease) {
  const locks = yield* Lock
  yield* Effect.ignore(Effect.timeout(Effect.interruptible(locks.release(lease)), releaseLimit))
})
