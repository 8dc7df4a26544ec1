/**
 * The last hour of one gateway: a rolling window of 60 one-minute buckets.
 *
 * Each bucket counts healthy and failed calls and keeps a histogram of their durations. Its bins grow by a constant factor, so
 * every duration is known within 5 %, whatever its size. Totals over the window are kept beside the buckets: recording is O(1),
 * reading walks the bins of the totals, nothing is ever sorted. Memory is bounded: at most 61 x 134 bins of 4 bytes, 33 kB.
 *
 * A window is changed in place and belongs to one owner. Time is an argument. A clock that steps back counts at the newest
 * minute seen; one that steps back by more than the window starts it anew.
 *
 * ```ts
 * const window = GatewayWindow.make()
 * GatewayWindow.record(window, { healthy: true, durationMillis: 120 }, now)
 * GatewayWindow.summarize(window, now).p95Millis
 * ```
 */

/** Minutes in the window. */
export const windowMinutes = 60

export const minuteMillis = 60_000

/** Greatest relative error of a quantile, of durations between 1 ms and 10 min. Shorter ones count as 1 ms, longer ones as 10 min. */
export const relativeError = 0.05

/** Bin i > 0 holds durations in (growth^(i-1), growth^i] ms; bin 0 holds all up to 1 ms. */
const growth = (1 + relativeError) / (1 - relativeError)
const logOfGrowth = Math.log(growth)
const longestMillis = 600_000

/** Histograms are stored with these bins: another growth or range needs another column. */
export const binCount = Math.ceil(Math.log(longestMillis) / logOfGrowth) + 1

/** What one minute counts: `minute` is minutes since the epoch, `histogram` counts per bin (missing bins are 0). */
export interface MinuteCounts {
  readonly minute: number
  readonly healthy: number
  readonly failed: number
  readonly histogram: ArrayLike<number>
  /** Epoch milliseconds; `undefined`: no failure, or its time is not known. */
  readonly lastFailureAt: number | undefined
}

/** One call that counts. */
export interface WindowSample {
  readonly healthy: boolean
  readonly durationMillis: number
}

/** What the window says. Without samples the rate is 1 and the quantiles are 0. */
export interface WindowSummary {
  readonly samples: number
  readonly successRate: number
  readonly p50Millis: number
  readonly p95Millis: number
  readonly p99Millis: number
  readonly consecutiveFailures: number
  readonly lastFailureAt: number | undefined
}

interface Bucket {
  minute: number
  healthy: number
  failed: number
  readonly histogram: Uint32Array
  lastFailureAt: number | undefined
}

/** Opaque: use the functions of this module. */
export interface GatewayWindow {
  readonly buckets: Array<Bucket | undefined>
  readonly total: Bucket
  newestMinute: number
  /** Failures since the last healthy call; the window's end does not reset them. */
  consecutiveFailures: number
  /** When the present run of failures began. */
  failingSince: number
  lastHealthyAt: number
  lastFailureAt: number
}

const never = Number.NEGATIVE_INFINITY

const emptyBucket = (minute: number): Bucket => ({
  minute,
  healthy: 0,
  failed: 0,
  histogram: new Uint32Array(binCount),
  lastFailureAt: undefined
})

/** An empty window. */
export const make = (): GatewayWindow => ({
  buckets: Array.from({ length: windowMinutes }, () => undefined),
  total: emptyBucket(0),
  newestMinute: never,
  consecutiveFailures: 0,
  failingSince: never,
  lastHealthyAt: never,
  lastFailureAt: never
})

/** The minute of a time, in minutes since the epoch. */
export const minuteOf = (atMillis: number): number => Math.floor(atMillis / minuteMillis)

/** The bin of a duration. What is not a number counts as the shortest. */
export const binOf = (durationMillis: number): number =>
  durationMillis > 1 ? Math.min(Math.ceil(Math.log(durationMillis) / logOfGrowth), binCount - 1) : 0

/** The duration a bin stands for: at most `relativeError` from each of its durations. */
export const durationOf = (bin: number): number => (bin <= 0 ? 1 : (2 * growth ** bin) / (growth + 1))

/** Counts one call. */
export const record = (window: GatewayWindow, sample: WindowSample, now: number): void => {
  advance(window, now)
  const bucket = bucketAt(window, window.newestMinute)
  const bin = binOf(sample.durationMillis)
  for (const counts of [bucket, window.total]) {
    if (sample.healthy) counts.healthy++
    else counts.failed++
    counts.histogram[bin] = (counts.histogram[bin] ?? 0) + 1
  }
  if (sample.healthy) {
    window.consecutiveFailures = 0
    window.lastHealthyAt = Math.max(window.lastHealthyAt, now)
  } else {
    if (window.consecutiveFailures === 0) window.failingSince = now
    window.consecutiveFailures++
    window.lastFailureAt = Math.max(window.lastFailureAt, now)
    bucket.lastFailureAt = window.lastFailureAt
  }
}

/** Replaces what one minute counts. A minute outside of the window changes nothing. */
export const setMinute = (window: GatewayWindow, counts: MinuteCounts, now: number): void => {
  advance(window, now)
  if (!isInside(window, counts.minute)) return
  forget(window, bucketAt(window, counts.minute))
  addMinute(window, counts, now)
}

/** Adds to what one minute counts. A minute outside of the window changes nothing. */
export const addMinute = (window: GatewayWindow, counts: MinuteCounts, now: number): void => {
  advance(window, now)
  if (!isInside(window, counts.minute)) return
  addTo(bucketAt(window, counts.minute), counts, 1)
  addTo(window.total, counts, 1)
  window.lastFailureAt = Math.max(window.lastFailureAt, counts.lastFailureAt ?? never)
}

/** What the window counts, minute by minute; only minutes with samples. Not copies: they change with the window. */
export const minutes = (window: GatewayWindow, now: number): ReadonlyArray<MinuteCounts> => {
  advance(window, now)
  return window.buckets.filter((bucket): bucket is Bucket => bucket !== undefined && bucket.healthy + bucket.failed > 0)
}

/**
 * A new window with the calls of both, in whatever order they happened. A run of failures is broken by a later healthy call of
 * the other; of a run that began before that call only its last failure is known to come after it, and counts as 1.
 */
export const merge = (left: GatewayWindow, right: GatewayWindow, now: number): GatewayWindow => {
  const merged = make()
  for (const one of [left, right]) for (const counts of minutes(one, now)) addMinute(merged, counts, now)
  merged.consecutiveFailures = runAfter(left, right.lastHealthyAt) + runAfter(right, left.lastHealthyAt)
  merged.failingSince = Math.max(left.failingSince, right.failingSince)
  merged.lastHealthyAt = Math.max(left.lastHealthyAt, right.lastHealthyAt)
  merged.lastFailureAt = Math.max(left.lastFailureAt, right.lastFailureAt)
  return merged
}

/** The window as of `now`. */
export const summarize = (window: GatewayWindow, now: number): WindowSummary => {
  advance(window, now)
  const { failed, healthy } = window.total
  const samples = healthy + failed
  return {
    samples,
    successRate: samples === 0 ? 1 : healthy / samples,
    p50Millis: quantile(window, 0.5, now),
    p95Millis: quantile(window, 0.95, now),
    p99Millis: quantile(window, 0.99, now),
    consecutiveFailures: window.consecutiveFailures,
    lastFailureAt: window.lastFailureAt === never ? undefined : window.lastFailureAt
  }
}

/** The smallest duration that at least the share `q` (0 to 1) of the calls did not exceed, within `relativeError`; 0 without calls. */
export const quantile = (window: GatewayWindow, q: number, now: number): number => {
  advance(window, now)
  const { failed, healthy, histogram } = window.total
  const samples = healthy + failed
  if (samples === 0) return 0
  const rank = Math.max(1, Math.ceil(q * samples))
  let seen = 0
  const bin = histogram.findIndex((count) => {
    seen += count
    return seen >= rank
  })
  return durationOf(bin === -1 ? binCount - 1 : bin)
}

const runAfter = (window: GatewayWindow, healthyAt: number): number => {
  if (window.consecutiveFailures === 0 || window.lastFailureAt <= healthyAt) return 0
  return window.failingSince >= healthyAt ? window.consecutiveFailures : 1
}

const later = (left: number | undefined, right: number | undefined): number | undefined =>
  left === undefined || right === undefined ? (left ?? right) : Math.max(left, right)

const addTo = (target: Bucket, counts: Omit<MinuteCounts, "minute">, sign: 1 | -1): void => {
  target.healthy += sign * counts.healthy
  target.failed += sign * counts.failed
  if (sign === 1) target.lastFailureAt = later(target.lastFailureAt, counts.lastFailureAt)
  const bins = Math.min(binCount, counts.histogram.length)
  for (let bin = 0; bin < bins; bin++) target.histogram[bin] = (target.histogram[bin] ?? 0) + sign * (counts.histogram[bin] ?? 0)
}

const isInside = (window: GatewayWindow, minute: number): boolean =>
  minute <= window.newestMinute && minute > window.newestMinute - windowMinutes

const slotOf = (minute: number): number => ((minute % windowMinutes) + windowMinutes) % windowMinutes

/** The bucket of a minute inside the window. */
const bucketAt = (window: GatewayWindow, minute: number): Bucket => {
  const slot = slotOf(minute)
  const known = window.buckets[slot]
  if (known !== undefined && known.minute === minute) return known
  const bucket = known ?? emptyBucket(minute)
  if (known !== undefined) forget(window, known)
  bucket.minute = minute
  window.buckets[slot] = bucket
  return bucket
}

const forget = (window: GatewayWindow, bucket: Bucket): void => {
  if (bucket.healthy + bucket.failed === 0) return
  addTo(window.total, bucket, -1)
  bucket.healthy = 0
  bucket.failed = 0
  bucket.histogram.fill(0)
  bucket.lastFailureAt = undefined
}

/** Moves the window to `now`: forgets the minutes that fell out. At most once a minute there is anything to do. */
const advance = (window: GatewayWindow, now: number): void => {
  const minute = minuteOf(now)
  const steps = minute - window.newestMinute
  if (steps <= 0 && steps > -windowMinutes) return
  if (window.newestMinute === never || Math.abs(steps) >= windowMinutes) {
    for (const bucket of window.buckets) if (bucket !== undefined) forget(window, bucket)
  } else {
    for (let passed = window.newestMinute + 1; passed <= minute; passed++) {
      const bucket = window.buckets[slotOf(passed)]
      if (bucket !== undefined) forget(window, bucket)
    }
  }
  window.newestMinute = minute
}
