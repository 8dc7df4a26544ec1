/**
 * Why a gateway cannot take a payment at all, or should not while another one can.
 */
import * as Option from "effect/Option"
import { type GatewayCapabilities, isRecoverable } from "../../operation/Capabilities.ts"
import type { PaymentDetails } from "../../payment/Event.ts"
import type { GatewayName } from "../../payment/Ids.ts"
import * as Presets from "../../Presets.ts"
import { referenceFor } from "../../payment/PaymentMethod.ts"
import type { ExcludedGateway, GatewaySignals } from "../Decision.ts"
import type { RuleAction } from "../policy/Rules.ts"

/** A configured gateway; what adapters make is one. */
export interface Candidate {
  readonly name: GatewayName
  readonly capabilities: GatewayCapabilities
}

const excluded = (gateway: GatewayName, reason: ExcludedGateway["reason"], message: string): ExcludedGateway => ({
  gateway,
  reason,
  message
})

/** What forbids a gateway, whatever else is there: first what it cannot do, then what a rule says. */
export const forbidden = (
  { capabilities, name }: Candidate,
  details: PaymentDetails,
  rule: { readonly name: string; readonly action: RuleAction } | undefined
): ExcludedGateway | undefined => {
  const { amount, captureMethod, method } = details
  if (method.token === undefined && Option.isNone(referenceFor(method, name))) {
    return excluded(name, "no_reference", "the payment method has no reference for this gateway")
  }
  if (!capabilities.currencies.has(amount.currency)) {
    return excluded(name, "currency_unsupported", `${amount.currency} is not supported by this account`)
  }
  if (capabilities.methods !== undefined && !capabilities.methods.has(method.type)) {
    return excluded(name, "method_unsupported", `${method.type} is not supported by this account`)
  }
  if (!isRecoverable(capabilities.operations[captureMethod === "manual" ? "authorize" : "sale"])) {
    return excluded(name, "not_recoverable", "a lost answer could not be recovered: no look-up, replay or cancel")
  }
  if (rule === undefined) return undefined
  const { exclude, only } = rule.action
  return exclude?.includes(name) === true || (only !== undefined && !only.includes(name))
    ? excluded(name, "rule", `left out by the rule "${rule.name}"`)
    : undefined
}

const presetMinHealth = Presets.breaker.minHealthScore.value

/** How far behind the others a gateway stands: 0 not at all, 1 where one more call would have to wait, 2 where it may still be down. */
export type Standing = 0 | 1 | 2

/** Who has to wait, or might be down, is tried after everybody else, whatever rule and score say. */
export const standing = ({ breaker, saturated }: GatewaySignals): Standing => (breaker === "half_open" ? 2 : saturated === true ? 1 : 0)

/**
 * Why a gateway should not be tried while another one can be; `undefined`: it may. A half-open breaker wants probes, so its health does not
 * count against it. `minHealthScore`: of the policy; without one that of the breaker counts.
 */
export const failing = (name: GatewayName, signals: GatewaySignals, minHealthScore: number | undefined): ExcludedGateway | undefined => {
  if (signals.breaker === "open") {
    const until = signals.retryAfterMillis
    const message = until === undefined ? "its circuit breaker lets no call through" : `its circuit breaker is open for another ${until} ms`
    return { ...excluded(name, "breaker_open", message), signals }
  }
  const least = minHealthScore ?? signals.minHealth ?? presetMinHealth
  return signals.breaker === "closed" && signals.health < least
    ? { ...excluded(name, "unhealthy", `its health is ${signals.health}, below ${least}`), signals }
    : undefined
}
