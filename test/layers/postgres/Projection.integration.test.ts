/**
 * The projection on Postgres passes its contract.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import * as View from "../../../src/domain/payment/View.ts"
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
  it.effect("a payment that has only begun is shown as its commit says; one that went on without a view is damaged and repaired", () =>
    Effect.gen(function* () {
      const repository = yield* PaymentRepository
      const projection = yield* Projection
      const sql = yield* SqlClient
      const storedView = (id: PaymentId) =>
        Effect.map(
          sql<{ readonly view: string | null }>`
        select view from aegispay.payments where id = ${uuidOfPayment(id)}::uuid`,
          ([row]) => row?.view
        )
      const begun = yield* mustCommit(Payments.firstCommit({ details: { metadata: { note: "a\u0000b" } } }))
      assert.isNull(yield* storedView(begun.id))
      const shown = { data: [View.ofPayment(begun)], nextCursor: undefined }
      assert.deepStrictEqual(yield* repository.get({ id: begun.id }), Option.some(View.ofPayment(begun)))
      assert.deepStrictEqual(yield* repository.list({ tenant: begun.details.tenant, limit: 10 }), shown)
      assert.deepStrictEqual(yield* projection.compare(begun.id), [])
      const done = yield* mustCommit(Payments.commitOf(begun, [Payments.succeeded()]))
      assert.isString(yield* storedView(begun.id))
      yield* run(`update aegispay.payments set view = null where bucket = $1::int and id = $2::uuid`)(begun.id)
      assert.include((yield* Effect.flip(repository.get({ id: begun.id }))).message, "Corrupt")
      assert.deepStrictEqual(yield* projection.rebuild(begun.id), ["view"])
      assert.deepStrictEqual(yield* repository.get({ id: begun.id }), Option.some(View.ofPayment(done)))
    })
  )

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
