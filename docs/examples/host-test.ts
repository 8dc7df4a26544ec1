import * as Effect from "effect/Effect"
import { Currency, PaymentIds, PaymentMethod, Payments } from "../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../src/public/testing.ts"

/** The host's code under test. */
const checkout = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge({
    tenant: PaymentIds.TenantId.make("my-shop"),
    key: PaymentIds.IdempotencyKey.make("order-1001"),
    amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
    method: { type: "card", token: PaymentMethod.Token.make("tok_1") }
  })
  return payment.status
})

/** The first gateway declines softly, the second one charges. */
export const failover = Effect.gen(function* () {
  const first = ScriptedGateway.make("first", { answer: () => ScriptedGateway.declined("soft") })
  const second = ScriptedGateway.make("second")
  const status = yield* Effect.provide(checkout, TestEngine.layer([first, second]))
  return { status, sent: [first.sent.length, second.sent.length] }
})
