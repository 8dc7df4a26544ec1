/**
 * Metrics of gateways on a real Postgres: the contract, sharing between instances, restarts, and a store in trouble.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as PostgresMetrics from "../../../src/layers/postgres/GatewayMetrics.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import { GatewayMetrics } from "../../../src/services/routing/GatewayMetrics.ts"
import { suite } from "../../contracts/GatewayMetrics.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const database = Migrations.layer.pipe(Layer.provideMerge(TestDatabase.layer))

/** The contract moves a virtual clock, which would run into the time limit of a round that waits for the real database. */
const noRounds = PostgresMetrics.layerWith({ roundEveryMillis: 86_400_000 })

suite("postgres", noRounds.pipe(Layer.provide(database)))

const gateway = GatewayName.make("shared")

/** One more instance on the database, and how to stop it. */
const start = (options: { readonly roundEveryMillis: number }) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Layer.fresh(PostgresMetrics.layerWith(options)), scope)
    const metrics = Context.get(context, GatewayMetrics)
    return {
      stop: Scope.close(scope, Exit.void),
      health: metrics.health(gateway),
      record: (verdict: "healthy" | "failed", times: number, durationMillis = 100) =>
        Effect.replicateEffect(metrics.record({ gateway, kind: "sale", verdict, durationMillis }), times, { discard: true })
    }
  })

const idle = { roundEveryMillis: 600_000 }
const busy = { roundEveryMillis: 20 }

const until = <A, E, R>(effect: Effect.Effect<A, E, R>, holds: (value: A) => boolean) =>
  effect.pipe(Effect.delay(10), Effect.repeat({ until: holds }), Effect.timeout("20 seconds"))

const stored = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [row] = yield* sql<{ readonly calls: number; readonly bins: number }>`
    select coalesce(sum(healthy + failed), 0)::int as calls,
           coalesce(sum((select sum(bin) from unnest(times) as bin)), 0)::int as bins
    from aegispay.routing_metrics`
  return row
})

describe("GatewayMetrics: postgres", () => {
  it.live("what was not stored is stored at close, and the next start knows the last hour", () =>
    Effect.gen(function* () {
      const first = yield* start(idle)
      yield* first.record("healthy", 30, 200)
      yield* first.record("failed", 10, 5_000)
      const before = yield* first.health
      assert.deepStrictEqual(yield* stored, { calls: 0, bins: 0 })
      yield* first.stop
      assert.deepStrictEqual(yield* stored, { calls: 40, bins: 40 })
      const second = yield* start(idle)
      assert.deepStrictEqual(yield* second.health, { ...before, consecutiveFailures: 0 })
      yield* second.stop
      assert.deepStrictEqual(yield* stored, { calls: 40, bins: 40 }, "what was read is not stored again")
    }).pipe(Effect.provide(database))
  )

  it.live("instances learn each other's calls, and nobody's are counted twice", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* start(busy), yield* start(busy)]
      for (let turn = 0; turn < 20; turn++) {
        yield* one.record("healthy", 2, 10)
        yield* other.record("failed", 3, 1_000)
        yield* Effect.sleep(5)
      }
      for (const instance of [one, other]) {
        const health = yield* until(instance.health, (health) => health.samples >= 100)
        assert.strictEqual(health.samples, 100)
        assert.strictEqual(health.successRate, 0.4)
        assert.closeTo(health.p50Millis, 1_000, 20)
      }
      assert.deepStrictEqual(yield* stored, { calls: 100, bins: 100 })
      yield* Effect.sleep(100)
      assert.deepStrictEqual([(yield* one.health).samples, (yield* other.health).samples], [100, 100])
      yield* one.stop
      yield* other.stop
      assert.deepStrictEqual(yield* stored, { calls: 100, bins: 100 })
    }).pipe(Effect.provide(database))
  )

  it.live("while the store is in trouble calls are recorded and kept, and stored once it is back", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      yield* sql`alter table aegispay.routing_metrics rename to gone`
      const instance = yield* start(busy)
      yield* instance.record("healthy", 7)
      yield* Effect.sleep(100)
      assert.strictEqual((yield* instance.health).samples, 7)
      yield* sql`alter table aegispay.gone rename to routing_metrics`
      yield* until(stored, (row) => row?.calls === 7)
      yield* instance.stop
      assert.deepStrictEqual(yield* stored, { calls: 7, bins: 7 })
      assert.strictEqual((yield* instance.health).samples, 7)
    }).pipe(Effect.provide(database))
  )
})
