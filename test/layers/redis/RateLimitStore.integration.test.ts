/**
 * Rate limits on a real Redis: the contract, and what is particular to keys that expire.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { RateLimit } from "../../../src/domain/resilience/RateLimit.ts"
import * as Commands from "../../../src/layers/redis/Commands.ts"
import * as RedisRateLimitStore from "../../../src/layers/redis/RateLimitStore.ts"
import { RateLimitStore, RateLimitStoreError } from "../../../src/services/resilience/RateLimitStore.ts"
import { suite, suiteOwnTime } from "../../contracts/RateLimitStore.ts"
import * as TestRedis from "../../support/TestRedis.ts"

/** A busy machine takes its time for what these tests ask at once. */
const timeoutMillis = 30_000
const onTestClock = RedisRateLimitStore.layerWith({ now: Clock.currentTimeMillis })
const patient = RedisRateLimitStore.layerWith({ timeoutMillis })
const everything = patient.pipe(Layer.provideMerge(TestRedis.layer))

const limit: RateLimit = {
  name: "pay",
  scope: "user",
  algorithm: "token_bucket",
  limit: 5,
  windowMillis: 60_000,
  burst: 0,
  block: { refusals: 1, withinMillis: 1_000, durationMillis: 600_000 }
}
const take = (key: string, cost = 1) => Effect.flatMap(RateLimitStore, (store) => store.take({ limits: [limit], keys: [key], cost }))

TestRedis.suites("rate limits on Redis", () => {
  suite("redis", onTestClock.pipe(Layer.provide(TestRedis.layer)), { runs: 100 })
  suiteOwnTime("redis, own time", patient.pipe(Layer.provide(TestRedis.layer)))

  describe("RateLimitStore: redis", () => {
    it.live("every key expires, soon after it no longer matters, and tells nothing of whom it is", () =>
      Effect.gen(function* () {
        const commands = yield* Commands.Commands
        yield* take("customer-4711")
        const [key, ...others] = yield* commands.send<ReadonlyArray<string>>("KEYS", commands.key("*"))
        assert.deepStrictEqual(others, [])
        assert.match(key ?? "", /rate:[0-9a-f]{32}$/)
        const ttl = yield* commands.send<number>("PTTL", key ?? "")
        assert.isAbove(ttl, 12_000)
        assert.isAtMost(ttl, 22_000)
        const store = yield* RateLimitStore
        yield* store.refund({ limits: [limit], keys: ["customer-4711"], cost: 1 })
        assert.deepStrictEqual(yield* commands.send<ReadonlyArray<string>>("KEYS", commands.key("*")), [])
        yield* take("other", 5)
        yield* take("other")
        for (const key of yield* commands.send<ReadonlyArray<string>>("KEYS", commands.key("*"))) {
          const ttl = yield* commands.send<number>("PTTL", key)
          assert.isAbove(ttl, 600_000)
          assert.isAtMost(ttl, 610_000)
        }
      }).pipe(Effect.provide(everything))
    )

    it.live("a blocked key that the server has lost starts fresh", () =>
      Effect.gen(function* () {
        const commands = yield* Commands.Commands
        yield* take("k", 5)
        assert.isTrue((yield* take("k")).standings[0]?.blocked)
        yield* commands.send("FLUSHALL")
        assert.isTrue((yield* take("k")).allowed)
      }).pipe(Effect.provide(everything))
    )

    it.live("of many clients at once exactly as many pass as fit", () =>
      Effect.gen(function* () {
        const { url } = yield* TestRedis.start()
        const client = patient.pipe(Layer.provide(Commands.layerConnected({ url, commandTimeoutMillis: timeoutMillis })))
        const decisions = yield* Effect.forEach(
          Array.from({ length: 8 }),
          () =>
            Effect.forEach(Array.from({ length: 20 }), () => take("k").pipe(Effect.map(({ allowed }) => allowed)), {
              concurrency: "unbounded"
            }).pipe(Effect.provide(Layer.fresh(client))),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(decisions.flat().filter((allowed) => allowed).length, 5)
      }).pipe(Effect.scoped)
    )

    it.live("a server that does not answer is waited for a quarter of a second, then it is the store's error", () =>
      Effect.gen(function* () {
        const server = yield* TestRedis.start()
        yield* Effect.gen(function* () {
          yield* Effect.retry(take("k"), { times: 20 })
          server.pause()
          const error = yield* Effect.flip(Effect.timeout(take("k"), "15 seconds"))
          assert.instanceOf(error, RateLimitStoreError)
          const store = yield* RateLimitStore
          assert.instanceOf(yield* Effect.flip(store.blocked), RateLimitStoreError)
          server.resume()
        }).pipe(
          Effect.provide(
            RedisRateLimitStore.layer.pipe(
              // A command by itself is waited for longer: it is the store that does not.
              Layer.provide(Commands.layerConnected({ url: server.url, commandTimeoutMillis: timeoutMillis }))
            )
          )
        )
      }).pipe(Effect.scoped)
    )
  })
})
