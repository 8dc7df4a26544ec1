/**
 * The routing decision: which gateways can take a payment, in which order, and why. Pure: the same input makes the same decision.
 *
 * 1. The first rule that concerns the payment is found.
 * 2. Gateways that cannot take it, that the rule leaves out, or that a retry cap forbids are excluded.
 * 3. Gateways that are failing (open breaker, health below the minimum) are excluded while another one is left. Where none is, they are
 *    tried as a last resort: a payment that might fail is better than one that does.
 * 4. The others are put in order: what the rule puts first; then by score, or as the policy says. Behind all of them come gateways where a call
 *    would have to wait, and last those whose breaker is half-open. Equal scores are ordered by name.
 * 5. A half-open gateway that wants a probe is put first for a payment that may be one: a small one; a larger one, if none came for long.
 * 6. Another one may be put first in order to learn (`Exploration.ts`).
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
  /** Of the payment: it is looked at for every gateway, and a bigint would be made a number each time. */
  readonly amountMinor: number
}

/** A gateway on its way into the plan. */
interface Place {
  /** As the plan will have it; only the reason may still change. */
  readonly ranked: { -readonly [Key in keyof RankedGateway]: RankedGateway[Key] }
  readonly parts: ScoreParts
  readonly signals: GatewaySignals
  readonly standing: Eligibility.Standing
  /** Less is earlier, whatever the score. */
  rank: number
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
      const place = placeOf(input, frame, gateway, known, index)
      if (bad === undefined) usable.push(place)
      else {
        place.ranked.reason = `last resort: ${bad.message}`
        failing.push(bad)
        failingPlaces.push(place)
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
  const amountMinor = Number(details.amount.minor)
  const isSmall = Exploration.isWithinAmount(policy, { currency: details.amount.currency, minor: amountMinor })
  if (rule === undefined) {
    const share = policy.kind !== "fixed" && isSmall ? policy.explorationShare : 0
    const draws = drawsOf(input, share)
    return { rule, weights: policy.weights, settings: policy.scoring, explorationShare: share, draws, amountMinor }
  }
  const { explorationShare, latencyTargetMillis, prefer, split, strategy, weights } = rule.action
  const built = strategy === undefined ? undefined : Rules.strategies[strategy]
  const explores = policy.kind !== "fixed" && prefer === undefined && split === undefined && isSmall
  const share = explores ? (explorationShare ?? (built?.explores === false ? 0 : policy.explorationShare)) : 0
  return {
    rule,
    weights: weights !== undefined ? weightsOf(weights) : built !== undefined ? weightsOf(built.weights) : policy.weights,
    settings: latencyTargetMillis === undefined ? policy.scoring : withLatencyTarget(policy.scoring, latencyTargetMillis),
    explorationShare: share,
    draws: drawsOf(input, share),
    amountMinor
  }
}

const drawsOf = ({ policy, random }: RouteInput, share: number): Chance.Uniform | undefined =>
  policy.kind === "thompson" && share > 0 ? Chance.streamOf(random) : undefined

/** Gateways without a place of their own come after those that have one; so far apart are the standings. */
const unranked = 1_000
const behind = 10 * unranked

const placeOf = (input: RouteInput, frame: Frame, gateway: GatewayName, signals: GatewaySignals, index: number): Place => {
  const { details, policy } = input
  const { amountMinor, draws, rule, settings, weights } = frame
  const fee = Cost.entryFor(policy.fees.get(gateway), details)
  const success = successOf(signals, frame)
  const latency = Scoring.latency(signals, settings)
  const cost = Scoring.cost(fee, amountMinor, settings)
  const parts: ScoreParts = { success, latency, cost }
  const score = Scoring.total(parts, weights)
  const reason = draws === undefined ? "by score" : "by a score with a drawn success"
  const standing = Eligibility.standing(signals)
  // What a gateway usually has is made in one piece: a field that is added later takes room of its own.
  const ranked: Place["ranked"] = !saysSomething(signals)
    ? { gateway, score, reason, parts }
    : fee === undefined
      ? { gateway, score, reason, parts, signals }
      : { gateway, score, reason, parts, feeMinor: Cost.feeMinor(fee, amountMinor), signals }
  if (fee !== undefined && ranked.feeMinor === undefined) ranked.feeMinor = Cost.feeMinor(fee, amountMinor)
  const place: Place = { ranked, parts, signals, standing, rank: unranked }
  const preferred = rule?.action.prefer?.indexOf(gateway) ?? -1
  if (preferred >= 0) {
    place.rank = preferred
    ranked.reason = "preferred by the rule"
  } else if (policy.kind === "fixed") {
    place.rank = unranked + (policy.order.get(gateway) ?? unranked + index)
    ranked.reason = "in the fixed order"
  }
  if (standing > 0) {
    place.rank += standing * behind
    ranked.reason = standing === 1 ? "behind the others: a call would wait for its turn" : "half-open: behind the others, for probes"
  }
  return place
}

/** Signals that say nothing are left out. */
const saysSomething = ({ breaker, failuresInRow, samples, saturated }: GatewaySignals): boolean =>
  samples > 0 || breaker !== "closed" || failuresInRow > 0 || saturated === true

/** Drawn where the policy draws; with hope where the payment may be explored. */
const successOf = (signals: GatewaySignals, { draws, explorationShare, settings }: Frame): number => {
  if (draws === undefined) return explorationShare > 0 ? Scoring.hopedSuccess(signals, settings) : Scoring.success(signals, settings)
  const { alpha, beta } = Scoring.availability(signals, settings)
  return Scoring.drawnSuccess(Chance.beta(alpha, beta, draws), signals, settings)
}

const isBefore = (left: Place, right: Place): boolean => {
  if (left.rank !== right.rank) return left.rank < right.rank
  const { ranked: one } = left
  const { ranked: other } = right
  return one.score !== other.score ? one.score > other.score : one.gateway < other.gateway
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
  if (probed(input, frame, usable)) return decisionOf(input, frame, usable, excluded, { propensity: 1, explored: true })
  const split = frame.rule?.action.split
  if (frame.rule !== undefined && split !== undefined) {
    return decisionOf(input, frame, usable, excluded, splitUp(input.payment, frame.rule.name, split, usable))
  }
  if (frame.draws !== undefined) {
    const drawn = usable.slice(0, sameAsFirst(usable))
    const propensity = Thompson.probabilityOfFirst(drawn, frame.weights, frame.settings)
    return decisionOf(input, frame, usable, excluded, { propensity, support: namesOf(drawn) })
  }
  const probes = probesAmong(usable)
  const from = probes > 0 ? usable.length - probes : 1
  const arms = probes > 0 ? probes : sameAsFirst(usable) - 1
  const explored = Exploration.explore({ share: frame.explorationShare, random: input.random, from, arms })
  const support: Array<GatewayName> = []
  for (let at = 0; at < usable.length && explored.propensity < 1; at++) {
    const place = usable[at]
    if (place !== undefined && (at === 0 ? frame.explorationShare < 1 : at >= from && at < from + arms)) support.push(place.ranked.gateway)
  }
  const first = explored.chosen === undefined ? undefined : usable.splice(explored.chosen, 1)[0]
  if (first === undefined) return decisionOf(input, frame, usable, excluded, { propensity: explored.propensity, support })
  first.ranked.reason = "explored"
  usable.unshift(first)
  return decisionOf(input, frame, usable, excluded, { propensity: explored.propensity, support, explored: true })
}

const namesOf = (places: ReadonlyArray<Place>): ReadonlyArray<GatewayName> => places.map(({ ranked }) => ranked.gateway)

/** How many stand as the first does: places are ordered by standing. */
const sameAsFirst = (usable: ReadonlyArray<Place>): number => {
  let same = 0
  while (same < usable.length && usable[same]?.standing === usable[0]?.standing) same++
  return same
}

/** Half-open gateways that wait behind others; none where all are. */
const probesAmong = (usable: ReadonlyArray<Place>): number => {
  let probes = 0
  while (probes < usable.length && usable[usable.length - 1 - probes]?.standing === 2) probes++
  return probes === usable.length ? 0 : probes
}

/** Puts a half-open gateway first that wants a probe, where the payment may be one and there are others for it to go on to. */
const probed = ({ details, policy }: RouteInput, { amountMinor, rule }: Frame, usable: Array<Place>): boolean => {
  const probes = probesAmong(usable)
  if (probes === 0) return false
  const mayProbe = Exploration.probesOf(policy, { currency: details.amount.currency, minor: amountMinor }, rule?.action)
  for (let at = usable.length - probes; at < usable.length; at++) {
    const place = usable[at]
    const wanted = place?.signals.probe
    if (place === undefined || wanted === undefined || !mayProbe[wanted] || !isOpenTo(rule, place.ranked.gateway)) continue
    usable.splice(at, 1)
    place.ranked.reason = wanted === "due" ? "half-open: a probe is due" : "half-open: a probe is overdue"
    usable.unshift(place)
    return true
  }
  return false
}

/** A payment that a rule sends to some gateways is no probe of others. */
const isOpenTo = (rule: Rules.MatchedRule | undefined, gateway: GatewayName): boolean => {
  const { prefer, split } = rule?.action ?? {}
  return prefer === undefined && split === undefined
    ? true
    : prefer?.includes(gateway) === true || split?.some((one) => one.gateway === gateway) === true
}

/** Puts first where the payment belongs in the split; answers how likely that was, and who else could have been first. */
const splitUp = (payment: PaymentId, rule: string, split: ReadonlyArray<Rules.SplitShare>, usable: Array<Place>): Chosen => {
  const best = usable[0]?.ranked.gateway
  const standing = usable[0]?.standing
  const isUsable = (gateway: GatewayName) => usable.some((place) => place.ranked.gateway === gateway && place.standing === standing)
  const belongs = Split.placeOf({ rule, payment, split, usable: isUsable })
  for (const place of usable) {
    const at = belongs.order.indexOf(place.ranked.gateway)
    if (at < 0) continue
    place.rank = at - unranked + place.standing * behind
    place.ranked.reason = at === 0 ? "its share of the split" : "in the split, by its share"
  }
  sort(usable)
  const first = usable[0]?.ranked.gateway
  if (first === undefined || best === undefined) return { propensity: 1 }
  const propensity = (belongs.shares.get(first) ?? 0) + (first === best ? belongs.rest : 0)
  const shared = [...belongs.shares.keys()]
  return { propensity, support: belongs.rest > 0 && !belongs.shares.has(best) ? [best, ...shared] : shared }
}

const lastResort = (input: RouteInput, frame: Frame, failing: Array<Place>, excluded: ReadonlyArray<ExcludedGateway>): RoutingDecision =>
  decisionOf(input, frame, sort(failing), excluded, { propensity: 1 })

/** How the first was chosen. `support`: all that could have been. */
interface Chosen {
  readonly propensity: number
  readonly support?: ReadonlyArray<GatewayName>
  readonly explored?: true
}

const decisionOf = (
  { caps, now, policy }: RouteInput,
  { rule, weights }: Frame,
  places: ReadonlyArray<Place>,
  excluded: ReadonlyArray<ExcludedGateway>,
  chosen: Chosen
): RoutingDecision => {
  const ranked: Array<RankedGateway> = []
  for (let index = 0; index < places.length && index < maxGateways; index++) {
    const place = places[index]
    if (place !== undefined) ranked.push(index < maxSnapshots ? place.ranked : withoutSignals(place.ranked))
  }
  const [first] = ranked
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
  if (chosen.support !== undefined && chosen.propensity < 1) decision.support = chosen.support
  if (caps !== undefined) decision.caps = caps.applied
  return decision
}

const withoutSignals = ({ signals: _signals, ...ranked }: RankedGateway): RankedGateway => ranked
