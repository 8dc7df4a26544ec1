/**
 * Rules 9 and 16: what happens to intents and outcomes while the store fails, and to callers that leave.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import type { EngineSettings } from "../../src/services/Settings.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as FlakyEventStore from "../support/FlakyEventStore.ts"
import { chargeRequest, declined, engineOver, key, memory, success, tenant, testGateway, type TestGateway } from "../support/TestEngine.ts"
import { typesOf } from "../support/TestProcess.ts"

const over = (flaky: FlakyEventStore.FlakyScript, gateways: ReadonlyArray<TestGateway>, settings: Partial<EngineSettings> = {}) =>
  Layer.provideMerge(engineOver(gateways, settings), Layer.provideMerge(FlakyEventStore.layer(flaky), memory))

/** Fails the commits whose numbers are given. */
const failing = (failures: { readonly [nth: number]: FlakyEventStore.Failure }) => {
  const flaky = FlakyEventStore.script()
  flaky.onCommit = (_, nth) => Effect.succeed(failures[nth])
  return flaky
}

/** Fails every commit after the first until `up` is called. */
const outage = () => {
  const flaky = FlakyEventStore.script()
  flaky.onCommit = (_, nth) => Effect.succeed(nth === 1 ? undefined : "before")
  return { flaky, up: () => void (flaky.onCommit = () => Effect.undefined) }
}

const viewOf = Effect.fnUntraced(function* (under: string) {
  const repository = yield* PaymentRepository
  const claim = Option.getOrThrow(yield* repository.findClaim({ tenant, key: key(under) }))
  return Option.getOrThrow(yield* repository.get({ id: claim.payment }))
})

describe("the intent", () => {
  it.effect("that cannot be stored calls no gateway and claims nothing", () => {
    const a = testGateway("a")
    const flaky = failing({ 1: "before" })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const failed = yield* Effect.flip(payments.charge(chargeRequest("k1")))
      assert.isTrue(failed._tag === "EventStoreError" && failed.isRetryable && !failed.isAmbiguous)
      assert.lengthOf(a.sent, 0)
      const again = yield* payments.charge(chargeRequest("k1"))
      assert.isFalse(again.replayed)
      assert.strictEqual(again.payment.status, "succeeded")
    }).pipe(Effect.provide(over(flaky, [a])))
  })

  for (const [failure, charges] of [
    ["lost", 0],
    ["unknown", 1]
  ] as const) {
    it.effect(`whose fate is unknown (${failure}) is told as such, and the same key finds the truth without a second charge`, () => {
      const a = testGateway("a")
      const flaky = failing({ 1: failure })
      return Effect.gen(function* () {
        const payments = yield* Payments
        const failed = yield* Effect.flip(payments.charge(chargeRequest("k1")))
        assert.isTrue(failed._tag === "EventStoreError" && failed.isAmbiguous)
        assert.lengthOf(a.sent, 0)
        const retrying = yield* Effect.forkChild(Effect.result(payments.charge(chargeRequest("k1"))))
        yield* TestClock.adjust("6 seconds")
        const again = yield* Fiber.join(retrying)
        if (charges === 1) assert.isTrue(again._tag === "Success" && !again.success.replayed)
        else assert.isTrue(again._tag === "Failure" && again.failure._tag === "RequestInProgress")
        assert.lengthOf(a.sent, charges)
        yield* TestClock.adjust("1 minute")
        yield* payments.recover({})
        const found = yield* payments.charge(chargeRequest("k1"))
        assert.isTrue(found.replayed)
        assert.strictEqual(found.payment.status, "succeeded")
        assert.lengthOf(a.sent, 1)
      }).pipe(Effect.provide(over(flaky, [a])))
    })
  }

  it.effect("of a refund whose fate is unknown is never sent twice", () => {
    const a = testGateway("a")
    const flaky = failing({ 3: "lost" })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      const refund = { tenant, id: payment.id, key: key("r1"), amount: 1000n }
      const failed = yield* Effect.flip(payments.refund(refund))
      assert.isTrue(failed._tag === "EventStoreError" && failed.isAmbiguous)
      yield* TestClock.adjust("1 minute")
      yield* payments.recover({})
      const again = yield* payments.refund(refund)
      assert.isTrue(again.replayed)
      assert.strictEqual(again.payment.amountRefunded, 1000)
      assert.lengthOf(a.sent, 2)
    }).pipe(Effect.provide(over(flaky, [a])))
  })
})

describe("the outcome", () => {
  it.effect("is kept and stored when the store comes back in time: the caller gets it", () => {
    const a = testGateway("a")
    const { flaky, up } = outage()
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* viewOf("k1")).status, "processing")
      up()
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(charging)).payment.status, "succeeded")
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(over(flaky, [a])))
  })

  it.effect("that is not durable after 5 s is told as processing, never as success, and stored later", () => {
    const a = testGateway("a")
    const { flaky, up } = outage()
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust(4_999)
      assert.isUndefined(charging.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(charging.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(charging)).payment.status, "processing")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* viewOf("k1")).status, "processing")
      up()
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* viewOf("k1")).status, "succeeded")
      assert.lengthOf(a.sent, 1)
      assert.lengthOf(yield* typesOf((yield* viewOf("k1")).id), 4)
    }).pipe(Effect.provide(over(flaky, [a])))
  })

  it.effect("whose acknowledgement is lost again and again is stored once", () => {
    const a = testGateway("a")
    const flaky = failing({ 2: "lost", 3: "lost", 4: "before", 5: "unknown" })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("5 seconds")
      const { payment } = yield* Fiber.join(charging)
      assert.strictEqual(payment.status, "succeeded")
      assert.deepStrictEqual(yield* typesOf(payment.id), ["PaymentInitiated", "PaymentScreened", "OperationIntended", "OperationSucceeded"])
    }).pipe(Effect.provide(over(flaky, [a])))
  })

  it.effect("too many of them: no new intents are accepted, known keys still are, until they are stored", () => {
    const a = testGateway("a")
    const flaky = FlakyEventStore.script()
    let down = false
    flaky.onCommit = (commit) => Effect.sync(() => (down && commit.payment._tag !== "New" ? "before" : undefined))
    return Effect.gen(function* () {
      const payments = yield* Payments
      const paid = (yield* payments.charge(chargeRequest("k0"))).payment
      down = true
      for (const under of ["k1", "k2"]) {
        yield* Effect.forkChild(payments.charge(chargeRequest(under)))
        yield* TestClock.adjust("1 second")
      }
      const refused = yield* Effect.flip(payments.charge(chargeRequest("k3")))
      assert.strictEqual(refused._tag === "NotAccepting" && refused.unstored, 2)
      const noRefund = yield* Effect.flip(payments.refund({ tenant, id: paid.id, key: key("r1") }))
      assert.strictEqual(noRefund._tag, "NotAccepting")
      assert.isTrue((yield* payments.charge(chargeRequest("k0"))).replayed)
      assert.lengthOf(a.sent, 3)
      down = false
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* payments.charge(chargeRequest("k3"))).payment.status, "succeeded")
    }).pipe(Effect.provide(over(flaky, [a], { maxUnstoredOutcomes: 2 })))
  })

  it.effect("the same key while an outcome waits is told to come back, without running again", () => {
    const a = testGateway("a")
    const { flaky, up } = outage()
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(charging)
      const again = yield* Effect.forkChild(Effect.flip(payments.charge(chargeRequest("k1"))))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(again))._tag, "RequestInProgress")
      up()
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* payments.charge(chargeRequest("k1"))).payment.status, "succeeded")
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(over(flaky, [a])))
  })

  it.effect("with a failover in it: the next gateway is called only when its intent is durable", () => {
    const a = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
    const b = testGateway("b")
    const { flaky, up } = outage()
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(b.sent, 0)
      assert.strictEqual((yield* Fiber.join(charging)).payment.status, "processing")
      up()
      yield* TestClock.adjust("6 seconds")
      assert.lengthOf(b.sent, 1)
      assert.strictEqual((yield* viewOf("k1")).status, "succeeded")
    }).pipe(Effect.provide(over(flaky, [a, b])))
  })

  it.effect("a failover that could be stored only after completeBefore sends nothing (rule 12)", () => {
    const a = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
    const b = testGateway("b")
    const { flaky, up } = outage()
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("20 minutes")
      yield* Fiber.join(charging)
      up()
      yield* TestClock.adjust("6 seconds")
      assert.lengthOf(b.sent, 0)
      const view = yield* viewOf("k1")
      assert.strictEqual(view.status, "failed")
      assert.strictEqual(view.failure?.code, "not_sent_permission_lapsed")
    }).pipe(Effect.provide(over(flaky, [a, b])))
  })

  it.effect("a failover whose acknowledgement was lost counts its permission from the first commit (rules 9 and 12)", () => {
    const a = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
    const b = testGateway("b")
    const flaky = FlakyEventStore.script()
    let up = false
    flaky.onCommit = (_, nth) => Effect.sync(() => (nth === 1 || up ? undefined : nth === 2 ? "lost" : "before"))
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("60 seconds")
      yield* Fiber.join(charging)
      up = true
      yield* TestClock.adjust("6 seconds")
      assert.lengthOf(
        b.sent.filter((intent) => intent.number === 2),
        0
      )
      assert.deepStrictEqual(
        (yield* viewOf("k1")).operations.map((operation) => operation.status),
        ["declined", "not_sent", "succeeded"]
      )
    }).pipe(Effect.provide(over(flaky, [a, b])))
  })
})

describe("callers that leave", () => {
  it.effect("while the intent is being stored: it is stored and sent all the same", () => {
    const a = testGateway("a")
    const flaky = FlakyEventStore.script()
    flaky.onCommit = () => Effect.delay(Effect.undefined, "1 second")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("500 millis")
      yield* Effect.forkChild(Fiber.interrupt(charging))
      yield* TestClock.adjust("5 seconds")
      assert.lengthOf(a.sent, 1)
      assert.strictEqual((yield* viewOf("k1")).status, "succeeded")
    }).pipe(Effect.provide(over(flaky, [a])))
  })

  it.effect("during a capture, a refund or a cancel: its outcome is stored", () => {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "1 second") })
    const flaky = FlakyEventStore.script()
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1", { captureMethod: "manual" })))
      yield* TestClock.adjust("2 seconds")
      const { payment } = yield* Fiber.join(charging)
      const on = (under: string) => ({ tenant, id: payment.id, key: key(under) })
      for (const command of [
        payments.capture({ ...on("c1"), amount: 100n }),
        payments.refund({ ...on("r1"), amount: 10n }),
        payments.cancel(on("x1"))
      ]) {
        const running = yield* Effect.forkChild(command)
        yield* TestClock.adjust("500 millis")
        yield* Fiber.interrupt(running)
        yield* TestClock.adjust("2 seconds")
      }
      const view = yield* viewOf("k1")
      assert.deepStrictEqual([view.amountCaptured, view.amountRefunded], [100, 10])
      assert.deepStrictEqual(
        view.operations.map((operation) => operation.status),
        ["succeeded", "succeeded", "succeeded", "succeeded"]
      )
    }).pipe(Effect.provide(over(flaky, [a])))
  })
})
