/**
 * The memory lock: the contract, and what is exact on the test's clock.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as Leases from "../../../src/layers/memory/Leases.ts"
import * as MemoryLock from "../../../src/layers/memory/Lock.ts"
import { Lock, LockNotAcquired } from "../../../src/services/Lock.ts"
import { suite } from "../../contracts/Lock.ts"

const memory = MemoryLock.layer.pipe(Layer.provideMerge(Leases.layer))

suite("memory", memory)

const waiting = (owner: string, waitMillis: number) =>
  Effect.gen(function* () {
    const lock = yield* Lock
    return yield* Effect.forkChild(lock.acquire({ key: "k", owner, ttlMillis: 100, waitMillis }), { startImmediately: true })
  })

describe("Lock: memory, on virtual time", () => {
  it.effect("a lease holds until its expiry and not longer", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const lease = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 100 })
      assert.strictEqual(lease.expiresAt, 100)
      yield* TestClock.adjust(99)
      assert.instanceOf(yield* Effect.flip(lock.acquire({ key: "k", owner: "b", ttlMillis: 100 })), LockNotAcquired)
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* lock.acquire({ key: "k", owner: "b", ttlMillis: 100 })).expiresAt, 200)
    }).pipe(Effect.provide(memory))
  )

  it.effect("waiters get the key in the order they came, each when the lease before expires", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 100 })
      const fibers = [yield* waiting("b", 1_000), yield* waiting("c", 1_000), yield* waiting("d", 1_000)]
      yield* TestClock.adjust(1_000)
      const leases = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(
        leases.map((lease) => [lease.owner, lease.expiresAt]),
        [
          ["b", 200],
          ["c", 300],
          ["d", 400]
        ]
      )
    }).pipe(Effect.provide(memory))
  )

  it.effect("a waiter gives up when its time is over and lets the next one pass", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const held = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 10_000 })
      const impatient = yield* waiting("b", 50)
      const patient = yield* waiting("c", 5_000)
      yield* TestClock.adjust(50)
      const refused = yield* Effect.flip(Fiber.join(impatient))
      assert.instanceOf(refused, LockNotAcquired)
      assert.strictEqual(refused.waitedMillis, 50)
      yield* lock.release(held)
      assert.strictEqual((yield* Fiber.join(patient)).owner, "c")
    }).pipe(Effect.provide(memory))
  )

  it.effect("an interrupted head of the queue lets the next one pass", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 100 })
      const first = yield* waiting("b", 5_000)
      const second = yield* waiting("c", 5_000)
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust(100)
      assert.strictEqual((yield* Fiber.join(second)).expiresAt, 200)
    }).pipe(Effect.provide(memory))
  )

  it.effect("a waiter follows a lease that is extended", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const lease = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 100 })
      const waiter = yield* waiting("b", 5_000)
      yield* TestClock.adjust(60)
      yield* lock.extend(lease, { ttlMillis: 100 })
      yield* TestClock.adjust(60)
      assert.isUndefined(waiter.pollUnsafe())
      yield* TestClock.adjust(40)
      assert.strictEqual((yield* Fiber.join(waiter)).expiresAt, 260)
    }).pipe(Effect.provide(memory))
  )

  it.effect("more than 1,000 waiters for a key are refused at once", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 10_000 })
      yield* Effect.forEach(Array.from({ length: 1_000 }), () => waiting("b", 5_000), { discard: true })
      const refused = yield* Effect.flip(lock.acquire({ key: "k", owner: "c", ttlMillis: 1, waitMillis: 5_000 }))
      assert.instanceOf(refused, LockNotAcquired)
      assert.strictEqual(refused.waitedMillis, 0)
    }).pipe(Effect.provide(memory))
  )

  it.effect("leases say who holds a key, for fences; expired ones are forgotten", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const leases = yield* Leases.Leases
      const stale = yield* lock.acquire({ key: "k", owner: "a", ttlMillis: 100 })
      assert.isTrue(leases.holds(stale, 99))
      assert.isFalse(leases.holds(stale, 100))
      yield* TestClock.adjust(100)
      const fresh = yield* lock.acquire({ key: "k", owner: "b", ttlMillis: 100 })
      assert.isFalse(leases.holds(stale, 100))
      assert.isTrue(leases.holds(fresh, 100))
      for (let index = 0; index < 5_000; index++) leases.grant({ key: `k${index}`, owner: "a", ttlMillis: 1 }, 1_000 + index)
      assert.isTrue(leases.holds({ key: "k4999", token: fresh.token + 5_000n }, 5_999))
    }).pipe(Effect.provide(memory))
  )
})
