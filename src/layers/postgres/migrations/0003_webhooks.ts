/**
 * The inbox of webhooks, and the dead letters of the outbox.
 *
 * A webhook is one row for its whole life: it waits (`due_at`: not before, which a lease moves on), then it was processed or given up
 * (`finished_at`). The index of the waiting ones holds few rows; that of the finished ones is for the purge.
 *
 * **Gotchas**: a dead letter of the outbox is a lease without end (`outbox_leases.died_at`), so that nothing of the payment is delivered;
 * its undelivered rows move to `outbox_dead`, so that relays do not read past them for ever.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `create table aegispay.webhooks (
    gateway text not null,
    event_id text not null check (length(event_id) between 1 and 255),
    body bytea not null,
    received_at bigint not null,
    state text not null check (state in ('waiting', 'done', 'dead')),
    due_at bigint not null,
    token bigint,
    attempts integer not null,
    finished_at bigint,
    reason text,
    primary key (gateway, event_id)
  ) with (fillfactor = 80)`,
  `create index webhooks_due on aegispay.webhooks (due_at) where state = 'waiting'`,
  `create index webhooks_finished on aegispay.webhooks (finished_at) where state <> 'waiting'`,
  `create sequence aegispay.webhook_tokens as bigint`,
  `alter table aegispay.outbox_leases add column died_at bigint, add column reason text`,
  `create index outbox_leases_dead on aegispay.outbox_leases (died_at) where died_at is not null`,
  `create table aegispay.outbox_dead (
    bucket integer not null,
    payment uuid not null,
    version integer not null,
    recorded_at bigint not null,
    primary key (bucket, payment, version)
  )`
]

/** Creates the inbox of webhooks and the tables of dead letters. */
export const webhooks: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
