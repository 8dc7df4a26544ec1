/**
 * Less to write for each commit.
 *
 * - The keys of payments, events and open operations begin with the payment's UUID. A UUIDv7 begins with its time, so what is new goes to
 *   the end of an index and into pages that are written anyhow; led by the bucket, a hash, each row dirtied a page of its own. Bucket and
 *   UUID together are still the key, so the tables can be partitioned by bucket as before.
 * - The outbox has one row for each payment, the range of its undelivered versions with its lease, in place of a row for each
 *   event, a lease and a row for each dead letter. None of what changes often has an index.
 * - Half of a page of `payments` is left free: every row is written twice within a moment, and both versions fit.
 *
 * **Gotchas**: the new indexes of a table are built while it is locked, about a second for a million rows. Where that is too long, make
 * them beforehand with `create unique index concurrently` under the names below; the migration then takes them as they are.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const keyedAnew = (table: string, columns: string) => [
  `create unique index if not exists ${table}_by_payment on aegispay.${table} (${columns})`,
  `alter table aegispay.${table} drop constraint ${table}_pkey`,
  `alter table aegispay.${table} add constraint ${table}_pkey primary key using index ${table}_by_payment`
]

const statements = [
  ...keyedAnew("payments", "id, bucket"),
  ...keyedAnew("events", "payment, bucket, version"),
  ...keyedAnew("open_operations", "payment, bucket, operation"),
  `alter table aegispay.payments set (fillfactor = 50)`,
  `alter table aegispay.outbox rename to outbox_rows`,
  `alter table aegispay.outbox_rows rename constraint outbox_pkey to outbox_rows_pkey`,
  `alter index aegispay.outbox_oldest rename to outbox_rows_oldest`,
  `create table aegispay.outbox (
     bucket integer not null,
     payment uuid not null,
     first_version integer not null,
     last_version integer not null,
     recorded_at bigint not null,
     attempts integer not null default 0,
     owner text,
     token bigint,
     free_at bigint,
     died_at bigint,
     dead_version integer,
     reason text,
     constraint outbox_pkey primary key (payment, bucket)
   ) with (fillfactor = 50)`,
  `comment on column aegispay.outbox.recorded_at is 'when its first undelivered event was recorded, epoch milliseconds'`,
  `comment on column aegispay.outbox.token is 'of the lease; null: nobody holds it'`,
  `comment on column aegispay.outbox.free_at is 'until then nobody may take it: it is held, or waits for its retry; epoch milliseconds'`,
  `comment on column aegispay.outbox.dead_version is 'last version of the time when it was given up'`,
  `insert into aegispay.outbox
     select r.bucket, r.payment, min(r.version), max(r.version), min(r.recorded_at), coalesce(l.attempts, 0), l.owner, l.token,
       case when l.died_at is null then nullif(greatest(l.held_until, l.not_before), 0) end, l.died_at,
       case when l.died_at is not null then coalesce(max(r.version) filter (where r.is_dead), min(r.version) - 1) end, l.reason
     from (select bucket, payment, version, recorded_at, false as is_dead from aegispay.outbox_rows
       union all select bucket, payment, version, recorded_at, true from aegispay.outbox_dead) r
     left join aegispay.outbox_leases l on l.bucket = r.bucket and l.payment = r.payment
     group by r.bucket, r.payment, l.attempts, l.owner, l.token, l.held_until, l.not_before, l.died_at, l.reason`,
  `create index outbox_oldest on aegispay.outbox (recorded_at) where died_at is null`,
  `create index outbox_died on aegispay.outbox (died_at) where died_at is not null`,
  `drop table aegispay.outbox_rows`,
  `drop table aegispay.outbox_dead`,
  `drop table aegispay.outbox_leases`
]

/** Changes the keys of the tables of payments, and makes the outbox anew with what was undelivered. */
export const leanCommits: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
