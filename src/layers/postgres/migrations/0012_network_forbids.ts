/**
 * Whether the network forbade every further attempt with a declined card. Attempts that were stored before are taken to be ones that may be
 * corrected: their category does not tell.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

export const networkForbids: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  yield* sql.unsafe(`alter table aegispay.card_attempts add column network_forbids boolean not null default false`)
})
