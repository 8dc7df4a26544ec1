/**
 * Rule 12: no byte is written once the permission to send is over, by whichever clock.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import type { Commit } from "../../src/services/EventStore.ts"
import type { EngineSettings } from "../../src/services/Settings.ts"
import * as FlakyEventStore from "../support/FlakyEventStore.ts"
import { chargeRequest, engineOver, memory, notSent, success, testGateway, type TestGateway, unknown } from "../support/TestEngine.ts"
import { eventsOf, skewed } from "../support/TestProcess.ts"

const over = (flaky: FlakyEventStore.FlakyScript, gateways: ReadonlyArray<TestGateway>, settings: Partial<EngineSettings> = {}) =>
  Layer.provideMerge(engineOver(gateways, settings), Layer.provideMerge(FlakyEventStore.layer(flaky), memory))

/** What was sent under the first permission. */
const sentFirst = (gateway: TestGateway) => gateway.sent.filter((intent) => intent.number === 1)

/** Clocks that run apart as the test says: `wall` and `monotonic` in milliseconds. */
const withSkew =
  (by: { wall: number; monotonic: number }) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Clock.clockWith((clock) => Effect.provideService(effect, Clock.Clock, skewed(clock, by)))

const isFirst = (commit: Commit) => commit.payment._tag === "New"

describe("permission to send", () => {
  for (const [connecting, connectLimitMillis, millis, sends] of [
    ["at once", 0, 29_999, 1],
    ["at once", 0, 30_000, 0],
    ["within 4 s", 4_000, 25_999, 1],
    ["within 4 s", 4_000, 26_000, 0],
    ["as the preset says", undefined, 25_999, 1],
    ["as the preset says", undefined, 26_000, 0]
  ] as const) {
    it.effect(
      `a process that pauses ${millis} ms between asking for the commit and the call, and connects ${connecting}, sends ${sends} times`,
      () => {
        const a = { ...testGateway("a"), connectLimitMillis }
        const flaky = FlakyEventStore.script()
        flaky.onCommit = (commit) => (isFirst(commit) ? Effect.as(Effect.sleep(millis), undefined) : Effect.undefined)
        return Effect.gen(function* () {
          const payments = yield* Payments
          const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
          yield* TestClock.adjust("1 minute")
          const { payment } = yield* Fiber.join(charging)
          assert.lengthOf(sentFirst(a), sends)
          const lapsed = (yield* eventsOf(payment.id)).filter(
            (event) => event._tag === "OperationNotSent" && event.reason === "permission_lapsed"
          )
          assert.lengthOf(lapsed, 1 - sends)
        }).pipe(Effect.provide(over(flaky, [a])))
      }
    )
  }

  for (const [name, by] of [
    ["the wall clock (a suspended machine)", { wall: 40_000, monotonic: 0 }],
    ["the monotonic clock (a wall clock set back)", { wall: -3_600_000, monotonic: 40_000 }]
  ] as const) {
    it.effect(`is over when only ${name} says so`, () => {
      const a = testGateway("a")
      const flaky = FlakyEventStore.script()
      const skew = { wall: 0, monotonic: 0 }
      flaky.onCommit = (commit) => Effect.sync(() => void (isFirst(commit) && Object.assign(skew, by)))
      return Effect.gen(function* () {
        const payments = yield* Payments
        const { payment } = yield* payments.charge(chargeRequest("k1"))
        assert.lengthOf(sentFirst(a), 0)
        assert.strictEqual(payment.operations[0]?.status, "not_sent")
      }).pipe(Effect.provide(over(flaky, [a])), withSkew(skew))
    })
  }

  it.effect("a clock that stands still or goes back in between grants no more time than the other one has", () => {
    const skew = { wall: 0, monotonic: 0 }
    const a = testGateway("a", {
      send: () => Effect.sync((): Outcome => (Object.assign(skew, { wall: -60_000, monotonic: 40_000 }), notSent))
    })
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(charging)
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(over(FlakyEventStore.script(), [a])), withSkew(skew))
  })

  /** When requests are written by a gateway that always answers the same, after 9 s and up to 3 s of connecting. */
  const writtenAt = Effect.fnUntraced(function* (outcome: Outcome, settings: Partial<EngineSettings>) {
    const times: Array<number> = []
    const a = testGateway("a", {
      connectLimitMillis: 3_000,
      send: (_, nth) =>
        Effect.gen(function* () {
          yield* Effect.sleep(nth % 2 === 0 ? "2999 millis" : 0)
          times.push(yield* Clock.currentTimeMillis)
          yield* Effect.sleep("9 seconds")
          return outcome
        })
    })
    return yield* Effect.gen(function* () {
      const payments = yield* Payments
      const startedAt = yield* Clock.currentTimeMillis
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(charging)
      return times.map((time) => time - startedAt)
    }).pipe(Effect.provide(over(FlakyEventStore.script(), [a], { retries: 20, retryCapMillis: 1_000, retryJitter: 0, ...settings })))
  })

  it.effect("no retry starts after the window, whatever the answers were", () =>
    Effect.gen(function* () {
      for (const outcome of [notSent, { ...unknown, reason: "connection_lost" } as const]) {
        assert.deepStrictEqual(yield* writtenAt(outcome, {}), [0, 12_999, 22_999])
        // The next one would start at 32,999: then it might still be connecting when such a window ends.
        assert.deepStrictEqual(yield* writtenAt(outcome, { sendWindowMillis: 35_999 }), [0, 12_999, 22_999])
        assert.deepStrictEqual(yield* writtenAt(outcome, { sendWindowMillis: 36_000 }), [0, 12_999, 22_999, 35_998])
      }
    })
  )

  it.effect("nothing is sent for the first time where connecting might take until after completeBefore", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* writtenAt(notSent, { completeWithinPresentMillis: 12_999 }), [0])
      assert.deepStrictEqual(yield* writtenAt(notSent, { completeWithinPresentMillis: 13_001 }), [0, 12_999])
    })
  )

  it.effect("a permission that lapses after a lost answer leaves the operation unknown (rule 1)", () => {
    const a = testGateway("a", {
      send: (intent, nth) =>
        nth === 1
          ? Effect.as(Effect.sleep("10 seconds"), { ...unknown, reason: "connection_lost" } as const)
          : Effect.succeed(success(intent))
    })
    const b = testGateway("b")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const charging = yield* Effect.forkChild(payments.charge(chargeRequest("k1")))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(charging)).payment.status, "in_doubt")
      assert.lengthOf(a.sent, 1)
      assert.lengthOf(b.sent, 0)
    }).pipe(Effect.provide(over(FlakyEventStore.script(), [a, b], { sendWindowMillis: 10_500 })))
  })

  it.effect("an answer that gave the gateway's id is not asked for by sending again", () => {
    const reference = success({ gateway: "a", number: 1 } as never).gatewayReference
    const a = testGateway("a", { send: () => Effect.succeed({ ...unknown, reason: "connection_lost", gatewayReference: reference }) })
    return Effect.gen(function* () {
      const payments = yield* Payments
      assert.strictEqual((yield* payments.charge(chargeRequest("k1"))).payment.status, "in_doubt")
      assert.lengthOf(a.sent, 1)
    }).pipe(Effect.provide(over(FlakyEventStore.script(), [a])))
  })
})
