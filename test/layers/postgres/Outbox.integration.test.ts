/**
 * What the outbox on Postgres does beyond its contract: a long backlog is read by index, and a lost answer loses no delivery.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { bucketOfPayment, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as OutboxLayer from "../../../src/layers/postgres/Outbox.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TcpProxy from "../../support/TcpProxy.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer))

layer(stores, { excludeTestServices: true })("Postgres: a backlog of 10,000 payments", (it) => {
  it.effect("is leased by index, and payments that wait for their retry are passed over", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const payment = yield* mustCommit(Payments.firstCommit())
      // The 500 oldest payments wait for their retry, another 500 were given up.
      yield* sql`insert into aegispay.outbox (bucket, payment, first_version, last_version, recorded_at, attempts, free_at, died_at, dead_version)
        select n, gen_random_uuid(), 1, 4, n * 10, 1, case when n <= 500 then 99999999999999 end,
          case when n between 501 and 1000 then 1 end, case when n between 501 and 1000 then 4 end from generate_series(1, 10000) n`
      yield* sql`insert into aegispay.payments (bucket, id, tenant, version, status, view, created_at, updated_at)
        select o.bucket, o.payment, p.tenant, 4, p.status, p.view, 1, 1 from aegispay.outbox o, aegispay.payments p where o.attempts = 1`
      yield* sql`analyze aegispay.outbox`
      const statements: Array<readonly [text: string, parameters: ReadonlyArray<unknown>]> = []
      const recording: SqlClient.SqlClient = Object.assign((...args: Parameters<SqlClient.SqlClient>) => sql(...args), sql, {
        unsafe: (text: string, parameters: ReadonlyArray<unknown> = []) => {
          statements.push([text, parameters])
          return sql.unsafe(text, parameters)
        },
        withoutTransforms: () => recording
      }) as never
      yield* Effect.provide(
        Effect.flatMap(Outbox, (outbox) => outbox.lease({ owner: "a", payments: 100, ttlMillis: 60_000 })),
        Layer.fresh(OutboxLayer.layer).pipe(Layer.provide(Layer.succeed(SqlClient.SqlClient, recording)))
      )
      const leased = yield* sql<{ readonly first: bigint; readonly last: bigint; readonly count: bigint }>`
        select min(bucket)::bigint as first, max(bucket)::bigint as last, count(*) as count from aegispay.outbox where token is not null`
      assert.deepStrictEqual(leased, [{ first: 1001n, last: 1100n, count: 100n }])
      const [text, parameters] = statements.at(-1) ?? assert.fail("no statement")
      const plan = (yield* sql.unsafe<Record<string, string>>(`explain ${text}`, parameters)).map((row) => row["QUERY PLAN"]).join("\n")
      assert.include(plan, "using outbox_oldest on outbox o", plan)
      assert.notMatch(plan, /Seq Scan on (outbox|payments|events)/, plan)
      assert.deepInclude(yield* (yield* Outbox).summary, { undelivered: 38_003, dead: 500 })
      assert.isAbove(payment.createdAt, 0)
    })
  )
})

it.live("an event that cannot be read ends its payment's batch, and no other", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const outbox = yield* Outbox
    const begun = yield* mustCommit(Payments.firstCommit())
    const damaged = yield* mustCommit(Payments.commitOf(begun, [Payments.succeeded()]))
    const other = yield* mustCommit(Payments.firstCommit())
    yield* sql.unsafe("update aegispay.commits set data = '{\"half' where bucket = $1::int and payment = $2::uuid and version = 4", [
      bucketOfPayment(damaged.id),
      uuidOfPayment(damaged.id)
    ])
    const batches = yield* outbox.lease({ owner: "a", payments: 10, ttlMillis: 60_000 })
    assert.deepStrictEqual(
      batches.map(({ events, payment, unreadable }) => [payment, events.map(({ version }) => version), unreadable !== undefined]),
      [
        [damaged.id, [1, 2, 3], true],
        [other.id, [1, 2, 3], false]
      ]
    )
  }).pipe(Effect.provide(Layer.fresh(stores)), Effect.scoped)
)

it.live("an acknowledgement whose answer is lost has been made: nothing is delivered twice, nothing is left", () =>
  Effect.gen(function* () {
    const url = yield* TestDatabase.fresh
    const proxy = yield* TcpProxy.start(url)
    const client = PgClient.layer({ url: proxy.url, maxConnections: 1 })
    const built = yield* Layer.build(Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(client)))
    yield* Effect.provideContext(
      Effect.gen(function* () {
        const outbox = yield* Outbox
        const payment = yield* mustCommit(Payments.firstCommit())
        const [batch] = yield* outbox.lease({ owner: "a", payments: 10, ttlMillis: 60_000 })
        proxy.loseAnswers = 1
        yield* outbox.acknowledge({ payment: payment.id, token: batch?.token ?? 0n, upToVersion: 3 })
        assert.strictEqual(proxy.loseAnswers, 0, "the answer was lost")
        assert.strictEqual((yield* outbox.summary).undelivered, 0)
        assert.deepStrictEqual(yield* outbox.lease({ owner: "b", payments: 10, ttlMillis: 60_000 }), [])
        // A lease whose answer was lost is nobody's until its time is over; then the payment is leased again.
        yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
        proxy.loseAnswers = 1
        assert.deepStrictEqual(yield* outbox.lease({ owner: "a", payments: 10, ttlMillis: 300 }), [])
        yield* Effect.sleep(400)
        const [again] = yield* outbox.lease({ owner: "b", payments: 10, ttlMillis: 60_000 })
        assert.deepStrictEqual(
          again?.events.map((event) => event.version),
          [4]
        )
      }),
      built
    )
  }).pipe(Effect.scoped)
)
