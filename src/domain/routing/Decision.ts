/**
 * A routing decision as it is stored with the intent it led to: a ranked plan with reasons, not one name, so that every
 * decision can be explained and replayed later.
 */
import * as Schema from "effect/Schema"
import { GatewayName } from "../payment/Ids.ts"

const Text = Schema.String.check(Schema.isMaxLength(500))

/** A gateway that could take the payment, in the order of preference. `score` is in [0, 1], higher is better. */
export const RankedGateway = Schema.Struct({ gateway: GatewayName, score: Schema.Finite, reason: Text })
export type RankedGateway = typeof RankedGateway.Type

/** Why a gateway was left out. */
export const ExclusionReason = Schema.Literals([
  "no_reference",
  "currency_unsupported",
  "unhealthy",
  "not_recoverable",
  "capture_unsupported"
])
export type ExclusionReason = typeof ExclusionReason.Type

/** A gateway that was left out, and why. */
export const ExcludedGateway = Schema.Struct({ gateway: GatewayName, reason: ExclusionReason, message: Text })
export type ExcludedGateway = typeof ExcludedGateway.Type

/** The ranked plan. The first of `ranked` is tried first; failover takes the next. At most 64 gateways. */
export const RoutingDecision = Schema.Struct({
  policy: Text,
  reason: Text,
  ranked: Schema.Array(RankedGateway).check(Schema.isMaxLength(64)),
  excluded: Schema.Array(ExcludedGateway).check(Schema.isMaxLength(64))
})
export type RoutingDecision = typeof RoutingDecision.Type
