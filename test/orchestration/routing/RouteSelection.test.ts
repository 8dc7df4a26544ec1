/**
 * Routing in the engine: what the gateways' state makes of a plan, what is stored of it, and where a payment goes on.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import { TestClock } from "effect/testing"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { GatewayName, type PaymentId } from "../../../src/domain/payment/Ids.ts"
import * as BreakerName from "../../../src/domain/resilience/BreakerName.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import { make, type PolicyData } from "../../../src/domain/routing/policy/Policy.ts"
import { CircuitBreakers } from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import * as RouteSelection from "../../../src/orchestration/routing/RouteSelection.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import { type CustomRule, RoutingPolicy } from "../../../src/services/routing/RoutingPolicy.ts"
import { details, eur } from "../../support/payments.ts"
import { namesOf, paymentId } from "../../support/routing.ts"
import { chargeRequest, declined, engine, success, testGateway } from "../../support/TestEngine.ts"

const a = GatewayName.make("a")
const b = GatewayName.make("b")

const engineWith = (gateways: ReadonlyArray<Gateway>, data: PolicyData = {}, customRules: ReadonlyArray<CustomRule> = []) =>
  Layer.provide(engine(gateways, { retries: 0 }), Layer.succeed(RoutingPolicy, { policy: make(data), customRules }))

let keys = 0
/** Charges 49.90 EUR, which is not explored; answers the payment and the decision of each of its charges. */
const charge = Effect.fnUntraced(function* (overrides: Parameters<typeof chargeRequest>[1] = {}) {
  const payments = yield* Payments
  const { payment } = yield* payments.charge(chargeRequest(`k${++keys}`, overrides))
  return { payment, decisions: (yield* intentsOf(payment.id)).map(({ decision }) => decision) }
})

const intentsOf = Effect.fnUntraced(function* (id: PaymentId) {
  const store = yield* EventStore
  return (yield* store.read(id)).flatMap(({ event }): ReadonlyArray<Intent> => (event._tag === "OperationIntended" ? [event.intent] : []))
})

/** Opens the breaker of sales at a gateway, as five failures in a row do. */
const trip = (gateway: GatewayName) =>
  CircuitBreakers.use((breakers) =>
    Effect.replicateEffect(Effect.exit(breakers.protect(BreakerName.of(gateway, "sale"), Effect.fail("down"))), 5, { discard: true })
  )

/** A gateway that answers what is set. */
const switchable = (name: string) => {
  const current: { outcome: Outcome | "success" } = { outcome: "success" }
  const gateway = testGateway(name, {
    send: (intent) => Effect.sync(() => (current.outcome === "success" ? success(intent) : current.outcome))
  })
  return { gateway, answer: (outcome: Outcome | "success") => Effect.sync(() => (current.outcome = outcome)) }
}

describe("RouteSelection", () => {
  it.effect("what was decided from is stored: policy, version, weights, scores, signals, fees and probability", () => {
    const fees = new Map([[b, [{ basisPoints: 100 }]]])
    const routing = Layer.succeed(RoutingPolicy, { policy: make({}, fees), customRules: [] })
    return Effect.gen(function* () {
      yield* charge()
      yield* TestClock.setTime(1_700_000_000_000)
      const { decisions } = yield* charge()
      const [decision] = decisions
      assert.strictEqual(decision?.policy, "weighted")
      assert.strictEqual(decision?.version, make({}, fees).version)
      assert.deepStrictEqual(decision?.weights, { success: 0.5, latency: 0.3, cost: 0.2 })
      assert.strictEqual(decision?.propensity, 1)
      assert.strictEqual(decision?.decidedAt, 1_700_000_000_000)
      assert.deepStrictEqual(namesOf(decision?.ranked ?? []), ["b", "a"])
      assert.strictEqual(decision?.ranked[0]?.feeMinor, 50)
      assert.isUndefined(decision?.ranked[1]?.feeMinor)
      assert.deepStrictEqual(decision?.ranked[0]?.parts, { success: 0.95, latency: 1, cost: 0.8 })
    }).pipe(Effect.provide(Layer.provide(engine([testGateway("a"), testGateway("b")]), routing)))
  })

  it.effect("what is known is of the payment's segment, once there are enough calls of it", () =>
    Effect.gen(function* () {
      const method = { ...chargeRequest("any").method, country: "DE" }
      yield* Effect.replicateEffect(charge({ method }), 20)
      const levelOf = (country: string) =>
        Effect.map(charge({ method: { ...method, country } }), ({ decisions }) => decisions[0]?.ranked[0]?.signals?.level)
      assert.strictEqual(yield* levelOf("DE"), "full")
      assert.strictEqual(yield* levelOf("FR"), "method_currency")
    }).pipe(Effect.provide(engineWith([testGateway("a")])))
  )

  it.effect("a gateway that fails is left out while its breaker is open, with the time; the others take its payments", () => {
    const first = switchable("a")
    const second = testGateway("b")
    return Effect.gen(function* () {
      yield* first.answer(declined("gateway_error"))
      yield* charge()
      yield* trip(a)
      const sent = first.gateway.sent.length
      yield* TestClock.adjust("20 seconds")
      const { decisions, payment } = yield* charge()
      assert.strictEqual(payment.status, "succeeded")
      assert.lengthOf(first.gateway.sent, sent)
      assert.deepStrictEqual(
        decisions[0]?.excluded.map(({ gateway, message, reason }) => [gateway, reason, message]),
        [[a, "breaker_open", "its circuit breaker is open for another 40000 ms"]]
      )
      assert.strictEqual(decisions[0]?.excluded[0]?.signals?.breaker, "open")
      assert.isAbove(decisions[0]?.excluded[0]?.signals?.samples ?? 0, 0)
    }).pipe(Effect.provide(engineWith([first.gateway, second])))
  })

  it.effect("it gets the explored payments once its breaker is half-open, and its place again once it has closed", () => {
    const first = switchable("a")
    const second = testGateway("b")
    const small = { amount: eur(2_000n) }
    return Effect.gen(function* () {
      const breakers = yield* CircuitBreakers
      const stateOf = Effect.map(breakers.list, (all) => all.find(({ name }) => name === BreakerName.of(a, "sale"))?.state)
      yield* first.answer(declined("gateway_error"))
      yield* charge()
      yield* trip(a)
      assert.strictEqual(yield* stateOf, "open")
      yield* first.answer("success")
      yield* TestClock.adjust("60 seconds")
      const large = yield* charge()
      assert.deepStrictEqual(namesOf(large.decisions[0]?.ranked ?? []), ["b", "a"])
      for (let probe = 0; probe < 3; probe++) {
        const { decisions, payment } = yield* charge(small)
        assert.strictEqual(payment.gateway, a)
        assert.isTrue(decisions[0]?.explored)
      }
      assert.strictEqual(yield* stateOf, "closed")
      yield* TestClock.adjust("2 hours")
      const { payment } = yield* charge()
      assert.strictEqual(payment.gateway, a, "its failures have left the window")
    }).pipe(Effect.provide(engineWith([first.gateway, second], { exploration: { share: 1 } })))
  })

  it.effect("of payments that are decided at the same moment one is the probe", () => {
    const first = switchable("a")
    const unexplored = { policy: make({ exploration: { share: 0 } }), customRules: [] }
    const select = (nth: number) =>
      RouteSelection.select(paymentId(nth), details({ amount: eur(2_000n) })).pipe(
        Effect.provideService(RoutingPolicy, unexplored),
        Effect.map(({ decision }) => decision)
      )
    return Effect.gen(function* () {
      yield* first.answer(declined("gateway_error"))
      yield* charge()
      yield* trip(a)
      yield* first.answer("success")
      yield* TestClock.adjust("60 seconds")
      const decided = yield* Effect.forEach([1, 2, 3, 4], select)
      assert.deepStrictEqual(
        decided.map(({ ranked }) => ranked[0]?.gateway),
        [a, b, b, b]
      )
      // The one that was to be the probe made no call: after the time for which a probe is waited another one is.
      yield* TestClock.adjust("30 seconds")
      const again = yield* select(5)
      assert.strictEqual(again.ranked[0]?.gateway, a)
    }).pipe(Effect.provide(engineWith([first.gateway, testGateway("b")])))
  })

  it.effect("a gateway's own breaker says from which health on it may be tried, and the policy may say otherwise", () => {
    const settings = { ...BreakerSettings.gatewayDefault, minHealthScore: 0.99 }
    const breakers = { settings: BreakerSettings.gatewayDefault, byGateway: { a: settings }, byName: {} }
    const select = Effect.map(RouteSelection.select(paymentId(1), details({ amount: eur(9_000n) })), ({ decision }) => decision)
    const withBreaker = (data: PolicyData) =>
      Effect.gen(function* () {
        yield* CircuitBreakers.use((breakers) => Effect.exit(breakers.protect(BreakerName.of(a, "sale"), Effect.fail("down"))))
        return yield* select
      }).pipe(
        Effect.provideService(RoutingPolicy, { policy: make(data), customRules: [] }),
        Effect.provide(engine([testGateway("a"), testGateway("b")], { retries: 0, breakers }))
      )
    return Effect.gen(function* () {
      const own = yield* withBreaker({})
      assert.deepInclude(own.excluded[0], { gateway: a, reason: "unhealthy" })
      assert.strictEqual(own.excluded[0]?.signals?.minHealth, 0.99)
      const { excluded } = yield* withBreaker({ minHealthScore: 0.1 })
      assert.deepStrictEqual(excluded, [])
    })
  })

  it.effect("a payment that no gateway may take leaves its reasons in the log, a metric and the error", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    const rule = { name: "nobody", then: { only: [GatewayName.make("c")] } }
    return Effect.gen(function* () {
      const error = yield* Effect.flip(charge())
      assert.strictEqual(error._tag, "NoUsableGateway")
      if (error._tag !== "NoUsableGateway") return
      assert.strictEqual(error.rule, "nobody")
      assert.strictEqual(error.version, make({ rules: [rule] }).version)
      assert.isTrue(lines.some((line) => line.includes('a: left out by the rule "nobody"; b: left out by the rule "nobody"')))
      const counted = (yield* Metric.snapshot).filter(
        ({ attributes, id }) => id === "aegispay_routing_refusals_total" && attributes?.["reason"] === "rule"
      )
      assert.deepInclude(counted[0]?.state, { count: 1 })
    }).pipe(
      Effect.provide(Layer.merge(engineWith([testGateway("a"), testGateway("b")], { rules: [rule] }), Logger.layer([logger]))),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })

  it.effect("a gateway with as many calls under way as it may have stands behind those that are free, and the decision says why", () => {
    const busy = testGateway("a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "10 seconds") })
    return Effect.gen(function* () {
      const first = yield* Effect.forkChild(charge())
      yield* TestClock.adjust("1 second")
      const { decisions, payment } = yield* charge()
      assert.strictEqual(payment.gateway, b)
      assert.deepInclude(decisions[0]?.ranked[1], { gateway: a, reason: "behind the others: a call would wait for its turn" })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(first)).payment.gateway, a)
    }).pipe(
      Effect.provide(
        Layer.provide(
          engine([busy, testGateway("b")], { bulkheadByGateway: { a: { concurrency: 1, queue: 9, maxWaitMillis: 20_000 } } }),
          Layer.succeed(RoutingPolicy, { policy: make(), customRules: [] })
        )
      )
    )
  })

  it.effect("half-open with all its probes under way a gateway is left out: one more would be refused", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers
      yield* trip(a)
      yield* TestClock.adjust("60 seconds")
      const permits = yield* Effect.replicateEffect(breakers.tryAcquire(BreakerName.of(a, "sale")), 5)
      const { decisions, payment } = yield* charge()
      assert.strictEqual(payment.gateway, b)
      assert.deepStrictEqual(
        decisions[0]?.excluded.map(({ gateway, message }) => [gateway, message]),
        [[a, "its circuit breaker lets no call through"]]
      )
      for (const permit of permits) {
        if (permit._tag === "Permit") yield* breakers.report(permit, { verdict: "success", durationMillis: 1 })
      }
      assert.lengthOf((yield* charge()).decisions[0]?.excluded ?? [], 0)
    }).pipe(Effect.provide(engineWith([testGateway("a"), testGateway("b")])))
  )

  it.effect("where every gateway is failing the payment is tried all the same, as a last resort", () => {
    return Effect.gen(function* () {
      const breakers = yield* CircuitBreakers
      for (const name of [a, b]) {
        yield* trip(name)
        yield* breakers.forceOpen(BreakerName.of(name, "sale"))
      }
      const { decisions, payment } = yield* charge()
      assert.strictEqual(payment.failure?.code, "not_sent_breaker_open")
      assert.lengthOf(decisions, 2)
      assert.include(decisions[0]?.reason, "last resort: its circuit breaker lets no call through")
      assert.lengthOf(decisions[0]?.excluded ?? [], 0)
    }).pipe(Effect.provide(engineWith([testGateway("a"), testGateway("b")])))
  })

  it.effect("a failover stores what was left of the plan, why, and after which charge", () => {
    const first = testGateway("a", { send: () => Effect.succeed(declined("soft")) })
    return Effect.gen(function* () {
      const { decisions, payment } = yield* charge()
      assert.strictEqual(payment.gateway, b)
      const [planned, failover] = decisions
      assert.deepStrictEqual(namesOf(planned?.ranked ?? []), ["a", "b", "c"])
      assert.deepStrictEqual(namesOf(failover?.ranked ?? []), ["b", "c"])
      assert.strictEqual(failover?.reason, "b: next of the plan after a soft decline at a")
      assert.strictEqual(failover?.after, 1)
      assert.strictEqual(failover?.version, planned?.version)
      assert.strictEqual(failover?.propensity, 1)
      assert.isUndefined(failover?.explored)
    }).pipe(Effect.provide(engineWith([first, testGateway("b"), testGateway("c")], { exploration: { share: 1 } })))
  })

  it.effect("a gateway that was left out for failing is tried when nothing else is left", () => {
    const first = testGateway("a", { send: () => Effect.succeed(declined("gateway_error")) })
    return Effect.gen(function* () {
      const breakers = yield* CircuitBreakers
      yield* trip(b)
      yield* breakers.forceOpen(BreakerName.of(b, "sale"))
      const { decisions } = yield* charge()
      assert.deepStrictEqual(namesOf(decisions[0]?.excluded ?? []), ["b"])
      assert.deepStrictEqual(
        decisions[1]?.ranked.map(({ gateway, reason }) => [gateway, reason]),
        [[b, "last resort: its circuit breaker lets no call through"]]
      )
    }).pipe(Effect.provide(engineWith([first, testGateway("b")])))
  })

  it.effect("an authentication step-up stores why it goes to the same gateway", () => {
    const first = testGateway("a", {
      send: (intent) => Effect.succeed(intent.details.stepUp === true ? success(intent) : declined("authentication_required"))
    })
    return Effect.gen(function* () {
      const { decisions, payment } = yield* charge()
      assert.strictEqual(payment.gateway, a)
      assert.strictEqual(decisions[1]?.after, 1)
      assert.deepStrictEqual(namesOf(decisions[1]?.ranked ?? []), ["a"])
    }).pipe(Effect.provide(engineWith([first, testGateway("b")])))
  })

  it.effect("a host's own rule decides; one that throws is passed over", () => {
    const throwing: CustomRule = {
      name: "broken",
      priority: 1,
      decide: () => {
        throw new Error("no such table")
      }
    }
    const own: CustomRule = {
      name: "orders to b",
      decide: ({ details }) => (details.metadata["shop"] === "2" ? { prefer: [b] } : undefined)
    }
    return Effect.gen(function* () {
      const other = yield* charge({ metadata: { shop: "1" } })
      assert.strictEqual(other.payment.gateway, a)
      assert.isUndefined(other.decisions[0]?.rule)
      const matched = yield* charge({ metadata: { shop: "2" } })
      assert.strictEqual(matched.payment.gateway, b)
      assert.strictEqual(matched.decisions[0]?.rule, "orders to b")
    }).pipe(Effect.provide(engineWith([testGateway("a"), testGateway("b")], {}, [own, throwing])))
  })

  const nonsense: ReadonlyArray<readonly [name: string, answer: unknown]> = [
    ["null", null],
    ["a name", "b"],
    ["a promise", Promise.resolve({ prefer: [b] })],
    ["a weight that is no number", { weights: { success: Number.NaN, latency: 1, cost: 1 } }],
    ["a weight below 0", { weights: { success: -1, latency: 1, cost: 1 } }],
    ["a latency target that is no number", { latencyTargetMillis: Number.NaN }],
    ["a share above 1", { explorationShare: 2 }],
    ["shares that are texts", { split: [{ gateway: b, share: "50" }] }],
    ["a name for a list", { only: "b" }],
    ["a number for a list", { exclude: 1 }],
    ["a strategy that there is not", { strategy: "fastest" }]
  ]
  for (const [name, answer] of nonsense) {
    it.effect(`a host's own rule that answers ${name} is passed over`, () => {
      const own: CustomRule = { name: "own", decide: () => answer as ReturnType<CustomRule["decide"]> }
      return Effect.gen(function* () {
        const { decisions, payment } = yield* charge()
        assert.strictEqual(payment.gateway, a)
        assert.isUndefined(decisions[0]?.rule)
      }).pipe(Effect.provide(engineWith([testGateway("a"), testGateway("b")], {}, [own])))
    })
  }

  it.effect("a host's own rule may name what it leaves undefined", () => {
    const own = { name: "own", decide: () => ({ prefer: [b], only: undefined }) } as unknown as CustomRule
    return Effect.gen(function* () {
      const { decisions, payment } = yield* charge()
      assert.strictEqual(payment.gateway, b)
      assert.strictEqual(decisions[0]?.rule, "own")
    }).pipe(Effect.provide(engineWith([testGateway("a"), testGateway("b")], {}, [own])))
  })

  it.effect("a split follows the payment's id, which its events have", () => {
    const split = [
      { gateway: a, share: 50 },
      { gateway: b, share: 50 }
    ]
    return Effect.gen(function* () {
      const gateways = yield* Effect.replicateEffect(
        Effect.map(charge(), ({ payment }) => payment.gateway),
        40
      )
      assert.lengthOf(new Set(gateways), 2)
    }).pipe(Effect.provide(engineWith([testGateway("a"), testGateway("b")], { rules: [{ name: "half", then: { split } }] })))
  })

  it.effect("decisions are counted by gateway, with their duration", () =>
    Effect.gen(function* () {
      yield* charge()
      const series = (yield* Metric.snapshot).filter(({ id }) => id.startsWith("aegispay_routing_decision"))
      const labels = series.map(({ attributes, id }) => `${id} ${JSON.stringify(attributes ?? {})}`)
      assert.include(labels, 'aegispay_routing_decisions_total {"gateway":"a","explored":"false"}')
      assert.isTrue(series.some(({ id }) => id === "aegispay_routing_decision_duration_microseconds"))
    }).pipe(Effect.provide(engineWith([testGateway("a")])))
  )
})
