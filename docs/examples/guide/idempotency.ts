import * as Effect from "effect/Effect"
import { Currency, Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

/** A customer who presses the button ten times, and a key that is used for another order. */
export const example = Effect.gen(function* () {
  const gateway = ScriptedGateway.make("psp")
  return yield* Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const answers = yield* Effect.forEach(Array.from({ length: 10 }), () => payments.charge(order("cart-7")), { concurrency: "unbounded" })
    const other = order("cart-7", { amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 1n } })
    const refused = yield* Effect.flip(payments.charge(other))
    return { payments: new Set(answers.map(({ payment }) => payment.id)).size, charged: gateway.sent.length, refused: refused._tag }
  }).pipe(Effect.provide(TestEngine.layer([gateway])))
})
