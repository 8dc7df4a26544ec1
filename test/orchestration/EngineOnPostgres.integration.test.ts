/**
 * The engine on a real Postgres: how many commits a payment costs, the host's transaction, and many callers with one key.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { type PaymentId, uuidOfPayment } from "../../src/domain/payment/Ids.ts"
import * as MemoryGatewayMetrics from "../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../../src/layers/memory/Ids.ts"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import * as PostgresLock from "../../src/layers/postgres/Lock.ts"
import * as Postgres from "../../src/layers/postgres/Postgres.ts"
import { Payments } from "../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import { chargeRequest, declined, engineOver, key, success, tenant, testGateway } from "../support/TestEngine.ts"

const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, MemoryGatewayMetrics.layer, MemoryIds.layer).pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(TestDatabase.layer)
)

const engine = (...gateways: ReadonlyArray<ReturnType<typeof testGateway>>) => engineOver(gateways)

/** The transactions that wrote the rows of a payment. Other suites share the server, so its own counters say nothing. */
const commitsOf = Effect.fnUntraced(function* (id: PaymentId) {
  const sql = yield* SqlClient.SqlClient
  const payment = uuidOfPayment(id)
  const [row] = yield* sql<{ readonly count: bigint }>`select count(distinct x) as count from (
    select xmin::text as x from aegispay.commits where payment = ${payment}::uuid
    union all select xmin::text from aegispay.payments where id = ${payment}::uuid
    union all select xmin::text from aegispay.claims where payment = ${payment}::uuid
    union all select xmin::text from aegispay.open_operations where payment = ${payment}::uuid
    union all select xmin::text from aegispay.outbox where payment = ${payment}::uuid
  ) written`
  return Number(row?.count)
})

class HostFailed extends Error {}

layer(stores, { timeout: "60 seconds", excludeTestServices: true })("on Postgres", (it) => {
  describe("a payment", () => {
    it.effect("that succeeds at once costs two commits", () => {
      const a = testGateway("a")
      return Effect.gen(function* () {
        const payments = yield* Payments
        const { payment } = yield* payments.charge(chargeRequest("two-commits"))
        assert.strictEqual(payment.status, "succeeded")
        assert.strictEqual(yield* commitsOf(payment.id), 2)
      }).pipe(Effect.provide(engine(a)))
    })

    it.effect("with a failover costs three: the refusal and the next intent are one", () => {
      const a = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
      const b = testGateway("b")
      return Effect.gen(function* () {
        const payments = yield* Payments
        const { payment } = yield* payments.charge(chargeRequest("three-commits"))
        assert.strictEqual(payment.status, "succeeded")
        assert.strictEqual(yield* commitsOf(payment.id), 3)
      }).pipe(Effect.provide(engine(a, b)))
    })

    it.effect("asked for 200 times at once with one key is charged once", () => {
      const a = testGateway("a", { send: (intent) => Effect.as(Effect.sleep("50 millis"), success(intent)) })
      return Effect.gen(function* () {
        const payments = yield* Payments
        const answers = yield* Effect.all(
          Array.from({ length: 200 }, () => payments.charge(chargeRequest("storm"))),
          { concurrency: "unbounded" }
        )
        assert.lengthOf(new Set(answers.map(({ payment }) => payment.id)), 1)
        assert.isTrue(answers.every(({ payment }) => payment.status === "succeeded"))
        assert.lengthOf(a.sent, 1)
      }).pipe(Effect.provide(engine(a)))
    })
  })

  describe("the host's transaction", () => {
    const orders = Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`create table if not exists orders (id text primary key, payment text not null)`
      return sql
    })

    it.effect("commits the order row and the payment together, and the call starts after the commit", () =>
      Effect.gen(function* () {
        const called = yield* Deferred.make<void>()
        const a = testGateway("a", { send: (intent) => Effect.as(Deferred.succeed(called, undefined), success(intent)) })
        yield* Effect.gen(function* () {
          const sql = yield* orders
          const payments = yield* Payments
          const repository = yield* PaymentRepository
          const prepared = yield* sql.withTransaction(
            Effect.gen(function* () {
              const { payment } = yield* payments.prepare(chargeRequest("order-1"))
              yield* sql`insert into orders ${sql.insert({ id: "order-1", payment: payment.id })}`
              assert.lengthOf(a.sent, 0)
              return payment
            })
          )
          assert.strictEqual(prepared.status, "processing")
          yield* Deferred.await(called)
          const charged = yield* payments.charge(chargeRequest("order-1"))
          assert.isTrue(charged.replayed)
          assert.strictEqual(charged.payment.id, prepared.id)
          assert.strictEqual(charged.payment.status, "succeeded")
          const rows = yield* sql`select payment from orders where id = 'order-1'`
          assert.deepStrictEqual(rows, [{ payment: prepared.id }])
          assert.isTrue(Option.isSome(yield* repository.findClaim({ tenant, key: key("order-1") })))
          assert.lengthOf(a.sent, 1)
        }).pipe(Effect.provide(engine(a)))
      })
    )

    it.effect("that rolls back leaves no order, no payment, no claim and no gateway call", () => {
      const a = testGateway("a")
      return Effect.gen(function* () {
        const sql = yield* orders
        const payments = yield* Payments
        const repository = yield* PaymentRepository
        const store = yield* EventStore
        const exit = yield* Effect.exit(
          sql.withTransaction(
            Effect.gen(function* () {
              const { payment } = yield* payments.prepare(chargeRequest("order-2"))
              yield* sql`insert into orders ${sql.insert({ id: "order-2", payment: payment.id })}`
              return yield* Effect.fail({ failed: new HostFailed(), id: payment.id })
            })
          )
        )
        const failure = Exit.isFailure(exit) ? Option.getOrThrow(Cause.findErrorOption(exit.cause)) : undefined
        assert.isTrue(failure !== undefined && "id" in failure)
        if (failure === undefined || !("id" in failure)) return
        assert.lengthOf(yield* store.read(failure.id), 0)
        assert.isTrue(Option.isNone(yield* repository.get({ id: failure.id })))
        assert.isTrue(Option.isNone(yield* repository.findClaim({ tenant, key: key("order-2") })))
        assert.lengthOf(yield* sql`select 1 from orders where id = 'order-2'`, 0)
        const open = yield* repository.openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, limit: 1000 })
        assert.isFalse(open.data.some((operation) => operation.payment === failure.id))
        const { payment } = yield* payments.charge(chargeRequest("order-3"))
        assert.strictEqual(payment.status, "succeeded")
        assert.lengthOf(a.sent, 1)
      }).pipe(Effect.provide(engine(a)))
    })

    it.effect("a program that calls a gateway dies inside it, and calls nothing", () => {
      const a = testGateway("a")
      return Effect.gen(function* () {
        const sql = yield* orders
        const payments = yield* Payments
        const exit = yield* Effect.exit(sql.withTransaction(payments.charge(chargeRequest("inside"))))
        const defect = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Die")?.defect : undefined
        assert.strictEqual((defect as { readonly _tag?: string } | undefined)?._tag, "CallInsideTransaction")
        assert.lengthOf(a.sent, 0)
      }).pipe(Effect.provide(engine(a)))
    })
  })
})
