/**
 * A plan whose first gateway somebody else chose among those that can take the payment.
 *
 * With which probability a program chooses is not known, so the decision says none: estimates of what another policy would have done leave it
 * out, and stay honest.
 */
import type { HookName } from "../../hooks/HookKind.ts"
import type { RoutingAnswer } from "../../hooks/RoutingAnswer.ts"
import type { RankedGateway, RoutingDecision } from "../Decision.ts"

/** Puts first what a routing strategy chose; the order of the others stays. `answer.gateway` is one of the plan. */
export const byHook = (decision: RoutingDecision, hook: HookName, answer: RoutingAnswer): RoutingDecision => {
  const chosen = decision.ranked.find(({ gateway }) => gateway === answer.gateway)
  if (chosen === undefined) return decision
  const why = answer.reason === undefined ? "" : `: ${answer.reason}`
  const reason = `chosen by the hook "${hook}" with confidence ${answer.confidence}${why}`
  const first: RankedGateway = { ...chosen, reason }
  const { explored: _explored, propensity: _propensity, support: _support, ...rest } = decision
  return {
    ...rest,
    reason: `${chosen.gateway}: ${reason}`,
    ranked: [first, ...decision.ranked.filter(({ gateway }) => gateway !== answer.gateway)]
  }
}
