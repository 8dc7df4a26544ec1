/**
 * A gateway's score for a payment: a number in [0, 1] from how often it succeeds, how fast it is and what it takes.
 *
 *     score   = (w1 success + w2 latency + w3 cost) / (w1 + w2 + w3)
 *     success = availability x min(1, approval / approvalFloor)
 *     availability = (rate x samples + priorMean x priorStrength) / (samples + priorStrength)
 *     approval     = (approved + priorMean x priorStrength) / (approved + declined + priorStrength)
 *     latency = (fast x samples + 1 x priorStrength) / (samples + priorStrength)
 *     fast    = ln(limit / p95) / ln(limit / target), cut to [0, 1]
 *     cost    = 1 - fee in basis points of the amount / costLimit, cut to [0, 1]; 0.5 where the fee is not known
 *
 * **Details**
 * - Availability and approval are the means of Beta distributions with the prior Beta(mean x strength, (1 - mean) x strength): a gateway with
 *   one failed call is not at 0, one without calls is not at 1, and with many calls the prior vanishes.
 * - A payment that may be explored is scored in the hope of the best: `optimism` standard deviations are added to the availability. What little
 *   is known of, or what is known is old, is tried with such payments until it is known; the hope shrinks with every call.
 * - Latency is compared by its ratio: from 1 s to 2 s is as far as from 2 s to 4 s. A gateway is taken to be quick until its calls say otherwise:
 *   were it taken to be slow, one that gets no calls would never be seen to be quick. What is so slow that it times out is not available.
 * - Every bound is absolute, not relative to the other gateways: adding a gateway changes nobody else's score.
 * - Parts and score are rounded to 4 digits before they are compared, so that what is stored explains the order entirely.
 */
import * as Presets from "../../Presets.ts"
import type { GatewaySignals, ScoreParts } from "../Decision.ts"
import * as Cost from "../policy/Cost.ts"
import type { ScoringSettings } from "../policy/Policy.ts"

/** What the cost part is where the fee is not known. */
const unknownCost = Presets.routing.unknownCost.value

/** To 4 digits. */
const rounded = (value: number): number => Math.round(value * 10_000) / 10_000

const bounded = (value: number): number => (value > 0 ? Math.min(value, 1) : 0)

/** The parameters of the Beta distribution of a gateway's availability. */
export const availability = (signals: GatewaySignals, { priorMean, priorStrength }: ScoringSettings) => ({
  alpha: signals.successRate * signals.samples + priorMean * priorStrength,
  beta: (1 - signals.successRate) * signals.samples + (1 - priorMean) * priorStrength
})

/** What approvals leave of the success: 1 while enough is approved. */
export const approvalFactor = (signals: GatewaySignals, { approvalFloor, priorMean, priorStrength }: ScoringSettings): number => {
  if (approvalFloor <= 0 || signals.declined === 0) return 1
  const charges = signals.approved + signals.declined
  return Math.min(1, (signals.approved + priorMean * priorStrength) / (charges + priorStrength) / approvalFloor)
}

/** The success part: the mean of what is known. */
export const success = (signals: GatewaySignals, settings: ScoringSettings): number =>
  rounded(bounded(meanOf(signals, settings) * approvalFactor(signals, settings)))

/** The success part in the hope of the best. */
export const hopedSuccess = (signals: GatewaySignals, settings: ScoringSettings): number => {
  const mean = meanOf(signals, settings)
  const deviation = Math.sqrt((mean * (1 - mean)) / (signals.samples + settings.priorStrength + 1))
  return rounded(bounded(bounded(mean + settings.optimism * deviation) * approvalFactor(signals, settings)))
}

const meanOf = ({ samples, successRate }: GatewaySignals, { priorMean, priorStrength }: ScoringSettings): number =>
  (successRate * samples + priorMean * priorStrength) / (samples + priorStrength)

/** The success part for a share that was drawn instead of the mean. */
export const drawnSuccess = (drawn: number, signals: GatewaySignals, settings: ScoringSettings): number =>
  rounded(bounded(drawn * approvalFactor(signals, settings)))

/** Logarithms that were needed lately: quantiles are whole milliseconds and few, and a logarithm takes as long as all else of a part. */
const logsKept = 512
const logArguments = new Float64Array(logsKept)
const logs = new Float64Array(logsKept)

/** The natural logarithm of a number above 0. */
const logOf = (value: number): number => {
  const at = value & (logsKept - 1)
  if (logArguments[at] !== value) {
    logArguments[at] = value
    logs[at] = Math.log(value)
  }
  return logs[at] ?? Math.log(value)
}

/** The latency part. */
export const latency = (signals: GatewaySignals, settings: ScoringSettings): number => {
  const { p95Millis, samples } = signals
  if (samples === 0) return 1
  const fast = p95Millis <= settings.latencyTargetMillis ? 1 : (settings.latencyLimitLog - logOf(p95Millis)) / settings.latencySpanLog
  return rounded((bounded(fast) * samples + settings.priorStrength) / (samples + settings.priorStrength))
}

/** The cost part. */
export const cost = (fee: Cost.Fee | undefined, amountMinor: number, settings: ScoringSettings): number =>
  fee === undefined ? unknownCost : rounded(bounded(1 - Cost.effectiveBasisPoints(fee, amountMinor) / settings.costLimitBasisPoints))

/** The score of its parts, by weights that add up to 1. */
export const total = (parts: ScoreParts, weights: ScoreParts): number =>
  rounded(parts.success * weights.success + parts.latency * weights.latency + parts.cost * weights.cost)
