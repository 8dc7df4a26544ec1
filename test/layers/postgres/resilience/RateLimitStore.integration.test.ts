/**
 * Rate limits on a real Postgres: the contract, and what is particular to a table shared by instances.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as SqlClient from "effect/sql/SqlClient"
import { TestClock } from "effect/testing"
import { randomUUID } from "node:crypto"
import type { RateLimit } from "../../../../src/domain/resilience/RateLimit.ts"
import * as Migrations from "../../../../src/layers/postgres/Migrations.ts"
import * as PostgresRateLimitStore from "../../../../src/layers/postgres/resilience/RateLimitStore.ts"
import { RateLimitStore, RateLimitStoreError } from "../../../../src/services/resilience/RateLimitStore.ts"
import { suite, suiteOwnTime } from "../../../contracts/RateLimitStore.ts"
import * as TestDatabase from "../../../support/TestDatabase.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))
const onTestClock = PostgresRateLimitStore.layerWith({ now: Clock.currentTimeMillis })
/** A busy machine has to queue what these tests ask at once. */
const patient = PostgresRateLimitStore.layerWith({ timeoutMillis: 30_000 })

suite("postgres", onTestClock.pipe(Layer.provide(database)), { runs: 30 })
suiteOwnTime("postgres, own time", patient.pipe(Layer.provide(database)))

const everything = patient.pipe(Layer.provideMerge(database))

const limit: RateLimit = { name: "pay", scope: "user", algorithm: "token_bucket", limit: 5, windowMillis: 60_000, burst: 0 }
const take = (key: string, cost = 1) => Effect.flatMap(RateLimitStore, (store) => store.take({ limits: [limit], keys: [key], cost }))
const rows = Effect.flatMap(
  SqlClient.SqlClient,
  (sql) => sql<{ readonly count: number }>`select count(*)::int as count from aegispay.rate_limits`
).pipe(Effect.map(([row]) => row?.count))

describe("RateLimitStore: postgres", () => {
  it.live("what is taken inside a transaction is seen by others at once, and a rollback does not undo it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql.withTransaction(Effect.andThen(take("k", 5), Effect.fail("rolled back"))).pipe(Effect.flip)
      assert.isFalse((yield* take("k")).allowed)
    }).pipe(Effect.provide(everything))
  )

  it.live("rows do not tell of whom they are", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* take("customer-4711@example.com")
      const [row] = yield* sql<{ readonly text: string }>`select row_to_json(r)::text as text from aegispay.rate_limits r`
      // Its digits alone may be in a time.
      assert.notMatch(row?.text ?? "", /customer|4711@|example/)
      assert.notInclude(row?.text, Buffer.from("customer-4711").toString("hex"))
      assert.include(row?.text, '"name":"pay"')
    }).pipe(Effect.provide(everything))
  )

  it.live("trouble of the store is its error; a row that stays locked is waited for a quarter of a second at most", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const answered = Effect.retry(take("k"), { times: 20 })
      yield* answered
      const error = yield* sql.withTransaction(
        Effect.gen(function* () {
          yield* sql`select * from aegispay.rate_limits for update`
          return yield* Effect.flip(Effect.timeout(take("k"), "30 seconds"))
        })
      )
      assert.instanceOf(error, RateLimitStoreError)
      assert.isTrue((yield* answered).allowed)
      yield* sql`drop function aegispay.rate_limit_ask`
      yield* sql`alter table aegispay.rate_limits rename to gone`
      const store = yield* RateLimitStore
      const question = { limits: [limit], keys: ["k"], cost: 1 }
      const asked: ReadonlyArray<Effect.Effect<unknown, RateLimitStoreError>> = [
        store.take(question),
        store.peek(question),
        store.refund(question),
        store.reset(question),
        store.blocked
      ]
      for (const each of asked) assert.instanceOf(yield* Effect.flip(each), RateLimitStoreError)
    }).pipe(Effect.provide(PostgresRateLimitStore.layer.pipe(Layer.provideMerge(database))))
  )

  it.effect("rows that are as good as absent are deleted page by page, others are kept", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* take("in use")
      yield* sql`
        insert into aegispay.rate_limits (key, name, fresh_at)
        select decode(md5(i::text), 'hex'), 'some', extract(epoch from clock_timestamp()) * 1000 + case when i % 2 = 0 then 60000 else -11000 end
        from generate_series(1, 5000) i`
      yield* TestClock.adjust("10 seconds")
      yield* Effect.repeat(rows, { until: (count) => count === 2_501, times: 2_000 })
      assert.strictEqual(yield* rows, 2_501)
      assert.strictEqual((yield* take("in use")).standings[0]?.remaining, 3)
    }).pipe(Effect.provide(everything))
  )

  it.live("two checks cannot deadlock: whatever the order of the limits, the row of the lesser key is taken first", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const store = yield* RateLimitStore
      const limits = [limit, { ...limit, name: "other" }]
      yield* store.take({ limits, keys: ["k", "k"], cost: 1 })
      const free = sql<{ readonly free: number }>`
        select count(*)::int as free from (
          select from aegispay.rate_limits where key = (select key from aegispay.rate_limits order by key limit 1) for update skip locked) r`
      for (const order of [limits, limits.toReversed()]) {
        yield* sql.withTransaction(
          Effect.gen(function* () {
            yield* sql`select from aegispay.rate_limits where key = (select key from aegispay.rate_limits order by key desc limit 1) for update`
            const waiting = yield* Effect.forkChild(store.take({ limits: order, keys: ["k", "k"], cost: 1 }))
            const outside = free.pipe(
              Effect.updateContext((context: Context.Context<never>) => Context.omit(sql.transactionService)(context))
            )
            const [row] = yield* Effect.repeat(outside, { until: ([row]) => row?.free === 0, times: 300 })
            assert.strictEqual(row?.free, 0)
            yield* Fiber.interrupt(waiting)
          })
        )
      }
    }).pipe(Effect.provide(everything))
  )

  it.live("a row that is deleted while a check waits for it is made again", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      for (let round = 0; round < 20; round++) {
        yield* take("k")
        yield* Effect.all([take("k"), sql`delete from aegispay.rate_limits`, take("k")], { concurrency: "unbounded" })
      }
    }).pipe(Effect.provide(everything))
  )

  it.live("a role without the right to change the schema can use it", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const role = `limited_${randomUUID().replaceAll("-", "")}`
      yield* sql.unsafe(`create role ${role}`)
      yield* sql.unsafe(`grant usage on schema aegispay to ${role}`)
      yield* sql.unsafe(`grant select, insert, update, delete on all tables in schema aegispay to ${role}`)
      const answer = yield* sql
        .withTransaction(
          Effect.gen(function* () {
            yield* sql.unsafe(`set local role ${role}`)
            return yield* sql`
              select * from aegispay.rate_limit_ask(
                '[{"place":0,"key":"\\\\x00","name":"n","algorithm":"fixed_window","limit":1,"window_millis":1000,"burst":0}]', 1, false, null)`
          })
        )
        .pipe(Effect.ensuring(Effect.ignore(Effect.andThen(sql.unsafe(`drop owned by ${role}`), sql.unsafe(`drop role ${role}`)))))
      assert.lengthOf(answer, 1)
    }).pipe(Effect.provide(everything))
  )
})
