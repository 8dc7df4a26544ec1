/**
 * The connections of a pool, as the database sees them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Metric } from "effect"
import { SqlClient } from "effect/sql"
import { randomUUID } from "node:crypto"
import * as PoolMetrics from "../../../src/layers/postgres/PoolMetrics.ts"
import { alone } from "../../support/metrics.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const gauges = Effect.map(Metric.snapshot, (all): Readonly<Record<string, number>> =>
  Object.fromEntries(
    all.map(({ attributes, id, state }) => [
      `${id.slice("aegispay_database_connection".length)} ${attributes?.["state"] ?? ""}`.trim(),
      "value" in state ? Number(state.value) : Number.NaN
    ])
  )
)
const connections = Effect.map(gauges, (all) => [all["s active"], all["s idle"], all["s in_transaction"], all["s other"]])

const maxConnections = 3
/** Of this file alone: the server is shared. */
const pool = Layer.fresh(Layer.suspend(() => TestDatabase.layerWith({ maxConnections, applicationName: `pool-${randomUUID()}` })))

describe("metrics of the pool", () => {
  it.live("tell what the database sees: working, idle, in a transaction; other programs' connections are not in them", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const sample = yield* PoolMetrics.make({ maxConnections })
      assert.deepStrictEqual(yield* connections, [Number.NaN, Number.NaN, Number.NaN, Number.NaN])
      yield* sample
      assert.deepStrictEqual(yield* connections, [0, 1, 0, 0])
      const [inside, done] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const holding = sql.withTransaction(
        Effect.andThen(sql`select 1`, Effect.andThen(Deferred.succeed(inside, undefined), Deferred.await(done)))
      )
      const transaction = yield* Effect.forkChild(holding)
      yield* Deferred.await(inside)
      const working = yield* Effect.forkChild(sql`select pg_sleep(5)`)
      // Until its connection is made.
      yield* Effect.repeat(Effect.andThen(sample, connections), { until: ([active]) => active === 1, times: 200 })
      assert.deepStrictEqual(yield* connections, [1, 1, 1, 0])
      const all = yield* gauges
      assert.strictEqual(all["s_limit"], maxConnections)
      assert.isBelow(all["_wait_milliseconds"] ?? Number.NaN, 2_000)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(transaction)
      yield* Fiber.join(working)
    }).pipe(Effect.scoped, Effect.provide(pool), alone)
  )

  it.live("show how long a connection is waited for; while none comes nothing else is known", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const sample = yield* PoolMetrics.make({ maxConnections })
      yield* sample
      const busy = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], () => sql`select pg_sleep(4)`, { concurrency: "unbounded", discard: true })
      )
      yield* Effect.sleep("200 millis")
      assert.strictEqual((yield* Effect.exit(Effect.timeout(sample, "300 millis")))._tag, "Failure")
      assert.deepStrictEqual(yield* connections, [Number.NaN, Number.NaN, Number.NaN, Number.NaN])
      assert.isAtLeast((yield* gauges)["_wait_milliseconds"] ?? 0, 250)
      yield* sample
      assert.deepStrictEqual((yield* connections).slice(2), [0, 0])
      yield* Fiber.join(busy)
    }).pipe(Effect.scoped, Effect.provide(pool), alone)
  )

  it.live("end with their scope", () =>
    Effect.gen(function* () {
      const made = yield* Effect.scoped(PoolMetrics.make({ maxConnections }))
      assert.isTrue(Effect.isEffect(made))
      assert.deepStrictEqual(yield* gauges, {})
    }).pipe(Effect.provide(pool), alone)
  )
})
