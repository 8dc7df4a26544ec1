/**
 * The projection on Postgres passes its contract.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import * as PostgresProjection from "../../../src/layers/postgres/recovery/Projection.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { Projection } from "../../../src/services/Projection.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as ProjectionContract from "../../contracts/Projection.ts"
import * as Payments from "../../support/payments.ts"
import * as StoredEvents from "../../support/storedEvents.ts"
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
    history: (payment) => StoredEvents.remove(payment, 2),
    all: run(
      `with head as (delete from aegispay.payments where bucket = $1::int and id = $2::uuid)
       delete from aegispay.open_operations where bucket = $1::int and payment = $2::uuid`
    )
  }
})

layer(stores, { excludeTestServices: true })("Postgres: Projection", (it) => {
  it.effect("a payment whose head was lost is counted for its customer again", () =>
    Effect.gen(function* () {
      const repository = yield* PaymentRepository
      const tenant = Payments.newTenant()
      const { id } = yield* mustCommit(Payments.firstCommit({ tenant, details: { customer: { id: "c-1" } } }))
      const count = repository.count({ tenant, customer: "c-1", withinMillis: 3_600_000, limit: 10 })
      assert.strictEqual(yield* count, 1)
      yield* run(`delete from aegispay.payments where bucket = $1::int and id = $2::uuid`)(id)
      assert.strictEqual(yield* count, 0)
      assert.deepStrictEqual(yield* (yield* Projection).rebuild(id), ["payment"])
      assert.strictEqual(yield* count, 1)
    })
  )
})
