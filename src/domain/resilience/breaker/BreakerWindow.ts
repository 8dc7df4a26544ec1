/**
 * What a breaker counts: a rolling window of calls, and what was normal before it.
 *
 * The window is ten buckets of a tenth of its length each, so it holds between 90 % and 100 % of its length, in three small arrays that
 * are never replaced. Recording is O(1) and allocates nothing.
 *
 * **Baseline**: buckets that fall out of the window while the breaker is closed are added to a long-run count that fades with a
 * half-life. What made the breaker open never falls out so, hence an outage does not become normal.
 *
 * A window is changed in place and belongs to one breaker. Time is in milliseconds of any clock; one that steps back counts at the
 * newest bucket.
 */
import type { BreakerSettings } from "../BreakerSettings.ts"

export const bucketCount = 10

/** Opaque: use the functions of this module. */
export interface BreakerWindow {
  readonly bucketMillis: number
  /** How much of the baseline is left after one bucket's time. */
  readonly fading: number
  readonly bucketCalls: Uint32Array
  readonly bucketFailures: Uint32Array
  readonly bucketSlow: Uint32Array
  /** Number of the newest bucket since time 0, and when it ends. */
  newest: number
  newestEndsAt: number
  calls: number
  failures: number
  slow: number
  baselineCalls: number
  baselineFailures: number
  /** Are buckets that fall out added to the baseline? */
  learning: boolean
}

export const make = (settings: BreakerSettings): BreakerWindow => {
  const bucketMillis = settings.windowMillis / bucketCount
  return {
    bucketMillis,
    fading: 0.5 ** (bucketMillis / settings.adaptiveHalfLifeMillis),
    bucketCalls: new Uint32Array(bucketCount),
    bucketFailures: new Uint32Array(bucketCount),
    bucketSlow: new Uint32Array(bucketCount),
    newest: Number.NEGATIVE_INFINITY,
    newestEndsAt: Number.NEGATIVE_INFINITY,
    calls: 0,
    failures: 0,
    slow: 0,
    baselineCalls: 0,
    baselineFailures: 0,
    learning: true
  }
}

/** Counts one call. */
export const record = (window: BreakerWindow, failed: boolean, slow: boolean, now: number): void => {
  advance(window, now)
  const slot = slotOf(window.newest)
  window.calls++
  add(window.bucketCalls, slot)
  if (failed) {
    window.failures++
    add(window.bucketFailures, slot)
  }
  if (slow) {
    window.slow++
    add(window.bucketSlow, slot)
  }
}

/** Moves the window to `now`: forgets the buckets that fell out of it. */
export const advance = (window: BreakerWindow, now: number): void => {
  if (now < window.newestEndsAt) return
  const bucket = Math.floor(now / window.bucketMillis)
  const steps = bucket - window.newest
  if (steps > 0 && window.newest !== Number.NEGATIVE_INFINITY) {
    const passed = Math.min(steps, bucketCount)
    for (let step = 1; step <= passed; step++) forget(window, slotOf(window.newest + step))
    fade(window, steps)
  }
  window.newest = bucket
  window.newestEndsAt = (bucket + 1) * window.bucketMillis
}

/** Empties the window; the baseline stays. */
export const clear = (window: BreakerWindow): void => {
  for (const counts of [window.bucketCalls, window.bucketFailures, window.bucketSlow]) counts.fill(0)
  window.calls = 0
  window.failures = 0
  window.slow = 0
}

/**
 * The share of failures in the window that is tolerated.
 *
 * Fixed, it is `failureRateThreshold`. Adaptive, it follows the dependency's own long-run rate p, measured on the baseline, as the upper
 * limit of a control chart for proportions (Shewhart's p-chart; NIST/SEMATECH e-Handbook of Statistical Methods, 6.3.3.2):
 *
 *     clamp(p + 3 x sqrt(p x (1 - p) / n), adaptiveFloor, adaptiveCeiling), n = calls in the window
 *
 * Where nothing has changed, chance exceeds it in about one of 700 windows (three standard deviations, one side). The floor is for
 * small n and p near 0, where the limit's approximation does not hold; the ceiling bounds what may ever pass for normal. While the
 * baseline has fewer than `adaptiveMinimumCalls` (faded) calls the fixed threshold holds.
 */
export const toleratedFailureRate = (window: BreakerWindow, settings: BreakerSettings): number => {
  if (!settings.adaptive || window.baselineCalls < settings.adaptiveMinimumCalls) return settings.failureRateThreshold
  const usual = window.baselineFailures / window.baselineCalls
  const limit = usual + sigmas * Math.sqrt((usual * (1 - usual)) / Math.max(1, window.calls))
  return Math.min(Math.max(limit, settings.adaptiveFloor), settings.adaptiveCeiling)
}

/** Shewhart's three standard deviations. */
const sigmas = 3

const slotOf = (bucket: number): number => ((bucket % bucketCount) + bucketCount) % bucketCount

const add = (counts: Uint32Array, slot: number): void => {
  counts[slot] = (counts[slot] ?? 0) + 1
}

const fade = (window: BreakerWindow, steps: number): void => {
  const left = window.fading ** steps
  window.baselineCalls *= left
  window.baselineFailures *= left
}

const forget = (window: BreakerWindow, slot: number): void => {
  const calls = window.bucketCalls[slot] ?? 0
  if (calls === 0) return
  const failures = window.bucketFailures[slot] ?? 0
  if (window.learning) {
    window.baselineCalls += calls
    window.baselineFailures += failures
  }
  window.calls -= calls
  window.failures -= failures
  window.slow -= window.bucketSlow[slot] ?? 0
  window.bucketCalls[slot] = 0
  window.bucketFailures[slot] = 0
  window.bucketSlow[slot] = 0
}
