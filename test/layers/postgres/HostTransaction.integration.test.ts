/**
 * Payments in the host's own transaction (rule 15): they commit and roll back with the host's rows, a refusal does not break the
 * transaction, and detached work stays outside.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as SqlClient from "effect/sql/SqlClient"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { HostTransaction } from "../../../src/services/HostTransaction.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const orders = Layer.effectDiscard(
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`create table orders (id text primary key, payment text not null)`)
)
const stores = Layer.merge(Postgres.layer, orders).pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer))

class Cancelled extends Error {
  readonly _tag = "Cancelled"
}

const ordersOf = (payment: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => Effect.map(sql`select id from orders where payment = ${payment}`, (rows) => rows.length))

const insertOrder = (payment: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql`insert into orders (id, payment) values (${Payments.uuid()}, ${payment})`)

/** How many rows the tables of payments hold, all together. */
const rowCounts = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql`select (select count(*) from aegispay.payments) as payments, (select count(*) from aegispay.events) as events,
    (select count(*) from aegispay.claims) as claims, (select count(*) from aegispay.open_operations) as open,
    (select coalesce(sum(last_version - first_version + 1), 0)::bigint from aegispay.outbox) as outbox, (select count(*) from orders) as orders`
)

layer(stores, { excludeTestServices: true })("a commit in the host's transaction", (it) => {
  it.effect("commits with the host's rows, and is seen inside before", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* EventStore
      const host = yield* HostTransaction
      const commit = Payments.firstCommit()
      const id = commit.payment.id
      yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* insertOrder(id)
          yield* mustCommit(commit)
          assert.strictEqual((yield* store.read(id)).length, 3, "inside it is there")
          assert.deepStrictEqual(yield* host.outside(store.read(id)), [], "outside it is not yet")
        })
      )
      assert.strictEqual((yield* store.read(id)).length, 3)
      assert.strictEqual(yield* ordersOf(id), 1)
    })
  )

  it.effect("rolls back with the host's rows and leaves nothing", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const repository = yield* PaymentRepository
      const commit = Payments.firstCommit()
      const before = yield* rowCounts
      const exit = yield* sql
        .withTransaction(
          Effect.gen(function* () {
            yield* insertOrder(commit.payment.id)
            const payment = yield* mustCommit(commit)
            yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
            return yield* Effect.fail(new Cancelled())
          })
        )
        .pipe(Effect.flip)
      assert.instanceOf(exit, Cancelled)
      assert.deepStrictEqual(yield* rowCounts, before)
      assert.isTrue(Option.isNone(yield* repository.findClaim(commit.claim)))
      assert.isTrue(Option.isNone(yield* repository.get({ id: commit.payment.id })))
      assert.strictEqual((yield* mustCommit(commit)).version, 3, "the same commit can be made again")
    })
  )

  it.effect("a refusal leaves the transaction whole", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* EventStore
      const first = Payments.firstCommit()
      const payment = yield* mustCommit(first)
      const { key, tenant } = first.claim
      const third = Payments.firstCommit()
      yield* sql.withTransaction(
        Effect.gen(function* () {
          const taken = yield* store.commit(Payments.firstCommit({ tenant, key }))
          const stale = yield* store.commit(Payments.commitOf({ ...payment, version: 2 }, [Payments.cancelRequested]))
          const again = yield* store.commit(first)
          assert.deepStrictEqual([taken._tag, stale._tag, again._tag], ["KeyTaken", "VersionConflict", "Committed"])
          yield* insertOrder(third.payment.id)
          yield* mustCommit(third)
        })
      )
      assert.strictEqual(yield* ordersOf(third.payment.id), 1)
      assert.strictEqual((yield* store.read(third.payment.id)).length, 3)
    })
  )

  it.effect("several commits in one transaction have ascending positions", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const written = yield* sql.withTransaction(
        Effect.gen(function* () {
          const payment = yield* mustCommit(Payments.firstCommit())
          const other = yield* mustCommit(Payments.firstCommit())
          yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
          return yield* sql<{ readonly version: number; readonly own: boolean }>`
            select version, payment = ${payment.id.slice(8)}::uuid as own from aegispay.events
            where payment in (${payment.id.slice(8)}::uuid, ${other.id.slice(8)}::uuid) order by position`
        })
      )
      assert.deepStrictEqual(
        written.map((row) => [row.own, row.version]),
        [
          [true, 1],
          [true, 2],
          [true, 3],
          [false, 1],
          [false, 2],
          [false, 3],
          [true, 4]
        ]
      )
    })
  )

  it.effect("a failed statement of the host breaks its transaction, and a commit in it says so", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const error = yield* sql
        .withTransaction(
          Effect.gen(function* () {
            yield* Effect.ignore(sql`select 1 / 0`)
            return yield* mustCommit(Payments.firstCommit())
          })
        )
        .pipe(Effect.flip)
      assert.strictEqual(error._tag === "EventStoreError" ? error.reason._tag : error._tag, "TransactionFailed")
    })
  )

  for (const ending of ["commit", "rollback"] as const) {
    it.effect(`another session that claims the same key waits for the ${ending} and then knows`, () =>
      Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const store = yield* EventStore
        const first = Payments.firstCommit()
        const { key, tenant } = first.claim
        const second = Payments.firstCommit({ tenant, key })
        const claimed = yield* Deferred.make<void>()
        const end = yield* Deferred.make<void>()
        const host = yield* Effect.forkScoped(
          sql
            .withTransaction(
              Effect.gen(function* () {
                yield* mustCommit(first)
                yield* Deferred.succeed(claimed, undefined)
                yield* Deferred.await(end)
                if (ending === "rollback") return yield* Effect.fail(new Cancelled())
              })
            )
            .pipe(Effect.ignore)
        )
        yield* Deferred.await(claimed)
        const waiting = yield* Effect.forkScoped(store.commit(second))
        yield* Effect.sleep(100)
        assert.isUndefined(waiting.pollUnsafe(), "it waits")
        yield* Deferred.succeed(end, undefined)
        yield* Fiber.join(host)
        const result = yield* Fiber.join(waiting)
        assert.strictEqual(result._tag, ending === "commit" ? "KeyTaken" : "Committed")
        assert.strictEqual((yield* store.read(second.payment.id)).length, ending === "commit" ? 0 : 3)
        if (result._tag === "KeyTaken") assert.strictEqual(result.claim.payment, first.payment.id)
      })
    )
  }
})

describe("HostTransaction on Postgres", () => {
  it.live("knows the transaction, leaves it, and runs after its commit", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const host = yield* HostTransaction
      const outbox = yield* Outbox
      const ran: Array<string> = []
      const note = (text: string) =>
        host.afterCommit(
          Effect.andThen(
            Effect.orDie(outbox.summary),
            Effect.sync(() => void ran.push(text))
          )
        )
      assert.isFalse(yield* host.isOpen)
      yield* note("at once")
      assert.deepStrictEqual(ran, ["at once"])
      yield* sql.withTransaction(
        Effect.gen(function* () {
          assert.isTrue(yield* host.isOpen)
          assert.isFalse(yield* host.outside(host.isOpen))
          const inside = yield* sql<{ readonly id: string }>`select pg_current_xact_id()::text as id`
          const outside = yield* host.outside(sql<{ readonly id: string }>`select pg_current_xact_id()::text as id`)
          assert.notStrictEqual(inside[0]?.id, outside[0]?.id)
          yield* note("committed")
          assert.deepStrictEqual(ran, ["at once"])
        })
      )
      assert.deepStrictEqual(ran, ["at once", "committed"])
      yield* sql.withTransaction(Effect.andThen(note("rolled back"), Effect.fail(new Cancelled()))).pipe(Effect.ignore)
      assert.deepStrictEqual(ran, ["at once", "committed"])
      assert.isFalse(yield* host.isOpen)
    }).pipe(Effect.provide(stores))
  )
})
