/**
 * Idempotency keys: the canonical request, and waiting for a request that another process works on (rule 11).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { canonical } from "../../src/orchestration/payment/Idempotency.ts"
import * as Payments from "../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { chargeRequest, engineOver, memory, requiresAction, success, tenant, testGateway, key } from "../support/TestEngine.ts"
import { start } from "../support/TestProcess.ts"

const Value = Schema.Union([Schema.String, Schema.Boolean, Schema.Null, Schema.Int])
const Fields = Schema.Record(Schema.String, Value)

describe("canonical", () => {
  it.effect.prop(
    "does not depend on the order of keys, at any depth",
    { inner: Fields, outer: Fields },
    ({ inner, outer }) =>
      Effect.sync(() => {
        const reversed = (fields: object) => Object.fromEntries(Object.entries(fields).reverse())
        const one = { ...outer, nested: inner, list: [inner, outer] }
        const other = reversed({ ...reversed(outer), nested: reversed(inner), list: [reversed(inner), reversed(outer)] })
        assert.strictEqual(canonical(one), canonical(other))
      }),
    { arbitrary: { seed: 1, runs: 200 } }
  )

  it.effect.prop(
    "is the same for the same JSON and differs where the JSON differs",
    { left: Fields, right: Fields },
    ({ left, right }) =>
      Effect.sync(() => {
        const sorted = (fields: object) => JSON.stringify(Object.entries(fields).toSorted(([one], [other]) => (one < other ? -1 : 1)))
        const same = sorted(left) === sorted(right)
        assert.strictEqual(canonical(left) === canonical(right), same)
        assert.deepStrictEqual(JSON.parse(canonical(left)), JSON.parse(JSON.stringify(left)))
      }),
    { arbitrary: { seed: 2, runs: 200 } }
  )

  it("is stored for ever: the text of a request does not change", () => {
    const request = {
      method: { type: "card", token: 'tok_"1"', references: undefined },
      metadata: { "10": "a\\b", "9": "\n", z: "caf\u00e9 \ud83d\udcb3", A: "\ud83d", "b.c": "\u2028\u007f" },
      amount: { currency: "EUR", minor: 4990n },
      list: [1, 0.5, undefined, null, true, [], {}],
      offSession: false
    }
    assert.strictEqual(
      canonical(request),
      '{"amount":{"currency":"EUR","minor":"4990"},"list":[1,0.5,null,null,true,[],{}],' +
        '"metadata":{"10":"a\\\\b","9":"\\n","A":"\\ud83d","b.c":"\u2028\u007f","z":"caf\u00e9 \ud83d\udcb3"},' +
        '"method":{"token":"tok_\\"1\\"","type":"card"},"offSession":false}'
    )
  })

  it("writes every character as JSON does, in names and in texts", () => {
    for (let code = 0; code <= 0xffff; code++) {
      const text = `a${String.fromCharCode(code)}b`
      assert.strictEqual(canonical({ [text]: text }), JSON.stringify({ [text]: text }))
    }
  })

  it("leaves out what is undefined, keeps what is null, and keeps texts apart from what they look like", () => {
    assert.strictEqual(canonical({ b: undefined, a: 1 }), canonical({ a: 1 }))
    assert.notStrictEqual(canonical({ a: null }), canonical({}))
    assert.notStrictEqual(canonical({ a: "1" }), canonical({ a: 1 }))
    assert.notStrictEqual(canonical({ a: ["x", "y"] }), canonical({ a: ["x,y"] }))
    assert.notStrictEqual(canonical({ a: { b: 1 } }), canonical({ "a.b": 1 }))
    assert.strictEqual(canonical({ amount: 9_007_199_254_740_993n }), '{"amount":"9007199254740993"}')
  })
})

describe("the same request", () => {
  it.effect("said in other words is the same: defaults, order of metadata, what describes the card", () => {
    const a = testGateway("a")
    return Effect.gen(function* () {
      const { payments } = yield* start([a])
      const request = chargeRequest("k1", { metadata: { a: "1", b: "2" } })
      yield* payments.charge(request)
      const again = yield* payments.charge({
        ...request,
        captureMethod: "automatic",
        offSession: false,
        metadata: { b: "2", a: "1" },
        method: { ...request.method, brand: "visa", country: "DE" }
      })
      assert.isTrue(again.replayed)
      for (const other of [
        { captureMethod: "manual" },
        { offSession: true },
        { metadata: { a: "1" } },
        { returnUrl: "https://shop.example" }
      ] as const) {
        assert.strictEqual((yield* Effect.flip(payments.charge({ ...request, ...other })))._tag, "IdempotencyKeyReused")
      }
    }).pipe(Effect.provide(memory))
  })

  it.effect("at another process is awaited there, and answered when it is done", () => {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "3 seconds") })
    return Effect.gen(function* () {
      const [one, other] = [yield* start([a]), yield* start([a])]
      const first = yield* Effect.forkChild(one.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 second")
      const second = yield* Effect.forkChild(other.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust(1_900)
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust(200)
      assert.isDefined(second.pollUnsafe())
      const answers = [yield* Fiber.join(first), yield* Fiber.join(second)]
      assert.deepStrictEqual(
        answers.map(({ payment, replayed }) => [payment.status, replayed]),
        [
          ["succeeded", false],
          ["succeeded", true]
        ]
      )
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(memory))
  })

  it.effect("at two processes at once is one payment", () => {
    const a = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "1 second") })
    return Effect.gen(function* () {
      const processes = yield* Effect.forEach(Array.from({ length: 5 }), () => start([a]))
      const all = yield* Effect.forkChild(
        Effect.forEach(processes, (process) => process.payments.charge(chargeRequest("k1")), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("3 seconds")
      const answers = yield* Fiber.join(all)
      assert.lengthOf(new Set(answers.map((answer) => answer.payment.id)), 1)
      assert.isTrue(answers.every((answer) => answer.payment.status === "succeeded"))
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(memory))
  })

  it.effect("of a process that is gone is told to come back, until recovery has finished it", () => {
    const a = testGateway("a", { send: () => Effect.never })
    const b = testGateway("a")
    return Effect.gen(function* () {
      const dead = yield* start([a], { attemptTimeoutMillis: 3_600_000 })
      yield* Effect.forkChild(dead.payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust(1)
      yield* dead.crash
      const { payments } = yield* start([b])
      const waiting = yield* Effect.forkChild(Effect.flip(payments.charge(chargeRequest("k1"))))
      yield* TestClock.adjust("5 seconds")
      const refused = yield* Fiber.join(waiting)
      assert.isTrue(refused._tag === "RequestInProgress" && refused.retryAfterMillis === 1000)
      assert.lengthOf(b.sent, 0)
      yield* TestClock.adjust("1 minute")
      yield* payments.recover({})
      assert.strictEqual((yield* payments.charge(chargeRequest("k1"))).payment.status, "succeeded")
      assert.lengthOf(b.sent, 1)
    }).pipe(Effect.provide(memory))
  })

  it.effect("does not wait where the customer or a person is awaited, and shows the payment as it is now", () => {
    const a = testGateway("a", { send: (intent) => Effect.succeed(intent.kind === "confirm" ? success(intent) : requiresAction) })
    return Effect.gen(function* () {
      const { payments } = yield* start([a])
      yield* payments.charge(chargeRequest("k1"))
      const again = yield* payments.charge(chargeRequest("k1"))
      assert.strictEqual(again.payment.status, "requires_action")
      yield* payments.confirm({ tenant, id: again.payment.id, key: key("c1") })
      const later = yield* payments.charge(chargeRequest("k1"))
      assert.isTrue(later.replayed)
      assert.strictEqual(later.payment.status, "succeeded")
    }).pipe(Effect.provide(memory))
  })

  it.effect("a request that reads the payment after its twin was recorded is its replay, whatever the payment allows by then", () => {
    const a = testGateway("a", {
      captures: "single",
      send: (intent) => Effect.delay(Effect.succeed(success(intent)), intent.kind === "authorize" ? 0 : "1 second")
    })
    /** Whoever reads waits for as long first: the second has looked for its key by then, and the first has not recorded it. */
    const slowReads = Layer.effect(
      EventStore,
      Effect.map(EventStore, (store) =>
        EventStore.of({
          ...store,
          read: (...args) =>
            Effect.delay(
              Effect.suspend(() => store.read(...args)),
              100
            )
        })
      )
    )
    return Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const { payment } = yield* payments.charge(chargeRequest("charge", { captureMethod: "manual" }))
      for (const command of [payments.capture, payments.refund]) {
        const under = { tenant, id: payment.id, key: key(`k${a.sent.length}`) }
        const racing = yield* Effect.forkChild(
          Effect.all([Effect.result(command(under)), Effect.delay(Effect.result(command(under)), 50)], { concurrency: "unbounded" })
        )
        yield* TestClock.adjust("4 seconds")
        const answers = (yield* Fiber.join(racing)).map((answer) =>
          Result.isSuccess(answer) ? answer.success.replayed : answer.failure._tag
        )
        assert.deepStrictEqual(answers, [false, true])
        const other = yield* Effect.forkChild(Effect.flip(command({ ...under, key: key(`${under.key}-other`) })))
        yield* TestClock.adjust("1 second")
        assert.strictEqual((yield* Fiber.join(other))._tag, "CommandRefused")
      }
      assert.deepStrictEqual(
        a.sent.map(({ kind }) => kind),
        ["authorize", "capture", "refund"]
      )
    }).pipe(Effect.provide(engineOver([a]).pipe(Layer.provideMerge(slowReads), Layer.provideMerge(memory))))
  })
})
