/** A person's "failed" against what the gateway knows: however wrong it is, the customer is charged and given back at most once. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { OperationNumber, type PaymentId } from "../../../src/domain/payment/Ids.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import * as Review from "../../../src/orchestration/recovery/Review.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
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

const retries = { retries: 0 }
const charge = Payments.Payments.use((payments) => Effect.map(payments.charge(chargeRequest("k")), ({ payment }) => payment.id))
const view = (id: PaymentId) => Payments.Payments.use((payments) => payments.get({ id, tenant }))
const failed = (id: PaymentId, more: Partial<Review.Resolution> = {}) =>
  Review.resolve({ id, as: "failed", reason: "not on the statement", ...more })
const first = { operation: OperationNumber.make(1) }
const absent: LookupAnswer = { _tag: "Absent" }

/** A gateway that answers a charge so, cancels what it is asked to, and is asked about it with `lookup`. */
const answering = (outcome: Outcome, lookup: (intent: Intent) => LookupAnswer, more: Parameters<typeof testGateway>[1] = {}) =>
  testGateway("a", {
    send: (intent) => Effect.succeed(intent.kind === "sale" ? outcome : success(intent)),
    lookup: (intent) => Effect.succeed(lookup(intent)),
    ...more
  })

const purposes = ({ sent }: { readonly sent: ReadonlyArray<Intent> }) => sent.map(({ purpose }) => purpose)

describe("failed, while the gateway knows better", () => {
  it.effect("it answers that it succeeded: recorded, the word refused, nothing charged elsewhere", () => {
    const [a, b] = [answering(unknown, (intent) => ({ ...success(intent), chargedAt: 1 })), testGateway("b")]
    return Effect.gen(function* () {
      const id = yield* charge
      yield* TestClock.adjust("3 minutes")
      const refused = yield* Effect.flip(failed(id))
      assert.deepInclude<object>(refused, { _tag: "NotResolvable", why: "gateway_disagrees" })
      assert.include(refused.message, "gateway a says that it succeeded")
      assert.deepInclude<object>(yield* view(id), { status: "succeeded", amountCaptured: 4990 })
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(engine([a, b], retries)))
  })

  for (const [what, outcome] of [
    ["its customer can still pay", requiresAction],
    ["it is in progress", pending]
  ] as const) {
    it.effect(`it answers that ${what}: refused, even where an answer is not insisted on`, () => {
      const [a, b] = [answering(outcome, () => outcome as LookupAnswer), testGateway("b")]
      return Effect.gen(function* () {
        const id = yield* charge
        yield* TestClock.adjust("3 minutes")
        const before = yield* view(id)
        for (const withoutAnswer of [false, true]) {
          const refused = yield* Effect.flip(failed(id, { ...first, withoutAnswer }))
          assert.deepInclude<object>(refused, { why: "gateway_disagrees" })
        }
        assert.strictEqual((yield* view(id)).status, before.status)
        assert.deepStrictEqual([purposes(a), purposes(b)], [["charge"], []])
      }).pipe(Effect.provide(engine([a, b], retries)))
    })
  }

  it.effect("a refund in doubt that took effect: no second refund", () => {
    const given = new Set<string>()
    const a = testGateway("a", {
      send: (intent) =>
        Effect.sync(() => {
          given.add(`${intent.kind} ${intent.requestKey}`)
          return intent.kind === "refund" ? unknown : success(intent)
        }),
      lookup: (intent) => Effect.succeed<LookupAnswer>(given.has(`${intent.kind} ${intent.requestKey}`) ? success(intent) : absent)
    })
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const id = yield* charge
      yield* payments.refund({ tenant, key: key("r1"), id })
      yield* TestClock.adjust("3 minutes")
      assert.deepInclude<object>(yield* Effect.flip(failed(id, { operation: OperationNumber.make(2) })), { why: "gateway_disagrees" })
      assert.strictEqual((yield* view(id)).amountRefunded, 4990)
      assert.strictEqual((yield* Effect.flip(payments.refund({ tenant, key: key("r2"), id })))._tag, "CommandRefused")
      assert.strictEqual([...given].filter((one) => one.startsWith("refund")).length, 1)
    }).pipe(Effect.provide(engine([a], retries)))
  })
})

describe("failed, without an answer of the gateway", () => {
  const silent = (outcome: Outcome, more: Parameters<typeof testGateway>[1] = {}) => answering(outcome, () => unknown, more)

  it.effect("is not taken unless the person says that it stands without one", () => {
    const [a, b] = [silent(unknown), testGateway("b")]
    return Effect.gen(function* () {
      const id = yield* charge
      yield* TestClock.adjust("3 minutes")
      const before = yield* view(id)
      const refused = yield* Effect.flip(failed(id))
      assert.deepInclude<object>(refused, { why: "unanswered" })
      assert.strictEqual((yield* view(id)).version, before.version)
      assert.strictEqual((yield* failed(id, { withoutAnswer: true })).status, "failed")
      assert.lengthOf(b.sent, 0, "the word may be wrong: nothing is charged elsewhere")
    }).pipe(Effect.provide(engine([a, b], retries)))
  })

  for (const [what, outcome] of [
    ["waits for its customer", requiresAction],
    ["waits for its gateway", pending]
  ] as const) {
    it.effect(`of what ${what}: it is closed there first, and only then the payment failed`, () => {
      const [a, b] = [silent(outcome), testGateway("b")]
      return Effect.gen(function* () {
        const id = yield* charge
        yield* TestClock.adjust("3 minutes")
        const after = yield* failed(id, { ...first, withoutAnswer: true })
        assert.deepStrictEqual([purposes(a), purposes(b)], [["charge", "close"], []])
        assert.deepInclude<object>(after, { status: "failed", reviews: [] })
      }).pipe(Effect.provide(engine([a, b], retries)))
    })
  }

  it.effect("of an authorization that is released by the close: failed, not cancelled", () => {
    const a = testGateway("a", {
      send: (intent) => Effect.succeed(intent.kind === "authorize" ? requiresAction : success(intent)),
      lookup: () => Effect.succeed<LookupAnswer>(unknown)
    })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* payments.charge(chargeRequest("k", { captureMethod: "manual" }))
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual((yield* failed(payment.id, { ...first, withoutAnswer: true })).status, "failed")
      assert.deepStrictEqual([purposes(a), purposes(b)], [["charge", "close"], []])
    }).pipe(Effect.provide(engine([a, b], retries)))
  })

  it.effect("of what cannot be closed: it does not fail, a person has to look; and it fails once it was closed by hand", () => {
    let open = true
    const a = answering(requiresAction, (intent) => (open || intent.kind !== "sale" ? unknown : absent), {
      send: (intent) => Effect.succeed(intent.kind === "sale" ? requiresAction : declined("hard"))
    })
    return Effect.gen(function* () {
      const id = yield* charge
      yield* TestClock.adjust("3 minutes")
      const tried = yield* failed(id, { ...first, withoutAnswer: true })
      assert.strictEqual(tried.status, "needs_review")
      assert.deepStrictEqual(purposes(a), ["charge", "close", "close", "close"])
      assert.deepInclude<object>(yield* Effect.flip(failed(id)), { why: "unanswered" })
      open = false
      assert.deepInclude<object>(yield* failed(id), { status: "failed", reviews: [] })
    }).pipe(Effect.provide(engine([a], retries)))
  })

  it.effect("and the gateway answers a decline: that is recorded, and still nothing is charged elsewhere", () => {
    const [a, b] = [answering(unknown, () => declined("soft")), testGateway("b")]
    return Effect.gen(function* () {
      const id = yield* charge
      yield* TestClock.adjust("3 minutes")
      const after = yield* failed(id)
      assert.deepInclude<object>(after, { status: "failed" })
      assert.strictEqual(after.failure?.code, "code_soft")
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(engine([a, b], retries)))
  })
})

it.effect("that an authorization succeeded whose cancel is refused is nothing new: the word is refused, and no event is added", () => {
  const a = testGateway("a", {
    send: (intent) => Effect.succeed(intent.kind === "void" ? declined("hard") : unknown),
    lookup: (intent) => Effect.succeed<LookupAnswer>(intent.kind === "void" ? absent : success(intent))
  })
  return Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(chargeRequest("k", { captureMethod: "manual" }))
    yield* Effect.exit(payments.cancel({ tenant, id: payment.id, key: key("cancel") }))
    yield* TestClock.adjust("3 minutes")
    yield* payments.recover()
    const before = yield* payments.get({ tenant, id: payment.id })
    assert.strictEqual(before.status, "needs_review")
    const refusal = yield* Effect.flip(Review.resolve({ id: payment.id, ...first, as: "succeeded", reason: "seen there" }))
    assert.deepInclude<object>(refusal, { why: "nothing_to_resolve" })
    assert.include(refusal.message, "undo it there by hand")
    assert.strictEqual((yield* payments.get({ tenant, id: payment.id })).version, before.version)
    assert.strictEqual((yield* failed(payment.id)).status, "cancelled")
  }).pipe(Effect.provide(engine([a], retries)))
})

it.effect("a second success of another object is kept and looked at: the customer may have been charged twice", () =>
  Effect.gen(function* () {
    const id = yield* charge
    const gatewayReference = "ch_second" as Review.Resolution["gatewayReference"] & string
    const after = yield* Review.resolve({ id, ...first, as: "succeeded", reason: "twice on the statement", gatewayReference })
    assert.deepInclude<object>(after, { status: "needs_review" })
    assert.deepStrictEqual(
      after.reviews.map(({ reason }) => reason),
      ["contradiction"]
    )
  }).pipe(Effect.provide(engine([testGateway("a")], retries)))
)
