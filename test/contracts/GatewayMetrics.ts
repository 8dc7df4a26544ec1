/**
 * What metrics of gateways do, wherever they are kept.
 */
import { assert, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { CurrencyCode } from "../../src/domain/Currency.ts"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import * as Presets from "../../src/domain/Presets.ts"
import * as Segment from "../../src/domain/routing/Segment.ts"
import { GatewayMetrics, type GatewaySample } from "../../src/services/routing/GatewayMetrics.ts"

let gateways = 0
const freshGateway = () => GatewayName.make(`contract-${++gateways}`)

const record = Effect.fnUntraced(function* (gateway: GatewayName, verdict: "healthy" | "failed" | "ignored", durationMillis = 100) {
  const metrics = yield* GatewayMetrics
  yield* metrics.record({ gateway, kind: "sale", verdict, durationMillis })
})

const euro = CurrencyCode.make("EUR")
const german: Segment.Segment = { method: "card", currency: euro, country: "DE" }
const minimumSamples = Presets.gatewayMetrics.minimumSamples.value

const recordCharge = Effect.fnUntraced(function* (gateway: GatewayName, overrides: Partial<GatewaySample>) {
  const metrics = yield* GatewayMetrics
  yield* metrics.record({ gateway, kind: "sale", verdict: "healthy", durationMillis: 100, ...overrides })
})

const statsOf = (gateway: GatewayName, segment?: Segment.Segment) =>
  Effect.flatMap(GatewayMetrics, (metrics) => metrics.stats(gateway, segment))

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

    it.effect("quantiles are within 2 %", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        for (let millis = 1; millis <= 1_000; millis++) yield* record(gateway, "healthy", millis)
        const health = yield* healthOf(gateway)
        for (const [estimate, exact] of [
          [health.p50Millis, 500],
          [health.p95Millis, 950],
          [health.p99Millis, 990]
        ] as const) {
          assert.closeTo(estimate, exact, exact * 0.02)
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

    it.effect("a segment with enough calls speaks for itself, one with fewer is answered from a broader level", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        yield* Effect.replicateEffect(recordCharge(gateway, { segment: german }), minimumSamples, { discard: true })
        yield* Effect.replicateEffect(recordCharge(gateway, { segment: { ...german, country: "FR" }, verdict: "failed" }), 4, {
          discard: true
        })
        const known = yield* statsOf(gateway, german)
        assert.deepInclude(known, { gateway, segmentUsed: "full", samples: minimumSamples, successRate: 1, consecutiveFailures: 4 })
        const french = yield* statsOf(gateway, { ...german, country: "FR" })
        assert.deepInclude(french, { segmentUsed: "method_currency", samples: minimumSamples + 4 })
        assert.deepInclude(yield* statsOf(gateway, { ...german, method: "wallet" }), {
          segmentUsed: "gateway",
          samples: minimumSamples + 4
        })
        assert.deepInclude(yield* statsOf(gateway), { segmentUsed: "gateway", samples: minimumSamples + 4 })
      })
    )

    it.effect("availability and approval are apart; costs are means by currency", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        const cost = { currency: euro, minor: 12.5 }
        yield* recordCharge(gateway, { segment: german, approval: "approved", cost })
        yield* recordCharge(gateway, { segment: german, approval: "declined", cost: { ...cost, minor: 7.5 } })
        yield* recordCharge(gateway, { segment: german, verdict: "failed" })
        yield* recordCharge(gateway, { segment: german, verdict: "limited" })
        const stats = yield* statsOf(gateway, german)
        assert.deepInclude(stats, { samples: 4, successRate: 2.5 / 4, approved: 1, declined: 1, approvalRate: 0.5, meanCostMinor: 10 })
        const metrics = yield* GatewayMetrics
        assert.deepStrictEqual(yield* metrics.costs(gateway), [{ currency: euro, samples: 2, meanMinor: 10 }])
        assert.deepStrictEqual(yield* metrics.costs(freshGateway()), [])
      })
    )

    it.effect("what is asked at a time is answered at once, the same as in a program", () =>
      Effect.gen(function* () {
        const gateways = [freshGateway(), freshGateway(), freshGateway()]
        yield* recordCharge(gateways[1]!, { segment: german, verdict: "failed" })
        const metrics = yield* GatewayMetrics
        const now = yield* Clock.currentTimeMillis
        const all = gateways.map((gateway) => metrics.statsAt(gateway, now, { segment: Segment.code(german) }))
        assert.deepStrictEqual(all, yield* Effect.forEach(gateways, (gateway) => statsOf(gateway, german)))
        assert.deepStrictEqual(
          all.map(({ samples }) => samples),
          [0, 1, 0]
        )
      })
    )

    it.effect("restored calls count at their own time; those older than the window, and ignored ones, do not", () =>
      Effect.gen(function* () {
        const gateway = freshGateway()
        const metrics = yield* GatewayMetrics
        yield* TestClock.adjust("3 hours")
        yield* record(gateway, "healthy")
        const now = yield* Clock.currentTimeMillis
        const past = (minutes: number, overrides: Partial<GatewaySample> = {}) => ({
          gateway,
          kind: "sale" as const,
          verdict: "failed" as const,
          durationMillis: 1_000,
          segment: german,
          at: now - minutes * 60_000,
          ...overrides
        })
        yield* metrics.restore([past(20), past(90), past(50), past(5, { verdict: "ignored" })])
        const oldest = (yield* metrics.oldestKnownAt) ?? now
        assert.isTrue(oldest > now - 51 * 60_000 && oldest <= now - 50 * 60_000)
        const health = yield* healthOf(gateway)
        assert.deepInclude(health, { samples: 3, consecutiveFailures: 0, lastFailureAt: now - 20 * 60_000 })
        yield* TestClock.adjust("30 minutes")
        assert.strictEqual((yield* healthOf(gateway)).samples, 2)
      })
    )
  })
