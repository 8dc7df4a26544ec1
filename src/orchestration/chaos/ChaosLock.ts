/**
 * Locks with faults: held by somebody else, lost while they are held, slow, not reachable.
 *
 * A lease that is said to be lost is lost: it is given up first, so that whoever takes it next gets a newer token. A lock that is said to
 * be busy may be free, which harms nobody: a lease saves work and carries no safety.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Chaos } from "../../services/chaos/Chaos.ts"
import { LeaseLost, Lock, LockNotAcquired, LockUnavailable } from "../../services/Lock.ts"
import * as Faults from "./Faults.ts"

type Locks = Lock["Service"]

/** The locks with the faults of this switch. */
export const make = (locks: Locks, chaos: Chaos["Service"]): Locks => {
  const unavailable = (key: string) => (detail: string) => new LockUnavailable({ key, cause: new Error(detail) })
  const within = <A, E>(operation: "acquire" | "extend" | "release", key: string, carryOut: Effect.Effect<A, E>, special?: Special<E>) =>
    Faults.within(chaos, {
      call: { target: "lock", operation },
      carryOut,
      unavailable: unavailable(key),
      lost: unavailable(key),
      ...special
    })
  return Lock.of({
    acquire: (options) => {
      const { key, owner, waitMillis = 0 } = options
      const busy = Effect.andThen(
        Effect.sleep(Duration.millis(waitMillis)),
        Effect.fail(new LockNotAcquired({ key, owner, waitedMillis: waitMillis }))
      )
      return within("acquire", key, locks.acquire(options), { busy })
    },
    release: (lease) => within("release", lease.key, locks.release(lease)),
    extend: (lease, options) => {
      const { key, owner } = lease
      const given = Effect.andThen(Effect.ignore(locks.release(lease)), Effect.fail(new LeaseLost({ key, owner })))
      return within("extend", key, locks.extend(lease, options), { leaseLost: given })
    }
  })
}

/** What only locks meet. */
type Special<E> = Pick<Faults.StoreCall<never, E, never>, "busy" | "leaseLost">

/** The locks of the context with the faults of `Chaos`. Without it, the same object. */
export const layer: Layer.Layer<Lock, never, Lock> = Layer.effect(
  Lock,
  Effect.gen(function* () {
    const locks = yield* Lock
    const chaos = Context.getOption(yield* Effect.context(), Chaos)
    return Option.isNone(chaos) ? locks : make(locks, chaos.value)
  })
)
