/**
 * The table through which instances tell each other what their circuit breakers found out.
 *
 * One row per breaker, the newest news of it. It carries no money and could be emptied at any time without harm.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `create table aegispay.breakers (
    name text primary key check (length(name) between 1 and 128),
    state text not null check (state in ('closed', 'open', 'forced-open', 'forced-closed')),
    open_until timestamptz not null,
    by_person boolean not null,
    instance text not null check (length(instance) between 1 and 64),
    version bigint not null,
    order_version bigint not null,
    told_at timestamptz not null default clock_timestamp()
  ) with (fillfactor = 50)`,
  `comment on column aegispay.breakers.version is 'at least microseconds since the epoch when it was told'`,
  `comment on column aegispay.breakers.order_version is 'version of the newest row by a person, 0: none'`
]

export const breakers: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
