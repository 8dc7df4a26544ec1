/**
 * A recorded decision, read back as what another policy would have decided from: gateways, their signals and their fees as they were known
 * then.
 *
 * **Details**
 * - Gateways that could not take the payment (no reference, currency, method, not recoverable) cannot under any policy.
 * - Gateways without stored signals had no calls: they are read back as such.
 * - Fees are the recorded ones; where the given policy has a price list that says the same, that list, which is exact where the recorded
 *   fee was rounded.
 * - Retry caps and a host's own rules are no part of it: a capped payment has no decision, and functions are not recorded.
 */
import * as Currency from "../../Currency.ts"
import type { GatewayCapabilities, OperationCapabilities } from "../../operation/Capabilities.ts"
import type { PaymentDetails } from "../../payment/Event.ts"
import type { GatewayName, PaymentId } from "../../payment/Ids.ts"
import { newScore } from "../../resilience/Health.ts"
import { type ExcludedGateway, type GatewaySignals, maxSnapshots, type RankedGateway, type RoutingDecision } from "../Decision.ts"
import * as Cost from "../policy/Cost.ts"
import type { Policy } from "../policy/Policy.ts"
import * as Route from "../plan/Route.ts"
import * as Chances from "./Chances.ts"

/** A decision with what it was made for. */
export interface Recorded {
  readonly payment: PaymentId
  readonly details: PaymentDetails
  readonly decision: RoutingDecision
  /** Epoch milliseconds; for decisions that do not tell their own time. */
  readonly at: number
}

/** What the other policy needs and the record lacks. */
export type Lack =
  /** It would consider a gateway that a rule left out: no signals of it were stored. */
  | "left_out_by_rule"
  /** The plan was longer than what signals were stored of, or is of a version that stored none. */
  | "signals_not_stored"
  /** It would consider a gateway that was failing, whose fee was not stored and is not configured, while fees are known. */
  | "fee_not_stored"

/** What another policy would have done; `lack`: it cannot be told from the record. */
export type Replayed =
  | { readonly _tag: "Replayed"; readonly chances: ReadonlyMap<GatewayName, number> }
  | { readonly _tag: "Lacking"; readonly lack: Lack }

/** What a policy would have decided instead. `configured`: gateways in the order of the configuration, which a fixed order falls back to. */
export const replay = (recorded: Recorded, policy: Policy, configured: ReadonlyArray<GatewayName>): Replayed => {
  const known = knownOf(recorded.decision, configured)
  if (known.some(({ signals }) => signals === undefined)) return { _tag: "Lacking", lack: "signals_not_stored" }
  const input: Chances.ChancesInput = {
    payment: recorded.payment,
    details: recorded.details,
    candidates: known.map(({ gateway }) => ({ name: gateway, capabilities: capable })),
    signals: known.map(({ signals }) => signals ?? noCalls),
    policy: { ...policy, fees: feesOf(recorded, known, policy) },
    now: recorded.decision.decidedAt ?? recorded.at
  }
  const lack = lackOf(input, known)
  return lack === undefined ? { _tag: "Replayed", chances: Chances.ofFirst(input) } : { _tag: "Lacking", lack }
}

/** A gateway that was able to take the payment. */
interface Known {
  readonly gateway: GatewayName
  readonly signals: GatewaySignals | undefined
  readonly feeMinor: number | undefined
  readonly was: "ranked" | "failing" | "left_out_by_rule"
}

/** A gateway that nothing was stored of because there was nothing: no calls, closed. */
const noCalls: GatewaySignals = {
  samples: 0,
  successRate: 1,
  approved: 0,
  declined: 0,
  p95Millis: 0,
  breaker: "closed",
  health: newScore,
  failuresInRow: 0
}

const knownOf = ({ excluded, ranked }: RoutingDecision, configured: ReadonlyArray<GatewayName>): ReadonlyArray<Known> => {
  const known = [...ranked.map(knownOfRanked), ...excluded.flatMap(knownOfExcluded)]
  const places = new Map(configured.map((gateway, place) => [gateway, place]))
  const placeOf = ({ gateway }: Known) => places.get(gateway) ?? configured.length
  return known.sort((left, right) => placeOf(left) - placeOf(right) || (left.gateway < right.gateway ? -1 : 1))
}

/** Signals of a gateway without calls are not stored; those of decisions without parts and those far down a plan never were. */
const knownOfRanked = ({ feeMinor, gateway, parts, signals }: RankedGateway, place: number): Known => ({
  gateway,
  signals: signals ?? (parts !== undefined && place < maxSnapshots ? noCalls : undefined),
  feeMinor,
  was: "ranked"
})

const knownOfExcluded = ({ gateway, reason, signals }: ExcludedGateway): ReadonlyArray<Known> => {
  if (reason === "breaker_open" || reason === "unhealthy") return [{ gateway, signals, feeMinor: undefined, was: "failing" }]
  return reason === "rule" ? [{ gateway, signals: noCalls, feeMinor: undefined, was: "left_out_by_rule" }] : []
}

const feesOf = ({ details }: Recorded, known: ReadonlyArray<Known>, policy: Policy): Policy["fees"] => {
  const { currency, minor } = details.amount
  const fees = new Map(policy.fees)
  for (const { feeMinor, gateway } of known) {
    if (feeMinor === undefined) continue
    const configured = Cost.entryFor(fees.get(gateway), details)
    if (configured === undefined || Cost.feeMinor(configured, minor) !== feeMinor) fees.set(gateway, [{ currency, fixedMinor: feeMinor }])
  }
  return fees
}

/** Would the policy consider a gateway that too little is stored of? */
const lackOf = (input: Chances.ChancesInput, known: ReadonlyArray<Known>): Lack | undefined => {
  const doubtful = known.filter(({ was }) => was !== "ranked")
  if (doubtful.length === 0) return undefined
  const { excluded, ranked } = Route.route({ ...input, random: 0 })
  const isConsidered = ({ gateway }: Known) =>
    ranked.some((place) => place.gateway === gateway) || excluded.some((place) => place.gateway === gateway && place.reason !== "rule")
  if (doubtful.some((one) => one.was === "left_out_by_rule" && isConsidered(one))) return "left_out_by_rule"
  const feesAreKnown = known.some(({ feeMinor }) => feeMinor !== undefined)
  const lacksFee = ({ gateway, was }: Known) =>
    was === "failing" && ranked.some((place) => place.gateway === gateway && place.feeMinor === undefined)
  return feesAreKnown && doubtful.some(lacksFee) ? "fee_not_stored" : undefined
}

const recoverable: OperationCapabilities = {
  lookupByReference: { lagMillis: 0 },
  replay: "none",
  replayWindowMillis: 0,
  cachesFailures: false,
  cancelByReference: "none",
  leavesOpenAfterDecline: false,
  settleTimeMillis: 0
}

/** Who is in the record as able to take the payment was. */
const capable: GatewayCapabilities = {
  operations: {
    sale: recoverable,
    authorize: recoverable,
    confirm: recoverable,
    capture: recoverable,
    void: recoverable,
    refund: recoverable
  },
  captures: "multiple",
  authorizationValidityMillis: 0,
  currencies: new Map(Currency.all.map((code) => [code, Currency.exponent(code)]))
}
