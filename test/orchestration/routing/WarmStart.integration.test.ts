/**
 * A restart on Postgres: the shared metrics are there again, and where they are gone the events bring them back.
 */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import type { Segment } from "../../../src/domain/routing/Segment.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as PostgresMetrics from "../../../src/layers/postgres/routing/GatewayMetrics.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { warmStart } from "../../../src/orchestration/routing/WarmStart.ts"
import { GatewayMetrics } from "../../../src/services/routing/GatewayMetrics.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { chargeRequest, declined, engineOver, success, testGateway } from "../../support/TestEngine.ts"

const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, MemoryIds.layer).pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(TestDatabase.layer)
)

const alpha = GatewayName.make("alpha")
const german: Segment = { method: "card", currency: CurrencyCode.make("EUR"), country: "DE" }
const gateway = testGateway("alpha", {
  send: (intent, nth) => Effect.delay(Effect.succeed(nth % 10 === 0 ? declined("soft") : success(intent)), 200 + nth)
})

/** One more instance's metrics, and how to stop it. */
const instance = Effect.gen(function* () {
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(Layer.fresh(PostgresMetrics.layer), scope)
  return { metrics: Context.get(context, GatewayMetrics), stop: Scope.close(scope, Exit.void) }
})

layer(stores, { timeout: "60 seconds", excludeTestServices: true })("metrics after a restart on Postgres", (it) => {
  it.effect("are those of the rows; where there are none, those of the events, longer by the commit of the intent", () =>
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const first = yield* instance
      const charge = (nth: number) =>
        Payments.use((payments) =>
          payments.charge(
            chargeRequest(`restart-${nth}`, { method: { type: "card", token: Token.make("tok"), country: german.country ?? "" } })
          )
        )
      yield* Effect.forEach(
        Array.from({ length: 60 }, (_, nth) => nth),
        charge,
        { concurrency: 20, discard: true }
      ).pipe(Effect.provide(engineOver([gateway], { retries: 0 })), Effect.provideService(GatewayMetrics, first.metrics))
      const recorded = yield* first.metrics.stats(alpha, german)
      assert.deepInclude(recorded, { segmentUsed: "full", samples: 60, successRate: 1, approved: 54, declined: 6 })
      yield* first.stop

      const second = yield* instance
      assert.deepStrictEqual(yield* second.metrics.stats(alpha, german), recorded)
      assert.deepInclude(yield* Effect.provideService(warmStart(), GatewayMetrics, second.metrics), { restored: 0 })
      yield* second.stop

      yield* sql`truncate aegispay.routing_metrics`
      const third = yield* instance
      assert.strictEqual((yield* third.metrics.health(alpha)).samples, 0)
      const report = yield* Effect.provideService(warmStart(), GatewayMetrics, third.metrics)
      assert.deepInclude(report, { restored: 60 })
      const rebuilt = yield* third.metrics.stats(alpha, german)
      const { p50Millis, p95Millis, p99Millis, ...counts } = rebuilt
      assert.deepStrictEqual(
        { ...counts, p50Millis: recorded.p50Millis, p95Millis: recorded.p95Millis, p99Millis: recorded.p99Millis },
        recorded
      )
      for (const [after, before] of [
        [p50Millis, recorded.p50Millis],
        [p95Millis, recorded.p95Millis],
        [p99Millis, recorded.p99Millis]
      ] as const) {
        assert.isAtLeast(after, before * 0.96 - 1, "bins are 4 % wide, the clock of events has milliseconds")
        assert.isAtMost(after, before * 1.04 + 10_000, "a commit on a busy machine")
      }
      yield* third.stop
    })
  )
})
