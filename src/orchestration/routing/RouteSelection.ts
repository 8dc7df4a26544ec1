/**
 * Which gateways can take a payment, in which order, and why: a ranked plan.
 *
 * A gateway is left out when the payment method has no reference for it, when it does not support the currency, or when its
 * declared capabilities could not recover a lost answer. Unhealthy gateways go to the end, in the configured order otherwise:
 * they are not left out, so that a payment with one usable gateway is still tried.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isRecoverable } from "../../domain/operation/Capabilities.ts"
import type { GatewayTerms } from "../../domain/payment/Command.ts"
import type { PaymentDetails } from "../../domain/payment/Event.ts"
import { referenceFor } from "../../domain/payment/PaymentMethod.ts"
import type { ExcludedGateway, RankedGateway, RoutingDecision } from "../../domain/routing/Decision.ts"
import { Gateways, type Gateway } from "../../services/Gateway.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"
import { NoUsableGateway } from "../payment/Errors.ts"

/** Below this success rate, with at least `minimumSamples` in the window, a gateway counts as unhealthy. */
const unhealthyBelow = 0.5
const minimumSamples = 20
/** This many failures in a row count as unhealthy, however few the samples. */
const consecutiveFailuresAllowed = 5

/** Plans the gateways of a payment. Fails with `NoUsableGateway` when there is none. */
export const select = Effect.fnUntraced(function* (details: PaymentDetails) {
  const gateways = yield* Gateways
  const metrics = yield* GatewayMetrics
  const excluded: Array<ExcludedGateway> = []
  const healthy: Array<RankedGateway> = []
  const unhealthy: Array<RankedGateway> = []
  for (const gateway of gateways.all) {
    const exclusion = exclude(gateway, details)
    if (exclusion !== undefined) {
      excluded.push(exclusion)
      continue
    }
    const health = yield* metrics.health(gateway.name)
    const failing =
      health.consecutiveFailures >= consecutiveFailuresAllowed || (health.samples >= minimumSamples && health.successRate < unhealthyBelow)
    const reason = `configured order; success rate ${health.successRate.toFixed(3)} of ${health.samples} calls in the last hour`
    const ranked = { gateway: gateway.name, score: health.successRate, reason: failing ? `${reason}; unhealthy, tried last` : reason }
    ;(failing ? unhealthy : healthy).push(ranked)
  }
  const ranked = [...healthy, ...unhealthy]
  const first = ranked[0]
  if (first === undefined) return yield* new NoUsableGateway({ excluded })
  return {
    policy: "configured-order",
    reason: `${first.gateway}: first usable gateway in the configured order${unhealthy.includes(first) ? ", though unhealthy" : ""}`,
    ranked,
    excluded
  } satisfies RoutingDecision
})

const exclude = (gateway: Gateway, details: PaymentDetails): ExcludedGateway | undefined => {
  if (Option.isNone(referenceFor(details.method, gateway.name))) {
    return { gateway: gateway.name, reason: "no_reference", message: "the payment method has no reference for this gateway" }
  }
  if (!gateway.capabilities.currencies.has(details.amount.currency)) {
    return { gateway: gateway.name, reason: "currency_unsupported", message: `${details.amount.currency} is not supported by this account` }
  }
  const kind = details.captureMethod === "manual" ? "authorize" : "sale"
  if (!isRecoverable(gateway.capabilities.operations[kind])) {
    return {
      gateway: gateway.name,
      reason: "not_recoverable",
      message: "a lost answer could not be recovered: no look-up, replay or cancel"
    }
  }
  return undefined
}

/** What an intent takes from a gateway. */
export const termsOf = (gateway: Gateway, sendWindowMillis: number): GatewayTerms => ({
  gateway: gateway.name,
  account: gateway.account,
  adapterVersion: gateway.adapterVersion,
  apiVersion: gateway.apiVersion,
  captures: gateway.capabilities.captures,
  capabilitiesOf: (kind) => gateway.capabilities.operations[kind],
  sendWindowMillis
})
