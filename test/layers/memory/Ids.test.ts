/**
 * New identifiers: their form, their order, and that a seed decides them.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as TestClock from "effect/testing/TestClock"
import { EventId } from "../../../src/domain/payment/Ids.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import { Ids } from "../../../src/services/Ids.ts"

const isUuid = Schema.is(EventId)
const uuids = (count: number) => Effect.flatMap(Ids, (ids) => ids.uuids(count))
const ascends = (values: ReadonlyArray<string>) => values.every((value, index) => index === 0 || value > values[index - 1]!)
const millisOf = (uuid: string) => Number.parseInt(uuid.replaceAll("-", "").slice(0, 12), 16)

describe("Ids: memory", () => {
  it.effect("are UUIDs of version 7 that carry the time", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_123)
      const values = yield* uuids(100)
      assert.lengthOf(values, 100)
      assert.isTrue(values.every(isUuid))
      assert.isTrue(values.every((value) => millisOf(value) === 1_700_000_000_123))
      assert.deepStrictEqual(yield* uuids(0), [])
    }).pipe(Effect.provide(MemoryIds.layer))
  )

  it.effect("ascend, also when more are asked for than fit into a millisecond", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_700_000_000_000)
      const values = [...(yield* uuids(1)), ...(yield* uuids(10_000)), ...(yield* uuids(1))]
      assert.isTrue(ascends(values))
      assert.strictEqual(millisOf(values.at(-1)!), 1_700_000_000_002)
      yield* TestClock.adjust(1)
      assert.isTrue(ascends([values.at(-1)!, ...(yield* uuids(2))]), "the ids are ahead of the clock")
      yield* TestClock.adjust(10)
      const [later] = yield* uuids(1)
      assert.strictEqual(millisOf(later!), 1_700_000_000_011)
    }).pipe(Effect.provide(MemoryIds.layer))
  )

  it.effect("ascend when the clock is set back", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(2_000)
      const before = yield* uuids(3)
      yield* TestClock.setTime(1_000)
      assert.isTrue(ascends([...before, ...(yield* uuids(3))]))
    }).pipe(Effect.provide(MemoryIds.layer))
  )

  it.effect("follow from the seed and the time", () =>
    Effect.gen(function* () {
      const draw = (seed: string) => uuids(5).pipe(Effect.provide(MemoryIds.layer), Random.withSeed(seed))
      assert.deepStrictEqual(yield* draw("a"), yield* draw("a"))
      assert.notDeepEqual(yield* draw("a"), yield* draw("b"))
    })
  )
})
