import * as Effect from "effect/Effect"
import { Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

/** How a payment ends that the first gateway declines, and how often the second one was sent a charge. */
const declinedAs = (category: "soft" | "hard") => {
  const first = ScriptedGateway.make("first", { answer: () => ScriptedGateway.declined(category) })
  const second = ScriptedGateway.make("second")
  return Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(order("order-1"))
    return [payment.status, second.sent.length]
  }).pipe(Effect.provide(TestEngine.layer([first, second])))
}

export const example = Effect.all({ soft: declinedAs("soft"), hard: declinedAs("hard") })
