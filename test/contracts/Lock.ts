/**
 * What every lock does, whatever is behind it.
 *
 * A layer's clock may be a database's, so the suite runs on the live clock, and expiry is awaited with leases of 1 ms.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import { LeaseLost, Lock, LockNotAcquired } from "../../src/services/Lock.ts"

const long = 60_000
let keys = 0
const freshKey = () => `contract-${++keys}`

/** A lease that is over: the next acquisition waited for its expiry. */
const expired = Effect.fnUntraced(function* (key: string) {
  const lock = yield* Lock
  const stale = yield* lock.acquire({ key, owner: "first", ttlMillis: 1 })
  const next = yield* lock.acquire({ key, owner: "second", ttlMillis: long, waitMillis: 5_000 })
  return { stale, next }
})

export const suite = <E>(name: string, lockLayer: Layer.Layer<Lock, E>): void =>
  layer(lockLayer, { excludeTestServices: true })(`Lock: ${name}`, (it) => {
    it.effect("a free key is acquired, with key, owner and an expiry", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const key = freshKey()
        const lease = yield* lock.acquire({ key, owner: "a", ttlMillis: long })
        assert.strictEqual(lease.key, key)
        assert.strictEqual(lease.owner, "a")
        assert.isAbove(lease.expiresAt, 0)
      })
    )

    it.effect("a held key is refused, to its owner too, with how long one waited", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const key = freshKey()
        yield* lock.acquire({ key, owner: "a", ttlMillis: long })
        for (const owner of ["a", "b"]) {
          const refused = yield* Effect.flip(lock.acquire({ key, owner, ttlMillis: long }))
          assert.instanceOf(refused, LockNotAcquired)
          assert.strictEqual(refused.key, key)
          assert.strictEqual(refused.owner, owner)
        }
        const waited = yield* Effect.flip(lock.acquire({ key, owner: "b", ttlMillis: long, waitMillis: 60 }))
        assert.instanceOf(waited, LockNotAcquired)
        assert.isAtLeast(waited.waitedMillis, 60)
      })
    )

    it.effect("keys do not hinder each other", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        yield* lock.acquire({ key: freshKey(), owner: "a", ttlMillis: long })
        yield* lock.acquire({ key: freshKey(), owner: "a", ttlMillis: long })
      })
    )

    it.effect("a token is greater than every earlier one of its key: after release, after expiry", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const key = freshKey()
        const tokens: Array<bigint> = []
        for (let round = 0; round < 3; round++) {
          const lease = yield* lock.acquire({ key, owner: "a", ttlMillis: long })
          tokens.push(lease.token)
          assert.isTrue(yield* lock.release(lease))
        }
        const { next, stale } = yield* expired(key)
        tokens.push(stale.token, next.token)
        for (const [index, token] of tokens.entries()) assert.isTrue(index === 0 || token > tokens[index - 1]!, tokens.join())
      })
    )

    it.effect("release frees the key once; a stale lease releases nothing", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const key = freshKey()
        const first = yield* lock.acquire({ key, owner: "a", ttlMillis: long })
        assert.isTrue(yield* lock.release(first))
        assert.isFalse(yield* lock.release(first))
        const second = yield* lock.acquire({ key, owner: "a", ttlMillis: long })
        assert.isFalse(yield* lock.release(first))
        assert.instanceOf(yield* Effect.flip(lock.acquire({ key, owner: "b", ttlMillis: long })), LockNotAcquired)
        assert.isTrue(yield* lock.release(second))
      })
    )

    it.effect("an expired lease can be taken by waiting, and is lost to its old owner", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const { next, stale } = yield* expired(freshKey())
        assert.strictEqual(next.owner, "second")
        assert.isFalse(yield* lock.release(stale))
        assert.instanceOf(yield* Effect.flip(lock.extend(stale, { ttlMillis: long })), LeaseLost)
      })
    )

    it.effect("extend keeps the token and moves the expiry; from now, not from the old expiry", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const lease = yield* lock.acquire({ key: freshKey(), owner: "a", ttlMillis: long })
        const longer = yield* lock.extend(lease, { ttlMillis: 2 * long })
        assert.strictEqual(longer.token, lease.token)
        assert.isAtLeast(longer.expiresAt - lease.expiresAt, long)
        const shorter = yield* lock.extend(longer, { ttlMillis: long })
        assert.isBelow(shorter.expiresAt, longer.expiresAt)
        assert.isTrue(yield* lock.release(lease), "the first lease still names the holder")
      })
    )

    it.effect("extend fails for a released lease and for one that has merely expired", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const released = yield* lock.acquire({ key: freshKey(), owner: "a", ttlMillis: long })
        yield* lock.release(released)
        assert.instanceOf(yield* Effect.flip(lock.extend(released, { ttlMillis: long })), LeaseLost)
        const brief = yield* lock.acquire({ key: freshKey(), owner: "a", ttlMillis: 1 })
        const lost = yield* lock.extend(brief, { ttlMillis: 1 }).pipe(Effect.forever, Effect.flip, Effect.timeout("5 seconds"))
        assert.instanceOf(lost, LeaseLost)
      })
    )

    it.effect("a waiter gets the key when it is released", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const key = freshKey()
        const lease = yield* lock.acquire({ key, owner: "a", ttlMillis: long })
        const waiter = yield* Effect.forkChild(lock.acquire({ key, owner: "b", ttlMillis: long, waitMillis: 10_000 }), {
          startImmediately: true
        })
        yield* lock.release(lease)
        assert.strictEqual((yield* Fiber.join(waiter)).owner, "b")
      })
    )

    it.effect("of many that come at once exactly one gets the key", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const key = freshKey()
        const results = yield* Effect.forEach(
          Array.from({ length: 20 }, (_, index) => `owner-${index}`),
          (owner) => Effect.option(lock.acquire({ key, owner, ttlMillis: long })),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(results.filter((result) => result._tag === "Some").length, 1)
      })
    )

    it.effect("waiters are served one at a time, each with a greater token", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const key = freshKey()
        let inside = 0
        const tokens: Array<bigint> = []
        const turn = (owner: string) =>
          Effect.gen(function* () {
            const lease = yield* lock.acquire({ key, owner, ttlMillis: long, waitMillis: 20_000 })
            assert.strictEqual(++inside, 1)
            tokens.push(lease.token)
            yield* Effect.yieldNow
            inside--
            yield* lock.release(lease)
          })
        yield* Effect.forEach(["a", "b", "c", "d"], turn, { concurrency: "unbounded", discard: true })
        assert.strictEqual(tokens.length, 4)
        for (const [index, token] of tokens.entries()) assert.isTrue(index === 0 || token > tokens[index - 1]!, tokens.join())
      })
    )

    it.effect("an interrupted waiter takes nothing", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        const key = freshKey()
        const lease = yield* lock.acquire({ key, owner: "a", ttlMillis: long })
        const waiter = yield* Effect.forkChild(lock.acquire({ key, owner: "b", ttlMillis: long, waitMillis: 10_000 }), {
          startImmediately: true
        })
        yield* Fiber.interrupt(waiter)
        yield* lock.release(lease)
        const next = yield* lock.acquire({ key, owner: "c", ttlMillis: long })
        assert.strictEqual(next.owner, "c")
      })
    )

    it.effect("an acquisition that is interrupted while it is under way keeps nothing", () =>
      Effect.gen(function* () {
        const lock = yield* Lock
        for (let steps = 0; steps < 40; steps++) {
          const key = freshKey()
          const taking = yield* Effect.forkChild(lock.acquire({ key, owner: "a", ttlMillis: long }), { startImmediately: true })
          for (let step = 0; step < steps; step++) yield* Effect.yieldNow
          const ended = yield* Effect.exit(Effect.andThen(Fiber.interrupt(taking), Fiber.join(taking)))
          if (Exit.isSuccess(ended)) yield* lock.release(ended.value)
          const next = yield* lock.acquire({ key, owner: "b", ttlMillis: long, waitMillis: 500 })
          assert.strictEqual(next.owner, "b", `interrupted after ${steps} steps`)
        }
      })
    )
  })
