/**
 * `GET /metrics`: who may read it, that it is what Prometheus reads, and that labels are bounded whatever the traffic is.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { TenantId } from "../../../../src/domain/payment/Ids.ts"
import * as OpenOperations from "../../../../src/orchestration/observability/OpenOperations.ts"
import { Payments } from "../../../../src/orchestration/payment/Payments.ts"
import * as Catalog from "../../../../src/services/metrics/Catalog.ts"
import * as Family from "../../../../src/services/metrics/Family.ts"
import { alone } from "../../../support/metrics.ts"
import * as Prometheus from "../../../support/prometheus.ts"
import { declined, notSent, pending, requiresAction, success, testGateway, unknown } from "../../../support/TestEngine.ts"
import { clientOf, config, idempotent, key, layerInProcess, newPayment, otherKey, readKey } from "../TestApi.ts"

const metricsKey = "test-key-of-the-collector"
const withMetrics = {
  ...config,
  apiKeys: [...config.apiKeys, { merchant: TenantId.make("m1"), key: Redacted.make(metricsKey), scopes: ["metrics"] as const }]
}

const scrape = Effect.gen(function* () {
  const send = yield* clientOf(withMetrics)
  return yield* send("GET", "/metrics", { key: metricsKey })
})

describe("GET /metrics", () => {
  it.effect("takes a key with the scope metrics, which no key has by itself", () =>
    Effect.gen(function* () {
      const send = yield* clientOf(withMetrics)
      const answers = yield* Effect.forEach([undefined, "no key of this server", readKey, key, metricsKey], (key) =>
        send("GET", "/metrics", { key })
      )
      assert.deepStrictEqual(
        answers.map(({ body, status }) => [status, body?.code]),
        [
          [401, "unauthorized"],
          [401, "unauthorized"],
          [403, "scope_missing"],
          [403, "scope_missing"],
          [200, undefined]
        ]
      )
      assert.strictEqual(answers.at(-1)?.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
      assert.strictEqual((yield* send("GET", "/v1/payments", { key: metricsKey })).status, 403)
      assert.strictEqual((yield* send("POST", "/metrics", { key: metricsKey })).status, 405)
    }).pipe(Effect.provide(layerInProcess([testGateway("a")])), alone)
  )

  it.effect("takes none where the configuration says so, and is not there where it is switched off", () =>
    Effect.gen(function* () {
      const open = yield* clientOf({ ...config, metrics: { public: true } })
      assert.strictEqual((yield* open("GET", "/metrics")).status, 200)
      const off = yield* clientOf({ ...withMetrics, metrics: { enabled: false } })
      assert.strictEqual((yield* off("GET", "/metrics", { key: metricsKey })).status, 404)
    }).pipe(Effect.provide(layerInProcess([testGateway("a")])), alone)
  )

  it.effect("escapes, rounds nothing and is sorted, whatever the order was", () =>
    Effect.gen(function* () {
      const hostile = 'a"b\\c\nd{}=,#é'
      const registrar = Family.registrar(yield* Effect.context())
      registrar.counter("aegispay_breaker_recoveries_total", { breaker: hostile }, () => 2 ** 53 - 1)
      registrar.gauge("aegispay_breaker_health", { breaker: "z" }, () => 0.1 + 0.2)
      registrar.gauge("aegispay_breaker_health", { breaker: "b" }, () => Number.NaN)
      registrar.gauge("aegispay_breaker_health", { breaker: "c" }, () => Number.POSITIVE_INFINITY)
      const buckets: Array<[number, number]> = [
        [10, 1],
        [20, 1]
      ]
      const state = { buckets, count: 3, min: 1, max: 1_000, sum: 1_031.5 }
      registrar.histogram("aegispay_breaker_call_duration_milliseconds", { breaker: "b" }, () => state)
      const { text } = yield* scrape
      const families = Prometheus.parse(text)
      const of = (name: string) => families.find((family) => family.name === name)?.samples ?? []
      assert.deepStrictEqual(of("aegispay_breaker_recoveries_total"), [
        { name: "aegispay_breaker_recoveries_total", labels: { breaker: hostile }, value: 2 ** 53 - 1 }
      ])
      assert.deepStrictEqual(
        of("aegispay_breaker_health").map(({ labels, value }) => [labels["breaker"], value]),
        [
          ["b", Number.NaN],
          ["c", Number.POSITIVE_INFINITY],
          ["z", 0.1 + 0.2]
        ]
      )
      assert.deepStrictEqual(
        of("aegispay_breaker_call_duration_milliseconds").map(({ labels, name, value }) => [name.slice(43), labels["le"], value]),
        [
          ["_bucket", "10", 1],
          ["_bucket", "20", 1],
          ["_bucket", "+Inf", 3],
          ["_sum", undefined, 1_031.5],
          ["_count", undefined, 3]
        ]
      )
      const names = families.map(({ name }) => name)
      assert.deepStrictEqual(names, [...names].sort())
    }).pipe(Effect.provide(layerInProcess([testGateway("a")])), alone)
  )
})

/** What a name in the configuration of these tests may be. */
const configured: Readonly<Record<string, RegExp>> = {
  gateway: /^[ab]$/,
  from: /^[ab]$/,
  to: /^[ab]$/,
  service: /^[ab]$/,
  breaker: /^[ab]\.(sale|authorize|confirm|capture|void|refund)$/,
  route: /^(\/v1\/payments(\/:id(\/(confirm|capture|cancel|refunds|events))?)?|\/v1\/webhooks\/:gateway|\/metrics|unmatched)$/,
  status: /^[1-5]\d\d$/,
  entity: /^payment$/
}

describe("labels", () => {
  it.effect("come from lists and from the configuration, whatever is sent; no id, no key, no card, no secret", () => {
    let nth = 0
    const outcomes = [declined("hard"), unknown, notSent, pending, requiresAction, declined("gateway_error")]
    const a = testGateway("a", { send: (intent) => Effect.sync(() => outcomes[nth++ % 7] ?? success(intent)) })
    return Effect.gen(function* () {
      const send = yield* clientOf(withMetrics)
      yield* OpenOperations.start()
      const secrets = new Set<string>()
      for (let index = 0; index < 60; index++) {
        const hidden = `hidden${index}`
        const paymentMethod = { type: "card", token: `tok_${hidden}`, fingerprint: `fp_${hidden}`, bin: "424242" }
        const body = { ...newPayment, paymentMethod, customer: { id: hidden, email: `${hidden}@x.example` }, metadata: { hidden } }
        const charging = yield* Effect.forkChild(send("POST", "/v1/payments", { key, headers: idempotent(`key-${hidden}`), body }))
        yield* TestClock.adjust("1 minute")
        const { id } = (yield* Fiber.join(charging)).body
        secrets.add(String(id))
        yield* send("GET", `/v1/payments/${id}?x=${hidden}`, { key: otherKey, headers: { "x-correlation-id": hidden } })
        yield* send("GET", `/${hidden}`, { key })
        yield* send("POST", `/v1/webhooks/${hidden}`, { body: hidden })
        yield* send("POST", `/v1/payments/${id}/refunds`, { key, headers: idempotent(`refund-${hidden}`), body: { amount: 1 } })
      }
      yield* (yield* Payments).recover({})
      const { text } = yield* scrape
      const families = Prometheus.parse(text)
      assert.notMatch(text, /hidden|tok_|fp_|424242|"m[12]"|test-key|(?<!aegis)pay_|4990/)
      assert.isEmpty([...secrets].filter((id) => text.includes(id)))
      const declared = Catalog.catalog as Readonly<Record<string, Catalog.Declaration>>
      for (const { help, name, samples, type } of families) {
        const declaration = declared[name]
        assert.isDefined(declaration, `${name} is in the catalogue`)
        if (declaration === undefined) continue
        assert.deepStrictEqual([type, help], [declaration.type, declaration.description])
        for (const { labels } of samples) {
          const { le: _bound, ...own } = labels
          assert.deepStrictEqual(Object.keys(own).sort(), Object.keys(declaration.labels).sort(), name)
          for (const [label, value] of Object.entries(own)) {
            const values = declaration.labels[label] ?? []
            const isAllowed = "configured" in values ? configured[label]?.test(value) : values.includes(value)
            assert.isTrue(isAllowed, `${name}: ${label}="${value}"`)
          }
        }
      }
      const some = ["payments", "operations", "gateway_calls", "gateway_errors", "failovers", "breaker_calls", "http_requests", "commits"]
      for (const name of some) {
        const samples = families.find((family) => family.name === `aegispay_${name}_total`)?.samples ?? []
        assert.isAbove(
          samples.reduce((sum, { value }) => sum + value, 0),
          0,
          name
        )
      }
    }).pipe(Effect.scoped, Effect.provide(layerInProcess([a, testGateway("b")])), alone)
  })
})
