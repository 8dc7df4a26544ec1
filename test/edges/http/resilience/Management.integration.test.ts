/**
 * What a server tells of what it depends on, and what those who operate it may ask and order: over real HTTP.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { TenantId } from "../../../../src/domain/payment/Ids.ts"
import type { HttpConfig } from "../../../../src/edges/config/Config.ts"
import * as RateLimitConfig from "../../../../src/edges/config/RateLimits.ts"
import * as HttpServer from "../../../../src/edges/http/HttpServer.ts"
import * as Dependencies from "../../../../src/orchestration/resilience/dependency/Dependencies.ts"
import { alone } from "../../../support/metrics.ts"
import { notSent, testGateway } from "../../../support/TestEngine.ts"
import { config, idempotent, key, layerServed, newPayment, readKey } from "../TestApi.ts"

const opsKey = "test-key-of-whoever-operates-it"
const http: Partial<HttpConfig> = {
  apiKeys: [...config.apiKeys, { merchant: TenantId.make("m1"), key: Redacted.make(opsKey), scopes: ["resilience"] }],
  rateLimits: RateLimitConfig.settingsOf({
    routes: { initiate: { ip: { limit: 5, windowMillis: 60_000 }, api_key: { limit: 3, windowMillis: 60_000, burst: 1 } } }
  })
}

const gateways = () => {
  let sends = 0
  const down = testGateway("down", { send: () => Effect.sync(() => (sends++, notSent)) })
  return { all: [down, testGateway("up")], sends: () => sends }
}

const send = (method: string, path: string, options: { readonly key?: string | undefined; readonly body?: string } = {}) =>
  Effect.gen(function* () {
    const { url } = yield* HttpServer.Listening
    return yield* Effect.promise(async () => {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
          ...(options.body === undefined ? {} : { "content-type": "application/json" }),
          ...idempotent()
        },
        ...(options.body === undefined ? {} : { body: options.body })
      })
      // What an answer holds is the test's business.
      // oxlint-disable-next-line typescript/no-explicit-any
      return { status: response.status, body: (await response.json()) as any }
    })
  })

const charge = send("POST", "/v1/payments", { key, body: JSON.stringify(newPayment) })
const ops = { key: opsKey }

describe("GET /health/external", () => {
  it.live("tells how each gateway does by what its calls did, without a key and without calling it", () => {
    const { all, sends } = gateways()
    return Effect.gen(function* () {
      const before = yield* send("GET", "/health/external")
      assert.deepStrictEqual(
        [before.status, before.body.status, before.body.gateways.map(({ name, status }: never) => [name, status])],
        [
          200,
          "unknown",
          [
            ["down", "unknown"],
            ["up", "unknown"]
          ]
        ]
      )
      assert.strictEqual((yield* charge).status, 201)
      const called = sends()
      assert.isAbove(called, 0)
      yield* send("POST", "/resilience/circuit-breakers/down.sale/force-open", ops)
      const { body, status } = yield* send("GET", "/health/external")
      assert.deepStrictEqual([status, body.status], [200, "degraded"])
      const [down, up] = body.gateways
      assert.deepInclude(down, { name: "down", status: "unavailable" })
      assert.deepInclude(down.breakers[0], { kind: "sale", state: "forced-open" })
      assert.deepInclude(up, { name: "up", status: "ok", calls: 1, successRate: 1 })
      assert.isNumber(up.p95Millis)
      assert.match(up.breakers[0].changedAt, /^\d{4}-\d\d-\d\dT/)
      for (let time = 0; time < 5; time++) yield* send("GET", "/health/external")
      assert.strictEqual(sends(), called, "nobody was called")
      yield* send("POST", "/resilience/circuit-breakers/up.sale/force-open", ops)
      const none = yield* send("GET", "/health/external")
      assert.deepStrictEqual([none.status, none.body.status], [503, "unavailable"])
      assert.strictEqual((yield* send("GET", "/health")).status, 200, "the server itself is fine")
    }).pipe(Effect.provide(layerServed(all, { http, settings: { retries: 0 } })), alone)
  })

  it.live("tells of other dependencies by their last check, and what they said to nobody", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies.Dependencies
      const failing = { name: "rates", importance: "required", check: Effect.fail("password=secret"), criticalAfter: 1 } as const
      yield* dependencies.register({ name: "chain", importance: "optional", check: Effect.succeed("ok" as never) })
      yield* dependencies.register(failing)
      yield* dependencies.check("rates")
      const { body, status } = yield* send("GET", "/health/external")
      assert.deepStrictEqual([status, body.status], [503, "unavailable"])
      const rates = body.dependencies.find(({ name }: { readonly name: string }) => name === "rates")
      assert.deepInclude(rates, { status: "unavailable", importance: "required" })
      assert.isNumber(rates.durationMillis)
      assert.isString(rates.checkedAt)
      assert.notInclude(JSON.stringify(body), "secret")
    }).pipe(Effect.scoped, Effect.provide(layerServed([testGateway("up")], { http }).pipe(Layer.provideMerge(Dependencies.layer))), alone)
  )
})

const routes = [
  ["GET", "/resilience/circuit-breakers"],
  ["POST", "/resilience/circuit-breakers/up.sale/reset"],
  ["POST", "/resilience/circuit-breakers/up.sale/force-open"],
  ["POST", "/resilience/circuit-breakers/up.sale/force-closed"],
  ["GET", "/resilience/rate-limits/m1/initiate"],
  ["GET", "/resilience/idempotency/stats"],
  ["GET", "/resilience/health"]
] as const

describe("/resilience", () => {
  it.live("takes a key with the scope resilience, which no key has by itself, and grants no other", () =>
    Effect.gen(function* () {
      for (const [method, path] of routes) {
        for (const [shown, status, code] of [
          [undefined, 401, "unauthorized"],
          ["no key of this server", 401, "unauthorized"],
          [key, 403, "scope_missing"],
          [readKey, 403, "scope_missing"]
        ] as const) {
          const answer = yield* send(method, path, { key: shown })
          assert.deepStrictEqual([answer.status, answer.body.code], [status, code], `${method} ${path}`)
        }
      }
      const payments = yield* send("GET", "/v1/payments", ops)
      assert.deepStrictEqual([payments.status, payments.body.code], [403, "scope_missing"])
      const deleted = yield* send("DELETE", "/resilience/circuit-breakers", ops)
      assert.deepStrictEqual([deleted.status, deleted.body.code], [405, "method_not_allowed"])
    }).pipe(Effect.provide(layerServed([testGateway("up")], { http })), alone)
  )

  it.live("lists breakers, forces one open and closed, and resets it: calls go by it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* send("GET", "/resilience/circuit-breakers", ops)).body, { data: [] })
      yield* charge
      const [breaker] = (yield* send("GET", "/resilience/circuit-breakers", ops)).body.data
      assert.deepInclude(breaker, { name: "up.sale", state: "closed", healthy: true, totalSuccesses: 1, totalFailures: 0 })
      const opened = yield* send("POST", "/resilience/circuit-breakers/up.sale/force-open", ops)
      assert.deepStrictEqual([opened.status, opened.body.state], [200, "forced-open"])
      const refused = yield* charge
      assert.notStrictEqual(refused.body.status, "succeeded")
      const closed = yield* send("POST", "/resilience/circuit-breakers/up.sale/force-closed", { ...ops, body: "{}" })
      assert.deepStrictEqual([closed.status, closed.body.state], [200, "forced-closed"])
      assert.strictEqual((yield* charge).body.status, "succeeded")
      const reset = yield* send("POST", "/resilience/circuit-breakers/up.sale/reset", ops)
      assert.deepInclude(reset.body, { name: "up.sale", state: "closed", failureCount: 0 })
    }).pipe(Effect.provide(layerServed([testGateway("up")], { http, settings: { retries: 0 } })), alone)
  )

  it.live("refuses what is no breaker, no group of routes, no body, and changes nothing", () =>
    Effect.gen(function* () {
      yield* charge
      for (const [method, path, body, status, code] of [
        ["POST", "/resilience/circuit-breakers/nobody.sale/reset", undefined, 404, "breaker_not_found"],
        ["POST", "/resilience/circuit-breakers/UP%2FSALE/force-open", undefined, 404, "breaker_not_found"],
        ["POST", `/resilience/circuit-breakers/${"x".repeat(900)}/force-open`, undefined, 404, "breaker_not_found"],
        ["POST", "/resilience/circuit-breakers/up.sale/explode", undefined, 404, "not_found"],
        ["POST", "/resilience/circuit-breakers/up.sale/force-open", '{"for":"ever"}', 400, "invalid_request"],
        ["POST", "/resilience/circuit-breakers/up.sale/force-open", "{", 400, "malformed_json"],
        ["POST", "/resilience/circuit-breakers/up.sale/force-open", `{"x":"${"x".repeat(70_000)}"}`, 413, "body_too_large"],
        ["GET", "/resilience/rate-limits/m1/payments", undefined, 400, "invalid_request"],
        ["GET", `/resilience/rate-limits/${"k".repeat(600)}/initiate`, undefined, 400, "invalid_request"],
        ["GET", "/resilience/rate-limits/m%001/initiate", undefined, 400, "invalid_request"],
        ["GET", "/resilience/rate-limits/initiate", undefined, 404, "not_found"]
      ] as const) {
        const answer = yield* send(method, path, { ...ops, ...(body === undefined ? {} : { body }) })
        assert.deepStrictEqual([answer.status, answer.body.code], [status, code], path.slice(0, 80))
      }
      const [breaker] = (yield* send("GET", "/resilience/circuit-breakers", ops)).body.data
      assert.strictEqual(breaker.state, "closed")
    }).pipe(Effect.provide(layerServed([testGateway("up")], { http })), alone)
  )

  it.live("tells where a key stands with its limits, and takes nothing by looking", () =>
    Effect.gen(function* () {
      const limitsOf = Effect.map(send("GET", "/resilience/rate-limits/m1/initiate", ops), ({ body }) => body)
      const standing = (body: { readonly limits: ReadonlyArray<{ readonly scope: string; readonly remaining: number }> }) =>
        body.limits.find(({ scope }) => scope === "api_key")?.remaining
      const first = yield* limitsOf
      assert.deepInclude(first, { endpoint: "initiate", key: "m1", allowed: true })
      const full = standing(first)
      assert.strictEqual(full, standing(yield* limitsOf))
      yield* charge
      assert.strictEqual(standing(yield* limitsOf), (full ?? 0) - 1)
      for (let time = 0; time < 5; time++) yield* charge
      const after = yield* limitsOf
      assert.isFalse(after.allowed)
      assert.isTrue(after.limits.some(({ retryAfterMillis }: { readonly retryAfterMillis: number }) => retryAfterMillis > 0))
      const health = yield* send("GET", "/resilience/rate-limits/somebody/webhooks", ops)
      assert.strictEqual(health.status, 200)
    }).pipe(Effect.provide(layerServed([testGateway("up")], { http })), alone)
  )

  it.live("counts idempotency keys: new ones, repetitions, conflicts", () =>
    Effect.gen(function* () {
      const { url } = yield* HttpServer.Listening
      const under = (amount: number) =>
        Effect.promise(() =>
          fetch(`${url}/v1/payments`, {
            method: "POST",
            headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "idempotency-key": "counted" },
            body: JSON.stringify({ ...newPayment, amount })
          }).then((response) => response.status)
        )
      assert.deepStrictEqual((yield* send("GET", "/resilience/idempotency/stats", ops)).body, {
        new: 0,
        hits: 0,
        conflicts: 0,
        hitRatio: 0
      })
      assert.deepStrictEqual([yield* under(100), yield* under(100), yield* under(101)], [201, 201, 422])
      assert.deepStrictEqual((yield* send("GET", "/resilience/idempotency/stats", ops)).body, {
        new: 1,
        hits: 1,
        conflicts: 1,
        hitRatio: 1 / 3
      })
      assert.strictEqual((yield* send("GET", "/resilience/health", ops)).body.gateways.length, 1)
    }).pipe(Effect.provide(layerServed([testGateway("up")], { http })), alone)
  )
})
