/**
 * The schema: brought up to date by any number of processes at once, checked at the start, used by a role that cannot change it.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

it.live("several processes migrate at once; each migration runs once", () =>
  Effect.gen(function* () {
    const url = yield* TestDatabase.fresh
    const clients = yield* Effect.forEach([1, 2, 3, 4], () => Layer.build(PgClient.layer({ url, maxConnections: 2 })))
    const ran = yield* Effect.forEach(clients, (client) => Effect.provideContext(Migrations.run, client), { concurrency: "unbounded" })
    assert.strictEqual(ran.flat().length, Migrations.expectedVersion)
    assert.strictEqual(ran.filter((own) => own.length > 0).length, 1)
  }).pipe(Effect.scoped)
)

it.live("a schema that is missing, older or newer is told from the right one", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const expected = Migrations.expectedVersion
    const found = Effect.map(Effect.flip(Migrations.check), (error) => {
      assert.strictEqual(error._tag, "SchemaOutdated")
      return error
    })
    const missing = yield* found
    assert.deepInclude(missing, { found: 0, expected })
    assert.include(missing.message, "run aegispay migrate")
    yield* Migrations.run
    yield* Migrations.check
    yield* sql`insert into aegispay.migrations (migration_id, name) values (9999, 'later')`
    assert.deepInclude(yield* found, { found: 9999, expected })
    yield* sql`delete from aegispay.migrations where migration_id > 1`
    assert.deepInclude(yield* found, { found: 1, expected })
  }).pipe(Effect.provide(TestDatabase.layer))
)

it.live("a role without the right to change the schema commits, reads and relays", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const store = yield* EventStore
    const outbox = yield* Outbox
    const role = `aegispay_runtime_${Payments.uuid().replaceAll("-", "")}`
    yield* sql.unsafe(`create role ${role}`)
    yield* Effect.addFinalizer(() => Effect.orDie(Effect.andThen(sql.unsafe(`drop owned by ${role}`), sql.unsafe(`drop role ${role}`))))
    yield* sql.unsafe(`grant usage on schema aegispay to ${role}`)
    yield* sql.unsafe(`grant select, insert, update, delete on all tables in schema aegispay to ${role}`)
    yield* sql.unsafe(`grant usage on all sequences in schema aegispay to ${role}`)
    yield* sql.withTransaction(
      Effect.gen(function* () {
        yield* sql.unsafe(`set local role ${role}`)
        yield* Migrations.check
        const payment = yield* mustCommit(Payments.firstCommit())
        yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
        assert.strictEqual((yield* store.read(payment.id)).length, 4)
        yield* store.readAll({ after: 0n, limit: 10 })
        const [batch] = yield* outbox.lease({ owner: "a", payments: 1, ttlMillis: 1000 })
        assert.isTrue(yield* outbox.acknowledge({ payment: payment.id, token: batch?.token ?? 0n, upToVersion: 4 }))
      })
    )
  }).pipe(Effect.scoped, Effect.provide(Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer))))
)

it.live("a log restored into a server with smaller transaction ids goes on above its last position", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const store = yield* EventStore
    const old = yield* mustCommit(Payments.firstCommit())
    yield* sql`update aegispay.commits set position = position + (1000000000::bigint << 20)`
    assert.deepStrictEqual(yield* store.readAll({ after: 0n, limit: 10 }), [], "before the repair the log stands still")
    yield* Migrations.run
    const next = yield* mustCommit(Payments.firstCommit())
    let rows = yield* store.readAll({ after: 0n, limit: 10 })
    for (let tries = 0; tries < 500 && rows.length < 6; tries++) {
      yield* Effect.sleep(10)
      rows = yield* store.readAll({ after: 0n, limit: 10 })
    }
    assert.deepStrictEqual([...new Set(rows.map((row) => row.event.paymentId))], [old.id, next.id])
    yield* Migrations.run
    assert.strictEqual((yield* store.readAll({ after: 0n, limit: 10 })).length, 6, "the repair is made once")
  }).pipe(Effect.provide(Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer))))
)
