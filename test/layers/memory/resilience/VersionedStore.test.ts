/**
 * Versioned entities in memory: the contract.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as VersionedStore from "../../../../src/layers/memory/resilience/VersionedStore.ts"
import { VersionedStores } from "../../../../src/services/resilience/VersionedStore.ts"
import { anOrder, orders, suite } from "../../../contracts/VersionedStores.ts"

suite("memory", VersionedStore.layer)

it.effect("kinds do not see each other's entities; one kind is the same store wherever it is opened", () =>
  Effect.gen(function* () {
    const stores = yield* VersionedStores
    yield* stores.of(orders).insert("id", anOrder)
    assert.isTrue(Option.isNone(yield* stores.of({ entity: "note", schema: Schema.String }).read("id")))
    assert.isTrue(Option.isSome(yield* stores.of(orders).read("id")))
    const unreadable = yield* Effect.flip(stores.of({ entity: "order", schema: Schema.String }).read("id"))
    assert.strictEqual(unreadable.problem, "unreadable")
  }).pipe(Effect.provide(VersionedStore.layer))
)
