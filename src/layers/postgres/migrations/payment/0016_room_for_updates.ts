/**
 * Room for the versions of a row in its page: an update that finds none moves the row and writes an entry into each of its indexes.
 *
 * - A head is written with the intent and again with the outcome, which is longer: its view says more. With half of a page free
 *   every tenth head moved, because the last row that came in took what the others needed.
 * - A row of the outbox is written with the intent, with the outcome, and once more with the lease of a relay, which doubles it. What was
 *   removed from the page meanwhile does not make room while an older statement is still running.
 *
 * Pages that are there stay as they are; heads that are at rest are not written again. Neither a reader nor a writer notices, whatever version
 * of this code it has.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  // Enough for every length of row where the second version is up to 100 bytes longer; what a failed payment says of its failure is 80.
  `alter table aegispay.payments set (fillfactor = 46)`,
  // 80, 80 and 140 bytes: a quarter of the page with the first ones leaves a tenth of it for a retry. Rows are there until they are delivered.
  `alter table aegispay.outbox set (fillfactor = 25)`
]

/** Leaves more of each page of heads and of the outbox free. */
export const roomForUpdates: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
