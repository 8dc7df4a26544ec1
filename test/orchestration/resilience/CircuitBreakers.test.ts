/**
 * Circuit breakers as programs use them: permits, protection, orders, health, transitions and metrics, on virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as BreakerNames from "../../../src/domain/resilience/BreakerName.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import * as Health from "../../../src/domain/resilience/Health.ts"
import { monotonicMillis } from "../../../src/orchestration/resilience/BreakerCalls.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"

const { BreakerName } = BreakerNames
const name = BreakerName.make("rates")
const gateway = (text: string) => GatewayName.make(text)
const nameOf = (text: string, kind: Parameters<typeof BreakerNames.of>[1] = "sale") => BreakerNames.of(gateway(text), kind)

const down = Effect.fail("down" as const)

/** Calls through the breaker; answers how each ended. */
const call = Effect.fnUntraced(function* <A, E>(effect: Effect.Effect<A, E>, of = name) {
  const breakers = yield* CircuitBreakers.CircuitBreakers
  return yield* Effect.exit(breakers.protect(of, effect))
})

const fail = (times: number, of = name) => Effect.replicateEffect(call(down, of), times, { discard: true })
const succeed = (times: number, of = name) => Effect.replicateEffect(call(Effect.void, of), times, { discard: true })

const stateOf = (of = name) =>
  Effect.gen(function* () {
    const breakers = yield* CircuitBreakers.CircuitBreakers
    return (yield* breakers.list).find((health) => health.name === of)?.state
  })

const refusal = (exit: Exit.Exit<unknown, unknown>) => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return error instanceof CircuitBreakers.BreakerOpen ? error : undefined
}

const layer = CircuitBreakers.layer()

describe("protect", () => {
  it.effect("five failures in a row open it; then nothing is run and the refusal says when to come back", () =>
    Effect.gen(function* () {
      yield* fail(4)
      assert.strictEqual(yield* stateOf(), "closed")
      yield* fail(1)
      yield* TestClock.adjust("20 seconds")
      let ran = false
      const refused = refusal(yield* call(Effect.sync(() => (ran = true))))
      assert.isFalse(ran)
      assert.deepInclude(refused, { breaker: name, state: "open", retryInMillis: 40_000 })
      assert.strictEqual(refused?.message, "circuit breaker rates is open and refused the call; try again in 40000 ms")
    }).pipe(Effect.provide(layer))
  )

  it.effect("guard: who is refused does something else, of which the breaker hears nothing", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      const clock = yield* Clock.Clock
      let sent = 0
      const send = () => Effect.sync(() => ++sent)
      const judge = () => "failure" as const
      const of = { gatewayName: gateway("stripe"), kind: "sale" } as const
      const guarded = breakers.guard({ ...of, send, judge, refused: () => Effect.die("not refused") }, clock)
      for (const nth of [1, 2, 3, 4, 5]) assert.strictEqual(yield* guarded, nth)
      assert.strictEqual(yield* stateOf(nameOf("stripe")), "open")
      const before = (yield* breakers.list)[0]
      const refused = ({ retryInMillis }: CircuitBreakers.BreakerOpen) => Effect.map(send(), (nth) => [nth, retryInMillis] as const)
      assert.deepStrictEqual(yield* breakers.guard({ ...of, send: () => Effect.die("sent"), judge, refused }, clock), [6, 60_000])
      assert.deepStrictEqual((yield* breakers.list)[0]?.failureCount, before?.failureCount)
    }).pipe(Effect.provide(layer))
  )

  it.effect("a defect is a failure, an interruption is none: its permit is back and nothing is counted", () =>
    Effect.gen(function* () {
      yield* Effect.replicateEffect(call(Effect.die("bug")), 4, { discard: true })
      for (let times = 0; times < 20; times++) {
        const waiting = yield* Effect.forkChild(call(Effect.never), { startImmediately: true })
        yield* Fiber.interrupt(waiting)
      }
      assert.strictEqual(yield* stateOf(), "closed")
      const [health] = yield* (yield* CircuitBreakers.CircuitBreakers).list
      assert.deepInclude(health, { successCount: 0, failureCount: 4, consecutiveFailures: 4 })
      yield* fail(1)
      assert.strictEqual(yield* stateOf(), "open")
    }).pipe(Effect.provide(layer))
  )

  it.effect("interrupted half-open calls give their permits back", () =>
    Effect.gen(function* () {
      yield* fail(5)
      yield* TestClock.adjust("1 minute")
      const waiting = yield* Effect.forEach(Array.from({ length: 5 }), () =>
        Effect.forkChild(call(Effect.never), { startImmediately: true })
      )
      assert.deepInclude(refusal(yield* call(Effect.void)), { state: "half-open" })
      yield* Fiber.interruptAll(waiting)
      yield* succeed(3)
      assert.strictEqual(yield* stateOf(), "closed")
    }).pipe(Effect.provide(layer))
  )

  it.effect("a time limit inside is a failure; outside it is an interruption", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      const limited = [
        breakers.protect(name, Effect.timeout(Effect.never, "1 second")),
        Effect.timeout(breakers.protect(name, Effect.never), "1 second")
      ]
      for (const one of limited) {
        const fiber = yield* Effect.forkChild(Effect.exit(one), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(fiber)
        assert.deepInclude((yield* breakers.list)[0], { failureCount: 1, totalFailures: 1 })
      }
    }).pipe(Effect.provide(layer))
  )

  it.effect("classify judges answers and failures", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      const answers = breakers.protect(name, Effect.succeed("declined" as const), (exit) =>
        Exit.isSuccess(exit) && exit.value === "declined" ? "failure" : "success"
      )
      yield* Effect.replicateEffect(answers, 3, { discard: true })
      const notSent = breakers.protect(name, Effect.fail("full" as const), () => "ignored")
      yield* Effect.replicateEffect(Effect.flip(notSent), 3, { discard: true })
      assert.deepInclude((yield* breakers.list)[0], { successCount: 0, failureCount: 3 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("durations are measured", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(call(Effect.sleep("10 seconds")), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.deepInclude((yield* (yield* CircuitBreakers.CircuitBreakers).list)[0], { slowCount: 1, successCount: 1 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("a wall clock that steps opens and closes nothing", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let step = 0
      const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + step
      const stepping = Object.assign({}, clock, { currentTimeMillisUnsafe, currentTimeMillis: Effect.sync(currentTimeMillisUnsafe) })
      yield* Effect.gen(function* () {
        yield* fail(5)
        step = 86_400_000
        assert.strictEqual(yield* stateOf(), "open")
        step = -86_400_000
        yield* TestClock.adjust("1 minute")
        yield* call(Effect.sync(() => (step = 3_600_000)))
        assert.deepInclude((yield* (yield* CircuitBreakers.CircuitBreakers).list)[0], { state: "half-open", slowCount: 0 })
      }).pipe(Effect.provideService(Clock.Clock, stepping))
    }).pipe(Effect.provide(layer))
  )
})

describe("tryAcquire and report", () => {
  it.effect("a permit is reported with a verdict; a refusal tells when to come back", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      for (let times = 0; times < 5; times++) {
        const admission = yield* breakers.tryAcquire(name)
        if (admission._tag === "Permit") yield* breakers.report(admission, { verdict: "failure", durationMillis: 10 })
      }
      yield* TestClock.adjust("10 seconds")
      assert.deepInclude(yield* breakers.tryAcquire(name), { _tag: "Rejected", state: "open", retryInMillis: 50_000 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("a permit that outlives many calls of others still counts for its own breaker", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      const one = yield* breakers.tryAcquire(nameOf("a"))
      yield* succeed(10, nameOf("b"))
      if (one._tag === "Permit") yield* breakers.report(one, { verdict: "failure", durationMillis: 1 })
      const failures = (yield* breakers.list).map((health) => [health.name, health.failureCount])
      assert.deepStrictEqual(failures, [
        [nameOf("a"), 1],
        [nameOf("b"), 0]
      ])
    }).pipe(Effect.provide(layer))
  )
})

describe("isolation", () => {
  it.effect("gateways and kinds of operation have breakers of their own", () =>
    Effect.gen(function* () {
      yield* fail(5, nameOf("a", "refund"))
      for (const of of [nameOf("a", "sale"), nameOf("b", "refund")]) assert.isTrue(Exit.isSuccess(yield* call(Effect.void, of)))
      assert.isDefined(refusal(yield* call(Effect.void, nameOf("a", "refund"))))
    }).pipe(Effect.provide(layer))
  )

  it.effect("settings are those of the name, else of the gateway, else the default", () =>
    Effect.gen(function* () {
      const failuresUntilOpen = Effect.fnUntraced(function* (of: BreakerNames.BreakerName) {
        for (let times = 0; ; times++) if (refusal(yield* call(down, of)) !== undefined) return times
      })
      assert.strictEqual(yield* failuresUntilOpen(nameOf("a", "sale")), 2)
      assert.strictEqual(yield* failuresUntilOpen(nameOf("a", "refund")), 3)
      assert.strictEqual(yield* failuresUntilOpen(nameOf("b", "sale")), 5)
      assert.strictEqual(yield* failuresUntilOpen(BreakerName.make("rates")), 5)
    }).pipe(
      Effect.provide(
        CircuitBreakers.layer({
          byGateway: { a: BreakerSettings.paymentProvider },
          byName: { "a.sale": { ...BreakerSettings.paymentProvider, failureThreshold: 2 } }
        })
      )
    )
  )

  it.effect("there are at most maxBreakers: the closed one that was idle for longest goes, an open one stays", () =>
    Effect.gen(function* () {
      const dependency = (index: number) => BreakerName.make(`dependency-${index}`)
      const [first, second, third, fourth, fifth] = [dependency(1), dependency(2), dependency(3), dependency(4), dependency(5)]
      yield* fail(5, first)
      for (const of of [second, third, second, fourth]) {
        yield* TestClock.adjust(1)
        yield* succeed(1, of)
      }
      const listed = Effect.map(
        Effect.flatMap(CircuitBreakers.CircuitBreakers, (breakers) => breakers.list),
        (all) => all.map((health) => health.name)
      )
      assert.deepStrictEqual(yield* listed, [first, second, fourth])
      yield* TestClock.adjust(1)
      yield* fail(5, fifth)
      assert.deepStrictEqual(yield* listed, [first, fourth, fifth])
      assert.strictEqual(yield* stateOf(first), "open")
      const series = (yield* Metric.snapshot).filter((one) => one.id === "aegispay_breaker_state").map((one) => one.attributes?.["breaker"])
      assert.sameMembers(series, [first, fourth, fifth])
    }).pipe(Effect.provide(CircuitBreakers.layer({ maxBreakers: 3 })), alone)
  )
})

describe("orders", () => {
  it.effect("forced open refuses without a time, forced closed admits whatever happens, reset ends both", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      assert.deepInclude(yield* breakers.forceOpen(name), { state: "forced-open", reason: "forced", healthy: false })
      const refused = refusal(yield* call(Effect.void))
      assert.strictEqual(refused?.message, "circuit breaker rates is forced-open and refused the call; it stays so until it is reset")
      yield* breakers.forceClosed(name)
      yield* fail(50)
      assert.strictEqual(yield* stateOf(), "forced-closed")
      assert.deepInclude(yield* breakers.reset(name), { state: "closed", reason: "reset", failureCount: 0, totalFailures: 50 })
    }).pipe(Effect.provide(CircuitBreakers.layer({ names: [name] })))
  )

  it.effect("of a breaker that does not exist they say so; those of the configuration exist from the start", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      for (const order of [breakers.reset, breakers.forceOpen, breakers.forceClosed]) {
        const error = yield* Effect.flip(order(BreakerName.make("nobody")))
        assert.include(error.message, 'there is no circuit breaker "nobody"')
      }
      assert.lengthOf(yield* breakers.list, 1)
    }).pipe(Effect.provide(CircuitBreakers.layer({ names: [name] })))
  )
})

describe("health", () => {
  it.effect("of a gateway over its breakers, for one kind, and of one that is not known", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      yield* TestClock.adjust("1 hour")
      yield* succeed(3, nameOf("a", "sale"))
      yield* fail(5, nameOf("a", "refund"))
      yield* succeed(1, nameOf("b"))
      assert.deepInclude(yield* breakers.health(gateway("a")), {
        state: "open",
        successCount: 3,
        failureCount: 5,
        lastFailureAt: 3_600_000
      })
      assert.deepInclude(yield* breakers.health(gateway("a"), "sale"), { state: "closed", successCount: 3, failureCount: 0 })
      assert.deepInclude(yield* breakers.health(gateway("a"), "void"), { state: "closed", score: 0.9 })
      assert.deepInclude(yield* breakers.health(gateway("nobody")), { state: "closed", score: 0.9, healthy: true })
      assert.deepStrictEqual(
        (yield* breakers.allHealth).map((health) => health.gateway),
        [gateway("a"), gateway("b")]
      )
      assert.deepStrictEqual(yield* breakers.healthyGateways(), [gateway("b")])
      assert.deepStrictEqual(yield* breakers.healthyGateways(0.99), [])
    }).pipe(Effect.provide(layer))
  )

  it.effect("scores for routing: 0 where calls are refused, and enough for a trial once the open time is over", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      yield* fail(5, nameOf("a"))
      const score = Effect.clockWith((clock) => {
        const breaker = breakers.find(gateway("a"), "sale")
        return Effect.succeed(breaker === undefined ? "none" : Health.scoreAt(breaker, monotonicMillis(clock)).toFixed(2))
      })
      assert.strictEqual(yield* score, "0.00")
      assert.isUndefined(breakers.find(gateway("a"), "refund"))
      assert.isUndefined(breakers.find(gateway("b"), "sale"))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* score, "0.65")
      assert.deepStrictEqual(yield* breakers.healthyGateways(), [gateway("a")])
    }).pipe(Effect.provide(layer))
  )

  it.effect("times are epoch milliseconds, whatever the monotonic clock says", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("5 seconds")
      yield* TestClock.setTime(1_700_000_000_000)
      yield* fail(5)
      const [health] = yield* (yield* CircuitBreakers.CircuitBreakers).list
      assert.deepInclude(health, { lastFailureAt: 1_700_000_000_000, changedAt: 1_700_000_000_000, retryAt: 1_700_000_060_000 })
    }).pipe(Effect.provide(layer))
  )
})

describe("transitions", () => {
  it.effect("each is told once, with reason and time, in order", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      const listening = yield* Deferred.make<void>()
      const reader = yield* breakers.transitions.pipe(
        Stream.onStart(Deferred.succeed(listening, undefined)),
        Stream.take(5),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Deferred.await(listening)
      yield* Effect.yieldNow
      yield* fail(5)
      yield* TestClock.adjust("1 minute")
      yield* succeed(3)
      yield* succeed(100)
      yield* breakers.forceOpen(name)
      yield* breakers.reset(name)
      const told = (yield* Fiber.join(reader)).map(({ at, breaker, from, reason, to }) => `${at} ${breaker} ${from} > ${to}: ${reason}`)
      assert.deepStrictEqual(told, [
        "0 rates closed > open: consecutive_failures",
        "60000 rates open > half-open: open_time_over",
        "60000 rates half-open > closed: recovered",
        "60000 rates closed > forced-open: forced",
        "60000 rates forced-open > closed: reset"
      ])
    }).pipe(Effect.provide(layer))
  )

  it.effect("a reader that does not read holds nobody up and misses the oldest", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers.CircuitBreakers
      const open = yield* Deferred.make<void>()
      const slow = yield* breakers.transitions.pipe(
        Stream.mapEffect((transition) => Effect.as(Deferred.await(open), transition)),
        Stream.take(200),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.yieldNow
      for (let times = 0; times < 1_000; times++) {
        yield* breakers.forceOpen(name)
        yield* breakers.reset(name)
      }
      yield* Deferred.succeed(open, undefined)
      assert.lengthOf(yield* Fiber.join(slow), 200)
    }).pipe(Effect.provide(CircuitBreakers.layer({ names: [name] })))
  )
})

/** Each test has its own registry. */
const alone = Effect.provideServiceEffect(
  Metric.MetricRegistry,
  Effect.sync(() => new Map())
)

describe("metrics", () => {
  const series = (id: string) =>
    Effect.map(Metric.snapshot, (all) => {
      const found = all.filter((one) => one.id === id)
      return Object.fromEntries(
        found.map((one) => {
          const { breaker: _breaker, ...labels } = one.attributes ?? {}
          return [
            Object.values(labels).join(),
            "count" in one.state ? Number(one.state.count) : "value" in one.state ? one.state.value : undefined
          ]
        })
      )
    })

  it.effect("calls by result, transitions, state, health and durations are read on export", () =>
    Effect.gen(function* () {
      yield* succeed(7)
      const slow = yield* Effect.forkChild(call(Effect.sleep("10 seconds")), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(slow)
      const gone = yield* Effect.forkChild(call(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      yield* fail(5)
      yield* succeed(4)
      assert.deepStrictEqual(yield* series("aegispay_breaker_calls_total"), { success: 7, slow: 1, failure: 5, ignored: 1, blocked: 4 })
      assert.deepStrictEqual(yield* series("aegispay_breaker_state"), { "": 2 })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* series("aegispay_breaker_state"), { "": 1 })
      yield* succeed(3)
      assert.deepStrictEqual(yield* series("aegispay_breaker_state"), { "": 0 })
      assert.deepStrictEqual(yield* series("aegispay_breaker_health"), { "": 1 })
      assert.deepStrictEqual(yield* series("aegispay_breaker_recoveries_total"), { "": 1 })
      assert.deepStrictEqual(yield* series("aegispay_breaker_transitions_total"), {
        closed: 1,
        "half-open": 1,
        open: 1,
        "forced-open": 0,
        "forced-closed": 0
      })
      const durations = (yield* Metric.snapshot).find((one) => one.id === "aegispay_breaker_call_duration_milliseconds")?.state
      assert.deepInclude(durations, { count: 16, sum: 10_000, max: 10_000, min: 0 })
      assert.deepStrictEqual(durations !== undefined && "buckets" in durations ? durations.buckets.map(([, count]) => count) : [], [
        ...Array.from({ length: 10 }, () => 15),
        16,
        16
      ])
    }).pipe(Effect.provide(layer), alone)
  )

  it.effect("the series go when the breakers do", () =>
    Effect.gen(function* () {
      yield* succeed(1).pipe(Effect.provide(layer))
      assert.deepStrictEqual(yield* Metric.snapshot, [])
    }).pipe(alone)
  )
})
