/**
 * When payments arrive, and what a list of latencies says. Pure.
 */

/** A repeatable source of numbers in [0, 1): Mulberry32. */
const streamOf = (seed: number) => {
  let state = seed >>> 0
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/**
 * Arrivals of customers who know nothing of each other (a Poisson process): milliseconds from the start, rising, below the duration.
 * The same seed has the same arrivals, so that everybody who is measured meets the same bursts.
 */
export const arrivals = (options: {
  readonly perSecond: number
  readonly seconds: number
  readonly seed: number
}): ReadonlyArray<number> => {
  const next = streamOf(options.seed)
  const due: Array<number> = []
  for (;;) {
    const gap = (-Math.log(1 - next()) * 1000) / options.perSecond
    const at = (due.at(-1) ?? 0) + gap
    if (at >= options.seconds * 1000) return due
    due.push(at)
  }
}

/** The smallest value that at least this share of the values does not exceed (nearest rank); `NaN` where there are none. */
export const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = [...values].sort((left, right) => left - right)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
