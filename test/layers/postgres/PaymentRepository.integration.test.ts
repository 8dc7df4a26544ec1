/**
 * How the repository and the outbox read: by index, whatever the size of the tables.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as PaymentRepositoryLayer from "../../../src/layers/postgres/payment/PaymentRepository.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

/** 20,000 payments of 20 tenants that have begun, with their commit and an open operation each, copies of one that was committed. */
const filled = Layer.effectDiscard(
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* mustCommit(Payments.firstCommit())
    yield* sql`insert into aegispay.payments (bucket, id, tenant, version, status, view, created_at, updated_at)
      select n % 65536, gen_random_uuid(), 't' || n % 20, version, status, view, created_at + n, updated_at + n
      from aegispay.payments, generate_series(1, 20000) n`
    yield* sql`insert into aegispay.commits (payment, recorded_at, position, bucket, version, schema_version, event_ids, data)
      select p.id, p.created_at, -row_number() over (), p.bucket, 1, c.schema_version, c.event_ids, c.data
      from aegispay.payments p, aegispay.commits c where p.tenant like 't%'`
    yield* sql`insert into aegispay.open_operations (bucket, payment, operation, gateway, account, kind, status, opened_at)
      select p.bucket, p.id, 1, 'g' || p.bucket % 3, 'a', 'sale', 'processing', p.created_at from aegispay.payments p where tenant like 't%'`
    yield* sql`analyze aegispay.payments, aegispay.commits, aegispay.open_operations`
  })
)
const stores = filled.pipe(Layer.provideMerge(Postgres.layer), Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer))

/** Runs a read of the repository and answers the plans of its statements. */
const plansOf = Effect.fnUntraced(function* <A, E>(read: (repository: PaymentRepository["Service"]) => Effect.Effect<A, E>) {
  const sql = yield* SqlClient.SqlClient
  const statements: Array<readonly [text: string, parameters: ReadonlyArray<unknown>]> = []
  const recording: SqlClient.SqlClient = Object.assign((...args: Parameters<SqlClient.SqlClient>) => sql(...args), sql, {
    unsafe: (text: string, parameters: ReadonlyArray<unknown> = []) => {
      statements.push([text, parameters])
      return sql.unsafe(text, parameters)
    },
    withoutTransforms: () => recording
  }) as never
  const value = yield* Effect.provide(
    Effect.flatMap(PaymentRepository, read),
    Layer.fresh(PaymentRepositoryLayer.layer).pipe(Layer.provide(Layer.succeed(SqlClient.SqlClient, recording)))
  )
  const plans = yield* Effect.forEach(statements.slice(-1), ([text, parameters]) =>
    Effect.map(sql.unsafe<Record<string, string>>(`explain ${text}`, parameters), (rows) => rows.map((row) => row["QUERY PLAN"]).join("\n"))
  )
  const kept = yield* Effect.forEach(statements.slice(-1), ([text, parameters]) => keptPlanOf(text, parameters.length))
  return { value, plan: plans.join("\n"), kept: kept.join("\n"), sent: statements.length }
})

/** The plan that a connection keeps for any parameters. */
const keptPlanOf = Effect.fnUntraced(function* (text: string, parameters: number) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql.unsafe("set local plan_cache_mode = force_generic_plan")
      yield* sql.unsafe(`prepare kept as ${text}`)
      const rows = yield* sql.unsafe<Record<string, string>>(
        `explain execute kept(${Array.from({ length: parameters }, () => "null").join(", ")})`
      )
      yield* sql.unsafe("deallocate kept")
      return rows.map((row) => row["QUERY PLAN"]).join("\n")
    })
  )
})

const assertCountedByIndex = (plan: string) => {
  assert.notInclude(plan, "Seq Scan")
  assert.notInclude(plan, "Sort")
  assert.include(plan, "payments_newest")
  assert.include(plan, "payments_of_customer")
}

layer(stores, { excludeTestServices: true })("Postgres plans", (it) => {
  it.effect("a page of a tenant is read from its index, the first as the later ones, with and without filters", () =>
    Effect.gen(function* () {
      const tenant = Payments.newTenant().replace(/.*/, "t7") as ReturnType<typeof Payments.newTenant>
      const first = yield* plansOf((repository) => repository.list({ tenant, limit: 50 }))
      assert.strictEqual(first.value.data.length, 50)
      const cursor = first.value.nextCursor ?? assert.fail("a second page expected")
      const second = yield* plansOf((repository) => repository.list({ tenant, cursor, limit: 50 }))
      const from = second.value.data.at(-1)?.createdAt ?? 0
      const filtered = yield* plansOf((repository) => repository.list({ tenant, cursor, from, status: "processing", limit: 50 }))
      assert.isAtLeast(filtered.value.data.length, 1)
      for (const { plan } of [first, second, filtered]) {
        assert.include(plan, "Index Scan Backward using payments_newest")
        assert.notInclude(plan, "Seq Scan")
        assert.notInclude(plan, "Sort")
      }
    })
  )

  it.effect("payments are counted in their indexes, no further than the limit", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const ofCustomer = Payments.firstCommit({ details: { customer: { id: "c-1" } } })
      yield* mustCommit(ofCustomer)
      // The customer of the one payment belongs to all that are copied from it, across the slots of the index.
      yield* sql`insert into aegispay.payments (bucket, id, tenant, version, status, view, created_at, updated_at, customer)
        select n % 65536, gen_random_uuid(), p.tenant, p.version, p.status, p.view, p.created_at - n * 10000, p.updated_at, p.customer
        from aegispay.payments p, generate_series(1, 20000) n where p.customer is not null`
      const tenant = ofCustomer.claim.tenant
      const week = 7 * 24 * 3_600_000
      const counted = yield* plansOf((repository) => repository.count({ tenant, customer: "c-1", withinMillis: week, limit: 10_000 }))
      assert.strictEqual(counted.value, 10_000, "stops at the limit")
      const hour = yield* plansOf((repository) => repository.count({ tenant, customer: "c-1", withinMillis: 3_600_000, limit: 10_000 }))
      assert.approximately(hour.value, 360, 2, "one every 10 s, and the first")
      const day = yield* plansOf((repository) => repository.count({ tenant, customer: "c-1", withinMillis: 86_400_000, limit: 10_000 }))
      assert.approximately(day.value, 8_640, 4)
      const merchant = yield* plansOf((repository) => repository.count({ tenant, withinMillis: week, limit: 1_000 }))
      assert.strictEqual(merchant.value, 1_000)
      for (const { kept, plan } of [counted, merchant]) {
        assertCountedByIndex(plan)
        assertCountedByIndex(kept)
      }
    })
  )

  it.effect("payments of one merchant at once ask together", () =>
    Effect.gen(function* () {
      const { sent, value } = yield* plansOf((repository) =>
        Effect.forEach(
          Array.from({ length: 100 }),
          () => repository.count({ tenant: Payments.merchant, withinMillis: 3_600_000, limit: 100 }),
          { concurrency: "unbounded" }
        )
      )
      assert.isAtMost(sent, 10, "of a hundred callers")
      assert.deepStrictEqual(new Set(value), new Set([100]))
    })
  )

  it.effect("a payment and a claim are read by primary key", () =>
    Effect.gen(function* () {
      const payment = yield* plansOf((repository) => repository.get({ id: Payments.newPaymentId() }))
      assert.include(payment.plan, "payments_pkey")
      const claim = yield* plansOf((repository) => repository.findClaim({ tenant: Payments.merchant, key: Payments.newKey() }))
      assert.notInclude(payment.plan, "Seq Scan")
      assert.include(claim.plan, "claims")
    })
  )

  it.effect("the oldest open operations are read from their index", () =>
    Effect.gen(function* () {
      const openedBefore = Number.MAX_SAFE_INTEGER
      const first = yield* plansOf((repository) => repository.openOperations({ openedBefore, limit: 100 }))
      const cursor = first.value.nextCursor ?? assert.fail("a second page expected")
      const second = yield* plansOf((repository) => repository.openOperations({ openedBefore, cursor, limit: 100 }))
      assert.strictEqual(second.value.data.length, 100)
      for (const { plan } of [first, second]) {
        assert.include(plan, "Index Scan using open_operations_oldest")
        assert.notInclude(plan, "Seq Scan")
      }
    })
  )

  it.effect("a cursor that was not made by a listing lists nothing", () =>
    Effect.gen(function* () {
      const repository = yield* PaymentRepository
      const tenant = Payments.merchant
      for (const cursor of ["", "1", "x_y", "1_2_3", "1'; drop table aegispay.payments; --"]) {
        assert.deepStrictEqual(yield* repository.list({ tenant, cursor, limit: 10 }), { data: [], nextCursor: undefined })
        const open = yield* repository.openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, cursor, limit: 10 })
        assert.deepStrictEqual(open, { data: [], nextCursor: undefined })
      }
    })
  )
})

layer(Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer)), { excludeTestServices: true })(
  "Postgres plans of an empty database",
  (it) => {
    it.effect("a plan that is kept from the first day counts by index", () =>
      Effect.gen(function* () {
        const { kept, plan } = yield* plansOf((repository) => repository.count({ tenant: Payments.merchant, withinMillis: 1, limit: 1 }))
        assertCountedByIndex(plan)
        assertCountedByIndex(kept)
      })
    )
  }
)
