import * as Effect from "effect/Effect"
import * as TestClock from "effect/testing/TestClock"
import { type Outcome, PaymentIds, Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order, shop } from "./shop.ts"

/** What the bank asks for. */
const redirect: Outcome.RequiresAction = {
  _tag: "RequiresAction",
  gatewayReference: PaymentIds.GatewayReference.make("3ds"),
  nextAction: { type: "redirect", url: "https://bank.example/3ds" }
}

/** The bank asks for the customer, who goes away. A day later the payment is cancelled at the gateway, and expires. */
export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge(order("order-1"))
  yield* TestClock.adjust("23 hours")
  const early = yield* payments.expire()
  yield* TestClock.adjust("2 hours")
  const late = yield* payments.expire()
  const { status } = yield* payments.get({ id: payment.id, tenant: shop })
  return { asked: payment.status, due: [early.due, late.due], status }
}).pipe(
  Effect.provide(
    TestEngine.layer([
      ScriptedGateway.make("psp", { answer: (intent) => (intent.kind === "sale" ? redirect : ScriptedGateway.succeeded(intent)) })
    ])
  )
)
