/**
 * Claims are keyed by merchant and key first: keys that ascend with time, as numbers of orders and UUIDv7s do, come to lie side by side at the end
 * of the index. Led by the bucket, a hash, each claim dirtied a page of its own, which after every checkpoint is written to the WAL as a whole:
 * as much again as the rest of a payment, once there are a few hundred thousand claims. Random keys cost what they did.
 *
 * The bucket is still part of the key, so the table can be partitioned by it as before; look-ups name all three columns.
 *
 * **Gotchas**: the new index is built while claims cannot be written, about a second for a million rows. Where that is too long, make it
 * beforehand with `create unique index concurrently claims_by_key on aegispay.claims (tenant, key, bucket)`; the migration then takes it as it is.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `create unique index if not exists claims_by_key on aegispay.claims (tenant, key, bucket)`,
  `alter table aegispay.claims drop constraint claims_pkey`,
  `alter table aegispay.claims add constraint claims_pkey primary key using index claims_by_key`
]

/** Changes the order of the key of claims. */
export const claimsByKey: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
