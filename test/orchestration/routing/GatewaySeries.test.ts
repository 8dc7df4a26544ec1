/**
 * The last hour of the gateways among the exported metrics.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import * as GatewaySeries from "../../../src/orchestration/routing/GatewaySeries.ts"
import { GatewayMetrics } from "../../../src/services/routing/GatewayMetrics.ts"
import { RoutingPolicy } from "../../../src/services/routing/RoutingPolicy.ts"
import { chargeRequest, declined, engine, gatewaysOf, success, testGateway } from "../../support/TestEngine.ts"

const euro = CurrencyCode.make("EUR")
const alpha = GatewayName.make("alpha")

/** Every series of the gateways by name and labels, with its value. */
const series = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all
      .filter(({ id }) => id.startsWith("aegispay_gateway_"))
      .map(({ attributes, id, state }) => {
        const labels = Object.values(attributes ?? {}).join(" ")
        return [
          `${id.slice("aegispay_gateway_".length)} ${labels}`,
          "value" in state ? state.value : "count" in state ? state.count : undefined
        ]
      })
  )
)

/** Each test has its own registry. */
const alone = Effect.provideServiceEffect(
  Metric.MetricRegistry,
  Effect.sync(() => new Map())
)

describe("GatewaySeries", () => {
  it.effect("are read at the time of the export, for every configured gateway, and end with the layer", () =>
    Effect.gen(function* () {
      const during = Effect.gen(function* () {
        const metrics = yield* GatewayMetrics
        const before = yield* series
        const cost = { currency: euro, minor: 2.5 }
        const call = { gateway: alpha, kind: "sale", verdict: "healthy", durationMillis: 1, approval: "approved", cost } as const
        yield* metrics.record(call)
        yield* metrics.record({ ...call, approval: "declined" })
        yield* metrics.record({ gateway: alpha, kind: "sale", verdict: "failed", durationMillis: 1 })
        yield* metrics.record({ gateway: alpha, kind: "refund", verdict: "failed", durationMillis: 1, cost })
        yield* metrics.record({ ...call, verdict: "ignored" })
        return [before, yield* series] as const
      })
      const layers = GatewaySeries.layer.pipe(
        Layer.provide(Layer.merge(MemoryGatewayMetrics.layer, gatewaysOf(testGateway("alpha"), testGateway("beta"))))
      )
      const [before, after] = yield* Effect.provide(during, layers)
      const ofNone = (name: string) => ({
        [`window_calls ${name}`]: 0,
        [`success_rate ${name}`]: 1,
        [`approval_rate ${name}`]: 1,
        [`latency_milliseconds ${name} 0.5`]: 0,
        [`latency_milliseconds ${name} 0.95`]: 0,
        [`latency_milliseconds ${name} 0.99`]: 0
      })
      assert.deepStrictEqual(before, { ...ofNone("alpha"), ...ofNone("beta") })
      assert.deepStrictEqual(after, {
        ...ofNone("beta"),
        "window_calls alpha": 4,
        "success_rate alpha": 0.5,
        "approval_rate alpha": 0.5,
        "latency_milliseconds alpha 0.5": 1,
        "latency_milliseconds alpha 0.95": 1,
        "latency_milliseconds alpha 0.99": 1,
        "cost_minor_total alpha EUR": 5,
        "costs_total alpha EUR": 2
      })
      assert.deepStrictEqual(yield* series, {})
    }).pipe(alone)
  )

  it.effect("an approved charge costs what the gateway's price list says; a declined one, and one that no entry fits, nothing", () => {
    const answers = [declined("hard"), undefined, undefined]
    const alphaGateway = testGateway("alpha", { send: (intent) => Effect.sync(() => answers.shift() ?? success(intent)) })
    const fees = new Map([[alpha, [{ currency: euro, fixedMinor: 25, basisPoints: 140 }]]])
    return Effect.gen(function* () {
      const { charge } = yield* Payments
      const metrics = yield* GatewayMetrics
      yield* charge(chargeRequest("declined"))
      assert.isEmpty(yield* metrics.costs(alpha))
      yield* charge(chargeRequest("approved"))
      yield* charge(chargeRequest("other", { amount: { currency: CurrencyCode.make("USD"), minor: 4_990n } }))
      assert.deepStrictEqual(yield* metrics.costs(alpha), [{ currency: euro, samples: 1, meanMinor: 95 }])
    }).pipe(
      Effect.provide(engine([alphaGateway])),
      Effect.provideService(RoutingPolicy, { policy: Policy.make({}, fees), customRules: [] })
    )
  })
})
