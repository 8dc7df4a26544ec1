import * as Effect from "effect/Effect"
import { Currency, PaymentIds, PaymentMethod, Payments } from "../../src/index.ts"
import { Chaos, ScriptedGateway, TestEngine } from "../../src/public/testing.ts"

const plan: Chaos.ChaosPlan = {
  seed: 2,
  rules: [{ target: "gateway", operations: ["sale"], when: { type: "random", rate: 0.2 }, inject: { type: "response_lost" } }]
}

const charge = (order: number) =>
  Payments.Payments.use((payments) =>
    payments.charge({
      tenant: PaymentIds.TenantId.make("shop"),
      key: PaymentIds.IdempotencyKey.make(`order-${order}`),
      amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
      method: { type: "card", token: PaymentMethod.Token.make("tok_1") }
    })
  )

/** Ten payments under a plan: how many succeeded, how often the gateway was asked, how many customers it charged, and a plan that repeats the run. */
export const run = (plan: Chaos.ChaosPlan) =>
  Effect.gen(function* () {
    const gateway = ScriptedGateway.make("psp")
    const chaos = yield* Chaos.ChaosControl.make({ plan })
    const payments = yield* Effect.provide(
      Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], charge),
      TestEngine.layer([Chaos.ChaosGateway.make(gateway, chaos)])
    )
    const { injections } = yield* chaos.stop
    return {
      succeeded: payments.filter(({ payment }) => payment.status === "succeeded").length,
      asked: gateway.sent.length,
      charged: new Set(gateway.sent.map(({ requestKey }) => requestKey)).size,
      injections,
      repetition: yield* chaos.repetition
    }
  })

export const program = run(plan)
