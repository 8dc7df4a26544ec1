/**
 * Metrics rebuilt from the events against those recorded while the payments went on.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import type { PaymentEvent } from "../../../src/domain/payment/Event.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import type * as Cost from "../../../src/domain/routing/policy/Cost.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import type { Segment } from "../../../src/domain/routing/Segment.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { warmStart, type WarmStartOptions } from "../../../src/orchestration/routing/WarmStart.ts"
import type { Commit } from "../../../src/services/EventStore.ts"
import type { Hook } from "../../../src/services/hooks/Hooks.ts"
import { GatewayMetrics } from "../../../src/services/routing/GatewayMetrics.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import { RoutingPolicy } from "../../../src/services/routing/RoutingPolicy.ts"
import { engineWith } from "../../support/hooks.ts"
import * as Events from "../../support/payments.ts"
import { chargeRequest, declined, engine, requiresAction, success, testGateway, unknown } from "../../support/TestEngine.ts"

const alpha = GatewayName.make("alpha")
const euro = CurrencyCode.make("EUR")
const dollar = CurrencyCode.make("USD")
const german: Segment = { method: "card", currency: euro, country: "DE" }
const segments: ReadonlyArray<Segment> = [german, { ...german, country: "FR" }, { method: "wallet", currency: dollar }]

/** Never so many failures in a row that a breaker would notice. */
const answers: ReadonlyArray<(intent: Intent) => Outcome> = [
  success,
  success,
  () => declined("soft"),
  success,
  () => declined("gateway_error"),
  success,
  () => requiresAction,
  () => ({ ...unknown, reason: "server_error" }),
  () => declined("rate_limited"),
  () => declined("hard")
]

/** Answers after 50 to 2,500 ms. */
const gateway = testGateway("alpha", {
  send: (intent, nth) =>
    Effect.gen(function* () {
      yield* Effect.sleep(yield* Random.nextIntBetween(50, 2_500))
      return (answers[nth % answers.length] ?? success)(intent)
    })
})

const charge = (nth: number, segment: Segment = segments[nth % segments.length] ?? german) =>
  Payments.Payments.use((payments) =>
    payments.charge(
      chargeRequest(`payment-${nth}`, {
        amount: { currency: segment.currency, minor: 1_000n },
        method: { type: segment.method, token: Token.make("tok"), ...(segment.country === undefined ? {} : { country: segment.country }) }
      })
    )
  )

/** Of 10.00: 0.35 and 0.40. */
const fees: Cost.Fees = [
  { currency: euro, fixedMinor: 25, basisPoints: 100 },
  { currency: dollar, fixedMinor: 30, basisPoints: 100 }
]

/** So many payments, one every so often, and the time until the last is answered. */
const chargeMany = Effect.fnUntraced(function* (count: number, everyMillis: number, first = 0) {
  for (let nth = first; nth < first + count; nth++) {
    yield* Effect.forkChild(charge(nth))
    yield* TestClock.adjust(everyMillis)
  }
  yield* TestClock.adjust("20 seconds")
})

/** What another instance knows after its start. */
const startAnother = Effect.fnUntraced(function* (options?: WarmStartOptions) {
  const context = yield* Layer.build(Layer.fresh(MemoryGatewayMetrics.layer))
  const metrics = Context.get(context, GatewayMetrics)
  const start = Effect.provideService(warmStart(options), GatewayMetrics, metrics)
  return { metrics, start, report: yield* start }
})

const everything = Effect.fnUntraced(function* (metrics: (typeof GatewayMetrics)["Service"]) {
  const all = yield* Effect.forEach([undefined, ...segments], (segment) => metrics.stats(alpha, segment))
  // Runs of failures are not restored.
  return all.map((stats) => ({ ...stats, consecutiveFailures: 0 }))
})

/** Commits events that happen now. */
const commitNow = (commit: Commit) =>
  Effect.flatMap(Clock.currentTimeMillis, (occurredAt) =>
    mustCommit({ ...commit, events: commit.events.map((event) => ({ ...event, occurredAt })) })
  )

const seeded = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  effect.pipe(Random.withSeed(7), Effect.scoped, Effect.provide(engine([gateway], { retries: 0 })))

describe("WarmStart", () => {
  it.effect("what is rebuilt is what was recorded: samples, rates, approvals, quantiles, by segment", () =>
    seeded(
      Effect.gen(function* () {
        yield* chargeMany(120, 10_000)
        const recorded = yield* GatewayMetrics
        const { metrics, report } = yield* startAnother()
        assert.strictEqual(report.restored, 120)
        const expected = yield* everything(recorded)
        assert.deepStrictEqual(yield* everything(metrics), expected)
        const [whole, card] = expected
        assert.strictEqual(whole?.samples, 120)
        assert.deepInclude(card, { segmentUsed: "full", samples: 40 })
        assert.isBelow(whole?.successRate ?? 1, 1)
        assert.isBelow(whole?.approvalRate ?? 1, 1)
      })
    )
  )

  it.effect("a payment counts in the segment that enrichments made of it", () => {
    const table: Hook = { kind: "enrichment", name: "bin-table", run: () => Effect.succeed({ method: { country: "DE" } }) }
    return Effect.gen(function* () {
      for (let nth = 0; nth < 25; nth++) yield* charge(nth, { method: "card", currency: euro })
      yield* TestClock.adjust("20 seconds")
      const { metrics } = yield* startAnother()
      const all = [yield* GatewayMetrics, metrics]
      for (const known of all) assert.deepInclude(yield* known.stats(alpha, german), { segmentUsed: "full", samples: 25 })
    }).pipe(Effect.provide(engineWith([testGateway("alpha")], [table])))
  })

  it.effect("what approved charges cost is rebuilt from the fees that their decisions name, by currency", () =>
    seeded(
      Effect.gen(function* () {
        yield* chargeMany(40, 10_000)
        const expected = yield* (yield* GatewayMetrics).costs(alpha)
        assert.deepStrictEqual(
          expected.map(({ currency, meanMinor }) => [currency, meanMinor]),
          [
            [euro, 35],
            [dollar, 40]
          ]
        )
        assert.deepStrictEqual(yield* (yield* startAnother()).metrics.costs(alpha), expected)
      }).pipe(Effect.provideService(RoutingPolicy, { policy: Policy.make({}, new Map([[alpha, fees]])), customRules: [] }))
    )
  )

  it.effect("what the metrics know already is not restored: neither a second time nor beside what is recorded meanwhile", () =>
    seeded(
      Effect.gen(function* () {
        yield* chargeMany(30, 10_000)
        const { metrics, start } = yield* startAnother()
        assert.strictEqual((yield* metrics.health(alpha)).samples, 30)
        assert.deepInclude(yield* start, { restored: 0 })
        yield* metrics.record({ gateway: alpha, kind: "sale", verdict: "healthy", durationMillis: 100 })
        yield* chargeMany(30, 10_000, 30)
        assert.deepInclude(yield* start, { restored: 0 })
        assert.strictEqual((yield* metrics.health(alpha)).samples, 31)
      })
    )
  )

  it.effect("an instance that knows the last minutes learns what was before", () =>
    seeded(
      Effect.gen(function* () {
        yield* chargeMany(30, 10_000)
        yield* TestClock.adjust("2 minutes")
        const context = yield* Layer.build(Layer.fresh(MemoryGatewayMetrics.layer))
        const metrics = Context.get(context, GatewayMetrics)
        yield* metrics.record({ gateway: alpha, kind: "sale", verdict: "healthy", durationMillis: 100 })
        yield* TestClock.adjust("2 minutes")
        yield* Effect.provideService(warmStart(), GatewayMetrics, metrics)
        assert.strictEqual((yield* metrics.health(alpha)).samples, 31)
      })
    )
  )

  it.effect("an outcome that was learned later, by webhook or recovery, is no call", () =>
    seeded(
      Effect.gen(function* () {
        for (const source of ["response", "webhook", "recovery", "poll", "person", "reconciliation"] as const) {
          const payment = yield* commitNow(Events.firstCommit())
          yield* TestClock.adjust(700)
          const inDoubt = yield* commitNow(Events.commitOf(payment, [{ ...Events.uncertain(), source } as PaymentEvent]))
          yield* TestClock.adjust(50)
          yield* commitNow(Events.commitOf(inDoubt, [{ ...Events.succeeded(), source } as PaymentEvent]))
        }
        yield* TestClock.adjust(1)
        const { metrics, report } = yield* startAnother()
        assert.strictEqual(report.restored, 1)
        const { approved, p50Millis, samples, successRate } = yield* metrics.stats(Events.gateway)
        assert.deepStrictEqual([samples, successRate, approved], [1, 0, 0])
        assert.closeTo(p50Millis, 700, 700 * 0.02)
      })
    )
  )

  it.effect("only the last hour counts", () =>
    seeded(
      Effect.gen(function* () {
        yield* chargeMany(20, 10_000)
        yield* TestClock.adjust("70 minutes")
        yield* chargeMany(12, 10_000, 20)
        const { metrics, report } = yield* startAnother()
        assert.strictEqual(report.restored, 12)
        assert.deepStrictEqual(yield* everything(metrics), yield* everything(yield* GatewayMetrics))
      })
    )
  )

  it.effect("of more events than may be read the newest count", () =>
    seeded(
      Effect.gen(function* () {
        yield* chargeMany(200, 10_000)
        const now = yield* Clock.currentTimeMillis
        const { metrics, report } = yield* startAnother({ maxEvents: 200 })
        assert.isAtMost(report.events, 200)
        assert.isAtLeast(report.restored, 35, "of four or five events a payment")
        const oldest = (yield* metrics.oldestKnownAt) ?? 0
        assert.isAtLeast(oldest, now - 10 * 60_000)
        const recorded = yield* GatewayMetrics
        assert.isAbove((yield* recorded.health(alpha)).samples, 190)
      })
    )
  )

  it.effect("of an empty log nothing is restored", () =>
    seeded(
      Effect.gen(function* () {
        const { metrics, report } = yield* startAnother()
        assert.deepStrictEqual([report.events, report.restored], [0, 0])
        assert.isUndefined(yield* metrics.oldestKnownAt)
      })
    )
  )
})
