/**
 * Rules 13, 17 and 18: webhooks are stored, acknowledged, then processed; what they tell goes through the one reducer, in any order and
 * any number of times, and a decline among them proves nothing too early.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { type PaymentId, requestKeyOf } from "../../../src/domain/payment/Ids.ts"
import * as Presets from "../../../src/domain/Presets.ts"
import * as WebhookProcessing from "../../../src/orchestration/notify/WebhookProcessing.ts"
import * as WebhookReceipt from "../../../src/orchestration/notify/WebhookReceipt.ts"
import * as EngineApi from "../../../src/orchestration/payment/Payments.ts"
import { EventStore, EventStoreError } from "../../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { WebhookInbox } from "../../../src/services/notify/WebhookInbox.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import { engine } from "../../edges/http/TestApi.ts"
import * as Payments from "../../support/payments.ts"
import {
  chargeRequest,
  declined,
  key,
  pending,
  requiresAction,
  success,
  tenant,
  type TestGateway,
  testGateway,
  unknown
} from "../../support/TestEngine.ts"
import { arrives, isStored, type Script, scripted, tells, withWebhooks } from "../../support/webhooks.ts"

type GatewayOptions = NonNullable<Parameters<typeof testGateway>[1]>

/** A first gateway that answers as told and sends webhooks, and a second that takes everything. */
const gateways = (options: GatewayOptions, trust: "news" | "hint" = "news") => {
  const script: Script = new Map()
  const first = withWebhooks(testGateway("a", options), scripted(script, trust))
  const second = testGateway("b")
  return { script, first, second, all: [first, second] }
}

const answers = (outcome: Outcome): GatewayOptions => ({ send: () => Effect.succeed(outcome) })

const charge = (under = "k1", overrides: Parameters<typeof chargeRequest>[1] = {}) =>
  Effect.map(
    Effect.flatMap(EngineApi.Payments, (payments) => payments.charge(chargeRequest(under, overrides))),
    ({ payment }) => payment
  )
const view = (id: PaymentId) => Effect.flatMap(EngineApi.Payments, (payments) => payments.get({ id, tenant }))
const typesOf = (id: PaymentId) =>
  Effect.map(
    Effect.flatMap(EventStore, (store) => store.read(id)),
    (events) => events.map(({ event }) => event._tag)
  )
const reference = (payment: PaymentId, operation = 1) => requestKeyOf({ payment, operation: Payments.operationNumber(operation) })
const process = WebhookProcessing.runOnce()
const summary = Effect.flatMap(WebhookInbox, (inbox) => inbox.summary)
const quiet = { done: 0, ignored: 0, retried: 0, dead: 0, lost: 0 }
/** What was started in the background gets its turn. */
const settle = TestClock.adjust(1)

const succeededAt = (gateway: TestGateway): LookupAnswer => success(gateway.sent[0]!)

describe("what a webhook tells", () => {
  it.effect("ends what was pending; twice, and late news of what was before, change nothing more", () => {
    const { all, first, script } = gateways(answers(pending))
    return Effect.gen(function* () {
      const { id } = yield* charge()
      script.set("done", tells(reference(id), succeededAt(first)))
      script.set("again", tells(reference(id), succeededAt(first)))
      script.set("before", tells(reference(id), pending as LookupAnswer))
      assert.deepInclude(yield* arrives("a", "done"), { _tag: "Accepted", duplicate: false })
      assert.strictEqual((yield* view(id)).status, "processing", "stored first, processed later")
      assert.deepStrictEqual(yield* process, { ...quiet, done: 1 })
      assert.strictEqual((yield* view(id)).status, "succeeded")
      const types = yield* typesOf(id)
      assert.deepInclude(yield* arrives("a", "done"), { _tag: "Accepted", duplicate: true })
      assert.deepStrictEqual(yield* process, quiet)
      yield* arrives("a", "again")
      yield* arrives("a", "before")
      assert.deepStrictEqual(yield* process, { ...quiet, done: 2 })
      assert.deepStrictEqual(yield* typesOf(id), types)
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a success that comes before the response of the request that caused it is recorded once", () => {
    const answer = Deferred.makeUnsafe<Outcome>()
    const { all, first, script } = gateways({ send: () => Deferred.await(answer) })
    return Effect.gen(function* () {
      const caller = yield* Effect.forkChild(charge())
      yield* settle
      const id = first.sent[0]!.requestKey.slice(0, 40) as PaymentId
      script.set("done", tells(reference(id), succeededAt(first)))
      yield* arrives("a", "done")
      assert.strictEqual((yield* process).done, 1)
      assert.strictEqual((yield* view(id)).status, "succeeded")
      yield* Deferred.succeed(answer, success(first.sent[0]!))
      assert.strictEqual((yield* Fiber.join(caller)).status, "succeeded")
      assert.strictEqual((yield* typesOf(id)).filter((type) => type === "OperationSucceeded").length, 1)
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a decline that comes before the response proves nothing yet; the response does", () => {
    const answer = Deferred.makeUnsafe<Outcome>()
    const { all, first, script, second } = gateways({ send: () => Deferred.await(answer) })
    return Effect.gen(function* () {
      const caller = yield* Effect.forkChild(charge())
      yield* settle
      const id = first.sent[0]!.requestKey.slice(0, 40) as PaymentId
      script.set("no", tells(reference(id), declined("soft"), 0))
      yield* arrives("a", "no")
      assert.strictEqual((yield* process).done, 1)
      yield* settle
      assert.strictEqual((yield* view(id)).status, "in_doubt")
      assert.deepStrictEqual(second.sent, [], "no other gateway meanwhile")
      yield* Deferred.succeed(answer, declined("soft"))
      assert.strictEqual((yield* Fiber.join(caller)).status, "succeeded")
      assert.strictEqual(second.sent.length, 1)
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a decline of the only send ends it at once, and the next gateway is driven in the background", () => {
    const { all, script, second } = gateways(answers(pending))
    return Effect.gen(function* () {
      const { id } = yield* charge()
      script.set("no", tells(reference(id), declined("soft")))
      yield* arrives("a", "no")
      assert.strictEqual((yield* process).done, 1)
      yield* settle
      assert.strictEqual(second.sent.length, 1)
      const payment = yield* view(id)
      assert.deepStrictEqual([payment.status, payment.gateway], ["succeeded", "b"])
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a decline of what may have been sent twice ends it only when it happened late enough, by the gateway's own time", () => {
    const { all, script, second } = gateways(answers(unknown))
    const late = Presets.gatewayCall.sendWindowMillis.value + 10_000 + Presets.webhooks.clockSkewMillis.value + 5_000
    return Effect.gen(function* () {
      const { id } = yield* charge()
      script.set("timeless", tells(reference(id), declined("gateway_error")))
      script.set("early", tells(reference(id), declined("gateway_error"), 1_000))
      script.set("late", tells(reference(id), declined("gateway_error"), late))
      yield* TestClock.adjust(late + 1)
      yield* arrives("a", "timeless")
      yield* arrives("a", "early")
      assert.strictEqual((yield* process).done, 2)
      yield* settle
      assert.strictEqual((yield* view(id)).status, "in_doubt", "both were received late, but that is not when they happened")
      yield* arrives("a", "late")
      assert.strictEqual((yield* process).done, 1)
      yield* settle
      assert.strictEqual(second.sent.length, 1)
      assert.strictEqual((yield* view(id)).status, "succeeded")
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a decline about an object that a confirm has taken over only makes us ask", () => {
    const { all, first, script, second } = gateways({
      send: (intent) => Effect.succeed(intent.kind === "confirm" ? pending : requiresAction),
      lookup: () => Effect.succeed(pending as LookupAnswer)
    })
    return Effect.gen(function* () {
      const { id } = yield* charge()
      yield* Effect.flatMap(EngineApi.Payments, (payments) => payments.confirm({ tenant, key: key("c1"), id }))
      script.set("stale", tells(reference(id), declined("soft"), 0))
      yield* arrives("a", "stale")
      assert.strictEqual((yield* process).done, 1)
      yield* settle
      assert.strictEqual(first.asked.length, 1)
      assert.deepStrictEqual(second.sent, [])
      assert.strictEqual((yield* view(id)).status, "processing")
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("that the gateway ended a hold ends it here, also where the customer had to act and a confirm has it", () => {
    const { all, first, script } = gateways({
      send: (intent) => Effect.succeed(intent.kind === "authorize" ? requiresAction : success(intent))
    })
    return Effect.gen(function* () {
      const { id } = yield* charge("k1", { captureMethod: "manual" })
      yield* Effect.flatMap(EngineApi.Payments, (payments) => payments.confirm({ tenant, id, key: key("c1") }))
      assert.strictEqual((yield* view(id)).status, "authorized")
      script.set("ended", { occurredAt: undefined, news: { _tag: "Released", reference: reference(id) } })
      yield* arrives("a", "ended")
      assert.deepStrictEqual(yield* process, { ...quiet, done: 1 })
      yield* settle
      assert.deepInclude<object>(yield* view(id), { status: "cancelled", amountAuthorized: 0 })
      assert.deepStrictEqual(
        first.sent.map(({ kind, target }) => [kind, target]),
        [
          ["authorize", undefined],
          ["confirm", Payments.operationNumber(1)],
          ["void", Payments.operationNumber(2)]
        ]
      )
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("several about one payment at once are all merged", () => {
    const { all, first, script } = gateways(answers(pending))
    return Effect.gen(function* () {
      const { id } = yield* charge()
      for (let event = 0; event < 8; event++) {
        script.set(`e${event}`, tells(reference(id), event % 2 === 0 ? (pending as LookupAnswer) : succeededAt(first)))
        yield* arrives("a", `e${event}`)
      }
      assert.strictEqual((yield* process).done, 8)
      assert.strictEqual((yield* view(id)).status, "succeeded")
      assert.strictEqual((yield* typesOf(id)).filter((type) => type === "OperationSucceeded").length, 1)
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a refund that fails later and disputes are facts, each told once", () => {
    const { all, script } = gateways({})
    return Effect.gen(function* () {
      const { id } = yield* charge()
      yield* Effect.flatMap(EngineApi.Payments, (payments) => payments.refund({ tenant, key: key("r1"), id }))
      assert.strictEqual((yield* view(id)).status, "refunded")
      script.set("returned", { occurredAt: 5, news: { _tag: "FailedLater", reference: reference(id, 2), message: "returned" } })
      script.set("declined", tells(reference(id, 2), declined("gateway_error"), 5))
      const dispute = { _tag: "Dispute", reference: reference(id), disputeId: "dp_1", amount: Payments.eur(4990n) } as const
      script.set("opened", { occurredAt: 6, news: { ...dispute, status: "open" } })
      script.set("lost", { occurredAt: 7, news: { ...dispute, status: "lost" } })
      for (const event of ["lost", "opened", "declined", "returned"]) yield* arrives("a", event)
      assert.strictEqual((yield* process).done, 4)
      const types = (yield* typesOf(id)).filter((type) => /Dispute|RefundFailed|Review/.test(type))
      assert.deepStrictEqual([...types].sort(), ["DisputeLost", "RefundFailed"], "a decided dispute is not opened again")
    }).pipe(Effect.provide(engine(all)))
  })
})

describe("whom a webhook is from", () => {
  it.effect("what cannot be verified is not stored; an unknown gateway and one without webhooks are told apart from it", () => {
    const { all, script } = gateways({})
    return Effect.gen(function* () {
      script.set("x", tells("x", unknown))
      assert.deepStrictEqual(yield* Effect.map(arrives("b", "x"), ({ _tag }) => _tag), "UnknownGateway")
      assert.deepStrictEqual(yield* Effect.map(arrives("../a", "x"), ({ _tag }) => _tag), "UnknownGateway")
      const body = new TextEncoder().encode("x")
      assert.deepStrictEqual(yield* WebhookReceipt.receive({ gateway: "a", body, headers: {} }), { _tag: "NotVerified", reason: "wrong" })
      assert.deepStrictEqual(yield* WebhookReceipt.receive({ gateway: "a", body: new Uint8Array(65_537), headers: {} }), {
        _tag: "TooLarge"
      })
      assert.strictEqual((yield* summary).waiting, 0)
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a gateway that cannot prove who it is is asked, and only its answer counts", () => {
    let found: LookupAnswer = { _tag: "Unknown", reason: "server_error", message: "down" }
    const { all, first, script } = gateways({ ...answers(pending), lookup: () => Effect.succeed(found) }, "hint")
    return Effect.gen(function* () {
      const { id } = yield* charge()
      script.set("lie", tells(reference(id), declined("soft"), 0))
      yield* arrives("a", "lie")
      assert.strictEqual((yield* process).retried, 1, "an answer that says nothing is asked for again")
      found = succeededAt(first)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* process).done, 1)
      assert.strictEqual(first.asked.length, 2)
      assert.strictEqual((yield* view(id)).status, "succeeded")
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("one account cannot speak about operations at another", () => {
    const { all, script } = gateways({ send: () => Effect.succeed(declined("soft")) })
    return Effect.gen(function* () {
      const { id } = yield* charge()
      const before = yield* typesOf(id)
      script.set("forged", tells(reference(id, 2), declined("hard"), 0))
      yield* arrives("a", "forged")
      assert.strictEqual((yield* process).dead, 1)
      assert.deepStrictEqual(yield* typesOf(id), before)
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("what is not about us is done without a word", () => {
    const { all, script } = gateways({})
    return Effect.gen(function* () {
      script.set("payout", { occurredAt: 1, news: { _tag: "Ignored", reason: "payout" } })
      script.set("other", tells("order-17", unknown))
      yield* arrives("a", "payout")
      yield* arrives("a", "other")
      assert.deepStrictEqual(yield* process, { ...quiet, ignored: 2 })
      assert.deepStrictEqual(yield* summary, { waiting: 0, oldestReceivedAt: undefined, dead: 0 })
    }).pipe(Effect.provide(engine(all)))
  })
})

describe("trouble", () => {
  it.effect("an unknown payment is waited for and matched when it is there; one that never comes is given up after a day", () => {
    const { all, first, script } = gateways({})
    return Effect.gen(function* () {
      const commit = Payments.firstCommit({ tenant, gateway: first.name, account: first.account })
      const { id } = commit.payment
      script.set(
        "early",
        tells(reference(id), { ...success(Payments.intent({ payment: id })), gatewayReference: Payments.reference("ch") })
      )
      script.set("never", tells(reference(Payments.newPaymentId()), unknown))
      yield* arrives("a", "early")
      yield* arrives("a", "never")
      assert.deepStrictEqual(yield* process, { ...quiet, retried: 2 })
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* process, { ...quiet, retried: 2 })
      yield* mustCommit(commit)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* process, { ...quiet, done: 1, retried: 1 })
      assert.strictEqual((yield* view(id)).status, "succeeded")
      yield* TestClock.adjust("23 hours")
      assert.deepStrictEqual(yield* process, { ...quiet, retried: 1 })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* process, { ...quiet, dead: 1 })
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a poison message becomes a dead letter and holds back nobody; replayed, it is processed", () => {
    const { all, first, script } = gateways(answers(pending))
    return Effect.gen(function* () {
      const inbox = yield* WebhookInbox
      const { id } = yield* charge()
      yield* isStored("a", "poison")
      script.set("unreadable", { occurredAt: undefined, news: { _tag: "Unreadable", reason: "a new version" } })
      script.set("fine", tells(reference(id), succeededAt(first)))
      yield* arrives("a", "unreadable")
      yield* arrives("a", "fine")
      assert.deepStrictEqual(yield* process, { ...quiet, retried: 1, dead: 1, done: 1 })
      assert.strictEqual((yield* view(id)).status, "succeeded")
      let attempts = 1
      while ((yield* summary).waiting > 0) {
        yield* TestClock.adjust("15 minutes")
        yield* process
        attempts += 1
      }
      assert.strictEqual(attempts, Presets.webhooks.maxAttempts.value)
      const dead = yield* inbox.deadLetters({ limit: 10 })
      assert.deepStrictEqual(dead.map(({ eventId, reason }) => `${eventId}: ${reason}`).sort(), [
        "poison: it could not be processed: a bug of the adapter",
        "unreadable: a new version"
      ])
      script.set("poison", tells(reference(id), succeededAt(first)))
      assert.isTrue(yield* inbox.replay(dead.find(({ eventId }) => eventId === "poison")!))
      assert.deepStrictEqual(yield* process, { ...quiet, done: 1 })
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a message that ends its process each time is not attempted for ever", () => {
    const { all, script } = gateways({})
    return Effect.gen(function* () {
      const inbox = yield* WebhookInbox
      script.set("killer", { occurredAt: 1, news: { _tag: "Ignored", reason: "it would be" } })
      yield* arrives("a", "killer")
      for (let crash = 0; crash < Presets.webhooks.maxAttempts.value; crash++) {
        assert.strictEqual((yield* inbox.lease({ limit: 1, ttlMillis: 1_000 })).length, 1)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(yield* process, { ...quiet, dead: 1 })
    }).pipe(Effect.provide(engine(all)))
  })

  it.effect("a crash after the event is stored, or after its truth is durable, processes it again and records it once", () => {
    const { all, first, script } = gateways(answers(pending))
    return Effect.gen(function* () {
      const inbox = yield* WebhookInbox
      const { id } = yield* charge()
      script.set("done", tells(reference(id), succeededAt(first)))
      yield* arrives("a", "done")
      // A process took it and died.
      yield* inbox.lease({ limit: 1, ttlMillis: 1_000 })
      assert.deepStrictEqual(yield* process, quiet)
      yield* TestClock.adjust("1 second")
      // The next one dies between the commit and the mark.
      const lost = new EventStoreError({ operation: "WebhookInbox.done", reason: { _tag: "Unavailable", detail: "crash" } })
      const dying = WebhookInbox.of({ ...inbox, done: () => Effect.fail(lost) })
      assert.deepStrictEqual(yield* Effect.provideService(process, WebhookInbox, dying), { ...quiet, lost: 1 })
      assert.strictEqual((yield* view(id)).status, "succeeded")
      const types = yield* typesOf(id)
      yield* TestClock.adjust(Presets.webhooks.leaseMillis.value)
      assert.deepStrictEqual(yield* process, { ...quiet, done: 1 })
      assert.deepStrictEqual(yield* typesOf(id), types)
    }).pipe(Effect.provide(engine(all)))
  })

  for (const [what, age] of [
    ["", 0],
    [", however long it has waited", 2 * Presets.webhooks.unknownMaxAgeMillis.value]
  ] as const)
    it.effect(`while the database is away it waits${what}, and is not counted as failed`, () => {
      const { all, first, script } = gateways(answers(pending))
      return Effect.gen(function* () {
        const store = yield* EventStore
        const { id } = yield* charge()
        script.set("done", tells(reference(id), { ...success(first.sent[0]!), chargedAt: 1 }))
        yield* arrives("a", "done")
        yield* TestClock.adjust(age)
        const away = new EventStoreError({ operation: "EventStore.commit", reason: { _tag: "OutcomeUnknown", detail: "away" } })
        const broken = EventStore.of({ ...store, commit: () => Effect.fail(away) })
        assert.deepStrictEqual(yield* Effect.provideService(process, EventStore, broken), { ...quiet, retried: 1 })
        yield* TestClock.adjust("1 hour")
        const [leased] = yield* Effect.flatMap(WebhookInbox, (inbox) => inbox.lease({ limit: 1, ttlMillis: 1 }))
        assert.strictEqual(leased?.attempts, 1)
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(yield* process, { ...quiet, done: 1 })
        assert.strictEqual((yield* view(id)).status, "succeeded")
      }).pipe(Effect.provide(engine(all)))
    })

  it.effect("the loop processes what comes, and forgets what is old", () => {
    const { all, first, script } = gateways(answers(pending))
    return Effect.gen(function* () {
      const { id } = yield* charge()
      const fiber = yield* Effect.forkChild(WebhookProcessing.run())
      script.set("done", tells(reference(id), succeededAt(first)))
      yield* arrives("a", "done")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* view(id)).status, "succeeded")
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* WebhookProcessing.purge(), 0)
      yield* TestClock.adjust(Presets.webhooks.retentionMillis.value + 1_000)
      assert.strictEqual(yield* WebhookProcessing.purge(), 1)
    }).pipe(Effect.provide(engine(all)))
  })
})
