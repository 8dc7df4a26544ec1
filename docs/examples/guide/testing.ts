import * as Effect from "effect/Effect"
import { Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

/** The host's code under test: it ships what is paid. */
const checkout = Effect.fn("checkout")(function* (key: string) {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge(order(key))
  return payment.status === "succeeded" ? "ship" : `wait: ${payment.status}`
})

/** The gateway answers what the test says: it declines the first order. Nothing is left to chance, and no time passes. */
const gateway: ScriptedGateway.ScriptedGateway = ScriptedGateway.make("psp", {
  answer: (intent) => (gateway.sent.length === 1 ? ScriptedGateway.declined("hard") : ScriptedGateway.succeeded(intent))
})

export const example = Effect.gen(function* () {
  const shipped = [yield* checkout("order-1"), yield* checkout("order-2")]
  return { shipped, sent: gateway.sent.map(({ kind }) => kind) }
}).pipe(Effect.provide(TestEngine.layer([gateway])))
