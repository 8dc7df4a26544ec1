import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Currency, PaymentIds, PaymentMethod, Payments, Policy, RoutingPolicy } from "../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../src/public/testing.ts"

const usual = ScriptedGateway.make("psp-a")
const local = ScriptedGateway.make("psp-b")

/** Orders of the German shop go to the local acquirer; where the rule does not concern a payment, the score decides. */
const germanShop: RoutingPolicy.CustomRule = {
  name: "german shop",
  decide: ({ details }) => (details.metadata["shop"] === "de" ? { prefer: [local.name] } : undefined)
}

const fees = new Map([
  [usual.name, [{ basisPoints: 140 }]],
  [local.name, [{ basisPoints: 290 }]]
])

const routing = Layer.succeed(RoutingPolicy.RoutingPolicy, {
  policy: Policy.make({ weights: { success: 5, latency: 2, cost: 3 }, exploration: { share: 0.02 } }, fees),
  customRules: [germanShop]
})

const pay = Effect.fn("pay")(function* (shop: string) {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge({
    tenant: PaymentIds.TenantId.make("my-shop"),
    key: PaymentIds.IdempotencyKey.make(`order-of-${shop}`),
    amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
    method: { type: "card", token: PaymentMethod.Token.make("tok_1") },
    metadata: { shop }
  })
  return payment.gateway
})

/** The French order goes to the cheaper gateway, the German one to the local acquirer. */
export const routed = Effect.all([pay("fr"), pay("de")]).pipe(Effect.provide(Layer.provide(TestEngine.layer([usual, local]), routing)))
