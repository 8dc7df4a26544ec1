/**
 * Volume split: which of several gateways a payment belongs to, by its id.
 *
 * Every gateway of the split draws a number that is fixed by rule, payment and gateway, and the least of `-ln(number) / share` wins (weighted
 * rendezvous hashing; the least of exponential numbers). So each gateway gets its share of the payments, the same payment always belongs
 * to the same gateway, and one that cannot be used leaves its payments to the others in proportion to their shares while no other
 * payment moves.
 *
 * Shares of less than 100 leave a rest, which is drawn for like a gateway: those payments are routed as without the split.
 */
import type { GatewayName, PaymentId } from "../../payment/Ids.ts"
import type { SplitShare } from "../policy/Rules.ts"
import { uniformOf } from "./Chance.ts"

/** Where a payment belongs. `order`: the gateways of the split, its own first; empty where it belongs to the rest. */
export interface Place {
  readonly order: ReadonlyArray<GatewayName>
  /** The probability, over all payment ids, of the rest and of each gateway that can be used. */
  readonly rest: number
  readonly shares: ReadonlyMap<GatewayName, number>
}

/** Of what a split of less than 100 leaves over; no gateway has this name. */
const rest = ""

/** The place of a payment in a split, among the gateways that can be used. */
export const placeOf = (options: {
  readonly rule: string
  readonly payment: PaymentId
  readonly split: ReadonlyArray<SplitShare>
  readonly usable: (gateway: GatewayName) => boolean
}): Place => {
  const { payment, rule, split } = options
  const left = 100 - split.reduce((sum, { share }) => sum + share, 0)
  const usable = split.filter(({ gateway }) => options.usable(gateway))
  const drawn = usable
    .map(({ gateway, share }) => ({ gateway, share, number: draw(rule, payment, gateway, share) }))
    .sort((one, other) => one.number - other.number || (one.gateway < other.gateway ? -1 : 1))
  const [first] = drawn
  // Shares that add up to 100 only nearly leave nothing.
  const restShare = left > 1e-9 ? left : 0
  const total = usable.reduce((sum, { share }) => sum + share, restShare)
  const isRest = first === undefined || (restShare > 0 && draw(rule, payment, rest, restShare) < first.number)
  return {
    order: isRest ? [] : drawn.map(({ gateway }) => gateway),
    rest: first === undefined ? 1 : restShare / total,
    shares: new Map(usable.map(({ gateway, share }) => [gateway, share / total]))
  }
}

const draw = (rule: string, payment: PaymentId, gateway: string, share: number): number =>
  -Math.log(uniformOf(`${rule}\n${payment}\n${gateway}`)) / share
