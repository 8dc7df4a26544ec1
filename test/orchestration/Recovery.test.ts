/**
 * Recovery after a crash: what is asked, what is sent again, what ends an operation, and that doing it twice changes nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { OperationCapabilities } from "../../src/domain/operation/Capabilities.ts"
import { AccountFingerprint, GatewayName, type PaymentId } from "../../src/domain/payment/Ids.ts"
import type { ChargeRequest } from "../../src/orchestration/payment/Charge.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../src/services/Gateway.ts"
import { Lock } from "../../src/services/Lock.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as FlakyEventStore from "../support/FlakyEventStore.ts"
import {
  chargeRequest,
  declined,
  key,
  memory,
  pending,
  requiresAction,
  success,
  tenant,
  testGateway,
  type TestGateway,
  unknown
} from "../support/TestEngine.ts"
import { eventsOf, start, typesOf } from "../support/TestProcess.ts"

/** A process charges at a gateway that never answers, and ends: the intent is all that is left. */
const crashed = Effect.fnUntraced(function* (
  options: {
    readonly charges?: Partial<OperationCapabilities>
    readonly others?: ReadonlyArray<string>
    readonly under?: string
  } & Partial<ChargeRequest> = {}
) {
  const { charges, others, under, ...request } = options
  const hanging = testGateway("a", { send: () => Effect.never, ...(charges === undefined ? {} : { charges }) })
  const process = yield* start([hanging, ...(others ?? []).map((name) => testGateway(name))], { attemptTimeoutMillis: 3_600_000 })
  const charging = yield* Effect.forkChild(process.payments.charge(chargeRequest(under ?? "k1", request)))
  yield* TestClock.adjust(1)
  yield* process.crash
  const { payment } = yield* Fiber.join(charging)
  assert.strictEqual(payment.status, "processing")
  assert.lengthOf(hanging.sent, 1)
  return { id: payment.id, requestKey: hanging.sent[0]?.requestKey }
})

const statusOf = Effect.fnUntraced(function* (id: PaymentId) {
  const repository = yield* PaymentRepository
  const found = yield* repository.get({ id })
  return found._tag === "Some" ? found.value.status : "missing"
})

const recover = Effect.fnUntraced(function* (
  gateways: ReadonlyArray<TestGateway>,
  options: Parameters<Effect.Success<ReturnType<typeof start>>["payments"]["recover"]>[0] = {}
) {
  const process = yield* start(gateways)
  const running = yield* Effect.forkChild(process.payments.recover(options))
  yield* TestClock.adjust(0)
  const exit = running.pollUnsafe()
  if (exit === undefined) yield* TestClock.adjust("2 minutes")
  return yield* Fiber.join(running)
})

const answering = (answer: LookupAnswer) => () => Effect.succeed(answer)

describe("what the look-up finds is recorded", () => {
  const cases: ReadonlyArray<readonly [string, LookupAnswer | "success", string, string]> = [
    ["a success", "success", "succeeded", "succeeded"],
    ["a decline", declined("hard"), "failed", "declined"],
    ["pending", pending as LookupAnswer, "processing", "pending"],
    ["an action of the customer", requiresAction as LookupAnswer, "requires_action", "requires_action"],
    ["nothing certain", unknown, "in_doubt", "unknown"]
  ]
  for (const [name, answer, status, result] of cases) {
    it.effect(name, () => {
      const a = testGateway("a", { lookup: (intent) => Effect.succeed(answer === "success" ? success(intent) : answer) })
      return Effect.gen(function* () {
        const { id } = yield* crashed()
        yield* TestClock.adjust("1 minute")
        const report = yield* recover([a])
        assert.strictEqual(yield* statusOf(id), status)
        assert.deepStrictEqual([report.scanned, report.results], [1, { [result]: 1 }])
        assert.lengthOf(a.sent, 0)
        const version = (yield* typesOf(id)).length
        if (status !== "succeeded" && status !== "failed") yield* recover([a])
        assert.lengthOf(yield* typesOf(id), version)
      }).pipe(Effect.provide(memory))
    })
  }
})

describe("absence", () => {
  it.effect("while a replay is allowed: the permission is committed before the same request goes out again", () => {
    const seen: Array<string> = []
    return Effect.gen(function* () {
      const { id, requestKey } = yield* crashed()
      yield* TestClock.adjust("1 minute")
      const store = yield* EventStore
      const watched = testGateway("a", {
        send: (intent) =>
          Effect.gen(function* () {
            const types = (yield* Effect.orDie(store.read(id))).map(({ event }) => event._tag)
            assert.strictEqual(types.at(-1), "ResendPermitted")
            seen.push(intent.requestKey)
            return success(intent)
          })
      })
      yield* recover([watched])
      assert.strictEqual(yield* statusOf(id), "succeeded")
      assert.deepStrictEqual(seen, [String(requestKey)])
      assert.deepStrictEqual((yield* typesOf(id)).slice(-2), ["ResendPermitted", "OperationSucceeded"])
    }).pipe(Effect.provide(memory))
  })

  it.effect("where nothing is replayed: open until the settle time is over, then not charged, and the next gateway is tried", () => {
    const charges = { replay: "none", settleTimeMillis: 300_000 } as const
    const a = testGateway("a", { charges })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { id } = yield* crashed({ charges, others: ["b"] })
      yield* TestClock.adjust("1 minute")
      yield* recover([a, b])
      assert.strictEqual(yield* statusOf(id), "in_doubt")
      // Asked exactly when sendBefore and the settle time are over: not yet.
      yield* TestClock.setTime(330_000)
      yield* recover([a, b])
      assert.strictEqual(yield* statusOf(id), "in_doubt")
      assert.lengthOf(b.sent, 0)
      yield* TestClock.adjust(1)
      yield* recover([a, b])
      assert.strictEqual(yield* statusOf(id), "succeeded")
      assert.lengthOf(a.sent, 0)
      assert.lengthOf(b.sent, 1)
    }).pipe(Effect.provide(memory))
  })

  it.effect("where nothing is replayed and there is no other gateway: the payment fails as not charged", () => {
    const charges = { replay: "none" } as const
    const a = testGateway("a", { charges })
    return Effect.gen(function* () {
      const { id } = yield* crashed({ charges })
      yield* TestClock.adjust("1 minute")
      const report = yield* recover([a])
      assert.deepStrictEqual(report.results, { not_charged: 1 })
      assert.strictEqual(yield* statusOf(id), "failed")
      assert.lengthOf(a.sent, 0)
    }).pipe(Effect.provide(memory))
  })

  it.effect("after completeBefore: ends as not charged, nothing is sent anywhere", () => {
    const a = testGateway("a")
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { id } = yield* crashed({ others: ["b"] })
      yield* TestClock.adjust("15 minutes")
      yield* recover([a, b])
      assert.strictEqual(yield* statusOf(id), "failed")
      assert.deepStrictEqual([a.sent.length, b.sent.length], [0, 0])
    }).pipe(Effect.provide(memory))
  })

  it.effect("when the key window would be over before the request has settled: not sent again", () => {
    return Effect.gen(function* () {
      for (const [at, sends] of [
        [260_000, 1],
        [260_001, 0],
        [299_000, 0],
        [400_000, 0]
      ] as const) {
        const charges = { replayWindowMillis: 300_000 }
        const a = testGateway("a", { charges })
        yield* Effect.gen(function* () {
          const { id } = yield* crashed({ charges })
          const createdAt = (yield* (yield* EventStore).read(id))[0]?.recordedAt ?? 0
          yield* TestClock.setTime(createdAt + at)
          const report = yield* recover([a])
          assert.lengthOf(a.sent, sends, `at ${at}`)
          assert.isUndefined(report.results.error, `at ${at}`)
          assert.strictEqual(yield* statusOf(id), sends === 1 ? "succeeded" : "failed", `at ${at}`)
        }).pipe(Effect.provide(Layer.fresh(memory)))
        yield* TestClock.setTime(0)
      }
    })
  })

  it.effect("once the gateway's id is known: asked by that id, never sent again", () => {
    const references: Array<unknown> = []
    const a = {
      ...testGateway("a"),
      lookup: (request: { readonly gatewayReference: unknown }) =>
        Effect.sync((): LookupAnswer => (references.push(request.gatewayReference), { _tag: "Absent" }))
    }
    return Effect.gen(function* () {
      const process = yield* start([testGateway("a", { send: () => Effect.succeed(pending) })])
      const { payment } = yield* process.payments.charge(chargeRequest("k1"))
      yield* TestClock.adjust("35 seconds")
      yield* recover([a], { olderThanMillis: 0 })
      assert.strictEqual(yield* statusOf(payment.id), "processing")
      assert.lengthOf(a.sent, 0)
      assert.deepStrictEqual(references, ["pending"])
    }).pipe(Effect.provide(memory))
  })
})

describe("recovery goes on where the payment stood", () => {
  it.effect("a decline that left its object open is closed before the next gateway is tried", () => {
    const charges = { leavesOpenAfterDecline: true }
    const a = testGateway("a", { charges, lookup: answering(declined("soft")) })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { id } = yield* crashed({ charges, others: ["b"] })
      yield* TestClock.adjust("1 minute")
      yield* recover([a, b])
      assert.strictEqual(yield* statusOf(id), "succeeded")
      assert.deepStrictEqual(
        a.sent.map((intent) => intent.purpose),
        ["close"]
      )
      assert.lengthOf(b.sent, 1)
    }).pipe(Effect.provide(memory))
  })

  for (const [outcome, kinds, status] of [
    ["a decline", [], "cancelled"],
    ["an authorization", ["void"], "cancelled"]
  ] as const) {
    it.effect(`a recorded cancel is carried out after ${outcome}`, () => {
      const a = testGateway("a", { lookup: (intent) => Effect.succeed(outcome === "a decline" ? declined("soft") : success(intent)) })
      const b = testGateway("b")
      return Effect.gen(function* () {
        const { id } = yield* crashed({ captureMethod: "manual", others: ["b"] })
        const process = yield* start([a, b])
        yield* process.payments.cancel({ tenant, id, key: key("x1") })
        yield* TestClock.adjust("1 minute")
        yield* recover([a, b])
        assert.strictEqual(yield* statusOf(id), status)
        assert.deepStrictEqual(
          a.sent.map((intent) => intent.kind),
          [...kinds]
        )
        assert.lengthOf(b.sent, 0)
      }).pipe(Effect.provide(memory))
    })
  }

  it.effect("captures and refunds are recovered like charges, several of one payment in one run", () => {
    const hanging = testGateway("a", { send: (intent) => (intent.kind === "refund" ? Effect.never : Effect.succeed(success(intent))) })
    const a = testGateway("a", {
      lookup: (intent) => Effect.delay(Effect.succeed<LookupAnswer>(intent.number === 2 ? success(intent) : { _tag: "Absent" }), "1 second")
    })
    return Effect.gen(function* () {
      const process = yield* start([hanging], { attemptTimeoutMillis: 3_600_000 })
      const { payment } = yield* process.payments.charge(chargeRequest("k1"))
      for (const under of ["r1", "r2"])
        yield* Effect.forkChild(process.payments.refund({ tenant, id: payment.id, key: key(under), amount: 100n }))
      yield* TestClock.adjust("1 minute")
      yield* process.crash
      const report = yield* recover([a])
      assert.deepStrictEqual([report.scanned, report.results], [2, { succeeded: 2 }])
      assert.deepStrictEqual(
        a.sent.map((intent) => intent.number),
        [3]
      )
      const view = yield* (yield* start([a])).payments.get({ id: payment.id, tenant })
      assert.strictEqual(view.amountRefunded, 200)
    }).pipe(Effect.provide(memory))
  })
})

describe("a gateway without look-up", () => {
  const charges = { lookupByReference: undefined, settleTimeMillis: 60_000, cancelByReference: "none" } as const

  it.effect("is sent the same request again while it is recognised", () => {
    const a = testGateway("a", { charges })
    return Effect.gen(function* () {
      const { id, requestKey } = yield* crashed({ charges })
      yield* TestClock.adjust("1 minute")
      yield* recover([a])
      assert.strictEqual(yield* statusOf(id), "succeeded")
      assert.lengthOf(a.asked, 0)
      assert.strictEqual(a.sent[0]?.requestKey, requestKey)
    }).pipe(Effect.provide(memory))
  })

  it.effect("that cannot be sent the request any more: open until everything has settled, then a person has to look", () => {
    const a = testGateway("a", { charges })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { id } = yield* crashed({ charges: { ...charges, replay: "none", cancelByReference: "named" }, others: ["b"] })
      yield* TestClock.setTime(90_000)
      yield* recover([a, b])
      assert.strictEqual(yield* statusOf(id), "in_doubt")
      yield* TestClock.adjust("1 minute")
      const report = yield* recover([a, b])
      assert.deepStrictEqual(report.results, { needs_review: 1 })
      assert.strictEqual(yield* statusOf(id), "needs_review")
      const events = yield* eventsOf(id)
      assert.isTrue(events.some((event) => event._tag === "ReviewOpened" && event.reason === "unresolvable"))
      yield* recover([a, b])
      assert.lengthOf(yield* eventsOf(id), events.length)
      assert.deepStrictEqual([a.sent.length, b.sent.length], [0, 0])
    }).pipe(Effect.provide(memory))
  })

  const cancels = { ...charges, replay: "none", cancelByReference: "named" } as const

  it.effect("nor replay is cancelled by our reference once everything has settled, as an operation, then the next gateway is tried", () => {
    const a = testGateway("a", { charges: cancels })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { id, requestKey } = yield* crashed({ charges: cancels, others: ["b"] })
      yield* TestClock.setTime(90_000)
      yield* recover([a, b])
      assert.lengthOf(a.sent, 0)
      yield* TestClock.adjust("1 minute")
      yield* recover([a, b])
      assert.deepStrictEqual(
        a.sent.map(({ details, kind, purpose }) => [kind, purpose, details.targetReference, details.targetRequestKey]),
        [["void", "recover", undefined, requestKey]]
      )
      assert.strictEqual(yield* statusOf(id), "succeeded")
      assert.lengthOf(b.sent, 1)
      const types = yield* typesOf(id)
      assert.isBelow(types.lastIndexOf("OperationIntended"), types.length - 1)
      yield* recover([a, b])
      assert.deepStrictEqual(yield* typesOf(id), types)
    }).pipe(Effect.provide(memory))
  })

  it.effect("whose cancel is unknown too is for a person, and nothing goes elsewhere", () => {
    const a = testGateway("a", { charges: cancels, others: cancels, send: () => Effect.succeed(unknown) })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { id } = yield* crashed({ charges: cancels, others: ["b"] })
      for (let run = 0; run < 10; run++) {
        yield* TestClock.adjust("2 minutes")
        yield* recover([a, b])
      }
      assert.strictEqual(yield* statusOf(id), "needs_review")
      assert.lengthOf(a.sent, 1)
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(memory))
  })

  it.effect("that answers errors for ever gets a bounded number of repetitions, then a person has to look", () => {
    const a = testGateway("a", { charges, send: () => Effect.succeed({ ...unknown, reason: "server_error" }) })
    return Effect.gen(function* () {
      const { id } = yield* crashed({ charges })
      for (let run = 0; run < 60; run++) {
        yield* TestClock.adjust("1 minute")
        yield* recover([a])
      }
      assert.strictEqual(yield* statusOf(id), "needs_review")
      assert.isAtMost(a.sent.length, 5)
      assert.isAtMost((yield* eventsOf(id)).length, 20)
    }).pipe(Effect.provide(memory))
  })
})

describe("a look-up that is never answered", () => {
  it.effect("decides nothing, however long it takes (rule 4), and adds no events", () => {
    const a = testGateway("a", { lookup: () => Effect.never })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { id } = yield* crashed({ others: ["b"] })
      yield* TestClock.adjust("1 minute")
      yield* recover([a, b])
      const events = yield* typesOf(id)
      yield* TestClock.adjust("60 days")
      yield* recover([a, b])
      assert.deepStrictEqual(yield* typesOf(id), events)
      assert.strictEqual(yield* statusOf(id), "in_doubt")
      assert.deepStrictEqual([a.sent.length, b.sent.length], [0, 0])
    }).pipe(Effect.provide(memory))
  })
})

describe("several recoveries (I9)", () => {
  it.effect("five at once, then once more: one charge, and no new event", () => {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "2 seconds") })
    return Effect.gen(function* () {
      const ids = [yield* crashed({ under: "k1" }), yield* crashed({ under: "k2" })]
      yield* TestClock.adjust("1 minute")
      const processes = yield* Effect.forEach(Array.from({ length: 5 }), () => start([a]))
      const running = yield* Effect.forkChild(
        Effect.forEach(processes, (process) => process.payments.recover({}), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("30 seconds")
      const reports = yield* Fiber.join(running)
      assert.strictEqual(
        reports.reduce((sum, report) => sum + (report.results.succeeded ?? 0), 0),
        2
      )
      assert.strictEqual(
        reports.reduce((sum, report) => sum + (report.results.busy ?? 0), 0),
        8
      )
      assert.lengthOf(a.sent, 2)
      const histories = yield* Effect.forEach(ids, ({ id }) => eventsOf(id))
      const again = yield* recover([a])
      assert.strictEqual(again.scanned, 0)
      assert.deepStrictEqual(yield* Effect.forEach(ids, ({ id }) => eventsOf(id)), histories)
    }).pipe(Effect.provide(memory))
  })

  it.effect("one whose lease was taken over starts nothing, but the charge it learned of is kept (I8)", () => {
    const a = testGateway("a", { lookup: (intent) => Effect.delay(Effect.succeed(success(intent)), "5 seconds") })
    const c = testGateway("a", { lookup: () => Effect.as(Effect.sleep("5 seconds"), declined("soft")) })
    const b = testGateway("b")
    return Effect.gen(function* () {
      for (const [gateway, status] of [
        [a, "succeeded"],
        [c, "processing"]
      ] as const) {
        const { id } = yield* crashed({ under: `k-${status}`, others: ["b"] })
        yield* TestClock.adjust("1 minute")
        const process = yield* start([gateway, b])
        const running = yield* Effect.forkChild(process.payments.recover({}))
        yield* TestClock.adjust("1 second")
        yield* Effect.forkChild(takeOver(id))
        yield* TestClock.adjust("6 seconds")
        yield* Fiber.join(running)
        assert.strictEqual(yield* statusOf(id), status)
        assert.lengthOf(b.sent, 0)
      }
    }).pipe(Effect.provide(Layer.provideMerge(stealableLock, memory)))
  })
})

/** Locks whose lease can be taken away by whoever asks as "thief". */
const held = new Map<string, Parameters<(typeof Lock)["Service"]["release"]>[0]>()
const stealableLock = Layer.effect(
  Lock,
  Effect.map(Lock, (lock) =>
    Lock.of({
      ...lock,
      acquire: (options) => Effect.tap(lock.acquire(options), (lease) => Effect.sync(() => held.set(options.key, lease)))
    })
  )
)
const takeOver = Effect.fnUntraced(function* (id: PaymentId) {
  const lock = yield* Lock
  const lease = held.get(`recovery:${id}`)
  if (lease !== undefined) yield* lock.release(lease)
  yield* lock.acquire({ key: `recovery:${id}`, owner: "thief", ttlMillis: 60_000 })
})

describe("what recovery leaves alone", () => {
  it.effect("a payment in the hands of a live process: younger than the limit", () => {
    const live = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "14 seconds") })
    const a = testGateway("a")
    return Effect.gen(function* () {
      const process = yield* start([live])
      const charging = yield* Effect.forkChild(process.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("10 seconds")
      const report = yield* recover([a])
      assert.strictEqual(report.scanned, 0)
      assert.deepStrictEqual([a.asked.length, a.sent.length], [0, 0])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(charging)).payment.status, "succeeded")
    }).pipe(Effect.provide(memory))
  })

  it.effect("another account, or a gateway that is not configured: nothing is asked or sent", () => {
    const other = { ...testGateway("a"), account: AccountFingerprint.make("another account") }
    const b = testGateway("b")
    return Effect.gen(function* () {
      const { id } = yield* crashed({ others: ["b"] })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* recover([other, b])).results, { not_configured: 1 })
      assert.deepStrictEqual((yield* recover([b])).results, { not_configured: 1 })
      assert.deepStrictEqual([other.asked.length, other.sent.length, b.sent.length], [0, 0, 0])
      assert.strictEqual(yield* statusOf(id), "processing")
    }).pipe(Effect.provide(memory))
  })

  it.effect("what the options leave out: limit, gateway and age", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      for (const under of ["k1", "k2", "k3"]) yield* crashed({ under })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recover([a], { gateway: GatewayName.make("b") })).scanned, 0)
      assert.strictEqual((yield* recover([a], { olderThanMillis: 120_000 })).scanned, 0)
      assert.strictEqual((yield* recover([a], { limit: 2, concurrency: 1 })).scanned, 2)
      assert.lengthOf(a.sent, 2)
      assert.strictEqual((yield* recover([a], { gateway: GatewayName.make("a") })).scanned, 1)
    }).pipe(Effect.provide(memory))
  })
})

describe("a dry run", () => {
  it.effect("asks, and says what recovery would find out; records and sends nothing, though everything is leased by somebody", () => {
    const answers: ReadonlyArray<readonly [LookupAnswer | "success", string]> = [
      ["success", "succeeded"],
      [declined("hard"), "declined"],
      [{ _tag: "Absent" }, "not_charged"],
      [pending as LookupAnswer, "pending"],
      [requiresAction as LookupAnswer, "requires_action"],
      [unknown, "unknown"]
    ]
    let nth = 0
    const a = testGateway("a", {
      lookup: (intent) =>
        Effect.sync((): LookupAnswer => {
          const answer = answers[nth++]?.[0]
          return answer === "success" || answer === undefined ? success(intent) : answer
        })
    })
    return Effect.gen(function* () {
      const ids: Array<PaymentId> = []
      for (const [index] of answers.entries()) ids.push((yield* crashed({ under: `k${index}` })).id)
      yield* TestClock.adjust("1 hour")
      const locks = yield* Lock
      for (const id of ids) yield* locks.acquire({ key: `recovery:${id}`, owner: "somebody", ttlMillis: 3_600_000 })
      const before = yield* Effect.forEach(ids, eventsOf)
      const report = yield* recover([a], { dryRun: true, concurrency: 1 })
      assert.deepStrictEqual(report.results, Object.fromEntries(answers.map(([, result]) => [result, 1])))
      assert.deepStrictEqual(yield* Effect.forEach(ids, eventsOf), before)
      assert.lengthOf(a.sent, 0)
    }).pipe(Effect.provide(memory))
  })
})

describe("trouble during recovery", () => {
  it.effect("a store error or a defect on one payment does not stop the others, and is reported", () => {
    const flaky = FlakyEventStore.script()
    const a = testGateway("a", {
      lookup: (intent) => (intent.amount.minor === 7n ? Effect.die(new Error("adapter bug")) : Effect.succeed(success(intent)))
    })
    return Effect.gen(function* () {
      const broken = yield* crashed({ under: "k1" })
      yield* crashed({ under: "k2", amount: { ...chargeRequest("k2").amount, minor: 7n } })
      const fine = yield* crashed({ under: "k3" })
      yield* TestClock.adjust("1 minute")
      flaky.onCommit = (commit) => Effect.succeed(commit.payment.id === broken.id ? "before" : undefined)
      const report = yield* recover([a])
      assert.deepStrictEqual([report.scanned, report.results], [3, { error: 2, succeeded: 1 }])
      assert.lengthOf(report.errors, 2)
      assert.isTrue(report.errors.some((error) => error.payment === broken.id && error.message.includes("Unavailable")))
      assert.isTrue(report.errors.some((error) => error.message.includes("adapter bug")))
      assert.strictEqual(yield* statusOf(fine.id), "succeeded")
      flaky.onCommit = () => Effect.undefined
      yield* recover([a])
      assert.strictEqual(yield* statusOf(broken.id), "succeeded")
    }).pipe(Effect.provide(Layer.provideMerge(FlakyEventStore.layer(flaky), memory)))
  })

  it.effect("a permission that could not be stored sends nothing; one whose acknowledgement was lost counts as sent", () => {
    const flaky = FlakyEventStore.script()
    const a = testGateway("a", { charges: { settleTimeMillis: 3_600_000 } })
    return Effect.gen(function* () {
      const { id } = yield* crashed({ charges: { settleTimeMillis: 3_600_000 } })
      yield* TestClock.adjust("1 minute")
      flaky.onCommit = () => Effect.succeed("before")
      yield* recover([a])
      assert.lengthOf(a.sent, 0)
      assert.lengthOf(yield* typesOf(id), 3)
      flaky.onCommit = () => Effect.succeed("lost")
      yield* recover([a])
      assert.lengthOf(a.sent, 0)
      assert.strictEqual((yield* typesOf(id)).at(-1), "ResendPermitted")
      flaky.onCommit = () => Effect.undefined
      yield* recover([a])
      assert.lengthOf(a.sent, 0)
      assert.strictEqual(yield* statusOf(id), "in_doubt")
    }).pipe(Effect.provide(Layer.provideMerge(FlakyEventStore.layer(flaky), memory)))
  })
})
