/**
 * Charges that show up after their payment had ended: reversed by default, the host's to capture or cancel where policy keeps them, and for
 * a person where the gateway does not take them back (rule 12).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import type { PaymentId } from "../../../src/domain/payment/Ids.ts"
import * as Journal from "../../../src/orchestration/operation/Journal.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { handIn } from "../../../src/orchestration/recovery/Truths.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { defaults, Settings } from "../../../src/services/Settings.ts"
import {
  chargeRequest,
  declined,
  engine,
  key,
  pending,
  requiresAction,
  success,
  tenant,
  testGateway,
  unknown
} from "../../support/TestEngine.ts"

const keep = { retries: 0, policy: { ...defaults.policy, lateSuccess: "keep" } } as const
const withSettings = (settings: Partial<typeof defaults>) => Effect.provideService(Settings, { ...defaults, ...settings })

const view = (id: PaymentId) => Payments.Payments.use((payments) => payments.get({ id, tenant }))
const on = (id: PaymentId, under: string) => ({ tenant, id, key: key(under) })

/** The gateway tells that the first operation succeeded, and where it is said, at which time. */
const tellSuccess = Effect.fnUntraced(function* (id: PaymentId, chargedAt?: number) {
  const store = yield* EventStore
  const payment = yield* Journal.load({ id })
  const { intent } = payment.operations[0]!
  const observedAt = yield* store.now
  yield* handIn({
    payment,
    truth: {
      operation: intent.number,
      evidence: { _tag: "Asked", askedAt: observedAt, answer: { ...success(intent), ...(chargedAt === undefined ? {} : { chargedAt }) } },
      source: "webhook",
      observedAt
    },
    source: "webhook"
  })
  return yield* view(id)
})

describe("a sale told as succeeded after its cancel was confirmed", () => {
  /** Charges wait for the customer; cancels are confirmed; refunds are answered as said. */
  const waiting = (refund: (intent: Intent) => Outcome) =>
    testGateway("a", {
      send: (intent) =>
        Effect.succeed(intent.kind === "sale" ? requiresAction : intent.kind === "refund" ? refund(intent) : success(intent))
    })
  const cancelled = Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(chargeRequest("k1"))
    const { payment: after } = yield* payments.cancel(on(payment.id, "c1"))
    assert.deepInclude<object>(after, { status: "cancelled", amountCaptured: 0 })
    return payment.id
  })

  it.effect("is reversed at once, and the payment stays cancelled", () => {
    const a = waiting(success)
    return Effect.gen(function* () {
      const id = yield* cancelled
      assert.deepInclude<object>(yield* tellSuccess(id), { status: "cancelled", amountCaptured: 4990, amountRefunded: 4990 })
      assert.deepStrictEqual(
        a.sent.map(({ kind, purpose }) => `${kind} to ${purpose}`),
        ["sale to charge", "void to cancel", "refund to reverse"]
      )
      const { version } = yield* view(id)
      assert.strictEqual((yield* tellSuccess(id)).version, version)
    }).pipe(Effect.provide(engine([a])))
  })

  it.effect("that the gateway refuses to give back is for a person, who may say that nothing is held there", () => {
    const a = waiting(() => declined("invalid_data"))
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const id = yield* cancelled
      const before = yield* tellSuccess(id)
      assert.deepInclude<object>(before, { status: "needs_review", amountCaptured: 4990, amountRefunded: 0 })
      assert.match(before.reviews[0]?.evidence ?? "", /reversing the late charge failed 3 times/)
      yield* TestClock.adjust("10 minutes")
      const after = yield* payments.resolve({ id, as: "failed", reason: "the dashboard shows it as cancelled" })
      assert.deepInclude<object>(after, { status: "cancelled", reviews: [], amountCaptured: 4990, amountRefunded: 4990 })
      assert.lengthOf(
        a.sent.filter(({ purpose }) => purpose === "reverse"),
        3
      )
      const again = yield* Effect.flip(payments.resolve({ id, as: "failed", reason: "once more" }))
      assert.deepInclude<object>(again, { why: "nothing_to_resolve" })
    }).pipe(Effect.provide(engine([a])))
  })
})

describe("a late authorization that policy keeps", () => {
  /** Its answer is lost, it is not found, so it fails; then it shows up. */
  const late = Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(chargeRequest("k1", { captureMethod: "manual" }))
    yield* TestClock.adjust("20 minutes")
    yield* payments.recover()
    assert.strictEqual((yield* view(payment.id)).status, "failed")
    assert.deepInclude<object>(yield* tellSuccess(payment.id), { status: "authorized", amountAuthorized: 4990 })
    return payment.id
  })
  const lostOnce = () => testGateway("a", { send: (intent) => Effect.succeed(intent.kind === "authorize" ? unknown : success(intent)) })

  it.effect("can be captured by the host, refunded, and is never reversed, whatever is told again", () => {
    const a = lostOnce()
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const id = yield* late
      const { payment } = yield* payments.capture(on(id, "capture"))
      assert.deepInclude<object>(payment, { status: "succeeded", amountCaptured: 4990 })
      // Not even by a policy that has changed since.
      assert.deepInclude<object>(yield* tellSuccess(id).pipe(withSettings({ retries: 0 })), { status: "succeeded", amountRefunded: 0 })
      const refunded = yield* payments.refund(on(id, "refund"))
      assert.deepInclude<object>(refunded.payment, { amountRefunded: 4990 })
      assert.deepStrictEqual(
        a.sent.map(({ purpose }) => purpose),
        ["charge", "capture", "refund"]
      )
    }).pipe(withSettings(keep), Effect.provide(engine([a], keep)))
  })

  it.effect("can be cancelled by the host: nothing is held, and the payment has failed as before", () => {
    const a = lostOnce()
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const id = yield* late
      const { payment } = yield* payments.cancel(on(id, "cancel"))
      assert.deepInclude<object>(payment, { status: "failed", amountAuthorized: 0 })
      const again = yield* Effect.flip(payments.cancel(on(id, "again")))
      assert.strictEqual(again._tag, "CommandRefused")
    }).pipe(withSettings(keep), Effect.provide(engine([a], keep)))
  })

  it.effect("beside the one of another gateway: the capture goes to the good one, a cancel to the one that is left", () => {
    const charges = { replay: "none" } as const
    const a = testGateway("a", { charges, send: (intent) => Effect.succeed(intent.kind === "authorize" ? unknown : success(intent)) })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* payments.charge(chargeRequest("k1", { captureMethod: "manual" }))
      yield* TestClock.adjust("1 minute")
      yield* payments.recover()
      assert.deepInclude<object>(yield* view(payment.id), { status: "authorized", gateway: "b" })
      const doubleCharge = { amountAuthorized: 4990, amountCaptured: 0, amountRefunded: 0 }
      assert.deepInclude<object>(yield* tellSuccess(payment.id), { gateway: "b", amountAuthorized: 4990, doubleCharge })
      yield* payments.capture(on(payment.id, "capture"))
      const { payment: after } = yield* payments.cancel(on(payment.id, "cancel"))
      assert.deepInclude<object>(after, { status: "succeeded", amountAuthorized: 4990, amountCaptured: 4990 })
      assert.deepStrictEqual(
        [a.sent.map(({ kind }) => kind), b.sent.map(({ kind }) => kind)],
        [
          ["authorize", "void"],
          ["authorize", "capture"]
        ]
      )
    }).pipe(withSettings(keep), Effect.provide(engine([a, b], keep)))
  })
})

describe("what cannot be undone while another operation is under way", () => {
  it.effect("a recorded cancel does not come between a late authorization that was kept and its capture", () => {
    let settled = false
    const a = testGateway("a", {
      send: (intent) => Effect.succeed(intent.kind === "authorize" ? unknown : intent.kind === "capture" ? pending : success(intent)),
      lookup: (intent) => Effect.succeed<LookupAnswer>(settled && intent.kind === "capture" ? success(intent) : { _tag: "Absent" })
    })
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* payments.charge(chargeRequest("k1", { captureMethod: "manual" }))
      yield* payments.cancel(on(payment.id, "cancel"))
      yield* TestClock.adjust("20 minutes")
      yield* payments.recover()
      assert.strictEqual((yield* view(payment.id)).status, "cancelled")
      assert.deepInclude<object>(yield* tellSuccess(payment.id), { status: "authorized" })
      const waits = yield* payments.capture(on(payment.id, "capture"))
      assert.deepInclude<object>(waits.payment, { status: "processing", reviews: [] })
      settled = true
      yield* TestClock.adjust("1 minute")
      yield* payments.recover()
      assert.deepInclude<object>(yield* view(payment.id), { status: "succeeded", reviews: [], amountCaptured: 4990 })
    }).pipe(withSettings(keep), Effect.provide(engine([a], keep)))
  })

  it.effect("a charge that turns out to be late during a refund of a part of it is reversed when that has ended: the rest of it", () => {
    let settled = false
    const a = testGateway("a", {
      send: (intent) => Effect.succeed(intent.kind === "sale" ? unknown : intent.purpose === "refund" ? pending : success(intent)),
      lookup: (intent) =>
        Effect.succeed<LookupAnswer>(
          intent.kind === "sale" || (settled && intent.purpose === "refund") ? success(intent) : { _tag: "Absent" }
        )
    })
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      yield* TestClock.adjust("20 minutes")
      yield* payments.recover()
      assert.strictEqual((yield* view(payment.id)).reviews[0]?.reason, "late_without_time")
      yield* payments.refund({ ...on(payment.id, "refund"), amount: 990n })
      const told = yield* tellSuccess(payment.id, 16 * 60_000)
      assert.deepInclude<object>(told, { reviews: [], amountRefunded: 0 })
      settled = true
      yield* TestClock.adjust("1 minute")
      yield* payments.recover()
      assert.deepInclude<object>(yield* view(payment.id), { reviews: [], amountRefunded: 4990 })
      assert.deepStrictEqual(
        a.sent.map(({ amount, purpose }) => `${purpose} ${amount.minor}`),
        ["charge 4990", "refund 990", "reverse 4000"]
      )
    }).pipe(Effect.provide(engine([a], { retries: 0 })))
  })
})

describe("a late charge that policy keeps, while another gateway is asked", () => {
  /** The first gateway's answer is lost, it is not found, so the second is asked; then the first one's shows up. */
  const lateWhile = (answer: Outcome, found: LookupAnswer) => {
    const a = testGateway("a", { charges: { replay: "none" }, send: () => Effect.succeed(unknown) })
    const b = testGateway("b", { send: () => Effect.succeed(answer), lookup: () => Effect.succeed(found) })
    const c = testGateway("c")
    const gateways = [a, b, c] as const
    const run = Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* payments.charge(chargeRequest("k1"))
      yield* TestClock.adjust("1 minute")
      yield* payments.recover()
      assert.lengthOf(b.sent, 1)
      assert.deepInclude<object>(yield* tellSuccess(payment.id), { amountCaptured: 4990 })
      for (let round = 0; round < 3; round++) {
        yield* TestClock.adjust("1 minute")
        yield* payments.recover()
      }
      return yield* view(payment.id)
    }).pipe(withSettings(keep), Effect.provide(engine(gateways, keep)))
    return Effect.map(run, (payment) => ({ payment, sent: gateways.map(({ sent }) => sent.length) }))
  }

  it.effect("is all there is: after a decline of the second no third one is asked, and the payment has not failed", () =>
    Effect.gen(function* () {
      const { payment, sent } = yield* lateWhile(pending, declined("soft"))
      assert.deepStrictEqual(sent, [1, 1, 0])
      assert.deepInclude<object>(payment, { status: "succeeded", amountCaptured: 4990, gateway: "a" })
      assert.isUndefined(payment.failure)
    })
  )

  it.effect("is all there is: the second is not asked again", () =>
    Effect.gen(function* () {
      const { payment, sent } = yield* lateWhile(unknown, { _tag: "Absent" })
      assert.deepStrictEqual(sent, [1, 1, 0])
      assert.deepInclude<object>(payment, { status: "succeeded", amountCaptured: 4990, gateway: "a" })
    })
  )
})

it.effect("a late charge that policy keeps, while the customer is asked about another: that one is not confirmed", () => {
  const a = testGateway("a", {
    charges: { leavesOpenAfterDecline: true },
    send: (intent) =>
      Effect.succeed(
        intent.kind !== "sale" ? success(intent) : intent.details.stepUp === true ? requiresAction : declined("authentication_required")
      )
  })
  return Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(chargeRequest("k1"))
    assert.strictEqual(payment.status, "requires_action")
    assert.deepInclude<object>(yield* tellSuccess(payment.id), { amountCaptured: 4990, reviews: [] })
    const refused = yield* Effect.flip(payments.confirm(on(payment.id, "confirm")))
    assert.strictEqual(refused._tag, "CommandRefused")
    assert.deepStrictEqual(
      a.sent.map(({ purpose }) => purpose),
      ["charge", "close", "charge"]
    )
    yield* TestClock.adjust("25 hours")
    yield* payments.expire()
    assert.deepInclude<object>(yield* view(payment.id), { status: "succeeded", amountCaptured: 4990 })
  }).pipe(withSettings(keep), Effect.provide(engine([a], keep)))
})

it.effect("a second charge beside a good one is reversed, and shown apart: the payment's amounts are those of the good one", () => {
  const a = testGateway("a", { send: (intent) => Effect.succeed(intent.kind === "sale" ? declined("soft") : success(intent)) })
  const b = testGateway("b")
  return Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(chargeRequest("k1"))
    assert.deepInclude<object>(payment, { status: "succeeded", gateway: "b", amountCaptured: 4990 })
    assert.notProperty(payment, "doubleCharge")
    yield* tellSuccess(payment.id)
    const { number: operation } = a.sent[0]!
    const { gatewayReference } = success(a.sent[0]!)
    yield* payments.resolve({ id: payment.id, operation, as: "succeeded", reason: "it is on the statement", gatewayReference })
    const after = yield* view(payment.id)
    assert.deepInclude<object>(after, {
      status: "succeeded",
      gateway: "b",
      amountAuthorized: 4990,
      amountCaptured: 4990,
      amountRefunded: 0,
      doubleCharge: { amountAuthorized: 4990, amountCaptured: 4990, amountRefunded: 4990 }
    })
    const refunded = yield* payments.refund({ ...on(payment.id, "r1"), amount: 990n })
    assert.deepInclude<object>(refunded.payment, { status: "partially_refunded", amountRefunded: 990 })
    assert.deepStrictEqual(
      [a, b].map(({ sent }) => sent.map(({ kind }) => kind)),
      [
        ["sale", "refund"],
        ["sale", "refund"]
      ]
    )
  }).pipe(Effect.provide(engine([a, b], { retries: 0 })))
})
