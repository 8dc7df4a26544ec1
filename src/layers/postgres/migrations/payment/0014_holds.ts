/**
 * Of which payments a gateway holds something that is not captured: it may end the hold by itself, and then has to be asked.
 *
 * A trigger keeps it with the payment's head, in the same transaction, as it does the list of reviews. It runs only where a payment comes into
 * or leaves a status that can hold something: none that is captured at once does. The amounts and the gateway are cut out of the text, which
 * has them before everything that a host wrote: a metadata with a character that Postgres cannot represent would fail the cast to JSON, and with it the commit.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** The statuses that can hold something. */
export const statuses = `('authorized', 'partially_captured', 'partially_refunded', 'refunded', 'disputed')`

/** What stands behind a name of the view, up to a character. */
const after = (row: string, name: string, end: string): string => `split_part(split_part(${row}.view, '"${name}":', 2), '${end}', 1)`

/** Is something of it authorized and not captured? Of a row, `new` or a table's. The first two statuses say so themselves. */
export const isHeld = (row: string): string =>
  `(case when ${row}.status in ('authorized', 'partially_captured') then true when ${row}.status in ${statuses} then
    ${after(row, "amountAuthorized", ",")}::bigint > ${after(row, "amountCaptured", ",")}::bigint else false end)`

/** Its gateway, of a row. */
export const gatewayOf = (row: string): string => `btrim(${after(row, "gateway", ",")}, '"')`

const statements = [
  `create table aegispay.holds (
     bucket integer not null,
     payment uuid not null,
     gateway text not null,
     created_at bigint not null,
     asked_at bigint,
     primary key (payment, bucket)
   ) with (fillfactor = 70)`,
  `create index holds_oldest on aegispay.holds (gateway, created_at, payment)`,
  `create function aegispay.note_hold() returns trigger language plpgsql as $$
   begin
     if ${isHeld("new")} then
       insert into aegispay.holds (bucket, payment, gateway, created_at)
       values (new.bucket, new.id, ${gatewayOf("new")}, new.created_at) on conflict do nothing;
     else
       delete from aegispay.holds h where h.payment = new.id and h.bucket = new.bucket;
     end if;
     return null;
   end $$`,
  `create trigger payments_hold after update of status on aegispay.payments for each row
   when (old.status <> new.status and (old.status in ${statuses} or new.status in ${statuses}))
   execute function aegispay.note_hold()`,
  `create trigger payments_hold_of_new after insert on aegispay.payments for each row
   when (new.status in ${statuses}) execute function aegispay.note_hold()`,
  `insert into aegispay.holds (bucket, payment, gateway, created_at)
   select p.bucket, p.id, ${gatewayOf("p")}, p.created_at from aegispay.payments p where ${isHeld("p")}`
]

/** Creates the list of payments with a hold, and fills it. */
export const holds: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
