/**
 * Faults in a host's own tests: a plan, the switch, and an engine whose gateway and store ask it. A run repeats itself exactly.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Currency, PaymentIds, PaymentMethod, Payments } from "../../src/index.ts"
import { Chaos, ScriptedGateway, TestEngine } from "../../src/public/testing.ts"

const plan: Chaos.ChaosPlan = {
  seed: 11,
  rules: [
    { target: "gateway", when: { type: "random", rate: 0.2 }, inject: { type: "response_lost" } },
    { target: "gateway", when: { type: "random", rate: 0.1 }, inject: { type: "network" } }
  ]
}

const charge = (nth: number) =>
  Payments.Payments.use((payments) =>
    payments.charge({
      tenant: PaymentIds.TenantId.make("my-shop"),
      key: PaymentIds.IdempotencyKey.make(`order-${nth}`),
      amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
      method: { type: "card", token: PaymentMethod.Token.make("tok_1") }
    })
  )

/** Charges under a plan; answers what each ended as, how often the gateway was asked to charge, and a plan that does the same again. */
const run = (plan: Chaos.ChaosPlan) =>
  Effect.gen(function* () {
    const psp = ScriptedGateway.make("psp")
    const chaos = yield* Chaos.ChaosControl.make({ plan })
    return yield* Effect.gen(function* () {
      const statuses: Array<string> = []
      for (let nth = 0; nth < 50; nth++) {
        const charging = yield* Effect.forkChild(charge(nth))
        yield* TestClock.adjust("1 minute")
        statuses.push((yield* Fiber.join(charging)).payment.status)
      }
      const { injections } = yield* chaos.stop
      return { statuses, injections, keys: psp.sent.map(({ requestKey }) => requestKey), repetition: yield* chaos.repetition }
    }).pipe(Effect.provide(TestEngine.layer([Chaos.ChaosGateway.make(psp, chaos)])))
  })

describe("faults in a host's tests", () => {
  it.effect("are met and survived, and a run can be repeated to the last fault", () =>
    Effect.gen(function* () {
      const first = yield* run(plan)
      assert.isAbove(first.injections, 5)
      assert.deepStrictEqual(new Set(first.statuses), new Set(["succeeded"]))
      assert.strictEqual(new Set(first.keys).size, 50, "one charge for each order")
      assert.isAbove(first.keys.length, 50, "some were sent again, under the same key")
      if (first.repetition === undefined) return assert.fail("nothing to repeat")
      assert.deepStrictEqual(first.repetition.rules, [])
      const again = yield* run(first.repetition)
      assert.deepStrictEqual([again.statuses, again.injections, again.keys.length], [first.statuses, first.injections, first.keys.length])
    })
  )
})
