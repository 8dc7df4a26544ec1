/**
 * What a breaker has counted since it was made: for metrics and for people, never for a decision. Only ever grows.
 */

/** States a breaker can be in. The forced ones are a person's, and only a person ends them. */
export type BreakerState = "closed" | "open" | "half-open" | "forced-open" | "forced-closed"

/** Upper bounds in milliseconds of the counts of durations, doubling from 10 ms; longer ones are counted beyond the last. */
export const durationBounds: ReadonlyArray<number> = Array.from({ length: 12 }, (_, index) => 10 * 2 ** index)

/** Every reported call is one of: quick success, slow success, failure, ignored. */
export interface BreakerTotals {
  quick: number
  slow: number
  failures: number
  ignored: number
  /** Calls that were refused. */
  blocked: number
  /** Transitions by the state they led to. */
  readonly transitions: Record<BreakerState, number>
  /** How often it closed because the dependency answered again. */
  recoveries: number
  /** Successes and failures by duration: one count per bound and one beyond. */
  readonly durations: Uint32Array
  durationSum: number
  durationMin: number
  durationMax: number
}

export const make = (): BreakerTotals => ({
  quick: 0,
  slow: 0,
  failures: 0,
  ignored: 0,
  blocked: 0,
  transitions: { closed: 0, open: 0, "half-open": 0, "forced-open": 0, "forced-closed": 0 },
  recoveries: 0,
  durations: new Uint32Array(durationBounds.length + 1),
  durationSum: 0,
  durationMin: Number.POSITIVE_INFINITY,
  durationMax: 0
})

/** Counts the duration of one call. */
export const addDuration = (totals: BreakerTotals, millis: number): void => {
  let bin = 0
  for (let bound = 10; bin < durationBounds.length && millis > bound; bound *= 2) bin++
  totals.durations[bin] = (totals.durations[bin] ?? 0) + 1
  totals.durationSum += millis
  if (millis < totals.durationMin) totals.durationMin = millis
  if (millis > totals.durationMax) totals.durationMax = millis
}
