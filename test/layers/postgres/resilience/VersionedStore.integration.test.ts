/**
 * Versioned entities on a real Postgres: in our table and in a host's own.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SqlClient from "effect/sql/SqlClient"
import * as Migrations from "../../../../src/layers/postgres/Migrations.ts"
import * as PostgresStore from "../../../../src/layers/postgres/resilience/VersionedStore.ts"
import { EntityExists, type VersionedStore, VersionedStores } from "../../../../src/services/resilience/VersionedStore.ts"
import { anOrder, Order, orders, suite } from "../../../contracts/VersionedStores.ts"
import * as TestDatabase from "../../../support/TestDatabase.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))
const everything = PostgresStore.layer.pipe(Layer.provideMerge(database))

suite("postgres", PostgresStore.layer.pipe(Layer.provide(database)))

/** Names that need quoting, an enum, a column the schema does not know. */
const createTable = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`create schema "the shop"`
  yield* sql`create type "the shop".order_status as enum ('open', 'paid', 'shipped')`
  yield* sql`
    create table "the shop"."Order" (
      "order ""id""" text primary key, "table" integer not null, status "the shop".order_status not null, total bigint not null,
      note text, created_at timestamptz not null default clock_timestamp())`
})

const ownTable = {
  entity: "order",
  table: "the shop.Order",
  idColumn: 'order "id"',
  versionColumn: "table",
  statusColumn: "status",
  schema: Order
} as const

/** The contract asks for the one kind it knows, which here is the host's table. */
const asStores = <A>(store: VersionedStore<A>) => VersionedStores.of({ of: () => store as never })

suite(
  "a host's own table",
  Layer.effect(VersionedStores, Effect.andThen(createTable, Effect.map(PostgresStore.ofTable(ownTable), asStores))).pipe(
    Layer.provide(TestDatabase.layer)
  )
)

describe("VersionedStore: postgres", () => {
  it.effect("kinds do not see each other's entities", () =>
    Effect.gen(function* () {
      const stores = yield* VersionedStores
      yield* stores.of(orders).insert("id", anOrder)
      assert.isTrue(Option.isNone(yield* stores.of({ entity: "note", schema: Schema.String }).read("id")))
      const unreadable = yield* Effect.flip(stores.of({ entity: "order", schema: Schema.String }).read("id"))
      assert.strictEqual(unreadable.problem, "unreadable")
    }).pipe(Effect.provide(everything))
  )

  it.effect("joins the caller's transaction: a rollback undoes it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = (yield* VersionedStores).of(orders)
      yield* store.insert("kept", anOrder)
      const changes = Effect.andThen(
        store.update("kept", { value: { ...anOrder, status: "paid" }, expected: { version: 1 } }),
        store.insert("gone", anOrder)
      )
      yield* Effect.flip(sql.withTransaction(Effect.andThen(changes, Effect.fail("rolled back"))))
      assert.strictEqual(Option.getOrThrow(yield* store.read("kept")).version, 1)
      assert.isTrue(Option.isNone(yield* store.read("gone")))
    }).pipe(Effect.provide(everything))
  )

  it.effect("ids and versions of any type; columns the schema does not name are left alone", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const id = "01890a5d-ac96-774b-bcce-b302099a8057"
      yield* sql`create table mandates (id uuid primary key, version bigint not null, day date, untouched text default 'as it was')`
      yield* sql`create table counters (id bigint primary key, version smallint not null, count integer not null)`
      const mandates = yield* PostgresStore.ofTable({
        entity: "mandate",
        table: "mandates",
        schema: Schema.Struct({ id: Schema.String, day: Schema.NullOr(Schema.String) })
      })
      yield* mandates.insert(id, { id, day: null })
      yield* mandates.update(id, { value: { id, day: null }, expected: { version: 1 } })
      assert.deepStrictEqual(yield* mandates.read(id), Option.some({ value: { id, day: null }, version: 2, status: undefined }))
      const [row] = yield* sql<{ readonly untouched: string }>`select untouched from mandates`
      assert.strictEqual(row?.untouched, "as it was")
      const counters = yield* PostgresStore.ofTable({ entity: "counter", table: "counters", schema: Schema.Struct({ count: Schema.Int }) })
      yield* counters.insert("7", { count: 1 })
      const two = yield* counters.update("7", { value: { count: 2 }, expected: { version: 1 } })
      assert.deepStrictEqual(two, { value: { count: 2 }, version: 2, status: undefined })
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("another unique column of a host's table is not the id's business: refused, not `EntityExists`", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* createTable
      yield* sql`create unique index on "the shop"."Order" (note)`
      const store = yield* PostgresStore.ofTable(ownTable)
      yield* store.insert("a", anOrder)
      assert.instanceOf(yield* Effect.flip(store.insert("a", { ...anOrder, note: null })), EntityExists)
      assert.deepInclude(yield* Effect.flip(store.insert("b", anOrder)), { _tag: "VersionedStoreError", problem: "refused" })
    }).pipe(Effect.provide(TestDatabase.layer))
  )

  it.effect("a missing table is said", () =>
    Effect.gen(function* () {
      const store = yield* PostgresStore.ofTable({ ...ownTable, table: "nowhere" })
      const failed = yield* Effect.flip(store.read("id"))
      assert.strictEqual(failed.problem, "refused")
      assert.include(failed.message, "the store of order id")
    }).pipe(Effect.provide(TestDatabase.layer))
  )
})
