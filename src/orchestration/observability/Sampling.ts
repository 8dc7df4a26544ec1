/**
 * Taking samples for gauges in the background, for what cannot be counted where it happens.
 *
 * A sample that fails or takes too long leaves the gauges to their owner and is followed by the next one; the first failure of a series is
 * logged, and its end.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Presets from "../../domain/Presets.ts"

/** Samples now and then every `everyMillis` (default: the preset, 15 s), until it is interrupted. `what`: for the log. */
export const every = <E, R>(
  what: string,
  sample: Effect.Effect<void, E, R>,
  everyMillis: number = Presets.sampling.everyMillis.value
): Effect.Effect<void, never, R> => {
  let inTrouble = false
  return sample.pipe(
    Effect.timeout(Presets.sampling.limitMillis.value),
    Effect.matchCauseEffect({
      onFailure: (cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.void
        const first = !inTrouble
        inTrouble = true
        return first ? Effect.logWarning(`${what} cannot be measured; trying again`, cause) : Effect.void
      },
      onSuccess: () => {
        const recovered = inTrouble
        inTrouble = false
        return recovered ? Effect.logInfo(`${what} is measured again`) : Effect.void
      }
    }),
    Effect.repeat(Schedule.spaced(everyMillis)),
    Effect.asVoid
  )
}
