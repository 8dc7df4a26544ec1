/** A person's word: when it is taken, what it closes, what follows from it, and when it is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { OperationCapabilities } from "../../../src/domain/operation/Capabilities.ts"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { GatewayReference, OperationNumber, type PaymentId } from "../../../src/domain/payment/Ids.ts"
import type { ChargeRequest } from "../../../src/orchestration/payment/Charge.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import * as Review from "../../../src/orchestration/recovery/Review.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { chargeRequest, declined, engine, requiresAction, success, tenant, testGateway, unknown } from "../../support/TestEngine.ts"

/** Nobody can find out what became of a request: it cannot be asked for, and its key is forgotten before it has settled. */
const mute = { lookupByReference: undefined, replay: "result", replayWindowMillis: 1, cancelByReference: "none" } as const
const retries = { retries: 0 }

const charge = (request: Partial<ChargeRequest> = {}) =>
  Payments.Payments.use((payments) => Effect.map(payments.charge(chargeRequest("k", request)), ({ payment }) => payment.id))
const view = (id: PaymentId) => Payments.Payments.use((payments) => payments.get({ id, tenant }))
const recover = Payments.Payments.use((payments) => payments.recover({ olderThanMillis: 0 }))
const lastEvents = Effect.fnUntraced(function* (id: PaymentId, from: number) {
  const store = yield* EventStore
  return (yield* store.read(id, { fromVersion: from + 1 })).map(({ event }) => event)
})

/** A charge whose answer was lost, in review because nothing can be found out. */
const inReview = Effect.gen(function* () {
  const id = yield* charge()
  yield* TestClock.adjust("3 minutes")
  yield* recover
  const before = yield* view(id)
  assert.strictEqual(before.status, "needs_review")
  return before
})

const lostAt = (name: string, more: Parameters<typeof testGateway>[1] = {}) =>
  testGateway(name, { send: () => Effect.succeed<Outcome>(unknown), charges: mute, ...more })

describe("a charge that nobody can find out about", () => {
  it.effect("succeeded, with the gateway's id: recorded as a person's truth, with the reason", () =>
    Effect.gen(function* () {
      const before = yield* inReview
      const missing = yield* Effect.flip(Review.resolve({ id: before.id, as: "succeeded", reason: "seen" }))
      assert.deepInclude<object>(missing, { _tag: "NotResolvable", why: "reference_needed" })
      const gatewayReference = GatewayReference.make("ch_seen")
      const after = yield* Review.resolve({ id: before.id, as: "succeeded", reason: "seen on the statement", gatewayReference })
      assert.deepInclude<object>(after, { status: "succeeded", reviews: [], amountCaptured: 4990 })
      const events = yield* lastEvents(before.id, before.version)
      assert.deepInclude<object>(events[0]!, { _tag: "OperationSucceeded", source: "person", gatewayReference })
      assert.deepInclude<object>(events[1]!, {
        _tag: "ReviewClosed",
        by: "person",
        reason: "unresolvable",
        note: "seen on the statement"
      })
      assert.lengthOf(events, 2)
      const again = yield* Effect.flip(Review.resolve({ id: before.id, as: "failed", reason: "no" }))
      assert.deepInclude<object>(again, { why: "nothing_to_resolve" })
    }).pipe(Effect.provide(engine([lostAt("a")], retries)))
  )

  it.effect("waits for its customer, says the gateway when it can be asked: the review is closed, and the payment goes on", () => {
    const answers: { lookup: LookupAnswer } = { lookup: { _tag: "Absent" } }
    const a = lostAt("a", { lookup: () => Effect.succeed(answers.lookup) })
    return Effect.gen(function* () {
      const before = yield* inReview
      const operations: { sale: OperationCapabilities } = a.capabilities.operations
      operations.sale = { ...operations.sale, lookupByReference: { lagMillis: 0 } }
      yield* TestClock.adjust("1 hour")
      yield* recover
      assert.strictEqual((yield* view(before.id)).status, "needs_review", "that it knows nothing now is no news")
      answers.lookup = requiresAction as LookupAnswer
      yield* TestClock.adjust("1 hour")
      const preview = yield* Payments.Payments.use((payments) => payments.recover({ olderThanMillis: 0, dryRun: true }))
      assert.deepStrictEqual(preview.results, { requires_action: 1 })
      yield* recover
      const after = yield* view(before.id)
      assert.deepInclude<object>(after, { status: "requires_action", reviews: [] })
      assert.strictEqual(after.nextAction?.type, "redirect")
      const events = yield* lastEvents(before.id, before.version)
      assert.deepInclude<object>(events[0]!, { _tag: "ReviewClosed", by: "recovery", reason: "unresolvable" })
      assert.lengthOf(a.sent, 1, "nothing is sent again")
    }).pipe(Effect.provide(engine([a], retries)))
  })

  it.effect("failed: the payment ends, and is not charged at another gateway, since the word may be wrong", () => {
    const b = testGateway("b")
    return Effect.gen(function* () {
      const before = yield* inReview
      const after = yield* Review.resolve({ id: before.id, as: "failed", reason: "the acquirer says no", withoutAnswer: true })
      assert.deepInclude<object>(after, { status: "failed", gateway: "a", reviews: [] })
      assert.lengthOf(b.sent, 0)
      const events = yield* lastEvents(before.id, before.version)
      assert.deepStrictEqual(
        events.map(({ _tag }) => _tag),
        ["OperationAbsent", "ReviewClosed", "PaymentFailed"]
      )
    }).pipe(Effect.provide(engine([lostAt("a"), b], retries)))
  })

  it.effect("failed, after the time for completing it: the payment failed", () =>
    Effect.gen(function* () {
      const before = yield* inReview
      yield* TestClock.adjust("1 hour")
      const after = yield* Review.resolve({ id: before.id, as: "failed", reason: "the acquirer says no", withoutAnswer: true })
      assert.deepInclude<object>(after, { status: "failed", reviews: [] })
      assert.strictEqual(after.failure?.code, "not_charged")
    }).pipe(Effect.provide(engine([lostAt("a"), testGateway("b")], retries)))
  )

  it.effect("failed is refused while a request may still arrive, and nothing is written", () =>
    Effect.gen(function* () {
      const id = yield* charge()
      const before = yield* view(id)
      assert.strictEqual(before.status, "in_doubt")
      const early = yield* Effect.flip(Review.resolve({ id, as: "failed", reason: "surely not", withoutAnswer: true }))
      assert.deepInclude<object>(early, { why: "too_early" })
      assert.strictEqual((yield* view(id)).version, before.version)
      yield* TestClock.adjust("3 minutes")
      assert.strictEqual((yield* Review.resolve({ id, as: "failed", reason: "surely not", withoutAnswer: true })).status, "failed")
    }).pipe(Effect.provide(engine([lostAt("a")], retries)))
  )

  it.effect("a success told later than the person's failed: a late success, reversed by policy", () => {
    const a = lostAt("a", {
      send: (intent: Intent) => Effect.succeed<Outcome>(intent.kind === "sale" ? unknown : success(intent))
    })
    return Effect.gen(function* () {
      const before = yield* inReview
      yield* TestClock.adjust("1 hour")
      const failed = yield* Review.resolve({ id: before.id, as: "failed", reason: "no", withoutAnswer: true })
      assert.strictEqual(failed.status, "failed")
      yield* TestClock.adjust("1 day")
      const gatewayReference = GatewayReference.make("ch_after_all")
      const after = yield* Review.resolve({
        id: before.id,
        operation: OperationNumber.make(1),
        as: "succeeded",
        reason: "it is on the statement",
        gatewayReference
      })
      assert.deepInclude<object>(after, { status: "failed", amountCaptured: 4990, amountRefunded: 4990, reviews: [] })
      assert.deepStrictEqual(
        (yield* lastEvents(before.id, failed.version)).map(({ _tag }) => _tag),
        ["OperationSucceeded", "LateSuccess", "OperationIntended", "OperationSucceeded"]
      )
      assert.deepStrictEqual(
        a.sent.slice(1).map(({ details, purpose }) => [purpose, details.targetReference]),
        [["reverse", gatewayReference]]
      )
      const again = yield* Effect.flip(
        Review.resolve({ id: before.id, operation: OperationNumber.make(1), as: "succeeded", reason: "again", gatewayReference })
      )
      assert.deepInclude<object>(again, { why: "nothing_to_resolve" })
    }).pipe(Effect.provide(engine([a], retries)))
  })
})

describe("contradictions", () => {
  it.effect("an amount that is not the intended one: succeeded closes it; failed is refused, since the gateway named it", () => {
    const a = testGateway("a", {
      send: (intent) => Effect.succeed({ ...success(intent), amount: { ...intent.amount, minor: intent.amount.minor + 1n } })
    })
    return Effect.gen(function* () {
      const id = yield* charge()
      assert.strictEqual((yield* view(id)).status, "needs_review")
      yield* TestClock.adjust("3 minutes")
      const refused = yield* Effect.flip(Review.resolve({ id, as: "failed", reason: "no" }))
      assert.deepInclude<object>(refused, { why: "fact_stands" })
      const after = yield* Review.resolve({ id, as: "succeeded", reason: "the amount was right" })
      assert.deepInclude<object>(after, { status: "succeeded", amountCaptured: 4990, reviews: [] })
    }).pipe(Effect.provide(engine([a], retries)))
  })

  it.effect("several operations in review: a person says which", () =>
    Effect.gen(function* () {
      const id = yield* charge()
      const unknownOperation = yield* Effect.flip(Review.resolve({ id, as: "failed", reason: "no", operation: OperationNumber.make(9) }))
      assert.deepInclude<object>(unknownOperation, { why: "nothing_to_resolve" })
      const settled = yield* Effect.flip(Review.resolve({ id, as: "failed", reason: "no" }))
      assert.deepInclude<object>(settled, { why: "nothing_to_resolve" })
    }).pipe(Effect.provide(engine([testGateway("a")], retries)))
  )
})

describe("a declined object that cannot be closed", () => {
  it.effect("is failed once a person has closed it at the gateway", () => {
    const a = testGateway("a", {
      charges: { leavesOpenAfterDecline: true },
      send: (intent) =>
        Effect.succeed<Outcome>(
          intent.kind === "sale" ? { ...declined("hard"), gatewayReference: GatewayReference.make("open one") } : declined("hard")
        )
    })
    return Effect.gen(function* () {
      const id = yield* charge()
      const before = yield* view(id)
      assert.strictEqual(before.status, "needs_review", JSON.stringify(before))
      const after = yield* Review.resolve({ id, as: "failed", reason: "closed in the gateway's own dashboard" })
      assert.deepInclude<object>(after, { status: "failed", reviews: [] })
      const notes = (yield* lastEvents(id, before.version)).flatMap((event) => (event._tag === "ReviewClosed" ? [event.note] : []))
      assert.deepStrictEqual(notes, ["closed in the gateway's own dashboard"])
    }).pipe(Effect.provide(engine([a], retries)))
  })
})

it.effect("another tenant's payment is not there", () =>
  Effect.gen(function* () {
    const id = yield* charge()
    const missing = yield* Effect.flip(Review.resolve({ id, tenant: "other" as typeof tenant, as: "failed", reason: "no" }))
    assert.strictEqual(missing._tag, "PaymentNotFound")
  }).pipe(Effect.provide(engine([testGateway("a")], retries)))
)
