/** What stands against each other and what does not, and a cancel that the host wanted and the gateway refuses. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import type { PaymentId } from "../../../src/domain/payment/Ids.ts"
import * as Journal from "../../../src/orchestration/operation/Journal.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { handIn } from "../../../src/orchestration/recovery/Truths.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { chargeRequest, declined, engine, key, success, tenant, testGateway, unknown } from "../../support/TestEngine.ts"

const retries = { retries: 0 }
const on = (id: PaymentId, under: string) => ({ tenant, id, key: key(under) })

/** A webhook about the first operation. */
const tell = Effect.fnUntraced(function* (id: PaymentId, answer: LookupAnswer) {
  const store = yield* EventStore
  const payment = yield* Journal.load({ id })
  const observedAt = yield* store.now
  const operation = payment.operations[0]!.intent.number
  const evidence = { _tag: "Asked", askedAt: observedAt, answer } as const
  yield* handIn({ payment, truth: { operation, evidence, source: "webhook", observedAt }, source: "webhook" })
  return (yield* Journal.load({ id })).operations[0]!
})

describe("a decline that is told again in other words", () => {
  it.effect("is kept, contradicts nothing, and the charge elsewhere can be captured", () => {
    const a = testGateway("a", { send: () => Effect.succeed<Outcome>(declined("soft")) })
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* payments.charge(chargeRequest("k", { captureMethod: "manual" }))
      assert.deepInclude<object>(payment, { status: "authorized", gateway: "b" })
      yield* TestClock.adjust("10 minutes")
      const { facts } = yield* tell(payment.id, { ...declined("hard"), code: "do_not_honor" })
      assert.lengthOf(facts, 2)
      assert.strictEqual((yield* payments.get({ id: payment.id, tenant })).status, "authorized")
      const captured = yield* payments.capture(on(payment.id, "c1"))
      assert.deepInclude<object>(captured.payment, { status: "succeeded", amountCaptured: 4990 })
    }).pipe(Effect.provide(engine([a, testGateway("b")], retries)))
  })
})

describe("a recorded cancel", () => {
  /** An authorization whose answer is lost, found out by the look-up; cancels are refused as often as said. */
  const refusing = (times: number) => {
    let refused = 0
    return testGateway("a", {
      send: (intent) =>
        Effect.sync(() => (intent.kind === "authorize" ? unknown : refused++ < times ? declined("gateway_error") : success(intent))),
      lookup: (intent) =>
        Effect.succeed<LookupAnswer>(intent.kind === "authorize" ? { ...success(intent), chargedAt: 1 } : { _tag: "Absent" })
    })
  }
  const cancelled = Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(chargeRequest("k", { captureMethod: "manual" }))
    yield* payments.cancel(on(payment.id, "c1"))
    yield* TestClock.adjust("3 minutes")
    yield* payments.recover({})
    return yield* payments.get({ id: payment.id, tenant })
  })

  it.effect("that the gateway refuses once is tried again", () => {
    const a = refusing(1)
    return Effect.gen(function* () {
      assert.deepInclude<object>(yield* cancelled, { status: "cancelled", reviews: [] })
      assert.lengthOf(a.sent, 3)
    }).pipe(Effect.provide(engine([a], retries)))
  })

  it.effect("that it refuses three times is for a person, who may release the money at the gateway", () => {
    const a = refusing(9)
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const after = yield* cancelled
      assert.deepInclude<object>(after, { status: "needs_review", cancelRequested: true })
      assert.deepStrictEqual(
        a.sent.map(({ purpose }) => purpose),
        ["charge", "cancel", "cancel", "cancel"]
      )
      const released = yield* payments.resolve({ id: after.id, as: "failed", reason: "released in the dashboard" })
      assert.deepInclude<object>(released, { status: "cancelled", reviews: [], amountAuthorized: 0 })
    }).pipe(Effect.provide(engine([a], retries)))
  })

  /** An authorization whose request never arrived, and whose cancel was recorded. */
  const lost = Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(chargeRequest("k", { captureMethod: "manual" }))
    yield* payments.cancel(on(payment.id, "c1"))
    yield* TestClock.adjust("35 seconds")
    yield* payments.recover({ olderThanMillis: 0 })
    const before = yield* payments.get({ id: payment.id, tenant })
    yield* TestClock.adjust("1 minute")
    yield* payments.recover({})
    return [before.status, (yield* payments.get({ id: payment.id, tenant })).status]
  })

  it.effect("of a charge that is not found: it is not sent again, and ends as cancelled once its absence is certain", () => {
    const [a, b] = [testGateway("a", { send: () => Effect.succeed(unknown) }), testGateway("b")]
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* lost, ["in_doubt", "cancelled"])
      assert.deepStrictEqual([a.sent.length, b.sent.length], [1, 0])
    }).pipe(Effect.provide(engine([a, b], retries)))
  })

  it.effect("of a charge that can only be found out by sending it again: it is, and what that holds is released", () => {
    const a = testGateway("a", {
      charges: { lookupByReference: undefined, cancelByReference: "none" },
      send: (intent, nth) => Effect.succeed(nth === 1 ? unknown : success(intent))
    })
    return Effect.gen(function* () {
      assert.strictEqual((yield* lost).at(-1), "cancelled")
      assert.deepStrictEqual(
        a.sent.map(({ kind }) => kind),
        ["authorize", "authorize", "void"]
      )
    }).pipe(Effect.provide(engine([a], retries)))
  })
})
