/**
 * Locks on a real Redis: the contract, and what is particular to keys that expire and to a server that may lose them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { Commands } from "../../../src/layers/redis/Commands.ts"
import * as RedisLock from "../../../src/layers/redis/Lock.ts"
import { LeaseLost, Lock, LockUnavailable } from "../../../src/services/Lock.ts"
import { suite } from "../../contracts/Lock.ts"
import * as TestRedis from "../../support/TestRedis.ts"

const everything = RedisLock.layer.pipe(Layer.provideMerge(TestRedis.layer))

TestRedis.suites("locks on Redis", () => {
  suite("redis", RedisLock.layer.pipe(Layer.provide(TestRedis.layer)))

  describe("Lock: redis", () => {
    it.live("a token grows though the server has lost everything", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const commands = yield* Commands
        const before = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 60_000 })
        yield* commands.send("DEL", commands.key("lock:k"), commands.key("lock-tokens"))
        const after = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 60_000 })
        assert.isTrue(after.token > before.token)
        assert.isFalse(yield* lock.release(before))
        assert.instanceOf(yield* Effect.flip(lock.extend(before, { ttlMillis: 60_000 })), LeaseLost)
      }).pipe(Effect.provide(everything))
    )

    it.live("a token grows though the server's clock is behind the last one", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const commands = yield* Commands
        const ahead = "4000000000000000"
        yield* commands.send("SET", commands.key("lock-tokens"), ahead)
        const { token } = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 60_000 })
        assert.strictEqual(token, BigInt(ahead) + 1n)
        assert.strictEqual((yield* lock.acquire({ key: "other", owner: "a", ttlMillis: 60_000 })).token, BigInt(ahead) + 2n)
      }).pipe(Effect.provide(everything))
    )

    it.live("a lease leaves nothing behind but the counter", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const commands = yield* Commands
        yield* lock.release(yield* lock.acquire({ key: "released", owner: "a", ttlMillis: 60_000 }))
        yield* lock.acquire({ key: "held", owner: "a", ttlMillis: 60_000 })
        assert.deepStrictEqual((yield* commands.send<ReadonlyArray<string>>("KEYS", commands.key("*"))).toSorted(), [
          commands.key("lock-tokens"),
          commands.key("lock:held")
        ])
        assert.isAbove(yield* commands.send<number>("PTTL", commands.key("lock:held")), 50_000)
      }).pipe(Effect.provide(everything))
    )

    it.live("an acquisition interrupted while it is under way leaves the key free", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const commands = yield* Commands
        // The server takes commands in the order of the connection: the first of each round is under way when it is interrupted.
        for (let round = 0; round < 20; round++) {
          const key = `k${round}`
          const fiber = yield* Effect.forkChild(lock.acquire({ key, owner: "a", ttlMillis: 60_000 }), { startImmediately: true })
          yield* Fiber.interrupt(fiber)
          assert.strictEqual(yield* commands.send("EXISTS", commands.key(`lock:${key}`)), 0)
        }
      }).pipe(Effect.provide(everything))
    )

    it.live("names with blanks, colons and the counter's own name are locks of their own", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        for (const [key, owner] of [
          ["tokens", "a b"],
          ["-tokens", "1 2"],
          ["lock:tokens", ":"],
          ["a b", "c"]
        ] as const) {
          const lease = yield* lock.acquire({ key, owner, ttlMillis: 60_000 })
          assert.isTrue(yield* lock.release(yield* lock.extend(lease, { ttlMillis: 60_000 })))
        }
      }).pipe(Effect.provide(everything))
    )

    it.live("trouble of the store is LockUnavailable, not a lock that is held", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const commands = yield* Commands
        const lease = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 60_000 })
        yield* commands.send("DEL", commands.key("lock:k"))
        yield* commands.send("LPUSH", commands.key("lock:k"), "a list")
        yield* commands.send("DEL", commands.key("lock-tokens"))
        yield* commands.send("LPUSH", commands.key("lock-tokens"), "a list")
        const asked = [
          lock.acquire({ key: "other", owner: "b", ttlMillis: 1, waitMillis: 5_000 }),
          lock.release(lease),
          lock.extend(lease, { ttlMillis: 1 })
        ]
        for (const each of asked) assert.instanceOf(yield* Effect.flip(each as Effect.Effect<unknown, unknown>), LockUnavailable)
      }).pipe(Effect.provide(everything))
    )
  })
})
