/**
 * Optimistic updates on virtual time: when they try again, when they stop, and what is counted.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import * as MemoryStore from "../../../src/layers/memory/resilience/VersionedStore.ts"
import * as OptimisticUpdate from "../../../src/orchestration/resilience/OptimisticUpdate.ts"
import {
  EntityNotFound,
  OptimisticLockError,
  type VersionedStore,
  VersionedStoreError,
  VersionedStores
} from "../../../src/services/resilience/VersionedStore.ts"
import { concurrentIncrements, counters } from "./increments.ts"

const setUp = Effect.gen(function* () {
  const store = (yield* VersionedStores).of(counters)
  yield* store.insert("k", { count: 0, status: "open" })
  return store
})

/** A store in which somebody else writes right before each of the next `times` updates; when each update was asked for. */
const contended = Effect.fnUntraced(function* (times: number) {
  const store = yield* setUp
  const askedAt: Array<number> = []
  const busy: VersionedStore<typeof counters.schema.Type> = {
    ...store,
    update: (id, options) =>
      Effect.gen(function* () {
        askedAt.push(yield* Clock.currentTimeMillis)
        if (askedAt.length <= times) yield* store.update(id, { ...options, value: { count: 100, status: "open" } })
        return yield* store.update(id, options)
      })
  }
  return { store: busy, askedAt }
})

const increment = (value: { readonly count: number; readonly status: string }) => Effect.succeed({ ...value, count: value.count + 1 })

/** Runs to the end, whatever is waited for, and answers the result. */
const ended = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(Effect.result(effect), { startImmediately: true })
  yield* TestClock.adjust("1 minute")
  return yield* Fiber.join(fiber)
})

const differences = (times: ReadonlyArray<number>) => times.slice(1).map((time, index) => time - times[index]!)

const provided = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(
    Random.withSeed("optimistic"),
    Effect.provide(MemoryStore.layer),
    Effect.provideServiceEffect(
      Metric.MetricRegistry,
      Effect.sync(() => new Map())
    )
  )

const countsOf = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all
      .filter(({ id }) => id.startsWith("aegispay_update"))
      .map(({ attributes, id, state }) => {
        assert.deepStrictEqual(attributes, { entity: "counter" })
        return [id, "count" in state ? Number(state.count) : undefined]
      })
  )
)

describe("OptimisticUpdate", () => {
  it.effect("writes what the change makes of the value, once, and counts nothing", () =>
    Effect.gen(function* () {
      const { askedAt, store } = yield* contended(0)
      const updated = yield* OptimisticUpdate.run(store, "k", increment)
      assert.deepStrictEqual(updated, { value: { count: 1, status: "open" }, version: 2, status: "open" })
      assert.lengthOf(askedAt, 1)
      assert.deepStrictEqual(yield* countsOf, {})
    }).pipe(provided)
  )

  it.effect("after a conflict it decides on what is there then", () =>
    Effect.gen(function* () {
      const { store } = yield* contended(1)
      const updated = yield* ended(OptimisticUpdate.run(store, "k", increment))
      assert.isTrue(updated._tag === "Success")
      assert.deepStrictEqual(Option.getOrThrow(yield* store.read("k")), {
        value: { count: 101, status: "open" },
        version: 3,
        status: "open"
      })
      assert.deepStrictEqual(yield* countsOf, {
        aegispay_update_conflicts_total: 1,
        aegispay_update_retries_total: 1,
        aegispay_update_conflict_duration_milliseconds: 1
      })
    }).pipe(provided)
  )

  it.effect("tries again 5 times, after 10, 20, 40, 80 and 160 ms, each spread by a tenth; then says how often it tried", () =>
    Effect.gen(function* () {
      const { askedAt, store } = yield* contended(1_000)
      const result = yield* ended(OptimisticUpdate.run(store, "k", increment))
      assert.isTrue(result._tag === "Failure")
      const failure = result._tag === "Failure" ? result.failure : undefined
      assert.instanceOf(failure, OptimisticUpdate.MaxRetriesExceededError)
      assert.strictEqual(failure.attempts, 6)
      assert.deepInclude(failure.last, { expectedVersion: 6, actualVersion: 7, mismatch: "version" })
      const waits = differences(askedAt)
      assert.lengthOf(waits, 5)
      for (const [index, wait] of waits.entries()) {
        const middle = 10 * 2 ** index
        assert.isTrue(wait >= middle * 0.9 && wait <= middle * 1.1, `${wait} after conflict ${index + 1}`)
      }
      assert.notDeepEqual(waits, [10, 20, 40, 80, 160])
      assert.deepStrictEqual(yield* countsOf, {
        aegispay_update_conflicts_total: 6,
        aegispay_update_retries_total: 5,
        aegispay_updates_exhausted_total: 1
      })
    }).pipe(provided)
  )

  it.effect("no wait is longer than the cap", () =>
    Effect.gen(function* () {
      const { askedAt, store } = yield* contended(10)
      yield* ended(OptimisticUpdate.run(store, "k", increment, { strategy: { ...OptimisticUpdate.onConflict, retries: 10 } }))
      assert.lengthOf(askedAt, 11)
      assert.isAtMost(Math.max(...differences(askedAt)), 1_000)
      assert.isAbove(Math.max(...differences(askedAt)), 800)
    }).pipe(provided)
  )

  it.effect("a status that is not wanted ends it before the change is asked", () =>
    Effect.gen(function* () {
      const { askedAt, store } = yield* contended(0)
      const refused = yield* Effect.flip(OptimisticUpdate.run(store, "k", () => Effect.die("asked"), { statuses: ["paid", "shipped"] }))
      assert.instanceOf(refused, OptimisticLockError)
      assert.deepInclude(refused, { mismatch: "status", actualStatus: "open", expectedVersion: 1, actualVersion: 1 })
      assert.include(refused.message, "has status open, expected was paid or shipped")
      assert.lengthOf(askedAt, 0)
      yield* OptimisticUpdate.run(store, "k", increment, { statuses: ["open"] })
    }).pipe(provided)
  )

  it.effect("a status that changed while it was waiting ends it, without writing", () =>
    Effect.gen(function* () {
      const store = yield* setUp
      let first = true
      const overtaken: typeof store = {
        ...store,
        update: (id, options) =>
          Effect.suspend(() => {
            if (!first) return store.update(id, options)
            first = false
            return Effect.andThen(store.update(id, { ...options, value: { count: 9, status: "paid" } }), store.update(id, options))
          })
      }
      const result = yield* ended(OptimisticUpdate.run(overtaken, "k", increment, { statuses: ["open"] }))
      assert.isTrue(result._tag === "Failure" && result.failure instanceof OptimisticLockError && result.failure.mismatch === "status")
      assert.strictEqual(Option.getOrThrow(yield* store.read("k")).value.count, 9)
    }).pipe(provided)
  )

  it.effect("the same value again is not written; a failure of the change ends it; what is not there is said", () =>
    Effect.gen(function* () {
      const { askedAt, store } = yield* contended(0)
      const same = yield* OptimisticUpdate.run(store, "k", (value) => Effect.succeed(value))
      assert.strictEqual(same.version, 1)
      assert.strictEqual(yield* Effect.flip(OptimisticUpdate.run(store, "k", () => Effect.fail("refused"))), "refused")
      assert.instanceOf(yield* Effect.flip(OptimisticUpdate.run(store, "nobody", increment)), EntityNotFound)
      assert.lengthOf(askedAt, 0)
    }).pipe(provided)
  )

  it.effect("trouble of the store is not tried again: it may have been written", () =>
    Effect.gen(function* () {
      const store = yield* setUp
      let asked = 0
      const cause = new Error("connection lost")
      const failing: typeof store = {
        ...store,
        update: (id) =>
          Effect.suspend(() => {
            asked++
            return Effect.fail(new VersionedStoreError({ entity: "counter", id, problem: "ambiguous", detail: cause.message, cause }))
          })
      }
      const failed = yield* Effect.flip(OptimisticUpdate.run(failing, "k", increment))
      assert.instanceOf(failed, VersionedStoreError)
      assert.isTrue(failed.isAmbiguous && !failed.isRetryable)
      assert.strictEqual(asked, 1)
    }).pipe(provided)
  )

  it.effect("of concurrent increments none is lost", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(concurrentIncrements(100), { startImmediately: true })
      for (let round = 0; round < 1_000 && fiber.pollUnsafe() === undefined; round++) yield* TestClock.adjust("100 millis")
      yield* Fiber.join(fiber)
    }).pipe(provided)
  )
})
