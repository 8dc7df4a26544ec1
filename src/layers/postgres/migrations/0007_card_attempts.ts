/**
 * The declined attempts of cards, by which the networks' retry caps are counted.
 *
 * A card is the SHA-256 of merchant and fingerprint: the table is looked up by it and never has to show it. Rows are written once and deleted
 * when no cap counts them any more; the table carries no money and could be emptied at any time, after which caps count from anew.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

const statements = [
  `create table aegispay.card_attempts (
     card bytea not null,
     bucket integer not null,
     payment uuid not null,
     operation integer not null,
     declined_at bigint not null,
     category text not null,
     keep_until bigint not null,
     primary key (card, payment, operation)
   )`,
  `create index card_attempts_over on aegispay.card_attempts (keep_until)`,
  `comment on column aegispay.card_attempts.declined_at is 'epoch milliseconds'`,
  `comment on column aegispay.card_attempts.keep_until is 'epoch milliseconds; afterwards no cap counts it'`
]

export const cardAttempts: Effect.Effect<void, SqlError, SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient
  for (const statement of statements) yield* sql.unsafe(statement)
})
