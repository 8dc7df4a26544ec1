/**
 * What metrics of gateways do, wherever they are kept.
 */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import { GatewayMetrics } from "../../src/services/routing/GatewayMetrics.ts"

let gateways = 0
const freshGateway = () => GatewayName.make(`contract-${++gateways}`)

const record = Effect.fnUntraced(function* (gateway: GatewayName, verdict: "healthy" | "failed" | "ignored", durationMillis = 100) {
  const metrics = yield* GatewayMetrics
  yield* metrics.record({ gateway, kind: "sale", verdict, durationMillis })
})

const healthOf = (gateway: GatewayName) => Effect.flatMap(GatewayMetrics, (metrics) => metrics.health(gateway))

export const suite = <E>(name: string, metricsLayer: Layer.Layer<GatewayMetrics, E>): void =>
  layer(metricsLayer)(`GatewayMetrics: ${name}`, (it) => {
    it.effect("of a gateway never recorded: no samples, rate 1", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        const health = yield* healthOf(gateway)
        assert.deepStrictEqual(health, {
          gateway,
          samples: 0,
          successRate: 1,
          p50Millis: 0,
          p95Millis: 0,
          p99Millis: 0,
          consecutiveFailures: 0,
          lastFailureAt: undefined
        })
      })
    )

    it.effect("what was recorded is seen at once; ignored calls are not counted", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        for (const verdict of ["healthy", "failed", "ignored", "healthy", "healthy"] as const) yield* record(gateway, verdict)
        const health = yield* healthOf(gateway)
        assert.strictEqual(health.samples, 4)
        assert.strictEqual(health.successRate, 0.75)
        assert.strictEqual(health.consecutiveFailures, 0)
      })
    )

    it.effect("gateways are apart from each other", () =>
      Effect.gen(function* () {
        const [one, other] = [freshGateway(), freshGateway()]
        yield* record(one, "failed")
        assert.strictEqual((yield* healthOf(one)).successRate, 0)
        assert.strictEqual((yield* healthOf(other)).samples, 0)
      })
    )

    it.effect("consecutive failures end with a healthy call, not with an ignored one; the last failure's time stays", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        yield* record(gateway, "failed")
        yield* TestClock.adjust(10)
        yield* record(gateway, "failed")
        yield* record(gateway, "ignored")
        const failing = yield* healthOf(gateway)
        assert.strictEqual(failing.consecutiveFailures, 2)
        yield* TestClock.adjust(10)
        yield* record(gateway, "healthy")
        const healthy = yield* healthOf(gateway)
        assert.strictEqual(healthy.consecutiveFailures, 0)
        assert.strictEqual(healthy.lastFailureAt, failing.lastFailureAt)
      })
    )

    it.effect("quantiles are within 5 %", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        for (let millis = 1; millis <= 1_000; millis++) yield* record(gateway, "healthy", millis)
        const health = yield* healthOf(gateway)
        for (const [estimate, exact] of [
          [health.p50Millis, 500],
          [health.p95Millis, 950],
          [health.p99Millis, 990]
        ] as const) {
          assert.closeTo(estimate, exact, exact * 0.05)
        }
      })
    )

    it.effect("calls count for one hour", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        yield* record(gateway, "failed")
        yield* TestClock.adjust("30 minutes")
        yield* record(gateway, "healthy")
        assert.strictEqual((yield* healthOf(gateway)).samples, 2)
        yield* TestClock.adjust("31 minutes")
        const health = yield* healthOf(gateway)
        assert.strictEqual(health.samples, 1)
        assert.strictEqual(health.successRate, 1)
      })
    )
  })
