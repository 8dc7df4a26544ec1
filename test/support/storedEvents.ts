/**
 * Hands in the stored events of a payment on Postgres.
 */
import * as Effect from "effect/Effect"
import { SqlClient } from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, uuidOfPayment } from "../../src/domain/payment/Ids.ts"

/** Takes one event out of a payment's history; what is left becomes a row for each event. */
export const remove = Effect.fnUntraced(function* (payment: PaymentId, version: number) {
  const sql = yield* SqlClient
  const where = [bucketOfPayment(payment), uuidOfPayment(payment)]
  yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql.unsafe(
        `create temporary table kept on commit drop as select * from aegispay.events where bucket = $1::int and payment = $2::uuid`,
        where
      )
      yield* sql.unsafe(`delete from aegispay.commits where bucket = $1::int and payment = $2::uuid`, where)
      yield* sql.unsafe(
        `insert into aegispay.commits (payment, recorded_at, position, bucket, version, schema_version, event_ids, data)
         select payment, recorded_at, position, bucket, version, schema_version, array[event_id],
           '[[' || to_json(type) || ',' || occurred_at || ',' || data || ']]' from kept where version <> $1::int`,
        [version]
      )
    })
  )
})
