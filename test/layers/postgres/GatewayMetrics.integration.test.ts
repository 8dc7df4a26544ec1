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
import * as Clock from "effect/Clock"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import type { Segment } from "../../../src/domain/routing/Segment.ts"
import * as PostgresMetrics from "../../../src/layers/postgres/routing/GatewayMetrics.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import { GatewayMetrics, type GatewaySample } from "../../../src/services/routing/GatewayMetrics.ts"
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
      metrics,
      stop: Scope.close(scope, Exit.void),
      health: metrics.health(gateway),
      record: (verdict: "healthy" | "failed", times: number, durationMillis = 100) =>
        Effect.replicateEffect(metrics.record({ gateway, kind: "sale", verdict, durationMillis }), times, { discard: true })
    }
  })

const euro = CurrencyCode.make("EUR")
const german: Segment = { method: "card", currency: euro, country: "DE" }

const charge = (overrides: Partial<GatewaySample> = {}): GatewaySample => ({
  gateway,
  kind: "sale",
  verdict: "healthy",
  durationMillis: 100,
  segment: german,
  ...overrides
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
    from aegispay.routing_metrics where method = '' and currency = ''`
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

  it.live("calls recorded in the middle of a round are never out of sight", () =>
    Effect.gen(function* () {
      const instance = yield* start({ roundEveryMillis: 1 })
      for (let recorded = 1; recorded <= 300; recorded++) {
        yield* instance.record("healthy", 1)
        assert.strictEqual((yield* instance.health).samples, recorded)
        yield* Effect.sleep(1)
      }
      yield* instance.stop
      assert.deepStrictEqual(yield* stored, { calls: 300, bins: 300 })
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

  it.live("segments, approvals and costs are shared and survive a restart", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* start(idle), yield* start(idle)]
      for (let call = 0; call < 20; call++) {
        yield* one.metrics.record(charge({ durationMillis: 100 + call, approval: "approved", cost: { currency: euro, minor: 10.25 } }))
        yield* other.metrics.record(charge({ durationMillis: 900 + call, approval: "declined", cost: { currency: euro, minor: 30.25 } }))
        yield* other.metrics.record(charge({ segment: { ...german, country: "FR" }, verdict: "limited" }))
      }
      yield* one.stop
      yield* other.stop
      const third = yield* start(idle)
      const stats = yield* third.metrics.stats(gateway, german)
      const { approvalRate, approved, declined, meanCostMinor, samples, segmentUsed, successRate } = stats
      assert.deepStrictEqual(
        { approvalRate, approved, declined, meanCostMinor, samples, segmentUsed, successRate },
        {
          approvalRate: 0.5,
          approved: 20,
          declined: 20,
          meanCostMinor: 20.25,
          samples: 40,
          segmentUsed: "full",
          successRate: 1
        }
      )
      assert.closeTo(stats.p50Millis, 119, 119 * 0.02)
      assert.closeTo(stats.p99Millis, 919, 919 * 0.02)
      assert.deepInclude(yield* third.metrics.stats(gateway, { ...german, country: "PL" }), { segmentUsed: "method_currency", samples: 60 })
      assert.deepInclude(yield* third.metrics.stats(gateway), { samples: 60, successRate: 50 / 60, approved: 20 })
      assert.deepStrictEqual(yield* third.metrics.costs(gateway), [{ currency: euro, samples: 40, meanMinor: 20.25 }])
      yield* third.stop
    }).pipe(Effect.provide(database))
  )

  it.live("more slots than one statement takes are stored and read", () =>
    Effect.gen(function* () {
      const first = yield* start(idle)
      const countries = Array.from({ length: 600 }, (_, index) => String.fromCharCode(65 + Math.floor(index / 26), 65 + (index % 26)))
      for (const country of countries) yield* first.metrics.record(charge({ segment: { ...german, country } }))
      yield* first.stop
      const sql = yield* SqlClient.SqlClient
      const [row] = yield* sql<{ readonly rows: number }>`select count(*)::int as rows from aegispay.routing_metrics`
      assert.strictEqual(row?.rows, 600 + 3)
      const second = yield* start(idle)
      yield* Effect.replicateEffect(second.metrics.record(charge({ segment: { ...german, country: "WA" } })), 19, { discard: true })
      assert.deepInclude(yield* second.metrics.stats(gateway, { ...german, country: "WA" }), { segmentUsed: "full", samples: 20 })
      yield* second.stop
    }).pipe(Effect.provide(database))
  )

  it.live("restored calls are added to what is stored of their slot, stay there, and are not stored", () =>
    Effect.gen(function* () {
      const instance = yield* start(busy)
      const now = yield* Clock.currentTimeMillis
      const past = (millis: number) => ({ ...charge({ verdict: "failed" }), at: now - millis })
      yield* instance.metrics.restore([past(0), past(1), past(600_000)])
      assert.deepInclude(yield* instance.metrics.stats(gateway, german), { samples: 3, successRate: 0 })
      yield* instance.record("healthy", 5)
      yield* until(stored, (row) => row?.calls === 5)
      yield* Effect.sleep(100)
      assert.deepInclude(yield* instance.health, { samples: 8, successRate: 5 / 8 })
      yield* instance.stop
      assert.deepStrictEqual(yield* stored, { calls: 5, bins: 5 })
    }).pipe(Effect.provide(database))
  )

  it.live("what was restored while the store was away is replaced by what the store says", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const other = yield* start(idle)
      yield* other.record("healthy", 9)
      yield* other.stop
      yield* sql`alter table aegispay.routing_metrics rename to gone`
      const instance = yield* start(busy)
      const now = yield* Clock.currentTimeMillis
      // In another minute than what is stored, too.
      const past = Array.from({ length: 8 }, (_, index) => ({ ...charge(), at: now - index * 60_000 }))
      yield* instance.metrics.restore(past)
      assert.strictEqual((yield* instance.health).samples, 8)
      yield* sql`alter table aegispay.gone rename to routing_metrics`
      const health = yield* until(instance.health, ({ samples }) => samples !== 8)
      assert.strictEqual(health.samples, 9)
      yield* instance.stop
    }).pipe(Effect.provide(database))
  )

  it.live("rows of another version of the program are left out", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const first = yield* start(idle)
      yield* first.metrics.record(charge())
      yield* first.stop
      yield* sql`update aegispay.routing_metrics set method = 'telepathy' where method = 'card' and currency = ''`
      const second = yield* start(idle)
      assert.strictEqual((yield* second.health).samples, 1)
      yield* second.stop
    }).pipe(Effect.provide(database))
  )
})
