/**
 * With which probability a policy sends a payment to each gateway first, over the policy's own randomness: exploration, drawn scores, and
 * the payment ids of a split. It is `Route.ts` asked for all that it could answer, so it cannot differ from what routing does.
 */
import type { GatewayName } from "../../payment/Ids.ts"
import type { RoutingDecision } from "../Decision.ts"
import * as Eligibility from "../plan/Eligibility.ts"
import * as Route from "../plan/Route.ts"
import * as Split from "../plan/Split.ts"
import * as Thompson from "../plan/Thompson.ts"
import * as Rules from "../policy/Rules.ts"

/** What a decision is made from, without the draw and without what is no part of a policy. */
export type ChancesInput = Omit<Route.RouteInput, "random" | "custom" | "caps">

/** The probabilities of being first, adding up to 1; empty where no gateway can take the payment. */
export const ofFirst = (input: ChancesInput): ReadonlyMap<GatewayName, number> => {
  const decision = Route.route({ ...input, random: 0 })
  const [first] = decision.ranked
  if (first === undefined) return new Map()
  if (decision.propensity === undefined || decision.propensity >= 1) return new Map([[first.gateway, 1]])
  const rule = Rules.firstMatch(input.policy.rules, input)
  if (rule?.action.split !== undefined) return ofSplit(input, rule, rule.action.split, decision)
  return input.policy.kind === "thompson" ? ofDraws(input, decision) : ofExploration(input, decision)
}

/**
 * Each choice covers an interval of the drawn number that is as long as its probability: from the beginning of one to that of the next all
 * of them are met. The step aside keeps a beginning that was rounded down out of the interval before.
 */
const ofExploration = (input: ChancesInput, atZero: RoutingDecision): ReadonlyMap<GatewayName, number> => {
  const chances = new Map<GatewayName, number>()
  let decision = atZero
  let from = 0
  for (let met = 0; met <= input.candidates.length; met++) {
    const [first] = decision.ranked
    const probability = decision.propensity ?? 0
    if (first === undefined || probability <= 0) break
    chances.set(first.gateway, (chances.get(first.gateway) ?? 0) + probability)
    from += probability
    if (from >= 1 - aside) break
    decision = Route.route({ ...input, random: from + aside })
  }
  return chances
}

const aside = 1e-12

/** The standing of each gateway of a plan. */
const standingsOf = ({ candidates, signals }: ChancesInput) => {
  const known = new Map(candidates.map(({ name }, index) => [name, signals[index]]))
  return (gateway: GatewayName | undefined) => {
    const own = gateway === undefined ? undefined : known.get(gateway)
    return own === undefined ? 0 : Eligibility.standing(own)
  }
}

/** Every gateway of the plan that stands as the first does has the best drawn score with the probability that is stored where it is first; these are known within a percent. */
const ofDraws = (input: ChancesInput, { ranked, weights }: RoutingDecision): ReadonlyMap<GatewayName, number> => {
  const { candidates, policy, signals } = input
  const standingOf = standingsOf(input)
  const arms = ranked.flatMap(({ gateway, parts }) => {
    const known = signals[candidates.findIndex(({ name }) => name === gateway)]
    const isDrawn = standingOf(gateway) === standingOf(ranked[0]?.gateway)
    return known === undefined || parts === undefined || !isDrawn ? [] : [{ gateway, parts, signals: known }]
  })
  const probabilities = arms.map((arm) =>
    Thompson.probabilityOfFirst([arm, ...arms.filter((other) => other !== arm)], weights ?? policy.weights, policy.scoring)
  )
  const total = probabilities.reduce((sum, probability) => sum + probability, 0)
  return new Map(arms.map(({ gateway }, index) => [gateway, (probabilities[index] ?? 0) / total]))
}

/** Over the ids of payments: each gateway its share, and the rest to whoever would be first without the split. */
const ofSplit = (
  input: ChancesInput,
  rule: Rules.MatchedRule,
  split: ReadonlyArray<Rules.SplitShare>,
  { ranked }: RoutingDecision
): ReadonlyMap<GatewayName, number> => {
  const standingOf = standingsOf(input)
  const best = standingOf(ranked[0]?.gateway)
  const { rest, shares } = Split.placeOf({
    rule: rule.name,
    payment: input.payment,
    split,
    usable: (gateway) => ranked.some((place) => place.gateway === gateway && standingOf(gateway) === best)
  })
  const chances = new Map(shares)
  const { split: _split, ...others } = rule.action
  // oxlint-disable-next-line unicorn/no-thenable -- nobody awaits a rule, and an object is no function
  const unsplit = { name: rule.name, priority: rule.priority, then: { ...others, explorationShare: 0 } }
  // Where a probe goes first nothing is split: here none does.
  const signals = input.signals.map(({ probe: _probe, ...known }) => known)
  const first = Route.route({ ...input, signals, policy: { ...input.policy, rules: [unsplit] }, random: 0 }).ranked[0]?.gateway
  if (first !== undefined && rest > 0) chances.set(first, (chances.get(first) ?? 0) + rest)
  return chances
}
