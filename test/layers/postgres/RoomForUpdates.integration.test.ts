/**
 * The migration that leaves more room in pages runs while payments are made, and changes nothing that is stored.
 */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as SqlClient from "effect/sql/SqlClient"
import * as View from "../../../src/domain/payment/View.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import { roomForUpdates } from "../../../src/layers/postgres/migrations/payment/0016_room_for_updates.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layerWith({ maxConnections: 3 })))

const fillfactors = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{
    readonly table: string
    readonly options: string
  }>`select relname::text as table, reloptions::text as options from pg_class
    where oid in ('aegispay.payments'::regclass, 'aegispay.outbox'::regclass) order by relname`
)

it.live("more room is left in pages while a payment is being committed, and what is stored stays", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    yield* sql`alter table aegispay.payments set (fillfactor = 50)`
    yield* sql`alter table aegispay.outbox set (fillfactor = 50)`
    const old = yield* mustCommit(Payments.firstCommit())
    const committed = yield* Deferred.make<void>()
    const letGo = yield* Deferred.make<void>()
    const other = yield* Effect.forkScoped(
      sql.withTransaction(
        Effect.gen(function* () {
          const payment = yield* mustCommit(Payments.firstCommit())
          yield* Deferred.succeed(committed, undefined)
          yield* Deferred.await(letGo)
          return yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
        })
      )
    )
    yield* Deferred.await(committed)
    yield* sql.withTransaction(roomForUpdates)
    assert.isUndefined(other.pollUnsafe(), "the other transaction is still open")
    yield* Deferred.succeed(letGo, undefined)
    const payments = [yield* mustCommit(Payments.commitOf(old, [Payments.succeeded()])), yield* Fiber.join(other)]
    assert.deepStrictEqual(yield* fillfactors, [
      { table: "outbox", options: "{fillfactor=25}" },
      { table: "payments", options: "{fillfactor=46}" }
    ])
    const repository = yield* PaymentRepository
    for (const payment of payments) {
      assert.deepStrictEqual(Option.getOrUndefined(yield* repository.get({ id: payment.id })), View.ofPayment(payment))
    }
    const leased = yield* (yield* Outbox).lease({ owner: "a", payments: 10, ttlMillis: 60_000 })
    assert.deepStrictEqual(
      leased.map(({ events }) => events.map(({ version }) => version)),
      [
        [1, 2, 3, 4],
        [1, 2, 3, 4]
      ]
    )
  }).pipe(Effect.scoped, Effect.provide(stores))
)
