/**
 * A quick check of a routing decision. The decision of every payment is checked before it is stored and is most of what is checked of a
 * payment, and its schema copies it field by field.
 *
 * **Gotchas**: it says again what the schemas of `Decision.ts` say. A yes promises that they take the decision, which a test holds it to; a
 * no says nothing.
 */
import { isGatewayName } from "../payment/Ids.ts"
import {
  type CapsApplied,
  type ExcludedGateway,
  type GatewaySignals,
  isExclusionReason,
  maxGateways,
  maxText,
  type RankedGateway,
  type RoutingDecision,
  type ScoreParts
} from "./Decision.ts"

/** True only of what the schema of a decision takes. */
export const isCertainlyDecision = (decision: unknown): decision is RoutingDecision =>
  isLike<RoutingDecision>(decision) &&
  isText(decision.policy) &&
  isText(decision.reason) &&
  isList(decision.ranked, isRanked) &&
  isList(decision.excluded, isExcluded) &&
  isChoice(decision) &&
  // Of a failover, which is rare.
  !("after" in decision)

/** How it was chosen. */
const isChoice = (decision: Like<RoutingDecision>): boolean =>
  (!("version" in decision) || isText(decision.version)) &&
  (!("rule" in decision) || isText(decision.rule)) &&
  (!("weights" in decision) || isParts(decision.weights)) &&
  (!("propensity" in decision) || isShare(decision.propensity)) &&
  (!("support" in decision) || isList(decision.support, isGatewayName)) &&
  (!("explored" in decision) || typeof decision.explored === "boolean") &&
  (!("caps" in decision) || isCaps(decision.caps)) &&
  (!("decidedAt" in decision) || Number.isSafeInteger(decision.decidedAt))

/** Something that may have the fields of an `A`, with whatever in them. */
type Like<A> = Partial<Readonly<Record<keyof A, unknown>>>

const isLike = <A>(value: unknown): value is Like<A> => typeof value === "object" && value !== null && !Array.isArray(value)

const isText = (value: unknown): boolean => typeof value === "string" && value.length <= maxText
const isShare = (value: unknown): boolean => typeof value === "number" && value >= 0 && value <= 1
const isNotNegative = (value: unknown): boolean => typeof value === "number" && value >= 0 && value < Infinity

const isList = (value: unknown, isItem: (item: unknown) => boolean): boolean => {
  if (!Array.isArray(value) || value.length > maxGateways) return false
  for (const item of value) if (!isItem(item)) return false
  return true
}

const isParts = (parts: unknown): boolean =>
  isLike<ScoreParts>(parts) && isShare(parts.success) && isShare(parts.latency) && isShare(parts.cost)

const isSignals = (signals: unknown): boolean =>
  isLike<GatewaySignals>(signals) &&
  isNotNegative(signals.samples) &&
  isShare(signals.successRate) &&
  isNotNegative(signals.approved) &&
  isNotNegative(signals.declined) &&
  isNotNegative(signals.p95Millis) &&
  (signals.breaker === "closed" || signals.breaker === "half_open" || signals.breaker === "open") &&
  isShare(signals.health) &&
  isNotNegative(signals.failuresInRow) &&
  isRestOfSignals(signals)

const isRestOfSignals = (signals: Like<GatewaySignals>): boolean =>
  (!("retryAfterMillis" in signals) || isNotNegative(signals.retryAfterMillis)) &&
  (!("level" in signals) || isText(signals.level)) &&
  (!("minHealth" in signals) || isShare(signals.minHealth)) &&
  (!("probe" in signals) || signals.probe === "due" || signals.probe === "overdue") &&
  (!("saturated" in signals) || typeof signals.saturated === "boolean")

const isRanked = (ranked: unknown): boolean =>
  isLike<RankedGateway>(ranked) &&
  isGatewayName(ranked.gateway) &&
  Number.isFinite(ranked.score) &&
  isText(ranked.reason) &&
  (!("parts" in ranked) || isParts(ranked.parts)) &&
  (!("feeMinor" in ranked) || isNotNegative(ranked.feeMinor)) &&
  (!("signals" in ranked) || isSignals(ranked.signals))

const isExcluded = (excluded: unknown): boolean =>
  isLike<ExcludedGateway>(excluded) &&
  isGatewayName(excluded.gateway) &&
  isExclusionReason(excluded.reason) &&
  isText(excluded.message) &&
  (!("signals" in excluded) || isSignals(excluded.signals))

const isCaps = (caps: unknown): boolean =>
  isLike<CapsApplied>(caps) &&
  isText(caps.network) &&
  (caps.basis === "card" || caps.basis === "payment" || caps.basis === "unavailable") &&
  Number.isSafeInteger(caps.declined) &&
  isNotNegative(caps.declined)
