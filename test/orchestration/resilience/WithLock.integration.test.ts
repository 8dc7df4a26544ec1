/**
 * Running under a lock, on every lock there is, in real time. What needs a clock that can be moved is in ../WithLock.test.ts.
 */
import { assert, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Leases from "../../../src/layers/memory/Leases.ts"
import * as MemoryLock from "../../../src/layers/memory/Lock.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as RedisLock from "../../../src/layers/redis/Lock.ts"
import { withLock } from "../../../src/orchestration/resilience/WithLock.ts"
import { type Lease, LeaseLost, Lock, LockNotAcquired } from "../../../src/services/Lock.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import * as TestRedis from "../../support/TestRedis.ts"

let keys = 0
const fresh = () => ({ key: `with-lock-${++keys}`, owner: "a" })

/** Can somebody else take the key, at once? */
const isFree = (key: string) => Effect.flatMap(Lock, (lock) => Effect.isSuccess(lock.acquire({ key, owner: "probe", ttlMillis: 1 })))

/** A body that tells when it runs and whether it was interrupted. */
const running = Effect.gen(function* () {
  const started = yield* Deferred.make<Lease>()
  const interrupted = yield* Deferred.make<void>()
  const body = (lease: Lease) =>
    Effect.andThen(Deferred.succeed(started, lease), Effect.never).pipe(Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined)))
  return { body, started: Deferred.await(started), interrupted: Deferred.isDone(interrupted) }
})

const suite = <E>(name: string, lockLayer: Layer.Layer<Lock, E>) =>
  layer(lockLayer, { excludeTestServices: true })(`withLock: ${name}`, (it) => {
    it.effect("holds the lock while the body runs, and releases it on success, failure and defect", () =>
      Effect.gen(function* () {
        for (const end of [Effect.void, Effect.fail("refused"), Effect.die("broken")]) {
          const options = fresh()
          const free = yield* Deferred.make<boolean>()
          const body = Effect.flatMap(isFree(options.key), (isFree) => Deferred.succeed(free, isFree))
          const exit = yield* Effect.exit(withLock(options, () => Effect.andThen(body, end)))
          assert.deepStrictEqual(Exit.getCause(exit), Exit.getCause(yield* Effect.exit(end)))
          assert.isFalse(yield* Deferred.await(free))
          assert.isTrue(yield* isFree(options.key))
        }
      })
    )

    it.effect("releases on interruption, after the body has ended", () =>
      Effect.gen(function* () {
        const options = fresh()
        const { body, interrupted, started } = yield* running
        const fiber = yield* Effect.forkChild(withLock(options, body))
        yield* started
        assert.isFalse(yield* isFree(options.key))
        const exit = yield* Fiber.interrupt(fiber).pipe(Effect.andThen(Fiber.await(fiber)))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        assert.isTrue(yield* interrupted)
        assert.isTrue(yield* isFree(options.key))
      })
    )

    it.effect("an interrupted wait takes nothing", () =>
      Effect.gen(function* () {
        const options = fresh()
        const lock = yield* Lock
        const held = yield* lock.acquire({ ...options, owner: "b", ttlMillis: 60_000 })
        const waiting = yield* Effect.forkChild(
          withLock({ ...options, waitMillis: 60_000 }, () => Effect.void),
          { startImmediately: true }
        )
        yield* Fiber.interrupt(waiting)
        yield* lock.release(held)
        assert.isTrue(yield* isFree(options.key))
      })
    )

    it.effect("the body outlives the time to live", () =>
      Effect.gen(function* () {
        // Long enough for a busy machine: what stalls for longer has lost its lease rightly.
        const options = { ...fresh(), ttlMillis: 2_000 }
        const freeInBetween = Effect.sleep("300 millis").pipe(Effect.andThen(isFree(options.key)))
        const seen = yield* withLock(options, () => Effect.replicateEffect(freeInBetween, 8))
        assert.deepStrictEqual(
          seen,
          seen.map(() => false)
        )
        assert.isTrue(yield* isFree(options.key))
      })
    )

    it.effect("interrupts the body when the lease is lost, and leaves the new holder's alone", () =>
      Effect.gen(function* () {
        const options = fresh()
        const lock = yield* Lock
        const { body, interrupted, started } = yield* running
        const fiber = yield* Effect.forkChild(Effect.flip(withLock({ ...options, ttlMillis: 300 }, body)))
        const lease = yield* started
        yield* lock.release(lease)
        const thief = yield* lock.acquire({ ...options, owner: "b", ttlMillis: 60_000 })
        assert.isTrue(thief.token > lease.token)
        assert.instanceOf(yield* Fiber.join(fiber), LeaseLost)
        assert.isTrue(yield* interrupted)
        assert.isTrue(yield* lock.release(thief))
      })
    )

    it.effect("one at a time: increments that read, pause and write lose nothing; tokens grow", () =>
      Effect.gen(function* () {
        const { key } = fresh()
        let count = 0
        const tokens: Array<bigint> = []
        const increment = (owner: string) =>
          withLock({ key, owner, waitMillis: 30_000 }, ({ token }) =>
            Effect.gen(function* () {
              const read = count
              yield* Effect.sleep("1 millis")
              count = read + 1
              tokens.push(token)
            })
          )
        yield* Effect.forEach(
          Array.from({ length: 10 }, (_, index) => `owner-${index}`),
          increment,
          { concurrency: "unbounded", discard: true }
        )
        assert.strictEqual(count, 10)
        assert.isTrue(
          tokens.every((token, index) => index === 0 || token > tokens[index - 1]!),
          tokens.join()
        )
      })
    )

    it.effect("a lock that is held is refused, and the body does not run", () =>
      Effect.gen(function* () {
        const options = fresh()
        yield* (yield* Lock).acquire({ ...options, ttlMillis: 60_000 })
        assert.instanceOf(yield* Effect.flip(withLock(options, () => Effect.die("ran"))), LockNotAcquired)
      })
    )
  })

suite("memory", MemoryLock.layer.pipe(Layer.provide(Leases.layer)))
suite("postgres", PostgresLock.layer.pipe(Layer.provide(Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer)))))
TestRedis.suites("withLock on Redis", () => suite("redis", RedisLock.layer.pipe(Layer.provide(TestRedis.layer))))
