/**
 * Failures as one configuration: the shares hold, the same seed fails the same, and after recovery every payment is what its gateway did.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"
import { Currency, PaymentIds, PaymentMethod, Payments } from "../../src/index.ts"
import { FailingGateway, ScriptedGateway, TestEngine } from "../../src/public/testing.ts"
import * as Intents from "../support/payments.ts"

const eur = Currency.CurrencyCode.make("EUR")
const tenant = PaymentIds.TenantId.make("my-shop")

const charge = (nth: number) =>
  Payments.Payments.use((payments) =>
    payments.charge({
      tenant,
      key: PaymentIds.IdempotencyKey.make(`order-${nth}`),
      amount: { currency: eur, minor: 4990n },
      method: { type: "card", token: PaymentMethod.Token.make("tok_1") }
    })
  )

describe("a failing gateway", () => {
  /** What 4,000 calls of their own payment each end as. */
  const endings = (seed: string) =>
    Effect.gen(function* () {
      const gateway = FailingGateway.make(ScriptedGateway.make("psp"))
      const counts = { ok: 0, not_sent: 0, timeout: 0, connection_lost: 0, crashed: 0 }
      for (let nth = 0; nth < 4_000; nth++) {
        const payment = Intents.newPaymentId()
        const exit = yield* Effect.exit(gateway.send({ payment, intent: Intents.intent({ payment }) }))
        if (exit._tag === "Failure") counts.crashed++
        else if (exit.value._tag === "Succeeded") counts.ok++
        else if (exit.value._tag === "NotSent") counts.not_sent++
        else if (exit.value._tag === "Unknown") counts[exit.value.reason === "timeout" ? "timeout" : "connection_lost"]++
      }
      return counts
    }).pipe(Random.withSeed(seed))

  it.effect("fails in the shares that it was told, the same for the same seed", () =>
    Effect.gen(function* () {
      const counts = yield* endings("a")
      for (const [what, share] of [
        ["not_sent", 0.05],
        ["timeout", 0.05],
        ["connection_lost", 0.1],
        ["crashed", 0.01]
      ] as const) {
        // Four standard deviations.
        assert.approximately(counts[what] / 4_000, share, 4 * Math.sqrt((share * (1 - share)) / 4_000), what)
      }
      assert.deepStrictEqual(yield* endings("a"), counts)
      assert.notDeepEqual(yield* endings("b"), counts)
    })
  )

  it.effect("loses and doubles nothing: after recovery each payment is charged once, at one of the gateways", () => {
    const scripted = ["a", "b"].map((name) => ScriptedGateway.make(name))
    const payments = 300
    return Effect.gen(function* () {
      const charging = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: payments }), (_, nth) => Effect.exit(charge(nth)), { concurrency: "unbounded", discard: true })
      )
      for (let minute = 0; minute < 5; minute++) yield* TestClock.adjust("1 minute")
      yield* Fiber.join(charging)
      for (let round = 0; round < 10; round++) {
        const recovering = yield* Effect.forkChild(Payments.Payments.use((engine) => engine.recover()))
        yield* TestClock.adjust("3 minutes")
        yield* Fiber.join(recovering)
      }
      const statuses: Array<string> = []
      for (let nth = 0; nth < payments; nth++) {
        const { payment } = yield* charge(nth)
        statuses.push(payment.status)
      }
      const executed = new Set(scripted.flatMap(({ sent }) => sent.map(({ requestKey }) => requestKey)))
      const charged = new Set([...executed].map((key) => PaymentIds.operationOfRequestKey(key)?.payment))
      assert.strictEqual(statuses.filter((status) => status === "succeeded").length, payments)
      assert.strictEqual(executed.size, payments, "no second charge under another key")
      assert.strictEqual(charged.size, payments)
    }).pipe(
      Random.withSeed("failures"),
      Effect.provide(TestEngine.layer(scripted.map((gateway) => FailingGateway.make(gateway)))),
      Effect.scoped
    )
  })
})
