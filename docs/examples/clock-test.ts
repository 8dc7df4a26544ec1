import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { Currency, PaymentIds, PaymentMethod, Payments } from "../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../src/public/testing.ts"

/** The host's code under test: asks until it knows, every ten seconds. */
const shipWhenPaid = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const tenant = PaymentIds.TenantId.make("my-shop")
  const { payment } = yield* payments.charge({
    tenant,
    key: PaymentIds.IdempotencyKey.make("order-1001"),
    amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
    method: { type: "card", token: PaymentMethod.Token.make("tok_1") }
  })
  const seen: Array<string> = [payment.status]
  while (seen.at(-1) === "in_doubt") {
    yield* Effect.sleep("10 seconds")
    seen.push((yield* payments.get({ id: payment.id, tenant })).status)
  }
  return seen
})

/** The gateway charges and its answer is lost; recovery, a minute later, learns of it. Takes no real time, and is the same every time. */
export const lostAnswer = Effect.gen(function* () {
  const gateway = ScriptedGateway.make("psp", {
    answer: () => ScriptedGateway.lost,
    lookup: (intent) => ScriptedGateway.succeeded(intent)
  })
  return yield* Effect.gen(function* () {
    const host = yield* Effect.forkChild(shipWhenPaid)
    yield* TestClock.adjust("1 minute")
    yield* Payments.Payments.use((payments) => payments.recover())
    yield* TestClock.adjust("10 seconds")
    // The lost answer was asked for again, always under one key: what a PSP executes once.
    const keys = new Set(gateway.sent.map(({ requestKey }) => requestKey))
    return { seen: yield* Fiber.join(host), sent: keys.size }
  }).pipe(Effect.provide(TestEngine.layer([gateway])))
})
