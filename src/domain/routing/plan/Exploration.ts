/**
 * Trying another gateway than the best one, in order to learn: without it a gateway that was bad once would never be seen to be good again.
 *
 * A share of the payments that may be explored goes to another gateway of the plan, each with the same probability. Where circuit
 * breakers are half-open these payments are their probes: then only those gateways are tried.
 *
 * Never explored: payments above the amount, in currencies without an amount, those whose gateway a rule pins, and failovers.
 *
 * The drawn number is in [0, 1): below the share it explores, and its place in the share says which gateway, so that one number is enough.
 */
import type { PaymentDetails } from "../../payment/Event.ts"
import type { Policy } from "../policy/Policy.ts"

/** Which of the gateways after the first is tried in its place, and how likely the choice was. */
export interface Exploration {
  /** Its index among the candidates; `undefined`: the first stays. */
  readonly chosen: number | undefined
  readonly propensity: number
}

const stays: Exploration = { chosen: undefined, propensity: 1 }

/** May a payment of this amount be explored? */
export const isWithinAmount = (policy: Policy, { amount }: Pick<PaymentDetails, "amount">): boolean => {
  const most = policy.explorationMaxAmount.get(amount.currency)
  return most !== undefined && amount.minor <= most
}

/** Explores or not. `probes`: how many of the `others` are half-open; they stand last. */
export const explore = (options: {
  readonly share: number
  readonly random: number
  readonly others: number
  readonly probes: number
}): Exploration => {
  const { others, probes, random, share } = options
  if (others === 0 || share <= 0) return stays
  if (random >= share) return { chosen: undefined, propensity: 1 - share }
  const arms = probes > 0 ? probes : others
  const arm = Math.min(Math.floor((random / share) * arms), arms - 1)
  return { chosen: 1 + others - arms + arm, propensity: share / arms }
}
