/**
 * What hosts test with: the scripted gateway behaves as a PSP does, and the engine over it needs no time, network or disk.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import * as GatewayList from "../../src/gateways/GatewayList.ts"
import * as ScriptedGateway from "../../src/gateways/ScriptedGateway.ts"
import * as Payments from "../../src/orchestration/payment/Payments.ts"
import * as TestEngine from "../../src/public/TestEngine.ts"
import { chargeRequest } from "../support/TestEngine.ts"

describe("TestEngine", () => {
  it.effect("charges, replays a key, and keeps what was sent", () => {
    const gateway = ScriptedGateway.make("psp")
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const first = yield* payments.charge(chargeRequest("k"))
      const again = yield* payments.charge(chargeRequest("k"))
      assert.strictEqual(first.payment.status, "succeeded")
      assert.deepStrictEqual([again.replayed, again.payment.id], [true, first.payment.id])
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.provide(TestEngine.layer([gateway])))
  })

  it.effect("a lost answer is found out by recovery, and nothing is charged twice", () => {
    const gateway = ScriptedGateway.make("psp", {
      answer: () => ScriptedGateway.lost,
      lookup: (intent) => ScriptedGateway.succeeded(intent)
    })
    const other = ScriptedGateway.make("reserve")
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k")), { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      const { payment } = yield* Fiber.join(charging)
      assert.strictEqual(payment.status, "in_doubt")
      const report = yield* payments.recover({ olderThanMillis: 0 })
      assert.deepStrictEqual(report.results, { succeeded: 1 })
      assert.lengthOf(other.sent, 0)
    }).pipe(Effect.provide(TestEngine.layer([gateway, other])))
  })
})

describe("GatewayList", () => {
  it.effect("finds gateways by name and says which there are", () =>
    Effect.gen(function* () {
      const gateway = ScriptedGateway.make("psp")
      const list = GatewayList.make([gateway])
      assert.strictEqual(yield* list.get(gateway.name), gateway)
      const missing = yield* Effect.option(list.get(GatewayName.make("none")))
      assert.isTrue(Option.isNone(missing))
    })
  )

  it.effect("refuses two gateways of one name", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        Effect.provide(Effect.void, GatewayList.layer([ScriptedGateway.make("psp"), ScriptedGateway.make("psp")]))
      )
      assert.strictEqual(exit._tag, "Failure")
    })
  )
})
