/**
 * The store of circuit breakers on a real Postgres: the contract, transactions, clean-up, and a store in trouble.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { BreakerName } from "../../../../src/domain/resilience/BreakerName.ts"
import * as Migrations from "../../../../src/layers/postgres/Migrations.ts"
import * as PostgresBreakerStore from "../../../../src/layers/postgres/resilience/BreakerStore.ts"
import { BreakerStore } from "../../../../src/services/resilience/BreakerStore.ts"
import { suite } from "../../../contracts/BreakerStore.ts"
import * as TestDatabase from "../../../support/TestDatabase.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))

suite("postgres", PostgresBreakerStore.layer.pipe(Layer.provide(database)))

const withStore = Effect.provide(PostgresBreakerStore.layer.pipe(Layer.provideMerge(database)))
const news = { name: BreakerName.make("a.sale"), state: "open", openForMillis: 60_000, byPerson: false, instance: "one" } as const

it.live("what is told inside a caller's transaction is seen by others at once, and stays when that rolls back", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const store = yield* BreakerStore
    yield* Effect.flip(sql.withTransaction(Effect.andThen(store.tell(news), Effect.fail("rolled back" as const))))
    assert.lengthOf(yield* store.all, 1)
  }).pipe(withStore)
)

it.live("versions grow over a row that was deleted", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const store = yield* BreakerStore
    const before = yield* store.tell(news)
    yield* sql`delete from aegispay.breakers`
    assert.isAbove((yield* store.tell(news)).version, before.version)
  }).pipe(withStore)
)

it.live("without its table it says that it is not available", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const store = yield* BreakerStore
    yield* sql`drop table aegispay.breakers`
    for (const asked of [Effect.asVoid(store.all), Effect.asVoid(store.tell(news))]) {
      const error = yield* Effect.flip(asked)
      assert.include(error.message, "until it does, every instance decides by itself")
    }
  }).pipe(withStore)
)

it.effect("automatic rows told more than a day ago are deleted, young ones and orders are kept", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const store = yield* BreakerStore
    const name = (text: string) => BreakerName.make(text)
    for (const text of ["old", "young"]) yield* store.tell({ ...news, name: name(text) })
    yield* store.tell({ ...news, name: name("forced"), state: "forced-open", byPerson: true })
    yield* sql`update aegispay.breakers set told_at = clock_timestamp() - interval '25 hours' where name in ('old', 'forced')`
    yield* sql`update aegispay.breakers set told_at = clock_timestamp() - interval '23 hours' where name = 'young'`
    yield* TestClock.adjust("1 hour")
    const left = yield* Effect.repeat(store.all, { until: (entries) => entries.length < 3, times: 1_000 })
    assert.deepStrictEqual(
      left.map((entry) => entry.name),
      [name("forced"), name("young")]
    )
  }).pipe(withStore)
)
