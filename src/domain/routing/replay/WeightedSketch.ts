/**
 * A histogram of weighted durations, for quantiles under another policy: the bins of `Sketch.ts`, so every duration is known within 2 %.
 *
 * The interval of a quantile is Woodruff's (1952): the share of durations up to it has a standard error of its own, and the interval
 * reaches from the quantile of the share 1.96 standard errors lower to that of the share 1.96 higher.
 */
import * as Sketch from "../Sketch.ts"
import { type Interval, z95 } from "./WeightedSums.ts"

/** Opaque: use the functions of this module. Sums of weights and of their squares by bin. */
export interface WeightedSketch {
  readonly weights: Float64Array
  readonly squares: Float64Array
  total: number
}

/** Nothing is observed yet. */
export const make = (): WeightedSketch => ({
  weights: new Float64Array(Sketch.binCount),
  squares: new Float64Array(Sketch.binCount),
  total: 0
})

/** Adds a duration. */
export const add = (sketch: WeightedSketch, weight: number, durationMillis: number): void => {
  const bin = Sketch.binOf(durationMillis)
  sketch.weights[bin] = (sketch.weights[bin] ?? 0) + weight
  sketch.squares[bin] = (sketch.squares[bin] ?? 0) + weight * weight
  sketch.total += weight
}

/** The quantile with its interval. Needs a weight above 0. */
export const quantile = (sketch: WeightedSketch, q: number): Interval => {
  const at = binAt(sketch, q)
  let below = 0
  let squaresBelow = 0
  let squaresAbove = 0
  for (let bin = 0; bin < Sketch.binCount; bin++) {
    if (bin > at) squaresAbove += sketch.squares[bin] ?? 0
    else {
      below += sketch.weights[bin] ?? 0
      squaresBelow += sketch.squares[bin] ?? 0
    }
  }
  const share = below / sketch.total
  const error = Math.sqrt((1 - share) ** 2 * squaresBelow + share ** 2 * squaresAbove) / sketch.total
  return {
    value: Sketch.durationOf(at),
    low: Sketch.durationOf(binAt(sketch, q - z95 * error)),
    high: Sketch.durationOf(binAt(sketch, q + z95 * error))
  }
}

/** The first bin up to which at least this share of the weight lies; outside of (0, 1] the first or the last bin with any. */
const binAt = ({ total, weights }: WeightedSketch, share: number): number => {
  let below = 0
  let last = 0
  for (let bin = 0; bin < Sketch.binCount; bin++) {
    const weight = weights[bin] ?? 0
    if (weight === 0) continue
    last = bin
    below += weight
    // Sums of weights have rounding errors: a share of 1 must be reached.
    if (below >= share * total * (1 - 1e-12)) return bin
  }
  return last
}
