/**
 * The rate limiter: guarding effects, counting, and what happens while the store is away.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import type { RateLimit } from "../../../src/domain/resilience/RateLimit.ts"
import * as MemoryRateLimitStore from "../../../src/layers/memory/resilience/RateLimitStore.ts"
import * as RateLimiter from "../../../src/orchestration/resilience/RateLimiter.ts"
import { RateLimitStore, RateLimitStoreError } from "../../../src/services/resilience/RateLimitStore.ts"

const perUser: RateLimit = {
  name: "pay",
  scope: "user",
  algorithm: "token_bucket",
  limit: 2,
  windowMillis: 60_000,
  burst: 0,
  block: { refusals: 2, withinMillis: 60_000, durationMillis: 300_000 }
}
const perAddress: RateLimit = { name: "address", scope: "ip", algorithm: "fixed_window", limit: 100, windowMillis: 60_000, burst: 0 }

/** Each test has its own metrics. */
const alone = Effect.provideServiceEffect(
  Metric.MetricRegistry,
  Effect.sync(() => new Map())
)

const counts = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all
      .filter(({ id }) => id.startsWith("aegispay_rate_limit"))
      .map(({ attributes, id, state }) => [
        [id, ...Object.values(attributes ?? {})].join(" "),
        "count" in state ? Number(state.count) : "value" in state ? Number(state.value) : undefined
      ])
  )
)

const inMemory = RateLimiter.layer.pipe(Layer.provide(MemoryRateLimitStore.layer))

describe("RateLimiter", () => {
  it.effect("runs an effect while its limits allow it, then fails with the limit, its scope and when to come again", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      let runs = 0
      const send = limiter.limit([perAddress, perUser], ["203.0.113.9", "customer"])(Effect.sync(() => ++runs))
      assert.strictEqual(yield* send, 1)
      assert.strictEqual(yield* send, 2)
      const refused = yield* Effect.flip(send)
      assert.instanceOf(refused, RateLimiter.RateLimited)
      assert.strictEqual(refused.limit, "pay")
      assert.strictEqual(refused.scope, "user")
      assert.isFalse(refused.blocked)
      assert.strictEqual(refused.retryAfterMillis, 30_000)
      assert.strictEqual(refused.message, "too many requests: the limit pay (user) is used up; try again in 30000 ms")
      const blocked = yield* Effect.flip(send)
      assert.strictEqual(blocked._tag === "RateLimited" && blocked.blocked, true)
      assert.include(blocked.message, "has blocked the key; try again in 300000 ms")
      assert.strictEqual(runs, 2)
      yield* TestClock.adjust(300_000)
      assert.strictEqual(yield* send, 3)
    }).pipe(Effect.provide(inMemory), alone)
  )

  it.effect("an effect that is built once asks each time it runs", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      const check = limiter.check([perUser], ["k"])
      const answers = [yield* check, yield* check, yield* check]
      assert.deepStrictEqual(
        answers.map(({ allowed }) => allowed),
        [true, true, false]
      )
    }).pipe(Effect.provide(inMemory), alone)
  )

  it.effect("looks, gives back and forgets", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      yield* limiter.check([perUser], ["k"], 2)
      assert.isFalse((yield* limiter.peek([perUser], ["k"])).allowed)
      yield* limiter.refund([perUser], ["k"])
      assert.isTrue((yield* limiter.peek([perUser], ["k"])).allowed)
      assert.isFalse((yield* limiter.check([perUser], ["k"], 2)).allowed)
      yield* limiter.reset([perUser], ["k"])
      assert.isTrue((yield* limiter.check([perUser], ["k"], 2)).allowed)
    }).pipe(Effect.provide(inMemory), alone)
  )

  it.effect("counts by limit, scope and result, and the blocked keys; never by key", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      for (let asked = 0; asked < 5; asked++) yield* limiter.check([perAddress, perUser], ["203.0.113.9", "customer"])
      yield* limiter.peek([perUser], ["customer"])
      for (let asked = 0; asked < 2; asked++) yield* limiter.check([perUser], ["other"])
      yield* TestClock.adjust(15_000)
      assert.deepStrictEqual(yield* counts, {
        "aegispay_rate_limit_total address ip allowed": 2,
        "aegispay_rate_limit_total address ip blocked": 0,
        "aegispay_rate_limit_total pay user allowed": 4,
        "aegispay_rate_limit_total pay user blocked": 3,
        aegispay_rate_limit_blocked_keys: 1
      })
      yield* TestClock.adjust(300_000)
      assert.strictEqual((yield* counts)["aegispay_rate_limit_blocked_keys"], 0)
    }).pipe(Effect.provide(inMemory), alone)
  )

  const mistakes: ReadonlyArray<readonly [name: string, limits: ReadonlyArray<RateLimit>, keys: ReadonlyArray<string>, cost: number]> = [
    ["no limits", [], [], 1],
    ["eleven limits", Array.from({ length: 11 }, () => perUser), Array.from({ length: 11 }, () => "k"), 1],
    ["a limit without a key", [perUser, perAddress], ["k"], 1],
    ["a cost of 0", [perUser], ["k"], 0],
    ["half a request", [perUser], ["k"], 0.5],
    ["NaN", [perUser], ["k"], Number.NaN],
    ["more than the limit ever admits", [perUser], ["k"], 3]
  ]
  for (const [name, limits, keys, cost] of mistakes) {
    it.effect(`takes for a defect: ${name}`, () =>
      Effect.gen(function* () {
        const limiter = yield* RateLimiter.RateLimiter
        assert.isTrue(Exit.hasDies(yield* Effect.exit(limiter.check(limits, keys, cost))))
        assert.isTrue(Exit.hasDies(yield* Effect.exit(limiter.peek(limits, keys, cost))))
      }).pipe(Effect.provide(inMemory), alone)
    )
  }
})

/** A store that can be away; counts how often it is asked. */
const flaky = () => {
  const state = { away: false, hangs: false, asked: 0 }
  const layer = Layer.effect(
    RateLimitStore,
    Effect.map(RateLimitStore, (store) => {
      const through = <A>(answer: Effect.Effect<A, RateLimitStoreError>) =>
        Effect.suspend(() => {
          state.asked++
          if (state.hangs) return Effect.never
          return state.away ? Effect.fail(new RateLimitStoreError({ operation: "take", cause: new Error("gone") })) : answer
        })
      return RateLimitStore.of({
        take: (question) => through(store.take(question)),
        peek: (question) => through(store.peek(question)),
        refund: (question) => through(store.refund(question)),
        reset: (question) => through(store.reset(question)),
        blocked: store.blocked,
        takeUnsafe: undefined
      })
    })
  ).pipe(Layer.provide(MemoryRateLimitStore.layer))
  return { state, layer }
}

/** What was logged at warning and info. */
const logged = () => {
  const lines: Array<string> = []
  return { lines, layer: Logger.layer([Logger.make(({ message }) => void lines.push(String([message].flat()[0])))]) }
}

describe("RateLimiter: the store is away", () => {
  it.effect("open: everything is allowed, counted as errors of the store, logged once, and checked again when it is back", () => {
    const { layer, state } = flaky()
    const { layer: logger, lines } = logged()
    return Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      const check = limiter.check([perUser], ["k"])
      assert.isTrue((yield* check).allowed)
      state.away = true
      for (let asked = 0; asked < 10; asked++) assert.deepStrictEqual(yield* check, { allowed: true, standings: [] })
      assert.strictEqual(state.asked, 2, "asked once, then not again at once")
      yield* TestClock.adjust(1_000)
      for (let asked = 0; asked < 10; asked++) assert.isTrue((yield* check).allowed)
      assert.isTrue((yield* limiter.peek([perUser], ["k"])).allowed)
      yield* limiter.refund([perUser], ["k"])
      assert.strictEqual(state.asked, 4, "once more, and the refund")
      state.away = false
      yield* TestClock.adjust(1_000)
      assert.isTrue((yield* check).allowed)
      assert.isFalse((yield* check).allowed)
      assert.deepStrictEqual(lines, [
        "rate limits cannot be checked, everything is allowed until they can",
        "rate limits are checked again"
      ])
      assert.strictEqual((yield* counts)["aegispay_rate_limit_store_errors_total"], 2)
    }).pipe(Effect.provide([RateLimiter.layer.pipe(Layer.provide(layer)), logger]), alone)
  })

  it.effect("open: nobody waits with the one that asks whether it is back", () => {
    const { layer, state } = flaky()
    return Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      state.away = true
      yield* limiter.check([perUser], ["k"])
      yield* TestClock.adjust(1_000)
      state.hangs = true
      const asking = yield* Effect.forkChild(limiter.check([perUser], ["k"]), { startImmediately: true })
      for (let asked = 0; asked < 3; asked++) assert.isTrue((yield* limiter.check([perUser], ["k"])).allowed)
      assert.strictEqual(state.asked, 2)
      yield* Fiber.interrupt(asking)
    }).pipe(Effect.provide([RateLimiter.layer.pipe(Layer.provide(layer)), Logger.layer([])]), alone)
  })

  it.effect("closed: everything is refused with the error", () => {
    const { layer, state } = flaky()
    return Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      state.away = true
      let runs = 0
      const send = limiter.limit([perUser], ["k"])(Effect.sync(() => ++runs))
      for (let asked = 0; asked < 3; asked++) assert.instanceOf(yield* Effect.flip(send), RateLimitStoreError)
      assert.strictEqual(runs, 0)
      assert.strictEqual(state.asked, 1)
      yield* Effect.flip(limiter.reset([perUser], ["k"]))
      state.away = false
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* send, 1)
    }).pipe(Effect.provide([RateLimiter.layerWith({ onStoreFailure: "closed" }).pipe(Layer.provide(layer)), Logger.layer([])]), alone)
  })
})
