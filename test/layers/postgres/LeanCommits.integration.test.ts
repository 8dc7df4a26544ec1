/**
 * The migration to lean commits carries the outbox over: what was undelivered, held, waiting for its retry or given up, and no more.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import { payments } from "../../../src/layers/postgres/migrations/0001_payments.ts"
import { webhooks } from "../../../src/layers/postgres/migrations/0003_webhooks.ts"
import { leanCommits } from "../../../src/layers/postgres/migrations/0010_lean_commits.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const uuid = (last: number) => `01a1fea9-0000-7000-8000-00000000000${last}`

it.live("rows of the outbox, their leases and dead letters become one row for each payment", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create schema aegispay`
    yield* payments
    yield* webhooks
    // 1 was never tried, 2 is held, 3 waits for its retry, 4 is dead and has a new event, 5 is dead and has none. 6 has a lease and nothing more.
    yield* sql.unsafe(`insert into aegispay.outbox (bucket, payment, version, recorded_at) values
      (1, '${uuid(1)}', 2, 20), (1, '${uuid(1)}', 3, 30), (2, '${uuid(2)}', 1, 10), (3, '${uuid(3)}', 4, 40), (4, '${uuid(4)}', 6, 60)`)
    yield* sql.unsafe(`insert into aegispay.outbox_dead (bucket, payment, version, recorded_at) values
      (4, '${uuid(4)}', 4, 40), (4, '${uuid(4)}', 5, 50), (5, '${uuid(5)}', 1, 15)`)
    yield* sql.unsafe(`insert into aegispay.outbox_leases (bucket, payment, owner, token, held_until, not_before, attempts, died_at, reason) values
      (2, '${uuid(2)}', 'a', 7, 5000, 0, 1, null, null), (3, '${uuid(3)}', 'a', null, 0, 6000, 2, null, null),
      (4, '${uuid(4)}', 'b', null, 0, 9223372036854775807, 3, 70, 'gone'), (5, '${uuid(5)}', 'b', null, 0, 9223372036854775807, 4, 80, 'lost'),
      (6, '${uuid(6)}', 'a', null, 0, 0, 5, null, null)`)
    yield* sql.unsafe(`insert into aegispay.events (bucket, payment, version, event_id, type, schema_version, occurred_at, recorded_at, position, data)
      select 1, '${uuid(1)}', v, gen_random_uuid(), 't', 1, 1, 1, v, '{}' from generate_series(1, 3) v`)
    yield* leanCommits
    const rows = yield* sql<
      Record<string, unknown>
    >`select bucket::text || ' ' || first_version || '-' || last_version as range, recorded_at::int as at,
      attempts, owner, token::int as token, free_at::int as free, died_at::int as died, dead_version as dead, reason
      from aegispay.outbox order by bucket`
    const none = { owner: null, token: null, free: null, died: null, dead: null, reason: null }
    assert.deepStrictEqual(rows, [
      { ...none, range: "1 2-3", at: 20, attempts: 0 },
      { ...none, range: "2 1-1", at: 10, attempts: 1, owner: "a", token: 7, free: 5000 },
      { ...none, range: "3 4-4", at: 40, attempts: 2, owner: "a", free: 6000 },
      { ...none, range: "4 4-6", at: 40, attempts: 3, owner: "b", died: 70, dead: 5, reason: "gone" },
      { ...none, range: "5 1-1", at: 15, attempts: 4, owner: "b", died: 80, dead: 1, reason: "lost" }
    ])
    const keys = yield* sql<{ readonly definition: string }>`select indexdef as definition from pg_indexes
      where schemaname = 'aegispay' and indexname in ('payments_pkey', 'events_pkey', 'open_operations_pkey', 'outbox_pkey') order by indexname`
    assert.deepStrictEqual(
      keys.map(({ definition }) => definition.replace(/.*btree /, "")),
      ["(payment, bucket, version)", "(payment, bucket, operation)", "(payment, bucket)", "(id, bucket)"]
    )
    assert.lengthOf(yield* sql`select from aegispay.events`, 3)
  }).pipe(Effect.provide(TestDatabase.layer))
)

it.live("indexes that were made beforehand are taken as they are", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`create schema aegispay`
    yield* payments
    yield* webhooks
    yield* sql`create unique index concurrently events_by_payment on aegispay.events (payment, bucket, version)`
    const file = sql<{ readonly file: number }>`select c.relfilenode::int as file from pg_class c
      join pg_index i on i.indexrelid = c.oid where i.indrelid = 'aegispay.events'::regclass and pg_get_indexdef(c.oid) like '%(payment, bucket, version)'`
    const before = yield* file
    yield* leanCommits
    assert.lengthOf(before, 1)
    assert.deepStrictEqual(yield* file, before)
  }).pipe(Effect.provide(TestDatabase.layer))
)
