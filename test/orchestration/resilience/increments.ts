/**
 * Many writers of one counter, on any store of versioned entities.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as OptimisticUpdate from "../../../src/orchestration/resilience/OptimisticUpdate.ts"
import { VersionedStores } from "../../../src/services/resilience/VersionedStore.ts"

/** A kind of entity with a count and a status. */
export const counters = {
  entity: "counter",
  schema: Schema.Struct({ count: Schema.Int, status: Schema.String }),
  statusOf: (counter: { readonly status: string }) => counter.status
}

/** Increments one counter `writers` times at once: those that say they did add up, and with enough attempts all of them do. */
export const concurrentIncrements = Effect.fnUntraced(function* (writers: number) {
  const store = (yield* VersionedStores).of(counters)
  const increments = Effect.fnUntraced(function* (id: string, retries: number) {
    yield* store.insert(id, { count: 0, status: "open" })
    const strategy = { ...OptimisticUpdate.onConflict, retries }
    // Others come in between reading and writing.
    const increment = OptimisticUpdate.run(store, id, (value) => Effect.as(Effect.yieldNow, { ...value, count: value.count + 1 }), {
      strategy
    })
    const results = yield* Effect.forEach(Array.from({ length: writers }), () => Effect.result(increment), { concurrency: "unbounded" })
    const written = results.filter((result) => result._tag === "Success")
    for (const result of results) {
      if (result._tag === "Failure") assert.instanceOf(result.failure, OptimisticUpdate.MaxRetriesExceededError)
    }
    const { value, version } = Option.getOrThrow(yield* store.read(id))
    assert.strictEqual(value.count, written.length)
    assert.strictEqual(version, written.length + 1)
    assert.deepStrictEqual(
      written.map((result) => result.success.value.count).sort((one, other) => one - other),
      written.map((_, index) => index + 1)
    )
    return written.length
  })
  assert.isBelow(yield* increments("one attempt", 0), writers)
  assert.strictEqual(yield* increments("enough attempts", writers), writers)
})
