/**
 * What every store of versioned entities does, wherever they are kept.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  EntityExists,
  EntityNotFound,
  OptimisticLockError,
  VersionedStoreError,
  VersionedStores
} from "../../src/services/resilience/VersionedStore.ts"

export const Order = Schema.Struct({
  status: Schema.Literals(["open", "paid", "shipped"]),
  total: Schema.BigInt.check(Schema.isGreaterThanOrEqualToBigInt(0n)),
  note: Schema.NullOr(Schema.String)
})
export type Order = typeof Order.Type

export const orders = { entity: "order", schema: Order, statusOf: (order: Order) => order.status }

export const anOrder: Order = { status: "open", total: 12_345_678_901_234_567n, note: 'it\'s "new"' }

let ids = 0
export const freshId = () => `contract-${++ids}`

export const suite = <E>(name: string, storesLayer: Layer.Layer<VersionedStores, E>): void =>
  layer(storesLayer)(`VersionedStores: ${name}`, (it) => {
    const open = Effect.map(VersionedStores, (stores) => stores.of(orders))

    it.effect("what was inserted is read, at version 1, with its status; what was not is none", () =>
      Effect.gen(function* () {
        const store = yield* open
        const id = freshId()
        assert.isTrue(Option.isNone(yield* store.read(id)))
        const inserted = yield* store.insert(id, anOrder)
        assert.deepStrictEqual(inserted, { value: anOrder, version: 1, status: "open" })
        assert.deepStrictEqual(yield* store.read(id), Option.some(inserted))
      })
    )

    it.effect("of several insertions of an id one wins", () =>
      Effect.gen(function* () {
        const store = yield* open
        const id = freshId()
        const results = yield* Effect.forEach([1n, 2n, 3n, 4n], (total) => Effect.result(store.insert(id, { ...anOrder, total })), {
          concurrency: "unbounded"
        })
        const won = results.filter((result) => result._tag === "Success")
        assert.lengthOf(won, 1)
        for (const result of results) if (result._tag === "Failure") assert.instanceOf(result.failure, EntityExists)
        assert.deepStrictEqual(yield* store.read(id), Option.some(won[0]!.success))
      })
    )

    it.effect("an update at the version that was read writes, with the next version", () =>
      Effect.gen(function* () {
        const store = yield* open
        const id = freshId()
        yield* store.insert(id, anOrder)
        const value = { status: "paid", total: 0n, note: null } as const
        const updated = yield* store.update(id, { value, expected: { version: 1 } })
        assert.deepStrictEqual(updated, { value, version: 2, status: "paid" })
        assert.deepStrictEqual(yield* store.read(id), Option.some(updated))
      })
    )

    it.effect("an update at another version writes nothing, and says both versions", () =>
      Effect.gen(function* () {
        const store = yield* open
        const id = freshId()
        yield* store.insert(id, anOrder)
        yield* store.update(id, { value: { ...anOrder, status: "paid" }, expected: { version: 1 } })
        for (const version of [0, 1, 3]) {
          const refused = yield* Effect.flip(store.update(id, { value: { ...anOrder, status: "shipped" }, expected: { version } }))
          assert.instanceOf(refused, OptimisticLockError)
          assert.deepInclude(refused, { mismatch: "version", expectedVersion: version, actualVersion: 2, actualStatus: "paid" })
          assert.include(refused.message, `version ${version} was expected, it is at 2`)
        }
        assert.deepStrictEqual(yield* store.read(id), Option.some({ value: { ...anOrder, status: "paid" }, version: 2, status: "paid" }))
      })
    )

    it.effect("an update that insists on a status writes only where it is one of those; a newer version is said first", () =>
      Effect.gen(function* () {
        const store = yield* open
        const id = freshId()
        yield* store.insert(id, anOrder)
        const shipped = { ...anOrder, status: "shipped" } as const
        const refused = yield* Effect.flip(store.update(id, { value: shipped, expected: { version: 1, statuses: ["paid"] } }))
        assert.instanceOf(refused, OptimisticLockError)
        assert.deepInclude(refused, { mismatch: "status", expectedVersion: 1, actualVersion: 1, actualStatus: "open" })
        assert.deepStrictEqual(refused.expectedStatuses, ["paid"])
        const never = yield* Effect.flip(store.update(id, { value: shipped, expected: { version: 1, statuses: [] } }))
        assert.deepInclude(never, { mismatch: "status" })
        yield* store.update(id, { value: shipped, expected: { version: 1, statuses: ["paid", "open"] } })
        const late = yield* Effect.flip(store.update(id, { value: anOrder, expected: { version: 1, statuses: ["open"] } }))
        assert.deepInclude(late, { mismatch: "version", actualVersion: 2, actualStatus: "shipped" })
      })
    )

    it.effect("of several updates of one version one wins", () =>
      Effect.gen(function* () {
        const store = yield* open
        const id = freshId()
        yield* store.insert(id, anOrder)
        const results = yield* Effect.forEach(
          [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n],
          (total) => Effect.result(store.update(id, { value: { ...anOrder, total }, expected: { version: 1 } })),
          { concurrency: "unbounded" }
        )
        const won = results.filter((result) => result._tag === "Success")
        assert.lengthOf(won, 1)
        for (const result of results) {
          if (result._tag === "Success") continue
          assert.deepInclude(result.failure, { _tag: "OptimisticLockError", expectedVersion: 1, actualVersion: 2 })
        }
        assert.deepStrictEqual(yield* store.read(id), Option.some(won[0]!.success))
      })
    )

    it.effect("what was never inserted cannot be updated", () =>
      Effect.gen(function* () {
        const store = yield* open
        assert.instanceOf(
          yield* Effect.flip(store.update(freshId(), { value: anOrder, expected: { version: 1, statuses: ["open"] } })),
          EntityNotFound
        )
      })
    )

    it.effect("a value that does not fit the schema is not written", () =>
      Effect.gen(function* () {
        const store = yield* open
        const id = freshId()
        const invalid = { ...anOrder, total: -1n }
        assert.deepInclude(yield* Effect.flip(store.insert(id, invalid)), { problem: "invalid" })
        yield* store.insert(id, anOrder)
        const refused = yield* Effect.flip(store.update(id, { value: invalid, expected: { version: 1 } }))
        assert.instanceOf(refused, VersionedStoreError)
        assert.strictEqual(refused.problem, "invalid")
        assert.deepStrictEqual(Option.getOrThrow(yield* store.read(id)).version, 1)
      })
    )

    it.effect("what is read is a copy", () =>
      Effect.gen(function* () {
        const store = yield* open
        const id = freshId()
        const value = { ...anOrder }
        yield* store.insert(id, value)
        Object.assign(value, { total: 1n })
        Object.assign(Option.getOrThrow(yield* store.read(id)).value, { total: 2n })
        assert.deepStrictEqual(Option.getOrThrow(yield* store.read(id)).value, anOrder)
      })
    )
  })
