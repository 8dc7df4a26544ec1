/**
 * Which gateways a recorded decision could have put first: all others had no chance, whatever was drawn, and its outcome says nothing of them.
 *
 * Decisions tell it themselves. Those of earlier versions do not; theirs is rebuilt from how their gateways stood, but for those that
 * matched a rule: whether the rule split its payments, and among whom, is not in the record.
 */
import type { GatewayName } from "../../payment/Ids.ts"
import type { RankedGateway, RoutingDecision } from "../Decision.ts"
import * as Eligibility from "../plan/Eligibility.ts"

/** The gateways that could have been first; `undefined`: it cannot be told. */
export const of = (decision: RoutingDecision): ReadonlySet<GatewayName> | undefined => {
  const { propensity, ranked, rule, support } = decision
  const [first] = ranked
  if (first === undefined) return new Set()
  if (propensity === undefined || propensity >= 1) return new Set([first.gateway])
  // What was chosen could be, whatever else is written.
  if (support !== undefined) return new Set([first.gateway, ...support])
  return rule === undefined ? rebuilt(decision, first) : undefined
}

const rebuilt = (decision: RoutingDecision, first: RankedGateway): ReadonlySet<GatewayName> => {
  const { explored, policy, ranked } = decision
  const isProbe = (place: RankedGateway) => standingOf(place) === 2
  const others = ranked.filter((place) => !isProbe(place))
  const [best] = others
  const drawn = ranked.filter((place) => standingOf(place) === standingOf(policy === "thompson" ? first : (best ?? first)))
  if (policy === "thompson" || best === undefined || others.length === ranked.length) return namesOf([first, ...drawn])
  // Half-open gateways waited behind the best one: only they were explored, and a share of 1 leaves nothing to the best.
  const probes = ranked.filter(isProbe)
  const isAlways = explored === true && (decision.propensity ?? 0) * probes.length >= 1 - 1e-9
  return namesOf(isAlways ? probes : [first, best, ...probes])
}

const namesOf = (places: ReadonlyArray<RankedGateway>): ReadonlySet<GatewayName> => new Set(places.map(({ gateway }) => gateway))

/** A gateway whose signals were not stored had no calls. */
const standingOf = ({ signals }: RankedGateway): Eligibility.Standing => (signals === undefined ? 0 : Eligibility.standing(signals))
