/**
 * The migration to one row for the events of a commit: what was stored before is read as before, and histories go on.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { eventsByCommit } from "../../../src/layers/postgres/migrations/payment/0018_events_by_commit.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layerWith({ maxConnections: 3 })))

/** The table of events as it was before, with a row for each event that is stored. */
const asBefore = Effect.gen(function* () {
  const sql = yield* SqlClient
  yield* sql`create table aegispay.older (
    bucket integer not null,
    payment uuid not null,
    version integer not null,
    event_id uuid not null,
    type text not null,
    schema_version integer not null,
    occurred_at bigint not null,
    recorded_at bigint not null,
    position bigint not null,
    data text not null,
    constraint events_pkey primary key (payment, bucket, version)
  )`
  yield* sql`create unique index events_position on aegispay.older (position)`
  yield* sql`insert into aegispay.older select * from aegispay.events`
  yield* sql`drop view aegispay.events`
  yield* sql`drop table aegispay.commits`
  yield* sql`alter table aegispay.older rename to events`
})

/** A character that Postgres cannot represent, a quote and a backslash. */
const metadata = { note: 'a\u0000b "c" \\d' }

it.live("events of before keep their versions, ids, times, positions and what they say, to the character", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient
    const store = yield* EventStore
    const first = Payments.firstCommit({ details: { metadata } })
    const payment = yield* mustCommit(first)
    const settled = Payments.commitOf(payment, [Payments.uncertain(), Payments.succeeded()])
    const done = yield* mustCommit(settled)
    const open = yield* mustCommit(Payments.firstCommit())
    const seen = Effect.all([
      store.read(payment.id),
      store.read(payment.id, { fromVersion: 3 }),
      store.readAll({ after: 0n, limit: 100 }),
      sql<Record<string, unknown>>`select * from aegispay.events order by position`
    ])
    const before = yield* seen
    assert.deepStrictEqual(
      before.map((rows) => rows.length),
      [5, 3, 8, 8]
    )
    yield* asBefore
    yield* sql.withTransaction(eventsByCommit)
    assert.deepStrictEqual(yield* seen, before)
    assert.lengthOf(yield* sql`select from aegispay.commits`, 8)
    // Histories go on, and of two commits from one version one row can exist.
    yield* mustCommit(Payments.commitOf(done, [Payments.cancelRequested]))
    yield* mustCommit(Payments.commitOf(open, [Payments.succeeded()]))
    assert.lengthOf(yield* store.read(payment.id), 6)
    const twice = sql`insert into aegispay.commits (payment, recorded_at, position, bucket, version, schema_version, event_ids, data)
      select payment, recorded_at, -position, bucket, version, schema_version, event_ids || event_ids, data from aegispay.commits where version = 6`
    assert.strictEqual((yield* Effect.flip(twice)).reason._tag, "UniqueViolation")
    const leased = yield* (yield* Outbox).lease({ owner: "a", payments: 10, ttlMillis: 60_000 })
    assert.deepStrictEqual(
      leased.map(({ events }) => events.map(({ version }) => version)),
      [
        [1, 2, 3, 4, 5, 6],
        [1, 2, 3, 4]
      ]
    )
  }).pipe(Effect.provide(stores))
)
