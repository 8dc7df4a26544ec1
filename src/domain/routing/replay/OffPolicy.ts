/**
 * What another policy would have achieved, estimated from recorded decisions and what became of their first charges, or why that cannot be
 * told.
 *
 * Every recorded choice has the probability with which it was made. Weighted by how much likelier the other policy makes it, the recorded
 * outcomes stand for those that it would have had (`WeightedSums.ts`). That works only for choices that were possible, so before anything is
 * told it is checked
 *
 * - that few decisions had to be left out,
 * - that the other policy's choices were explored: outside of what each decision could have chosen nothing had a chance (`Support.ts`), and
 *   a gateway that was hardly ever chosen tells nothing,
 * - that the weights add up as they must where the recorded probabilities are right: each decision's to what its own choices carry,
 * - that enough observations remain once they are weighted.
 *
 * What was never tried, up to the limit, widens the interval of the success rate by its worst case.
 *
 * **Gotchas**: each decision is judged by what was known then. A policy that had been in force would have seen other calls, and known other
 * things; this does not tell how that goes on. Payments are taken as independent of each other.
 *
 * A tally is changed in place and belongs to one owner. Its memory does not grow with the decisions.
 */
import type { CurrencyCode } from "../../Currency.ts"
import type { GatewayName } from "../../payment/Ids.ts"
import * as Presets from "../../Presets.ts"
import * as Sketch from "../Sketch.ts"
import type { Lack } from "./Snapshot.ts"
import * as WeightedSketch from "./WeightedSketch.ts"
import * as WeightedSums from "./WeightedSums.ts"

/** A recorded choice, what the other policy would have done, and what became of the charge. */
export interface Trial {
  readonly gateway: GatewayName
  /** The probability with which it was chosen, above 0. */
  readonly propensity: number
  /** Who could have been chosen, the chosen one included. */
  readonly support: ReadonlySet<GatewayName>
  /** Is one of the two probabilities that of a drawn score, and known within a percent only? */
  readonly drawn: boolean
  /** The other policy's probabilities; empty where it would have found no gateway, so that nothing would have been charged. */
  readonly chances: ReadonlyMap<GatewayName, number>
  readonly approved: boolean
  /** From the decision to the gateway's answer; `undefined`: none was recorded. */
  readonly latencyMillis: number | undefined
  readonly currency: CurrencyCode
  /** What the gateway takes for the payment, in minor units; `undefined`: not known. */
  readonly feeMinor: number | undefined
}

/**
 * Why a decision was left out. `no_propensity`: its version of the program stored none. `undecided`: what became of the charge is not known
 * yet. `support_not_stored`: who else could have been chosen is not in the record. `elsewhere`: the charge did not go to the first gateway of the plan. `unreadable`: the payment's history could not be read.
 */
export type LeftOut = "no_propensity" | "support_not_stored" | "undecided" | "elsewhere" | "unreadable" | Lack

/** How much an answer needs. */
export interface Requirements {
  readonly minEffectiveSamples: number
  readonly maxUnsupportedShare: number
  readonly maxLeftOutShare: number
  readonly minChoices: number
  readonly weightClip: number
}

/** The presets. */
export const requirements: Requirements = {
  minEffectiveSamples: Presets.routingReplay.minEffectiveSamples.value,
  maxUnsupportedShare: Presets.routingReplay.maxUnsupportedShare.value,
  maxLeftOutShare: Presets.routingReplay.maxLeftOutShare.value,
  minChoices: Presets.routingReplay.minChoices.value,
  weightClip: Presets.routingReplay.weightClip.value
}

/** What is known of one gateway: choices in the record, and how often the other policy would have chosen it. */
interface Arm {
  recorded: number
  wanted: number
  /** Of `wanted`: where the record could not have chosen it. */
  impossible: number
}

/** Opaque: use the functions of this module. */
export interface Tally {
  readonly requirements: Requirements
  trials: number
  /** The other policy would have found no gateway. */
  uncharged: number
  readonly leftOut: Map<LeftOut, number>
  readonly arms: Map<GatewayName, Arm>
  /** By recorded and other gateway, "" for none: how many decisions would have changed so. */
  readonly flows: Map<GatewayName, Map<GatewayName | "", number>>
  /** What each weight was less what it is expected to be, and the squares: adding up to about 0 where the recorded probabilities are right. */
  gap: number
  gap2: number
  /** Decisions with a probability of a drawn score. */
  drawn: number
  readonly success: WeightedSums.WeightedSums
  readonly latency: WeightedSums.WeightedSums
  readonly latencies: WeightedSketch.WeightedSketch
  readonly recordedLatencies: Sketch.Sketch
  readonly fees: Map<CurrencyCode, WeightedSums.WeightedSums>
}

/** Nothing is known yet. */
export const make = (differs: Partial<Requirements> = {}): Tally => {
  const all = { ...requirements, ...differs }
  return {
    requirements: all,
    trials: 0,
    uncharged: 0,
    leftOut: new Map(),
    arms: new Map(),
    flows: new Map(),
    gap: 0,
    gap2: 0,
    drawn: 0,
    success: WeightedSums.make(all.weightClip),
    latency: WeightedSums.make(all.weightClip),
    latencies: WeightedSketch.make(),
    recordedLatencies: Sketch.make(),
    fees: new Map()
  }
}

/** Counts a decision that cannot be used. */
export const leaveOut = (tally: Tally, why: LeftOut): void => void tally.leftOut.set(why, (tally.leftOut.get(why) ?? 0) + 1)

/** Counts a decision. */
export const add = (tally: Tally, trial: Trial): void => {
  const { approved, chances, currency, feeMinor, gateway, latencyMillis, propensity } = trial
  tally.trials++
  if (chances.size === 0) tally.uncharged++
  if (trial.drawn) tally.drawn++
  const weight = (chances.get(gateway) ?? 0) / propensity
  const gap = weight - countChoice(tally, trial)
  tally.gap += gap
  tally.gap2 += gap * gap
  WeightedSums.add(tally.success, weight, approved ? 1 : 0)
  if (latencyMillis !== undefined) {
    WeightedSums.add(tally.latency, weight, latencyMillis)
    WeightedSketch.add(tally.latencies, weight, latencyMillis)
    Sketch.add(tally.recordedLatencies, Sketch.binOf(latencyMillis))
  }
  if (approved && feeMinor !== undefined) WeightedSums.add(feesIn(tally, currency), weight, feeMinor)
}

/** Answers how much of the other policy's choice was possible: what the weight is on average. */
const countChoice = (tally: Tally, { chances, gateway, support }: Trial): number => {
  let possible = 0
  armOf(tally, gateway).recorded++
  const flows = tally.flows.get(gateway) ?? new Map<GatewayName | "", number>()
  tally.flows.set(gateway, flows)
  if (chances.size === 0) flows.set("", (flows.get("") ?? 0) + 1)
  for (const [wanted, probability] of chances) {
    const arm = armOf(tally, wanted)
    arm.wanted += probability
    if (support.has(wanted)) possible += probability
    else arm.impossible += probability
    if (wanted === gateway) continue
    flows.set(wanted, (flows.get(wanted) ?? 0) + probability)
  }
  return possible
}

const armOf = ({ arms }: Tally, gateway: GatewayName): Arm => {
  const known = arms.get(gateway)
  if (known !== undefined) return known
  const arm = { recorded: 0, wanted: 0, impossible: 0 }
  arms.set(gateway, arm)
  return arm
}

const feesIn = ({ fees, requirements: { weightClip } }: Tally, currency: CurrencyCode): WeightedSums.WeightedSums => {
  const known = fees.get(currency)
  if (known !== undefined) return known
  const sums = WeightedSums.make(weightClip)
  fees.set(currency, sums)
  return sums
}

/** Why there is no answer. Shares are of the decisions, in [0, 1]. */
export type Refusal =
  | { readonly _tag: "NoDecisions" }
  | { readonly _tag: "TooManyLeftOut"; readonly share: number; readonly limit: number }
  /** `gateways`: those that the other policy would choose most without support, and the share of each. */
  | {
      readonly _tag: "Unsupported"
      readonly share: number
      readonly limit: number
      readonly gateways: ReadonlyArray<{ readonly gateway: GatewayName; readonly share: number }>
    }
  /** The mean weight is not what it has to be: recorded probabilities are wrong, or choices had no chance without that being recorded. */
  | { readonly _tag: "WeightsOff"; readonly meanWeight: number; readonly expected: number }
  | { readonly _tag: "TooFewSamples"; readonly effectiveSamples: number; readonly limit: number }

/** An estimate beside what was recorded of the same payments. `samples`: how many observations there were. */
export interface Estimate extends WeightedSums.Interval {
  readonly recorded: number
  readonly samples: number
  readonly effectiveSamples: number
}

/** The same with the difference from what was recorded. */
export interface Compared extends Estimate {
  readonly difference: WeightedSums.Interval
}

/** Estimates. `undefined`: too few observations of it. Latencies in milliseconds; fees per charge that took effect, in minor units. */
export interface Estimates {
  readonly success: Compared
  /** The success rate by plain weighting: where it is far from `success`, trust neither. */
  readonly plainSuccess: WeightedSums.Plain
  readonly latencyMean: Compared | undefined
  readonly latencyP95: Estimate | undefined
  readonly fees: ReadonlyArray<Compared & { readonly currency: CurrencyCode }>
  /** Currencies with fees in too few observations. */
  readonly feesUnknown: ReadonlyArray<CurrencyCode>
}

/** What can be told. Changes and support need no exploration: they are there even where the estimates are refused. */
export interface Answer {
  readonly decisions: number
  readonly leftOut: ReadonlyArray<{ readonly why: LeftOut; readonly decisions: number }>
  /** How many of the decisions used would have had another first gateway (an expectation over the other policy's randomness). */
  readonly changed: {
    readonly decisions: number
    readonly flows: ReadonlyArray<{ readonly from: GatewayName; readonly to: GatewayName | undefined; readonly decisions: number }>
  }
  /** Share of payments for which the other policy would have found no gateway. They count as failed. */
  readonly unchargedShare: number
  readonly unsupportedShare: number
  readonly effectiveSamples: number
  readonly meanWeight: number
  readonly refusals: ReadonlyArray<Refusal>
  /** `undefined` where there are refusals. */
  readonly estimates: Estimates | undefined
}

/** What the tally says. */
export const answer = (tally: Tally): Answer => {
  const { success, trials } = tally
  const leftOut = [...tally.leftOut].map(([why, decisions]) => ({ why, decisions }))
  const support = supportOf(tally)
  const refusals = refusalsOf(tally, support)
  const flows = [...tally.flows].flatMap(([from, wanted]) =>
    [...wanted].map(([to, decisions]) => ({ from, to: to === "" ? undefined : to, decisions }))
  )
  return {
    decisions: trials + sumOf(leftOut),
    leftOut,
    changed: { decisions: sumOf(flows), flows: flows.sort((left, right) => right.decisions - left.decisions) },
    unchargedShare: trials === 0 ? 0 : tally.uncharged / trials,
    unsupportedShare: support.share,
    effectiveSamples: WeightedSums.effectiveSamples(success),
    meanWeight: trials === 0 ? 0 : WeightedSums.meanWeight(success),
    refusals,
    estimates: refusals.length > 0 ? undefined : estimatesOf(tally, support.share)
  }
}

const sumOf = (parts: ReadonlyArray<{ readonly decisions: number }>): number => parts.reduce((sum, { decisions }) => sum + decisions, 0)

interface Support {
  /** Of the other policy's choices, those without support; `impossible`: of them, those that had no chance. */
  readonly share: number
  readonly impossible: number
  readonly gateways: ReadonlyArray<{ readonly gateway: GatewayName; readonly share: number }>
}

const supportOf = ({ arms, requirements: { minChoices }, trials }: Tally): Support => {
  if (trials === 0) return { share: 0, impossible: 0, gateways: [] }
  const gateways = [...arms].flatMap(([gateway, { impossible, recorded, wanted }]) => {
    const without = recorded < minChoices ? wanted : impossible
    return without > 0 ? [{ gateway, share: without / trials }] : []
  })
  const sum = gateways.reduce((total, { share }) => total + share, 0)
  const impossible = [...arms.values()].reduce((total, arm) => total + arm.impossible, 0) / trials
  return { share: Math.min(1, sum), impossible, gateways: gateways.sort((left, right) => right.share - left.share) }
}

/** How many standard errors the mean weight may be off by, and how much more where scores are drawn, whose probabilities have errors of a percent. */
const weightErrors = 4
const drawnTolerance = 0.02
/** Of adding up. */
const rounding = 1e-6

const refusalsOf = (tally: Tally, { gateways, impossible, share }: Support): ReadonlyArray<Refusal> => {
  const { leftOut, requirements: limits, success, trials, uncharged } = tally
  const refusals: Array<Refusal> = []
  const left = [...leftOut.values()].reduce((sum, count) => sum + count, 0)
  if (trials + left === 0) return [{ _tag: "NoDecisions" }]
  const leftShare = left / (trials + left)
  if (leftShare > limits.maxLeftOutShare) refusals.push({ _tag: "TooManyLeftOut", share: leftShare, limit: limits.maxLeftOutShare })
  if (trials === 0) return refusals
  if (share > limits.maxUnsupportedShare) refusals.push({ _tag: "Unsupported", share, limit: limits.maxUnsupportedShare, gateways })
  const gap = tally.gap / trials
  const error = Math.sqrt(Math.max(0, tally.gap2 / trials - gap * gap) / trials)
  const tolerance = rounding + (drawnTolerance * tally.drawn) / trials + weightErrors * error
  // What had a chance and was hardly ever chosen may be missing altogether, without an error to be seen.
  const rare = Math.max(0, share - impossible)
  if (gap < -rare - tolerance || gap > tolerance) {
    const expected = 1 - uncharged / trials - impossible
    refusals.push({ _tag: "WeightsOff", meanWeight: WeightedSums.meanWeight(success), expected })
  }
  const samples = WeightedSums.effectiveSamples(success)
  if (samples < limits.minEffectiveSamples) {
    refusals.push({ _tag: "TooFewSamples", effectiveSamples: samples, limit: limits.minEffectiveSamples })
  }
  return refusals
}

const estimatesOf = (tally: Tally, unsupported: number): Estimates => {
  const { fees, latencies, latency, recordedLatencies, requirements: limits, success, trials, uncharged } = tally
  const charged = 1 - uncharged / trials
  const rate = WeightedSums.rate(success)
  const value = charged * rate.value
  const difference = WeightedSums.difference(success, { isRate: true, scale: charged })
  const plain = WeightedSums.plain(success)
  // What was never tried succeeds always or never: the rate lies between.
  const [lower, higher] = [unsupported * value, unsupported * (charged - value)]
  const enough = (sums: WeightedSums.WeightedSums) => WeightedSums.effectiveSamples(sums) >= limits.minEffectiveSamples
  return {
    success: {
      ...countsOf(success),
      value,
      low: Math.max(0, charged * rate.low - lower),
      high: Math.min(1, charged * rate.high + higher),
      difference: { value: difference.value, low: difference.low - lower, high: difference.high + higher }
    },
    plainSuccess: { ...plain, low: Math.max(0, plain.low), high: Math.min(1, plain.high) },
    latencyMean: enough(latency) ? comparedOf(latency) : undefined,
    latencyP95: enough(latency)
      ? { ...countsOf(latency), ...WeightedSketch.quantile(latencies, 0.95), recorded: Sketch.quantile(recordedLatencies, 0.95) }
      : undefined,
    fees: [...fees].flatMap(([currency, sums]) => (enough(sums) ? [{ currency, ...comparedOf(sums) }] : [])),
    feesUnknown: [...fees].flatMap(([currency, sums]) => (enough(sums) ? [] : [currency]))
  }
}

const countsOf = (sums: WeightedSums.WeightedSums) => ({
  recorded: WeightedSums.recordedOf(sums),
  samples: sums.samples,
  effectiveSamples: WeightedSums.effectiveSamples(sums)
})

const comparedOf = (sums: WeightedSums.WeightedSums): Compared => ({
  ...countsOf(sums),
  ...WeightedSums.mean(sums),
  difference: WeightedSums.difference(sums, { isRate: false })
})
