/**
 * Which payments a person has to look at, of all merchants.
 *
 * A trigger keeps it with the payment's head, in the same transaction, whoever writes the head: commits and rebuilds of the projection.
 * An index on the status would cost every commit its heap-only update; the trigger runs only where a payment comes into review or
 * leaves it.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `create table aegispay.reviews (
     bucket integer not null,
     payment uuid not null,
     primary key (payment, bucket)
   )`,
  `create function aegispay.note_review() returns trigger language plpgsql as $$
   begin
     if new.status = 'needs_review' then
       insert into aegispay.reviews (bucket, payment) values (new.bucket, new.id) on conflict do nothing;
     else
       delete from aegispay.reviews r where r.payment = new.id and r.bucket = new.bucket;
     end if;
     return null;
   end $$`,
  `create trigger payments_review after update of status on aegispay.payments for each row
   when (old.status <> new.status and (old.status = 'needs_review' or new.status = 'needs_review'))
   execute function aegispay.note_review()`,
  `create trigger payments_review_of_new after insert on aegispay.payments for each row
   when (new.status = 'needs_review') execute function aegispay.note_review()`,
  `insert into aegispay.reviews (bucket, payment) select bucket, id from aegispay.payments where status = 'needs_review'`
]

/** Creates the list of payments in review, and fills it. */
export const reviews: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
