/**
 * The table of versioned entities that have no table of their own.
 *
 * The value is text: only its schema, which the program has, can tell what is in it. Nothing but the key is indexed, so updates stay in
 * their page.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `create table aegispay.entities (
    entity text not null check (length(entity) between 1 and 64),
    id text not null check (length(id) between 1 and 255),
    version bigint not null check (version > 0),
    status text,
    body text not null,
    inserted_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    primary key (entity, id)
  ) with (fillfactor = 70)`,
  `comment on column aegispay.entities.body is 'the value as JSON, by the schema of its kind'`
]

export const entities: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
