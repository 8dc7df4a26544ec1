/**
 * The routing decision: which gateways can take a payment, in which order, and why. Pure: the same input makes the same decision.
 *
 * 1. The first rule that concerns the payment is found.
 * 2. Gateways that cannot take it, that the rule leaves out, or that a retry cap forbids are excluded.
 * 3. Gateways that are failing (open breaker, health below the minimum) are excluded while another one is left. Where none is, they are
 *    tried as a last resort: a payment that might fail is better than one that does.
 * 4. The others are put in order: what the rule puts first; then by score, or as the policy says. A half-open gateway with failures in its
 *    window waits behind the others for its probes, as long as payments are explored. Equal scores are ordered by name.
 * 5. Another one may be put first in order to learn (`Exploration.ts`).
 *
 * Every candidate is in exactly one of `ranked` and `excluded`.
 *
 * ```ts
 * const decision = Route.route({ payment, details, candidates, signals, policy: Policy.make(), now, random: 0.42 })
 * ```
 */
import type { PaymentDetails } from "../../payment/Event.ts"
import type { GatewayName, PaymentId } from "../../payment/Ids.ts"
import {
  type CapsApplied,
  type ExcludedGateway,
  type GatewaySignals,
  maxGateways,
  maxSnapshots,
  type RankedGateway,
  type RoutingDecision,
  type ScoreParts
} from "../Decision.ts"
import * as Cost from "../policy/Cost.ts"
import { type Policy, type ScoringSettings, weightsOf, withLatencyTarget } from "../policy/Policy.ts"
import * as Rules from "../policy/Rules.ts"
import * as Chance from "./Chance.ts"
import * as Eligibility from "./Eligibility.ts"
import * as Exploration from "./Exploration.ts"
import * as Scoring from "./Scoring.ts"
import * as Split from "./Split.ts"
import * as Thompson from "./Thompson.ts"

/** What a decision is made from. */
export interface RouteInput {
  readonly payment: PaymentId
  readonly details: PaymentDetails
  readonly candidates: ReadonlyArray<Eligibility.Candidate>
  /** Of each candidate, in their order. */
  readonly signals: ReadonlyArray<GatewaySignals>
  readonly policy: Policy
  /** The first of the host's own rules that concerns the payment. */
  readonly custom?: Rules.MatchedRule | undefined
  /** What the retry caps said of one more attempt; `refused`: why none may be made. */
  readonly caps?: { readonly applied: CapsApplied; readonly refused: string | undefined } | undefined
  /** Epoch milliseconds. */
  readonly now: number
  /** In [0, 1). */
  readonly random: number
}

/** What policy and rule make of this payment. */
interface Frame {
  readonly rule: Rules.MatchedRule | undefined
  readonly weights: ScoreParts
  readonly settings: ScoringSettings
  /** 0: nothing is explored. */
  readonly explorationShare: number
  /** Success is drawn from this stream. */
  readonly draws: Chance.Uniform | undefined
}

/** A gateway on its way into the plan. */
interface Place {
  readonly gateway: GatewayName
  readonly signals: GatewaySignals
  readonly fee: Cost.Fee | undefined
  readonly parts: ScoreParts
  readonly score: number
  /** Less is earlier, whatever the score. */
  rank: number
  reason: string
}

/** Decides. `ranked` is empty where no gateway can take the payment. */
export const route = (input: RouteInput): RoutingDecision => {
  const frame = frameOf(input)
  const { candidates, caps, details, policy, signals } = input
  const excluded: Array<ExcludedGateway> = []
  const usable: Array<Place> = []
  const failing: Array<ExcludedGateway> = []
  const failingPlaces: Array<Place> = []
  for (let index = 0; index < candidates.length; index++) {
    const candidate = candidates[index]
    const known = signals[index]
    if (candidate === undefined || known === undefined) continue
    const gateway = candidate.name
    const forbidden = Eligibility.forbidden(candidate, details, frame.rule)
    if (forbidden !== undefined) excluded.push(forbidden)
    else if (caps?.refused !== undefined) excluded.push({ gateway, reason: "retry_cap", message: caps.refused })
    else {
      const bad = Eligibility.failing(gateway, known, policy.minHealthScore)
      const place = placeOf(input, frame, { gateway, index, signals: known })
      if (bad === undefined) usable.push(place)
      else {
        failing.push(bad)
        failingPlaces.push({ ...place, reason: `last resort: ${bad.message}` })
      }
    }
  }
  if (usable.length === 0) return lastResort(input, frame, failingPlaces, excluded)
  for (const one of failing) excluded.push(one)
  return planned(input, frame, usable, excluded)
}

const frameOf = (input: RouteInput): Frame => {
  const { custom, details, policy } = input
  const configured = Rules.firstMatch(policy.rules, input)
  const rule = custom !== undefined && (configured === undefined || custom.priority <= configured.priority) ? custom : configured
  if (rule === undefined) {
    const share = policy.kind !== "fixed" && Exploration.isWithinAmount(policy, details) ? policy.explorationShare : 0
    return { rule, weights: policy.weights, settings: policy.scoring, explorationShare: share, draws: drawsOf(input, share) }
  }
  const { explorationShare, latencyTargetMillis, prefer, split, strategy, weights } = rule.action
  const built = strategy === undefined ? undefined : Rules.strategies[strategy]
  const explores = policy.kind !== "fixed" && prefer === undefined && split === undefined && Exploration.isWithinAmount(policy, details)
  const share = explores ? (explorationShare ?? (built?.explores === false ? 0 : policy.explorationShare)) : 0
  return {
    rule,
    weights: weights !== undefined ? weightsOf(weights) : built !== undefined ? weightsOf(built.weights) : policy.weights,
    settings: latencyTargetMillis === undefined ? policy.scoring : withLatencyTarget(policy.scoring, latencyTargetMillis),
    explorationShare: share,
    draws: drawsOf(input, share)
  }
}

const drawsOf = ({ policy, random }: RouteInput, share: number): Chance.Uniform | undefined =>
  policy.kind === "thompson" && share > 0 ? Chance.streamOf(random) : undefined

/** Gateways without a place of their own come after those that have one. */
const unranked = 1_000

const placeOf = (
  { details, policy }: RouteInput,
  { draws, explorationShare, rule, settings, weights }: Frame,
  { gateway, index, signals }: { readonly gateway: GatewayName; readonly index: number; readonly signals: GatewaySignals }
): Place => {
  const fee = Cost.entryFor(policy.fees.get(gateway), details)
  const parts: ScoreParts = {
    success: draws === undefined ? Scoring.success(signals, settings) : drawn(signals, settings, draws),
    latency: Scoring.latency(signals, settings),
    cost: Scoring.cost(fee, details, settings)
  }
  const place: Place = { gateway, signals, fee, parts, score: Scoring.total(parts, weights), rank: unranked, reason: "by score" }
  const preferred = rule?.action.prefer?.indexOf(gateway) ?? -1
  if (preferred >= 0) {
    place.rank = preferred
    place.reason = "preferred by the rule"
  } else if (policy.kind === "fixed") {
    place.rank = unranked + (policy.order.get(gateway) ?? unranked + index)
    place.reason = "in the fixed order"
  } else if (draws !== undefined) place.reason = "by a score with a drawn success"
  else if (explorationShare > 0 && isRecovering(signals)) {
    place.rank = unranked + 1
    place.reason = "half-open: behind the others, for probes"
  }
  return place
}

const drawn = (signals: GatewaySignals, settings: ScoringSettings, draws: Chance.Uniform): number => {
  const { alpha, beta } = Scoring.availability(signals, settings)
  return Scoring.drawnSuccess(Chance.beta(alpha, beta, draws), signals, settings)
}

/** Half-open, and its failures are still in the window. */
const isRecovering = ({ breaker, samples, successRate }: GatewaySignals): boolean =>
  breaker === "half_open" && samples > 0 && successRate < 1

const isBefore = (left: Place, right: Place): boolean => {
  if (left.rank !== right.rank) return left.rank < right.rank
  return left.score !== right.score ? left.score > right.score : left.gateway < right.gateway
}

/** By insertion: plans are short, and half the time of a decision would go into a general sort's comparisons. */
const sort = (places: Array<Place>): Array<Place> => {
  for (let index = 1; index < places.length; index++) {
    const place = places[index]
    if (place === undefined) continue
    let at = index
    for (let other = places[at - 1]; other !== undefined && isBefore(place, other); other = places[at - 1]) places[at--] = other
    places[at] = place
  }
  return places
}

const planned = (input: RouteInput, frame: Frame, usable: Array<Place>, excluded: ReadonlyArray<ExcludedGateway>): RoutingDecision => {
  sort(usable)
  const split = frame.rule?.action.split
  if (frame.rule !== undefined && split !== undefined) {
    return decisionOf(input, frame, usable, excluded, { propensity: splitUp(input.payment, frame.rule.name, split, usable) })
  }
  if (frame.draws !== undefined) {
    return decisionOf(input, frame, usable, excluded, { propensity: Thompson.probabilityOfFirst(usable, frame.weights, frame.settings) })
  }
  const explored = Exploration.explore({
    share: frame.explorationShare,
    random: input.random,
    others: usable.length - 1,
    probes: probesAmong(usable)
  })
  const [first] = explored.chosen === undefined ? [] : usable.splice(explored.chosen, 1)
  if (first === undefined) return decisionOf(input, frame, usable, excluded, { propensity: explored.propensity })
  first.reason = "explored"
  usable.unshift(first)
  return decisionOf(input, frame, usable, excluded, { propensity: explored.propensity, explored: true })
}

/** Half-open gateways that wait behind the others; the first place is none of them. */
const probesAmong = (usable: ReadonlyArray<Place>): number => {
  let probes = 0
  for (let at = usable.length - 1; at > 0 && (usable[at]?.rank ?? 0) > unranked; at--) probes++
  return probes
}

/** Puts first where the payment belongs in the split; answers how likely that was. */
const splitUp = (payment: PaymentId, rule: string, split: ReadonlyArray<Rules.SplitShare>, usable: Array<Place>): number => {
  const best = usable[0]?.gateway
  const belongs = Split.placeOf({ rule, payment, split, usable: (gateway) => usable.some((place) => place.gateway === gateway) })
  for (const place of usable) {
    const at = belongs.order.indexOf(place.gateway)
    if (at < 0) continue
    place.rank = at - unranked
    place.reason = at === 0 ? "its share of the split" : "in the split, by its share"
  }
  sort(usable)
  const first = usable[0]?.gateway
  return first === undefined ? 1 : (belongs.shares.get(first) ?? 0) + (first === best ? belongs.rest : 0)
}

const lastResort = (input: RouteInput, frame: Frame, failing: Array<Place>, excluded: ReadonlyArray<ExcludedGateway>): RoutingDecision =>
  decisionOf(input, frame, sort(failing), excluded, { propensity: 1 })

const decisionOf = (
  { caps, details, now, policy }: RouteInput,
  { rule, weights }: Frame,
  places: ReadonlyArray<Place>,
  excluded: ReadonlyArray<ExcludedGateway>,
  chosen: { readonly propensity: number; readonly explored?: true }
): RoutingDecision => {
  const [first] = places
  const ranked: Array<RankedGateway> = []
  for (let index = 0; index < places.length && index < maxGateways; index++) {
    const place = places[index]
    if (place !== undefined) ranked.push(rankedOf(place, details, index < maxSnapshots))
  }
  const decision: { -readonly [Key in keyof RoutingDecision]: RoutingDecision[Key] } = {
    policy: policy.kind,
    reason: first === undefined ? "no gateway can take it" : `${first.gateway}: ${first.reason}`,
    ranked,
    excluded: excluded.length > maxGateways ? excluded.slice(0, maxGateways) : excluded,
    version: policy.version,
    weights,
    propensity: chosen.propensity,
    decidedAt: now
  }
  if (rule !== undefined) decision.rule = rule.name
  if (chosen.explored === true) decision.explored = true
  if (caps !== undefined) decision.caps = caps.applied
  return decision
}

/** Signals that say nothing are left out. */
const rankedOf = ({ fee, gateway, parts, reason, score, signals }: Place, { amount }: PaymentDetails, snapshot: boolean): RankedGateway => {
  const ranked: { -readonly [Key in keyof RankedGateway]: RankedGateway[Key] } = { gateway, score, reason, parts }
  if (fee !== undefined) ranked.feeMinor = Cost.feeMinor(fee, amount.minor)
  if (snapshot && (signals.samples > 0 || signals.breaker !== "closed" || signals.failuresInRow > 0)) ranked.signals = signals
  return ranked
}
