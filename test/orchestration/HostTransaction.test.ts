/**
 * Rule 15: only `prepare` may join the host's transaction, and the call starts after its commit.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import { HostTransaction } from "../../src/services/HostTransaction.ts"
import { chargeRequest, declined, engineOver, key, memory, success, tenant, testGateway, type TestGateway } from "../support/TestEngine.ts"
import * as TestHostTransaction from "../support/TestHostTransaction.ts"

const over = (gateways: ReadonlyArray<TestGateway>) =>
  Layer.provideMerge(engineOver(gateways), Layer.provideMerge(TestHostTransaction.layer, memory))

describe("inside a host's transaction", () => {
  it.effect("every program that calls a gateway dies, and nothing is written or sent", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("k1", { captureMethod: "manual" }))
      const on = (under: string) => ({ tenant, id: payment.id, key: key(under) })
      const programs: { readonly [name: string]: Effect.Effect<unknown, unknown> } = {
        charge: payments.charge(chargeRequest("k2")),
        replay: payments.charge(chargeRequest("k1", { captureMethod: "manual" })),
        confirm: payments.confirm(on("c1")),
        capture: payments.capture(on("c2")),
        refund: payments.refund(on("c3")),
        cancel: payments.cancel(on("c4")),
        recover: payments.recover({ olderThanMillis: 0 })
      }
      for (const [name, program] of Object.entries(programs)) {
        const exit = yield* Effect.exit(TestHostTransaction.inTransaction(program))
        assert.include(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "no failure", "CallInsideTransaction", name)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause), name)
      }
      assert.lengthOf(a.sent, 1)
      assert.strictEqual((yield* payments.get({ id: payment.id, tenant })).version, payment.version)
    }).pipe(Effect.provide(over([a])))
  })

  it.effect("prepare calls nothing until the commit, then the call runs outside of it, failover included", () => {
    const openWhileSending: Array<boolean> = []
    const watching = (outcome: "refuse" | "take") => (intent: Parameters<typeof success>[0]) =>
      Effect.gen(function* () {
        openWhileSending.push(yield* (yield* HostTransaction).isOpen)
        return outcome === "take" ? success(intent) : declined("gateway_error")
      }).pipe(Effect.provide(TestHostTransaction.layer))
    const a = testGateway("a", { send: watching("refuse") })
    const b = testGateway("b", { send: watching("take") })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const prepared = yield* TestHostTransaction.inTransaction(
        Effect.gen(function* () {
          const answer = yield* payments.prepare(chargeRequest("k1"))
          yield* TestClock.adjust("5 seconds")
          assert.lengthOf(a.sent, 0)
          return answer
        })
      )
      assert.strictEqual(prepared.payment.status, "processing")
      assert.isFalse(prepared.replayed)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(openWhileSending, [false, false])
      const found = yield* payments.charge(chargeRequest("k1"))
      assert.isTrue(found.replayed)
      assert.strictEqual(found.payment.status, "succeeded")
    }).pipe(Effect.provide(over([a, b])))
  })

  it.effect("a rollback leaves zero gateway calls", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      yield* TestHostTransaction.rolledBack(payments.prepare(chargeRequest("k1")))
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(a.sent, 0)
    }).pipe(Effect.provide(over([a])))
  })

  it.effect("a transaction that commits after the permission is over sends nothing under it (rule 12)", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      yield* TestHostTransaction.inTransaction(Effect.andThen(payments.prepare(chargeRequest("k1")), TestClock.adjust("31 seconds")))
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(
        a.sent.filter((intent) => intent.number === 1),
        0
      )
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      assert.deepStrictEqual(
        payment.operations.map((operation) => operation.status),
        ["not_sent", "succeeded"]
      )
    }).pipe(Effect.provide(over([a])))
  })

  it.effect("a callback that was lost in a crash is made up for by recovery", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* TestHostTransaction.rolledBack(payments.prepare(chargeRequest("k1")))
      yield* TestClock.adjust("1 minute")
      yield* payments.recover({})
      assert.lengthOf(a.sent, 1)
      assert.strictEqual((yield* payments.get({ id: payment.id, tenant })).status, "succeeded")
    }).pipe(Effect.provide(over([a])))
  })

  it.effect("outside a transaction prepare starts the call at once and does not wait for it", () => {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "3 seconds") })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const prepared = yield* payments.prepare(chargeRequest("k1"))
      assert.strictEqual(prepared.payment.status, "processing")
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* payments.get({ id: prepared.payment.id, tenant })).status, "succeeded")
    }).pipe(Effect.provide(over([a])))
  })
})
