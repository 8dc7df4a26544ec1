/**
 * A clock whose wall time is off by what a plan says, forwards or backwards. Time that is measured (`monotonicTimeNanos`) and sleeping go
 * on as ever, and never backwards: a moved wall clock is what machines have, a monotonic clock that jumps is not.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Chaos } from "../../services/chaos/Chaos.ts"

/** The clock with the faults of this switch. */
export const make = (clock: Clock.Clock, chaos: Chaos["Service"]): Clock.Clock => {
  const millis = () => clock.currentTimeMillisUnsafe() + chaos.clockOffset(clock)
  const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(chaos.clockOffset(clock)) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration) => clock.sleep(duration)
  }
}

/** The clock of the context with the faults of `Chaos`. Without it, the same object. */
export const layer: Layer.Layer<never> = Layer.effect(
  Clock.Clock,
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const chaos = Context.getOption(yield* Effect.context(), Chaos)
    return Option.isNone(chaos) ? clock : make(clock, chaos.value)
  })
)
