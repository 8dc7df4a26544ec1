/**
 * The projection on Postgres passes its contract.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import * as PostgresProjection from "../../../src/layers/postgres/recovery/Projection.ts"
import * as ProjectionContract from "../../contracts/Projection.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Layer.merge(Postgres.layer, PostgresProjection.layer).pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(TestDatabase.layer)
)

const run = (text: string) => (payment: PaymentId) =>
  Effect.flatMap(SqlClient, (sql) => sql.unsafe(text, [bucketOfPayment(payment), uuidOfPayment(payment)]))

ProjectionContract.suite<SqlClient>("Postgres", stores, {
  live: true,
  damage: {
    status: run(
      `update aegispay.payments set status = case status when 'failed' then 'succeeded' else 'failed' end where bucket = $1::int and id = $2::uuid`
    ),
    view: run(
      `update aegispay.payments set view = '{"nonsense":1}', tenant = 'somebody', updated_at = 1 where bucket = $1::int and id = $2::uuid`
    ),
    noOpen: run(`delete from aegispay.open_operations where bucket = $1::int and payment = $2::uuid`),
    strangeOpen: run(
      `with changed as (update aegispay.open_operations set status = 'pending', opened_at = 5 where bucket = $1::int and payment = $2::uuid)
       insert into aegispay.open_operations (bucket, payment, operation, gateway, account, kind, status, opened_at)
       values ($1::int, $2::uuid, 999, 'nobody', 'nobody', 'void', 'processing', 1) on conflict do nothing`
    ),
    history: run(`delete from aegispay.events where bucket = $1::int and payment = $2::uuid and version = 2`),
    all: run(
      `with head as (delete from aegispay.payments where bucket = $1::int and id = $2::uuid)
       delete from aegispay.open_operations where bucket = $1::int and payment = $2::uuid`
    )
  }
})
