/** The gateway contract suite on the adapter of Stripe, for both ways of finding what was lost. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import type { GatewayUnderTest, Scenario } from "../../../src/gateways/contract/GatewayContract.ts"
import type { StripeAccount } from "../../../src/gateways/stripe/StripeGateway.ts"
import { suite } from "../../contracts/Gateway.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { closedPort } from "../sandboxGateways.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

const charges: { readonly [what: string]: string } = {
  success: "pm_card_visa",
  conflict: "pm_conflict",
  declined_soft: "pm_card_chargeDeclinedInsufficientFunds",
  declined_hard: "pm_card_chargeDeclinedStolenCard",
  declined_fraud: "pm_card_chargeDeclinedFraudulent",
  declined_invalid_data: "pm_card_chargeDeclinedIncorrectCvc",
  declined_gateway_error: "pm_providerTimeout",
  declined_rate_limited: "pm_rateLimited",
  declined_configuration: "pm_typeNotActivated",
  pending_success: "pm_pendingSuccess",
  pending_failure: "pm_pendingFailure",
  action_success: "pm_card_threeDSecure2Required",
  action_failure: "pm_actionFails"
}

const tokenFor = ({ on, what }: Scenario): Token =>
  Token.make(on === "charge" ? (charges[what] ?? `pm_fault_charge_${what}`) : `pm_fault_${on}_${what}`)

const never = ({ on, what }: Scenario): string | undefined => {
  if (what === "declined_authentication_required") {
    return "Stripe asks for authentication by a decline only where the customer cannot be sent anywhere; tested with the adapter"
  }
  if (on === "void" && what === "declined") return "a cancel at Stripe is carried out, or finds another state"
  if (on === "void" && what === "pending") return "a cancel at Stripe is carried out at once"
  return undefined
}

const make = (overrides: Partial<StripeAccount>): Effect.Effect<GatewayUnderTest, never, Scope.Scope> =>
  Effect.gen(function* () {
    const stripe = yield* FakeStripe.started({ searchLagMillis: overrides.searchLagMillis ?? 0 })
    return {
      gateway: yield* gatewayOf(accountOf(stripe.url, overrides)),
      unreachable: yield* gatewayOf(accountOf(`http://127.0.0.1:${yield* closedPort}`, overrides)),
      ledger: Effect.sync(() => stripe.account.movements.map((entry) => ({ ...entry, amount: BigInt(entry.amount) }))),
      customer: (reference, does) => Effect.sync(() => stripe.account.customer(reference, does)),
      lapse: (reference) => Effect.sync(() => stripe.account.expire(reference, false)),
      webhooks: Effect.sync(() => stripe.deliveries)
    }
  })

const shared = { tokenFor, never, patienceMillis: 500, chargedBy: "customer", tellsByWebhook: true, tellsHolds: true } as const

suite("stripe, found in the list", { ...shared, make: make({}) })
suite("stripe, found by search 80 ms after execution", { ...shared, make: make({ lookup: "search", searchLagMillis: 80 }) })
