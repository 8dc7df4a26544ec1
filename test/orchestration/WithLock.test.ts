/**
 * Running under a lock, on virtual time: the lease lives exactly as long as the body, and the body no longer than the lease.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as Leases from "../../src/layers/memory/Leases.ts"
import * as MemoryLock from "../../src/layers/memory/Lock.ts"
import { withLock } from "../../src/orchestration/resilience/WithLock.ts"
import { type Lease, LeaseLost, Lock, LockNotAcquired, LockUnavailable } from "../../src/services/Lock.ts"

const options = { key: "k", owner: "a" }
const memory = MemoryLock.layer.pipe(Layer.provide(Leases.layer))

/** Is the lock free? Takes it for 1 ms of virtual time if so. */
const isFree = Effect.flatMap(Lock, (lock) => Effect.isSuccess(lock.acquire({ key: "k", owner: "probe", ttlMillis: 1 })))

const forked = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

/** Extends only while `answers` says so; counts how often it was asked. */
const flaky = (extendsLease: (asked: number) => "yes" | "unavailable" | "hangs") => {
  const counted = { extensions: 0 }
  const layer = Layer.effect(
    Lock,
    Effect.map(Lock, (lock) =>
      Lock.of({
        ...lock,
        extend: (lease, extension) =>
          Effect.suspend(() => {
            const answer = extendsLease(++counted.extensions)
            if (answer === "hangs") return Effect.never
            return answer === "yes" ? lock.extend(lease, extension) : Effect.fail(new LockUnavailable({ key: lease.key, cause: "down" }))
          })
      })
    )
  ).pipe(Layer.provide(memory))
  return { counted, layer }
}

describe("withLock", () => {
  it.effect("passes the lease with its fencing token, for 30 s by default, and releases on success", () =>
    Effect.gen(function* () {
      const lease = yield* withLock(options, (lease) => Effect.succeed(lease))
      assert.strictEqual(lease.owner, "a")
      assert.isTrue(lease.token > 0n)
      assert.strictEqual(lease.expiresAt, 30_000)
      assert.isTrue(yield* isFree)
    }).pipe(Effect.provide(memory))
  )

  it.effect("holds the lock while the body runs", () =>
    Effect.gen(function* () {
      assert.isFalse(yield* withLock(options, () => isFree))
    }).pipe(Effect.provide(memory))
  )

  it.effect("releases on failure and on a defect, and passes them on", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.flip(withLock(options, () => Effect.fail("refused"))), "refused")
      assert.isTrue(yield* isFree)
      yield* TestClock.adjust(1)
      const exit = yield* Effect.exit(withLock(options, () => Effect.die("broken")))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.isTrue(yield* isFree)
    }).pipe(Effect.provide(memory))
  )

  it.effect("releases on interruption, after the body has ended", () =>
    Effect.gen(function* () {
      const freeAtEnd = yield* Deferred.make<boolean>()
      const fiber = yield* forked(
        withLock(options, () => Effect.onInterrupt(Effect.never, () => Effect.flatMap(isFree, (free) => Deferred.succeed(freeAtEnd, free))))
      )
      yield* Fiber.interrupt(fiber)
      assert.isFalse(yield* Deferred.await(freeAtEnd))
      assert.isTrue(yield* isFree)
    }).pipe(Effect.provide(memory))
  )

  it.effect("extends itself every third of the time to live, for as long as the body runs", () => {
    const { counted, layer } = flaky(() => "yes")
    return Effect.gen(function* () {
      const fiber = yield* forked(withLock({ ...options, ttlMillis: 300 }, () => Effect.as(Effect.sleep(10_000), "done")))
      yield* TestClock.adjust(9_999)
      assert.isFalse(yield* isFree)
      assert.strictEqual(counted.extensions, 99)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      assert.isTrue(yield* isFree)
      yield* TestClock.adjust(10_000)
      assert.isAtMost(counted.extensions, 100)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a held lock is waited for, then refused; the body does not run", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      yield* lock.acquire({ key: "k", owner: "b", ttlMillis: 60_000 })
      let ran = false
      const fiber = yield* forked(Effect.flip(withLock({ ...options, waitMillis: 1_000 }, () => Effect.sync(() => (ran = true)))))
      yield* TestClock.adjust(1_000)
      assert.instanceOf(yield* Fiber.join(fiber), LockNotAcquired)
      assert.isFalse(ran)
    }).pipe(Effect.provide(memory))
  )

  it.effect("a lock waited for longer than its time to live is extended at once, and kept", () => {
    const { counted, layer } = flaky(() => "yes")
    return Effect.gen(function* () {
      const lock = yield* Lock
      yield* lock.acquire({ key: "k", owner: "b", ttlMillis: 5_000 })
      const fiber = yield* forked(
        withLock({ ...options, ttlMillis: 300, waitMillis: 60_000 }, () => Effect.as(Effect.sleep(1_000), "done"))
      )
      yield* TestClock.adjust(5_000)
      assert.strictEqual(counted.extensions, 1)
      yield* TestClock.adjust(1_000)
      assert.strictEqual(yield* Fiber.join(fiber), "done")
    }).pipe(Effect.provide(layer))
  })

  it.effect("an interrupted wait takes no lock", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      const held = yield* lock.acquire({ key: "k", owner: "b", ttlMillis: 60_000 })
      const fiber = yield* forked(withLock({ ...options, waitMillis: 50_000 }, () => Effect.never))
      yield* Fiber.interrupt(fiber)
      yield* lock.release(held)
      assert.isTrue(yield* isFree)
    }).pipe(Effect.provide(memory))
  )

  it.effect("interrupts the body when the lease is lost, and does not release the new holder's", () =>
    Effect.gen(function* () {
      const lock = yield* Lock
      let interrupted = false
      const started = yield* Deferred.make<Lease>()
      const body = (lease: Lease) =>
        Effect.andThen(Deferred.succeed(started, lease), Effect.never).pipe(
          Effect.onInterrupt(() => Effect.sync(() => (interrupted = true)))
        )
      const fiber = yield* forked(Effect.flip(withLock({ ...options, ttlMillis: 300 }, body)))
      const lease = yield* Deferred.await(started)
      yield* lock.release(lease)
      const thief = yield* lock.acquire({ key: "k", owner: "b", ttlMillis: 60_000 })
      assert.isTrue(thief.token > lease.token)
      assert.isFalse(interrupted)
      yield* TestClock.adjust(100)
      const lost = yield* Fiber.join(fiber)
      assert.instanceOf(lost, LeaseLost)
      assert.isTrue(interrupted)
      assert.isTrue(yield* lock.release(thief))
    }).pipe(Effect.provide(memory))
  )

  it.effect("store trouble while extending is tried again, and forgotten when it works", () => {
    const { counted, layer } = flaky((asked) => (asked % 3 === 0 ? "yes" : "unavailable"))
    return Effect.gen(function* () {
      const fiber = yield* forked(withLock({ ...options, ttlMillis: 300 }, () => Effect.as(Effect.sleep(3_000), "done")))
      yield* TestClock.adjust(3_000)
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      assert.isAtLeast(counted.extensions, 30)
    }).pipe(Effect.provide(layer))
  })

  for (const trouble of ["unavailable", "hangs"] as const) {
    it.effect(`a store that ${trouble === "hangs" ? "hangs" : "stays away"} loses the lease exactly when its time to live is over`, () => {
      const { counted, layer } = flaky(() => trouble)
      return Effect.gen(function* () {
        let interrupted = false
        const body = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true)))
        const fiber = yield* forked(Effect.flip(withLock({ ...options, ttlMillis: 300 }, () => body)))
        yield* TestClock.adjust(299)
        assert.isFalse(interrupted)
        assert.isAtLeast(counted.extensions, trouble === "hangs" ? 1 : 3)
        yield* TestClock.adjust(1)
        assert.instanceOf(yield* Fiber.join(fiber), LeaseLost)
        assert.isTrue(interrupted)
      }).pipe(Effect.provide(layer))
    })
  }

  it.effect("a release that hangs is given up after 5 s; the result is the body's", () => {
    const layer = Layer.effect(
      Lock,
      Effect.map(Lock, (lock) => Lock.of({ ...lock, release: () => Effect.never }))
    ).pipe(Layer.provide(memory))
    return Effect.gen(function* () {
      const fiber = yield* forked(withLock(options, () => Effect.succeed("done")))
      yield* TestClock.adjust(5_000)
      assert.strictEqual(yield* Fiber.join(fiber), "done")
    }).pipe(Effect.provide(layer))
  })
})
