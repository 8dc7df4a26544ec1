/**
 * Sums over weighted observations, and what they say about a mean: self-normalised inverse-propensity weighting (SNIPS).
 *
 * An observation r was made by a choice that had the probability p in the record and has the probability q under another policy; its
 * weight is w = q / p. Over many of them
 *
 *     value    = sum(w r) / sum(w)                             (Hesterberg 1995; Swaminathan and Joachims, NeurIPS 2015)
 *     variance = sum(w^2 (r - value)^2) / sum(w)^2             (the delta method for a ratio; Owen, Monte Carlo, 2013, section 9.2)
 *     effective sample size = sum(w)^2 / sum(w^2)              (Kish 1965)
 *
 * and the interval reaches 1.96 standard errors to both sides. Plain inverse-propensity weighting, with its weights cut at a limit, is
 * `sum(min(w, limit) r) / n`: it needs no normalisation and is biased low by what was cut.
 *
 * Only sums are kept, so memory does not grow with the observations. The sums are changed in place and belong to one owner.
 */

/** Opaque: use the functions of this module. */
export interface WeightedSums {
  readonly clip: number
  samples: number
  w: number
  w2: number
  r: number
  r2: number
  wr: number
  wr2: number
  w2r: number
  w2r2: number
  /** Of weights cut at `clip`. */
  cut: number
  cutR: number
  cut2R2: number
}

/** Nothing is observed yet. `clip`: where plain weighting cuts its weights. */
export const make = (clip: number): WeightedSums => ({
  clip,
  samples: 0,
  w: 0,
  w2: 0,
  r: 0,
  r2: 0,
  wr: 0,
  wr2: 0,
  w2r: 0,
  w2r2: 0,
  cut: 0,
  cutR: 0,
  cut2R2: 0
})

/** Adds an observation. */
export const add = (sums: WeightedSums, weight: number, value: number): void => {
  const weighted = weight * value
  const cut = Math.min(weight, sums.clip)
  sums.samples++
  sums.w += weight
  sums.w2 += weight * weight
  sums.r += value
  sums.r2 += value * value
  sums.wr += weighted
  sums.wr2 += weighted * value
  sums.w2r += weight * weighted
  sums.w2r2 += weighted * weighted
  sums.cut += cut
  sums.cutR += cut * value
  sums.cut2R2 += cut * cut * value * value
}

/** A value with its interval of 95 %. */
export interface Interval {
  readonly value: number
  readonly low: number
  readonly high: number
}

/** The 97.5 % quantile of the standard normal distribution. */
export const z95 = 1.959964

/** How many observations without weights would say as much. */
export const effectiveSamples = ({ w, w2 }: WeightedSums): number => (w2 > 0 ? (w * w) / w2 : 0)

/** The value of the other policy. Needs a weight above 0. */
export const valueOf = ({ w, wr }: WeightedSums): number => wr / w

/** The value as recorded: every weight 1. */
export const recordedOf = ({ r, samples }: WeightedSums): number => r / samples

/** sum(w^2 (r - around)^2), never below 0 by rounding. */
const squares = ({ w2, w2r, w2r2 }: WeightedSums, around: number): number => Math.max(0, w2r2 - 2 * around * w2r + around * around * w2)

const varianceOf = (sums: WeightedSums): number => squares(sums, valueOf(sums)) / (sums.w * sums.w)

/** The mean under the other policy. */
export const mean = (sums: WeightedSums): Interval => {
  const value = valueOf(sums)
  const half = z95 * Math.sqrt(varianceOf(sums))
  return { value, low: value - half, high: value + half }
}

/**
 * A rate (every observation 0 or 1) under the other policy. Near 0 and 1 the standard error of few observations is far too small, without
 * a single failure it is 0; so the interval is that of two successes and two failures more (Agresti and Coull 1998), each with the weight
 * sum(w^2) / sum(w) of a typical observation: they count as 4 beside the effective sample size.
 */
export const rate = (sums: WeightedSums): Interval => {
  const { value: centre, variance } = withFour(sums)
  const half = z95 * Math.sqrt(variance)
  return { value: valueOf(sums), low: Math.max(0, centre - half), high: Math.min(1, centre + half) }
}

const withFour = (sums: WeightedSums): { readonly value: number; readonly variance: number } => {
  const { w, w2, wr } = sums
  const each = w2 / w
  const total = w + 4 * each
  const value = (wr + 2 * each) / total
  const four = 2 * each * each * ((1 - value) ** 2 + value ** 2)
  return { value, variance: (squares(sums, value) + four) / (total * total) }
}

/**
 * By how much the other policy's value exceeds the recorded one. Both are of the same payments, so this is known better than the two
 * intervals suggest: with `scale` the share of the payments that the other policy takes at all, observation i moves the difference by
 * `scale w (r - value) / mean(w) - (r - recorded)`.
 */
export const difference = (sums: WeightedSums, options: { readonly isRate: boolean; readonly scale?: number }): Interval => {
  const { r, r2, samples, w, wr, wr2 } = sums
  const own = valueOf(sums)
  const recorded = recordedOf(sums)
  const factor = ((options.scale ?? 1) * samples) / w
  const ofOwn = factor * factor * squares(sums, own)
  const both = factor * (wr2 - (own + recorded) * wr + own * recorded * w)
  const ofRecorded = r2 - 2 * recorded * r + recorded * recorded * samples
  const variance = Math.max(0, ofOwn - 2 * both + ofRecorded) / (samples * samples)
  const allowance = options.isRate ? Math.max(0, withFour(sums).variance - varianceOf(sums)) : 0
  const half = z95 * Math.sqrt(variance + allowance)
  const value = (options.scale ?? 1) * own - recorded
  return { value, low: value - half, high: value + half }
}

/** Plain inverse-propensity weighting with its weights cut. `cutShare`: of all weight, what was cut off. */
export interface Plain extends Interval {
  readonly clip: number
  readonly cutShare: number
}

/** The mean under the other policy by plain weighting. */
export const plain = ({ clip, cut, cut2R2, cutR, samples, w }: WeightedSums): Plain => {
  const value = cutR / samples
  const half = z95 * Math.sqrt(Math.max(0, cut2R2 / samples - value * value) / samples)
  return { value, low: value - half, high: value + half, clip, cutShare: w > 0 ? 1 - cut / w : 0 }
}

/** The mean weight: where every choice of the other policy was possible in the record, its expectation is 1. */
export const meanWeight = ({ samples, w }: WeightedSums): number => w / samples
