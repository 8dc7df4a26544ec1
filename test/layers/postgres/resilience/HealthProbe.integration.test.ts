/**
 * The database's health probe on a real Postgres: what it sees, and that recovering gets rid of broken connections.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as SqlClient from "effect/sql/SqlClient"
import * as HealthProbe from "../../../../src/layers/postgres/resilience/HealthProbe.ts"
import * as TcpProxy from "../../../support/TcpProxy.ts"
import * as TestDatabase from "../../../support/TestDatabase.ts"

/** A client with four connections through a proxy. */
const throughProxy = Effect.gen(function* () {
  const proxy = yield* TcpProxy.start(yield* TestDatabase.fresh)
  return { proxy, client: PgClient.layer({ url: proxy.url, maxConnections: 4, minConnections: 4, connectTimeout: "10 seconds" }) }
})

const four = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.replicateEffect(effect, 4, { concurrency: "unbounded" })

it.live("answers while the database does, fails while it is away, recovers when it is back", () =>
  Effect.gen(function* () {
    const { client, proxy } = yield* throughProxy
    yield* Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const probe = yield* HealthProbe.make({ connections: 4 })
      assert.strictEqual(yield* probe.check, "ok")
      yield* four(sql`select pg_sleep(0.05)`)
      proxy.refuse = true
      proxy.breakAll()
      assert.isDefined(yield* Effect.flip(probe.check))
      yield* probe.recover!
      proxy.refuse = false
      yield* probe.recover!
      assert.strictEqual(yield* probe.check, "ok")
      yield* four(sql`select pg_sleep(0.05)`)
    }).pipe(Effect.provide(client))
  }).pipe(Effect.scoped)
)

it.live("connections that are open and silent are left behind by recovering", () =>
  Effect.gen(function* () {
    const { client, proxy } = yield* throughProxy
    yield* Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const probe = yield* HealthProbe.make({ connections: 4 })
      yield* four(sql`select pg_sleep(0.05)`)
      proxy.swallowAnswers = 4
      yield* probe.recover!
      yield* Effect.timeout(four(sql`select pg_sleep(0.05)`), "30 seconds")
      assert.strictEqual(yield* probe.check, "ok")
    }).pipe(Effect.provide(client))
  }).pipe(Effect.scoped)
)

it.live("asks outside of a transaction, so one that is broken does not look like a database that is", () =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const probe = yield* HealthProbe.make()
    const inside = Effect.andThen(Effect.ignore(sql`select * from nowhere`), Effect.exit(probe.check))
    const seen = yield* Effect.flip(sql.withTransaction(Effect.flatMap(inside, Effect.fail)))
    assert.deepStrictEqual(seen, Exit.succeed("ok"))
  }).pipe(Effect.provide(TestDatabase.layer))
)
