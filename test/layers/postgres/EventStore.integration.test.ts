/**
 * What the event store on Postgres does beyond its contract: lost acknowledgements, broken sessions, durability, damaged data, and
 * the order of the global log.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TcpProxy from "../../support/TcpProxy.ts"
import * as StoredEvents from "../../support/storedEvents.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer))

/** A store behind a proxy, and one that reaches the same database directly. */
const behindProxy = Effect.gen(function* () {
  const url = yield* TestDatabase.fresh
  const proxy = yield* TcpProxy.start(url)
  const direct = yield* Layer.build(Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(PgClient.layer({ url }))))
  const proxied = yield* Layer.build(Postgres.layer.pipe(Layer.provideMerge(PgClient.layer({ url: proxy.url, maxConnections: 1 }))))
  // One connection is open and ready.
  yield* Effect.provideContext(
    Effect.flatMap(EventStore, (store) => store.now),
    proxied
  )
  return { url, proxy, direct, proxied }
})

const versionsOf = (payment: PaymentId) =>
  Effect.flatMap(EventStore, (store) => Effect.map(store.read(payment), (events) => events.map((event) => event.version)))

const where = (payment: PaymentId) => [bucketOfPayment(payment), uuidOfPayment(payment)] as const

/** Holds the head row of a payment in a transaction until it is told to let go. */
const holdHead = Effect.fnUntraced(function* (payment: PaymentId) {
  const sql = yield* SqlClient.SqlClient
  const held = yield* Deferred.make<void>()
  const letGo = yield* Deferred.make<void>()
  const fiber = yield* Effect.forkScoped(
    sql.withTransaction(
      Effect.gen(function* () {
        yield* sql.unsafe("select from aegispay.payments where bucket = $1::int and id = $2::uuid for update", where(payment))
        yield* Deferred.succeed(held, undefined)
        yield* Deferred.await(letGo)
      })
    )
  )
  yield* Deferred.await(held)
  return Effect.andThen(Deferred.succeed(letGo, undefined), Fiber.join(fiber))
})

/** The process of the one session that waits for a lock. */
const waitingSession = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  for (let tries = 0; tries < 200; tries++) {
    const [row] = yield* sql<{
      readonly pid: number
    }>`select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
    if (row !== undefined) return row.pid
    yield* Effect.sleep(10)
  }
  return assert.fail("no session waits for a lock")
})

describe("a commit whose acknowledgement is lost", () => {
  it.live("is found to be stored, once", () =>
    Effect.gen(function* () {
      const { direct, proxied, proxy } = yield* behindProxy
      const commit = Payments.firstCommit()
      proxy.loseAnswers = 1
      const payment = yield* Effect.provideContext(mustCommit(commit), proxied)
      assert.strictEqual(proxy.loseAnswers, 0, "the answer was lost")
      assert.deepStrictEqual(yield* Effect.provideContext(versionsOf(commit.payment.id), direct), [1, 2, 3])
      proxy.loseAnswers = 2
      const outcome = Payments.commitOf(payment, [Payments.succeeded()])
      const done = yield* Effect.provideContext(mustCommit(outcome), proxied)
      assert.strictEqual(done.version, 4)
      assert.deepStrictEqual(yield* Effect.provideContext(versionsOf(payment.id), direct), [1, 2, 3, 4])
    }).pipe(Effect.scoped)
  )

  it.live("is reported as unknown when it stays so, and repeating it later answers Committed", () =>
    Effect.gen(function* () {
      const { direct, proxied, proxy } = yield* behindProxy
      const commit = Payments.firstCommit()
      proxy.loseAnswers = Number.POSITIVE_INFINITY
      const error = yield* Effect.provideContext(Effect.flip(mustCommit(commit)), proxied)
      assert.strictEqual(error.reason._tag, "OutcomeUnknown")
      assert.isTrue(error.isAmbiguous && error.isRetryable)
      assert.deepStrictEqual(yield* Effect.provideContext(versionsOf(commit.payment.id), direct), [1, 2, 3])
      proxy.loseAnswers = 0
      const payment = yield* Effect.provideContext(mustCommit(commit), proxied)
      assert.strictEqual(payment.version, 3)
      assert.deepStrictEqual(yield* Effect.provideContext(versionsOf(payment.id), direct), [1, 2, 3])
    }).pipe(Effect.scoped)
  )

  it.live("is asked for again when no answer comes at all", () =>
    Effect.gen(function* () {
      const { direct, proxied, proxy } = yield* behindProxy
      const commit = Payments.firstCommit()
      proxy.swallowAnswers = 1
      assert.strictEqual((yield* Effect.provideContext(mustCommit(commit), proxied)).version, 3)
      assert.deepStrictEqual(yield* Effect.provideContext(versionsOf(commit.payment.id), direct), [1, 2, 3])
    }).pipe(Effect.scoped)
  )

  it.live("of a session that is terminated while it waits is repeated", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const payment = yield* mustCommit(Payments.firstCommit())
      const letGo = yield* holdHead(payment.id)
      const commit = yield* Effect.forkScoped(mustCommit(Payments.commitOf(payment, [Payments.succeeded()])))
      yield* sql`select pg_terminate_backend(${yield* waitingSession})`
      yield* letGo
      assert.strictEqual((yield* Fiber.join(commit)).version, 4)
      assert.deepStrictEqual(yield* versionsOf(payment.id), [1, 2, 3, 4])
    }).pipe(Effect.scoped, Effect.provide(stores))
  )
})

describe("a commit that cannot be made", () => {
  it.live("is Unavailable, not unknown, when no connection can be made", () =>
    Effect.gen(function* () {
      const { direct, proxied, proxy } = yield* behindProxy
      const commit = Payments.firstCommit()
      proxy.refuse = true
      proxy.breakAll()
      yield* Effect.sleep(50)
      const error = yield* Effect.provideContext(Effect.flip(mustCommit(commit)), proxied)
      assert.strictEqual(error.reason._tag, "Unavailable", error.message)
      assert.isTrue(error.isRetryable && !error.isAmbiguous)
      proxy.refuse = false
      assert.deepStrictEqual(yield* Effect.provideContext(versionsOf(commit.payment.id), direct), [])
      yield* Effect.provideContext(mustCommit(commit), proxied)
    }).pipe(Effect.scoped)
  )

  it.live("gives up waiting for a row that a transaction keeps, and has written nothing", () =>
    Effect.gen(function* () {
      const payment = yield* mustCommit(Payments.firstCommit())
      const letGo = yield* holdHead(payment.id)
      const commit = Payments.commitOf(payment, [Payments.succeeded()])
      const error = yield* Effect.flip(mustCommit(commit))
      assert.strictEqual(error.reason._tag, "Unavailable", error.message)
      yield* letGo
      assert.deepStrictEqual(yield* versionsOf(payment.id), [1, 2, 3])
      assert.strictEqual((yield* mustCommit(commit)).version, 4)
    }).pipe(Effect.scoped, Effect.provide(stores))
  )

  it.live("says which command helps when there is no schema", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(mustCommit(Payments.firstCommit()))
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.include(error.message, "aegispay migrate")
    }).pipe(Effect.provide(Postgres.layer.pipe(Layer.provide(TestDatabase.layer))))
  )
})

describe("transactions and durability", () => {
  it.live("a payment that succeeds at once takes two round trips and two transactions", () =>
    Effect.gen(function* () {
      const { direct, proxied, proxy } = yield* behindProxy
      const before = proxy.queries
      const payment = yield* Effect.provideContext(mustCommit(Payments.firstCommit()), proxied)
      yield* Effect.provideContext(mustCommit(Payments.commitOf(payment, [Payments.succeeded()])), proxied)
      assert.strictEqual(proxy.queries - before, 2)
      const transactions = Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql<{ readonly count: bigint }>`select count(distinct xmin::text) as count from aegispay.commits`
      )
      assert.deepStrictEqual(yield* Effect.provideContext(transactions, direct), [{ count: 2n }])
    }).pipe(Effect.scoped)
  )

  it.live("a commit that joins a host's transaction is one statement of it", () =>
    Effect.gen(function* () {
      const { direct, proxied, proxy } = yield* behindProxy
      const commit = Payments.firstCommit()
      const inTransaction = <A, E>(effect: Effect.Effect<A, E, EventStore>) =>
        Effect.flatMap(SqlClient.SqlClient, (sql) => sql.withTransaction(effect))
      const empty = yield* Effect.gen(function* () {
        const before = proxy.queries
        yield* inTransaction(Effect.void)
        return proxy.queries - before
      }).pipe(Effect.provideContext(proxied))
      const before = proxy.queries
      yield* Effect.provideContext(inTransaction(mustCommit(commit)), proxied)
      assert.strictEqual(proxy.queries - before - empty, 1)
      assert.deepStrictEqual(yield* Effect.provideContext(versionsOf(commit.payment.id), direct), [1, 2, 3])
    }).pipe(Effect.scoped)
  )

  it.live("a commit is synchronous where the default is not, and leaves no setting behind", () =>
    Effect.gen(function* () {
      const url = yield* TestDatabase.fresh
      const client = PgClient.layer({ url, maxConnections: 1, startupParameters: { synchronous_commit: "off" } })
      const built = yield* Layer.build(Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(client)))
      yield* Effect.provideContext(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const settings = sql`select current_setting('synchronous_commit') as durable, current_setting('lock_timeout') as wait`
          assert.deepStrictEqual(yield* settings, [{ durable: "off", wait: "0" }])
          // A deferred trigger sees what the transaction commits with.
          yield* sql`create table seen (durable text)`
          yield* sql`create function note() returns trigger language plpgsql
            as $$ begin insert into seen values (current_setting('synchronous_commit')); return null; end $$`
          yield* sql`create constraint trigger note after insert or update on aegispay.payments
            deferrable initially deferred for each row execute function note()`
          const payment = yield* mustCommit(Payments.firstCommit())
          yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
          assert.deepStrictEqual(yield* sql`select durable from seen`, [{ durable: "on" }, { durable: "on" }])
          assert.deepStrictEqual(yield* settings, [{ durable: "off", wait: "0" }])
        }),
        built
      )
    }).pipe(Effect.scoped)
  )

  it.live("updates of a head and of its row in the outbox stay on their page and touch no index, whatever the length of a head", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      // Of a transaction's own rows nothing is removed before its end: all versions have to fit.
      yield* sql.withTransaction(
        Effect.gen(function* () {
          const begun = yield* Effect.forEach(Array.from({ length: 140 }).keys(), (index) =>
            mustCommit(Payments.firstCommit({ details: { metadata: { note: "n".repeat(10 * Math.floor(index / 20)) } } }))
          )
          // What failed says why, so its head is the longest.
          for (const payment of begun) yield* mustCommit(Payments.commitOf(payment, [Payments.declined(), Payments.failed]))
          const leased = yield* (yield* Outbox).lease({ owner: Payments.uuid(), payments: 140, ttlMillis: 60_000 })
          assert.lengthOf(leased, 140)
          const rows = yield* sql<{ readonly table: string; readonly all: bigint; readonly hot: bigint }>`
            select relname::text as table, n_tup_upd as all, n_tup_hot_upd as hot from pg_stat_xact_user_tables
            where schemaname = 'aegispay' and relname in ('payments', 'outbox') order by relname desc`
          assert.deepStrictEqual(rows, [
            { table: "payments", all: 140n, hot: 140n },
            { table: "outbox", all: 280n, hot: 280n }
          ])
        })
      )
    }).pipe(Effect.scoped, Effect.provide(stores))
  )
})

describe("damaged data", () => {
  it.live("is Corrupt, or a gap; never guessed at", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* EventStore
      const unreadable = yield* mustCommit(Payments.firstCommit())
      yield* sql.unsafe("update aegispay.commits set data = '[[\"half' where bucket = $1::int and payment = $2::uuid", where(unreadable.id))
      const error = yield* Effect.flip(store.read(unreadable.id))
      assert.strictEqual(error._tag === "EventStoreError" ? error.reason._tag : error._tag, "Corrupt")
      const cut = yield* mustCommit(Payments.firstCommit())
      yield* StoredEvents.remove(cut.id, 3)
      const gap = yield* Effect.flip(store.read(cut.id))
      assert.strictEqual(gap._tag, "EventContinuityError", "the head tells that the end is missing")
    }).pipe(Effect.scoped, Effect.provide(stores))
  )
})

describe("the global log", () => {
  /** Housekeeping of the database has transactions too, for a moment. */
  const eventually = Effect.fnUntraced(function* (expected: ReadonlyArray<PaymentId>) {
    const store = yield* EventStore
    let found: ReadonlyArray<PaymentId> = []
    for (let tries = 0; tries < 500; tries++) {
      const rows = yield* store.readAll({ after: 0n, limit: 10_000 })
      found = [...new Set(rows.map((row) => row.event.paymentId))]
      if (found.length >= expected.length) break
      yield* Effect.sleep(10)
    }
    assert.deepStrictEqual(found, expected)
  })

  it.live("an open transaction holds back what was committed after it began, and comes first", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* EventStore
      const before = yield* mustCommit(Payments.firstCommit())
      yield* eventually([before.id])
      const begun = yield* Deferred.make<void>()
      const letGo = yield* Deferred.make<void>()
      const slow = Payments.firstCommit()
      // It has its transaction id early and writes its events late.
      const fiber = yield* Effect.forkScoped(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`select pg_current_xact_id()::text`
            yield* Deferred.succeed(begun, undefined)
            yield* Deferred.await(letGo)
            yield* mustCommit(slow)
          })
        )
      )
      yield* Deferred.await(begun)
      const quick = yield* mustCommit(Payments.firstCommit())
      const seen = yield* store.readAll({ after: 0n, limit: 100 })
      assert.deepStrictEqual([...new Set(seen.map((row) => row.event.paymentId))], [before.id])
      assert.strictEqual((yield* store.read(quick.id)).length, 3, "its own history is there")
      yield* Deferred.succeed(letGo, undefined)
      yield* Fiber.join(fiber)
      yield* eventually([before.id, slow.payment.id, quick.id])
    }).pipe(Effect.scoped, Effect.provide(stores))
  )

  it.live("a transaction of another database of the server holds nothing back", () =>
    Effect.gen(function* () {
      const other = yield* Layer.build(Layer.fresh(TestDatabase.layer))
      const begun = yield* Deferred.make<void>()
      const letGo = yield* Deferred.make<void>()
      const sql = yield* Effect.provideContext(SqlClient.SqlClient, other)
      const foreign = yield* Effect.forkScoped(
        sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`create table written (id integer)`
            yield* Deferred.succeed(begun, undefined)
            yield* Deferred.await(letGo)
          })
        )
      )
      yield* Deferred.await(begun)
      const payment = yield* mustCommit(Payments.firstCommit())
      yield* eventually([payment.id])
      assert.isUndefined(foreign.pollUnsafe(), "the other transaction is still open")
      yield* Deferred.succeed(letGo, undefined)
      yield* Fiber.join(foreign)
    }).pipe(Effect.scoped, Effect.provide(stores))
  )
})
