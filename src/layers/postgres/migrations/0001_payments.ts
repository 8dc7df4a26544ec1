/**
 * The tables of payments: heads with their projection, events, claims, open operations and the outbox.
 *
 * Every table of a payment is keyed by (bucket, payment), so it can be hash-partitioned or distributed by bucket without a
 * redesign; nothing has a foreign key, because one statement writes them all. Times are epoch milliseconds in `bigint`, so that
 * they read back exactly as they were folded. Payloads are JSON in `text`: they are never queried, and text is the cheapest.
 *
 * **Gotchas**: no index covers a volatile column of `payments` (status, version, view, updated_at) or `open_operations` (status),
 * and their pages have room, so that updates stay on the page and touch no index (heap-only tuples).
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  // Head and projection in one row. `view` is the payment's view without what has a column of its own.
  `create table aegispay.payments (
     bucket integer not null,
     id uuid not null,
     tenant text not null,
     version integer not null,
     status text not null,
     view text not null,
     created_at bigint not null,
     updated_at bigint not null,
     primary key (bucket, id)
   ) with (fillfactor = 70)`,
  `create index payments_newest on aegispay.payments (tenant, created_at, id)`,
  `create table aegispay.events (
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
     primary key (bucket, payment, version)
   )`,
  `create unique index events_position on aegispay.events (position)`,
  `create table aegispay.claims (
     bucket integer not null,
     tenant text not null,
     key text not null,
     command text not null,
     operation integer,
     fingerprint text not null,
     payment_bucket integer not null,
     payment uuid not null,
     claimed_at bigint not null,
     primary key (bucket, tenant, key)
   )`,
  `create table aegispay.open_operations (
     bucket integer not null,
     payment uuid not null,
     operation integer not null,
     gateway text not null,
     account text not null,
     kind text not null,
     status text not null,
     opened_at bigint not null,
     primary key (bucket, payment, operation)
   ) with (fillfactor = 70)`,
  `create index open_operations_oldest on aegispay.open_operations (opened_at)`,
  // A row per undelivered event. The payload stays in `events`.
  `create table aegispay.outbox (
     bucket integer not null,
     payment uuid not null,
     version integer not null,
     recorded_at bigint not null,
     primary key (bucket, payment, version)
   )`,
  `create index outbox_oldest on aegispay.outbox (recorded_at)`,
  // A row per payment that is held or waits for its retry; no token: not held.
  `create table aegispay.outbox_leases (
     bucket integer not null,
     payment uuid not null,
     owner text not null,
     token bigint,
     held_until bigint not null,
     not_before bigint not null,
     attempts integer not null,
     primary key (bucket, payment)
   ) with (fillfactor = 70)`,
  `create sequence aegispay.outbox_tokens as bigint`,
  // What is added to a transaction id to make a position. Raised by the migrations after a logical restore into a server whose
  // transaction ids are smaller than those of the stored positions.
  `create function aegispay.position_base() returns bigint language sql immutable parallel safe as 'select 0::bigint'`
]

/** Creates the tables of payments in the schema `aegispay`. */
export const payments: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  yield* Effect.forEach(statements, (statement) => sql.unsafe(statement), { discard: true })
})
