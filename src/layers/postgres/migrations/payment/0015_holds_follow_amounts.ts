/**
 * The list of holds follows the amounts, also where the status stays: what is refunded, disputed or given back in part may lose its hold to a
 * void that took effect after all, or get it back when the last capture fails; and another authorization may come to stand, at another gateway.
 *
 * The trigger runs for every change of a payment whose status can hold something. What was listed wrongly is listed anew.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { gatewayOf, isHeld, statuses } from "./0014_holds.ts"

/** A hold at another gateway is another one, which was not asked about. */
const listed = `on conflict (payment, bucket) do update set gateway = excluded.gateway, asked_at = null where h.gateway <> excluded.gateway`

const statements = [
  `create or replace function aegispay.note_hold() returns trigger language plpgsql as $$
   begin
     if ${isHeld("new")} then
       insert into aegispay.holds as h (bucket, payment, gateway, created_at)
       values (new.bucket, new.id, ${gatewayOf("new")}, new.created_at) ${listed};
     else
       delete from aegispay.holds h where h.payment = new.id and h.bucket = new.bucket;
     end if;
     return null;
   end $$`,
  `drop trigger payments_hold on aegispay.payments`,
  `create trigger payments_hold after update of status on aegispay.payments for each row
   when (old.status in ${statuses} or new.status in ${statuses})
   execute function aegispay.note_hold()`,
  `delete from aegispay.holds h using aegispay.payments p where p.bucket = h.bucket and p.id = h.payment and not ${isHeld("p")}`,
  `insert into aegispay.holds as h (bucket, payment, gateway, created_at)
   select p.bucket, p.id, ${gatewayOf("p")}, p.created_at from aegispay.payments p where ${isHeld("p")} ${listed}`
]

/** Lets the list of payments with a hold follow their amounts. */
export const holdsFollowAmounts: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
