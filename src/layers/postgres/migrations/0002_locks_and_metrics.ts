/**
 * Tables of the locks and of the gateway metrics.
 *
 * Neither carries money: both could be emptied at any time without harm. Volatile columns have no index, so that updates stay in
 * their page; both tables are small because their layers clean up.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `create table aegispay.locks (
    key text primary key check (length(key) between 1 and 255),
    owner text not null check (length(owner) between 1 and 255),
    token bigint not null,
    expires_at timestamptz not null
  ) with (fillfactor = 50)`,
  // One sequence for all keys: the row of a key can be deleted, and its next token is still greater.
  `create sequence aegispay.lock_tokens as bigint cache 1`,
  `create table aegispay.gateway_metrics (
    gateway text not null,
    minute integer not null,
    healthy integer not null,
    failed integer not null,
    histogram integer[] not null,
    last_failure_at bigint,
    updated_at timestamptz not null default clock_timestamp(),
    primary key (gateway, minute)
  ) with (fillfactor = 50)`,
  `comment on column aegispay.gateway_metrics.minute is 'minutes since the epoch'`,
  `comment on column aegispay.gateway_metrics.last_failure_at is 'epoch milliseconds'`
]

export const locksAndMetrics: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
