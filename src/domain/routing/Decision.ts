/**
 * A routing decision as it is stored with the intent it led to: a ranked plan with reasons, not one name, so that every
 * decision can be explained and replayed later.
 *
 * What a decision was made from is in it: the policy's version, each gateway's signals and the parts of its score, and the
 * probability with which the first one was chosen. Decisions of earlier versions lack these fields and still decode: every field
 * that was added later is optional, and texts that a later version may extend are read as texts.
 */
import * as Schema from "effect/Schema"
import { GatewayName, OperationNumber } from "../payment/Ids.ts"

/** The longest text in a decision. */
export const maxText = 500

const Text = Schema.String.check(Schema.isMaxLength(maxText))
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Share = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
const NotNegative = Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))

/** The most gateways in a plan, and the most that are left out of it. */
export const maxGateways = 64

/** Of this many gateways at the head of the plan the signals are kept: the rest can hardly matter, and events stay small. */
export const maxSnapshots = 16

/** What a gateway's circuit breaker lets through: everything, a few probes, nothing. */
export const BreakerPhase = Schema.Literals(["closed", "half_open", "open"])
export type BreakerPhase = typeof BreakerPhase.Type

/**
 * What is known of a gateway at the moment of a decision, for the payment's segment where there are enough calls of it.
 *
 * - `samples`, `successRate`: calls in the window that say something of its availability, and the share of them that it answered.
 * - `approved`, `declined`: charges that it approved, and those that another gateway might have approved.
 * - `p95Millis`: 0 while there are no samples.
 * - `retryAfterMillis`: until an open breaker lets a probe through; absent where no time is known: held open, or half-open with all its
 *   probes under way.
 * - `level`: how narrow the segment is that samples, rates and quantile are of.
 * - `minHealth`: below this health its breaker counts it as failing; absent where that is the preset.
 * - `probe`: half-open, it wants one: none came for an open time (`due`), or for ten of them (`overdue`).
 * - `saturated`: as many calls to it are under way as this process allows, or it asked for a pause, so one more would have to wait.
 */
export const GatewaySignals = Schema.Struct({
  samples: NotNegative,
  successRate: Share,
  approved: NotNegative,
  declined: NotNegative,
  p95Millis: NotNegative,
  breaker: BreakerPhase,
  health: Share,
  failuresInRow: NotNegative,
  retryAfterMillis: Schema.optionalKey(NotNegative),
  level: Schema.optionalKey(Text),
  minHealth: Schema.optionalKey(Share),
  probe: Schema.optionalKey(Schema.Literals(["due", "overdue"])),
  saturated: Schema.optionalKey(Schema.Boolean)
})
export type GatewaySignals = typeof GatewaySignals.Type

/** What a score is made of: each in [0, 1], higher is better. */
export const ScoreParts = Schema.Struct({ success: Share, latency: Share, cost: Share })
export type ScoreParts = typeof ScoreParts.Type

/**
 * A gateway that could take the payment, in the order of preference. `score` is in [0, 1], higher is better. `feeMinor`: what it
 * would take for this payment, in minor units of its currency; absent where its fees are not configured.
 */
export const RankedGateway = Schema.Struct({
  gateway: GatewayName,
  score: Schema.Finite,
  reason: Text,
  parts: Schema.optionalKey(ScoreParts),
  feeMinor: Schema.optionalKey(NotNegative),
  signals: Schema.optionalKey(GatewaySignals)
})
export type RankedGateway = typeof RankedGateway.Type

/** Why a gateway was left out. */
export const ExclusionReason = Schema.Literals([
  "no_reference",
  "currency_unsupported",
  "method_unsupported",
  "unhealthy",
  "breaker_open",
  "not_recoverable",
  "capture_unsupported",
  "retry_cap",
  "rule",
  "tried",
  "not_configured"
])
export type ExclusionReason = typeof ExclusionReason.Type

const exclusionReasons: ReadonlySet<unknown> = new Set(ExclusionReason.literals)

/** Is it one of these reasons? */
export const isExclusionReason = (reason: unknown): reason is ExclusionReason => exclusionReasons.has(reason)

/** A gateway that was left out, and why. `signals`: of one that is failing, what showed it. */
export const ExcludedGateway = Schema.Struct({
  gateway: GatewayName,
  reason: ExclusionReason,
  message: Text,
  signals: Schema.optionalKey(GatewaySignals)
})
export type ExcludedGateway = typeof ExcludedGateway.Type

/**
 * What the card networks' retry caps said. `basis`: what was counted: the `card` by its fingerprint, across payments and gateways;
 * only this `payment`, because the method has no fingerprint; nothing, because the counts were `unavailable`. Absent where no
 * cap concerns the method.
 */
export const CapsApplied = Schema.Struct({
  network: Text,
  basis: Schema.Literals(["card", "payment", "unavailable"]),
  /** Declined attempts within the longest window of the network. */
  declined: Count
})
export type CapsApplied = typeof CapsApplied.Type

/**
 * The ranked plan. The first of `ranked` is tried first; failover takes the next. At most 64 gateways.
 *
 * - `version`: of the policy, a digest of everything it was configured with. `rule`: the rule that matched.
 * - `propensity`: the probability with which the first of `ranked` was chosen, over the randomness of the policy; 1 where there
 *   was none. What another policy would have done can be estimated from it.
 * - `support`: the gateways that could have been first, where that was drawn (propensity below 1): for every other the chance was 0.
 *   Decisions of earlier versions have none.
 * - `explored`: the first was chosen in order to learn, not because it looked best.
 * - `after`: a failover, or a step-up to the customer's authentication, after this operation; `ranked` is what was left of the plan.
 */
export const RoutingDecision = Schema.Struct({
  policy: Text,
  reason: Text,
  ranked: Schema.Array(RankedGateway).check(Schema.isMaxLength(maxGateways)),
  excluded: Schema.Array(ExcludedGateway).check(Schema.isMaxLength(maxGateways)),
  version: Schema.optionalKey(Text),
  rule: Schema.optionalKey(Text),
  weights: Schema.optionalKey(ScoreParts),
  propensity: Schema.optionalKey(Share),
  support: Schema.optionalKey(Schema.Array(GatewayName).check(Schema.isMaxLength(maxGateways))),
  explored: Schema.optionalKey(Schema.Boolean),
  caps: Schema.optionalKey(CapsApplied),
  decidedAt: Schema.optionalKey(Schema.Int),
  after: Schema.optionalKey(OperationNumber)
})
export type RoutingDecision = typeof RoutingDecision.Type
