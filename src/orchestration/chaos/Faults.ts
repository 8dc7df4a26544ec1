/**
 * What a caller of a store meets under each fault that a store can have.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Call } from "../../domain/chaos/Injector.ts"
import * as Presets from "../../domain/Presets.ts"
import type { Chaos } from "../../services/chaos/Chaos.ts"

/** A call of a store. `unavailable`: its failure where nothing was done. `lost`: where it was done and the acknowledgement is lost. */
export interface StoreCall<A, E, F> {
  readonly call: Omit<Call, "atMillis">
  readonly carryOut: Effect.Effect<A, E>
  readonly unavailable: (detail: string) => F
  readonly lost: (detail: string) => F
  /** Of a lock: somebody else holds it. */
  readonly busy?: Effect.Effect<never, E>
  /** Of a lock: the lease is gone. */
  readonly leaseLost?: Effect.Effect<never, E>
}

/** The call, or the fault that it meets. */
export const within = <A, E, F>(chaos: Chaos["Service"], options: StoreCall<A, E, F>): Effect.Effect<A, E | F> =>
  Effect.flatMap(chaos.decide(options.call), (injected): Effect.Effect<A, E | F> => {
    const { busy = options.carryOut, carryOut, leaseLost = options.carryOut, lost, unavailable } = options
    const injection = injected?.injection
    switch (injection?.type) {
      case "network":
        return Effect.fail(unavailable("injected: the store cannot be reached"))
      case "pool_exhausted":
        return Effect.andThen(
          pause(injection.waitMillis ?? Presets.chaos.poolWaitMillis.value),
          Effect.fail(unavailable("injected: no connection of the pool was free"))
        )
      case "response_lost":
        return Effect.andThen(carryOut, Effect.fail(lost("injected: the acknowledgement was lost")))
      case "latency":
        return Effect.flatMap(carryOut, (answer) => Effect.as(pause(injection.minMillis ?? 0), answer))
      case "crash":
        return Effect.andThen(injection.executed ? carryOut : Effect.void, chaos.crash)
      case "lock_busy":
        return busy
      case "lease_lost":
        return leaseLost
      default:
        return carryOut
    }
  })

const pause = (millis: number) => Effect.sleep(Duration.millis(millis))
