/**
 * The view of a payment is written with its outcome, not with its intent.
 *
 * The view is three quarters of a head. What a payment shows that has only begun follows from its one commit; the next comes a moment later and
 * writes the whole head anew. First versions of heads are short now, so more of their page is left free for the second: room for 850 bytes
 * each, which is a view with some metadata. A longer one moves to another page, which costs entries of three indexes.
 *
 * Pages and views that are there stay as they are.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `alter table aegispay.payments alter column view drop not null`,
  `comment on column aegispay.payments.view is 'JSON of what has no column of its own; null: as its one commit says'`,
  // First versions have 120 bytes.
  `alter table aegispay.payments set (fillfactor = 12)`
]

/** Lets a payment have no view until its second commit. */
export const viewsWithOutcomes: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
