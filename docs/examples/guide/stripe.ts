import * as Effect from "effect/Effect"
import { PaymentIds, PaymentMethod, Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

/** A saved method of the customer, which one Stripe account knows: no other gateway is asked for it. In a test, scripted gateways stand in. */
const saved = order("subscription-2026-11", {
  offSession: true,
  method: { type: "card", references: { "stripe-eu": PaymentMethod.Token.make("pm_card_visa") } },
  customer: { id: "cus_42" }
})

export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge(saved)
  const history = yield* payments.history({ id: payment.id, tenant: PaymentIds.TenantId.make("my-shop") })
  return {
    status: payment.status,
    gateway: payment.gateway,
    operations: history.filter(({ event }) => event._tag === "OperationIntended").length
  }
}).pipe(Effect.provide(TestEngine.layer([ScriptedGateway.make("other"), ScriptedGateway.make("stripe-eu")])))
