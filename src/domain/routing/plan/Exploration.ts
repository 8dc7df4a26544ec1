/**
 * Trying another gateway than the best one, in order to learn: without it a gateway that was bad once would never be seen to be good again.
 *
 * A share of the payments that may be explored goes to another gateway of the plan, each with the same probability. Where circuit
 * breakers are half-open these payments are their probes: then only those gateways are tried. One that has to wait for a place is not.
 *
 * Never explored: payments above the amount, in currencies without an amount, those whose gateway a rule pins, and failovers.
 *
 * The drawn number is in [0, 1): below the share it explores, and its place in the share says which gateway, so that one number is enough.
 */
import type { CurrencyCode } from "../../Currency.ts"
import type { Policy } from "../policy/Policy.ts"
import { type RuleAction, strategies } from "../policy/Rules.ts"

/** Which of the gateways after the first is tried in its place, and how likely the choice was. */
export interface Exploration {
  /** Its index among the candidates; `undefined`: the first stays. */
  readonly chosen: number | undefined
  readonly propensity: number
}

const stays: Exploration = { chosen: undefined, propensity: 1 }

/** An amount to compare with others: no number that it is compared with is beyond the safe integers. */
interface Amount {
  readonly currency: CurrencyCode
  readonly minor: number
}

/** May a payment of this amount be explored? */
export const isWithinAmount = (policy: Policy, { currency, minor }: Amount): boolean => {
  const most = policy.explorationMaxAmount.get(currency)
  return most !== undefined && minor <= most
}

/** Which probes a payment may be. */
export interface Probes {
  readonly due: boolean
  readonly overdue: boolean
}

/**
 * A payment whose rule explores nothing is no probe. One that is due goes by the amount alone, whatever share the policy explores; one that is
 * overdue by an amount of its own, and not where the policy explores nothing.
 */
export const probesOf = (policy: Policy, amount: Amount, action: RuleAction | undefined): Probes => {
  const most = policy.overdueProbeMaxAmount.get(amount.currency)
  const share = action?.explorationShare
  const learns = share === undefined ? action?.strategy === undefined || strategies[action.strategy].explores : share > 0
  return {
    due: learns && isWithinAmount(policy, amount),
    overdue: learns && (share ?? policy.explorationShare) > 0 && most !== undefined && amount.minor <= most
  }
}

/** Explores or not. `arms`: how many gateways may be tried, from the place `from` on. */
export const explore = (options: {
  readonly share: number
  readonly random: number
  readonly from: number
  readonly arms: number
}): Exploration => {
  const { arms, from, random, share } = options
  if (arms === 0 || share <= 0) return stays
  if (random >= share) return { chosen: undefined, propensity: 1 - share }
  return { chosen: from + Math.min(Math.floor((random / share) * arms), arms - 1), propensity: share / arms }
}
