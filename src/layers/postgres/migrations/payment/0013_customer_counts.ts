/**
 * By whom payments are counted: how many a merchant's customer created within a time.
 *
 * The index holds only payments whose host named a customer, and it is led by the time, in slots of 2^22 ms (70 min): what is new goes into the
 * few pages of the present slot. Led by the customer, a hash, each payment would dirty a page of its own. A question reads one place of each
 * slot that it looks back over. Neither column ever changes, so updates of the head stay in their page.
 *
 * **Gotchas**: payments of before have no customer here, so for the first days counts of customers see only what came after.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `alter table aegispay.payments add column customer bigint`,
  `comment on column aegispay.payments.customer is 'first eight bytes of the SHA-256 of merchant and customer id; null: the host named none'`,
  `create index payments_of_customer on aegispay.payments ((created_at >> 22), customer, created_at) where customer is not null`
]

/** Lets the payments of a customer be counted. */
export const customerCounts: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
