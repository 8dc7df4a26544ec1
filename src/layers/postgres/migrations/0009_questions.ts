/**
 * When each open operation was asked about: what waits for its gateway, its customer or a person is asked about by a schedule, which all
 * instances share.
 *
 * No index covers it, so noting a question stays in its page.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `alter table aegispay.open_operations add column asked_at bigint`,
  `comment on column aegispay.open_operations.asked_at is 'database time of the last answered question, epoch milliseconds; null: none yet'`
]

export const questions: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
