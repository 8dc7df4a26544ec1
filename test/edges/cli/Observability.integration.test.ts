/**
 * What operators see of real servers: metrics, logs, and breakers that instances share.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { join } from "node:path"
import { catalog } from "../../../src/services/metrics/Catalog.ts"
import * as Prometheus from "../../support/prometheus.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import * as TestRedis from "../../support/TestRedis.ts"
import {
  aegispay,
  apiKey,
  ask,
  assertOneLine,
  configuration,
  directory,
  refusingPort,
  request,
  type Running,
  start,
  waitFor
} from "./aegispay.ts"

const scope = Scope.makeUnsafe()
const metricsKey = "test-key-of-the-collector"
let databaseUrl = ""
let sandbox: Running

beforeAll(async () => {
  databaseUrl = Redacted.value(await Effect.runPromise(Scope.provide(TestDatabase.fresh, scope)))
  sandbox = await start(["sandbox", "--port", "0", "--directory", join(await directory(), "sandbox"), "--json"])
  const { env, file } = await configuration({ databaseUrl, sandboxUrl: sandbox.announced.url })
  const migrated = await aegispay(["migrate", "--config", file], { env })
  assert.strictEqual(migrated.code, 0, migrated.stderr)
})

afterAll(async () => {
  await sandbox.stop("SIGTERM")
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

/** A server with these sections besides, and a key for its metrics. */
const serve = async (extra: object, env: Record<string, string> = {}): Promise<Running> => {
  const configured = await configurationWith(extra)
  return start(["serve", "--config", configured.file, "--json"], { env: { ...configured.env, ...env } })
}

const configurationWith = async (extra: object) => {
  const apiKeys = [
    { merchant: "m1", key: "env:TEST_API_KEY" },
    { merchant: "m1", key: "env:TEST_METRICS_KEY", scopes: ["metrics"] }
  ]
  const config = await configuration({
    databaseUrl,
    sandboxUrl: sandbox.announced.url,
    accounts: ["a", "b"],
    extra: { http: { port: 0, apiKeys }, ...extra }
  })
  return { file: config.file, env: { ...config.env, TEST_METRICS_KEY: metricsKey } }
}

const scrape = async (running: Running) => {
  const response = await fetch(`${running.announced.url}/metrics`, { headers: { authorization: `Bearer ${metricsKey}` } })
  assert.strictEqual(response.status, 200)
  return Prometheus.parse(await response.text())
}

/** The value of one series, by the values of its labels. */
const valueOf = (families: ReadonlyArray<Prometheus.Family>, name: string, ...labels: ReadonlyArray<string>): number | undefined =>
  families
    .flatMap((family) => family.samples)
    .find((sample) => sample.name === name && Object.values(sample.labels).join() === labels.join())?.value

describe("a server", () => {
  it("exports what it declares: payments, gateways, breakers, database, process; and logs payments by name", async () => {
    const running = await serve({
      gateways: ["a", "b"].map((name) => ({
        name: `sandbox-${name}`,
        kind: "sandbox",
        baseUrl: `${sandbox.announced.url}/${name}`,
        fees: [{ currency: "EUR", fixedMinor: 25, basisPoints: 140 }]
      })),
      routing: { policy: "fixed", order: ["sandbox-a", "sandbox-b"] },
      rateLimits: {}
    })
    const { body } = await ask(running, "/v1/payments", { key: apiKey, body: request(), under: "metrics-1" })
    const waiting = await ask(running, "/v1/payments", { key: apiKey, body: request("tok_3ds"), under: "metrics-2" })
    assert.deepStrictEqual([body["status"], waiting.body["status"]], ["succeeded", "requires_action"])
    const sampled = async () => {
      const families = await scrape(running)
      const open = valueOf(families, "aegispay_open_operations", "sandbox-a") === 1
      return open && !Number.isNaN(valueOf(families, "aegispay_database_connections", "idle")) ? families : undefined
    }
    const families = await waitFor(sampled, "the gauges")
    const undeclared = families.filter(({ name }) => !(name in catalog)).map(({ name }) => name)
    assert.isEmpty(undeclared)
    const of = (name: string, ...labels: ReadonlyArray<string>) => valueOf(families, name, ...labels)
    assert.strictEqual(of("aegispay_payments_total", "succeeded"), 1)
    assert.strictEqual(of("aegispay_operations_total", "sandbox-a", "sale", "succeeded"), 1)
    assert.strictEqual(of("aegispay_event_gaps_total"), 0)
    assert.strictEqual(of("aegispay_gateway_success_rate", "sandbox-a"), 1)
    assert.strictEqual(of("aegispay_gateway_cost_minor_total", "sandbox-a", "EUR"), 95)
    assert.strictEqual(of("aegispay_breaker_state", "sandbox-b.refund"), 0)
    assert.strictEqual(of("aegispay_database_connections_limit"), 20)
    assert.strictEqual(of("aegispay_dependency_level", "database"), 0)
    assert.isAbove(of("aegispay_oldest_open_operation_age_milliseconds", "sandbox-a") ?? 0, 0)
    assert.isAbove(of("process_resident_memory_bytes") ?? 0, 10_000_000)
    assert.isAbove(of("process_cpu_seconds_total") ?? 0, 0)
    assert.isAtLeast(of("aegispay_rate_limit_total", "initiate.user", "user", "allowed") ?? 0, 0)
    await ask(running, `/v1/payments/${String(waiting.body["id"])}/cancel`, { key: apiKey, body: {}, under: "metrics-3" })
    const line = running.log().match(/^.*route=\/v1\/payments .*$/m)?.[0] ?? ""
    assert.include(line, `payment=${String(body["id"])}`)
    assert.include(line, "gateway=sandbox-a")
    assert.match(line, /correlationId=[0-9a-f-]{36}/)
    assert.strictEqual((await running.stop("SIGTERM")).code, 0)
  })

  it("takes metrics of the last hour from the events, where there are none in the database", async () => {
    const forget = Effect.flatMap(
      PgClient.makeClient({ url: Redacted.make(databaseUrl) }),
      (sql) => sql`delete from aegispay.routing_metrics`
    )
    await Effect.runPromise(Effect.scoped(Effect.provide(forget, Reactivity.layer)))
    const running = await serve({ http: { port: 0, metrics: { public: true }, apiKeys: [{ merchant: "m1", key: "env:TEST_API_KEY" }] } })
    const calls = async () => {
      const families = Prometheus.parse(await (await fetch(`${running.announced.url}/metrics`)).text())
      return (valueOf(families, "aegispay_gateway_window_calls", "sandbox-a") ?? 0) >= 2 || undefined
    }
    await waitFor(calls, "the calls of the server before")
    assert.strictEqual((await running.stop("SIGTERM")).code, 0)
  })
})

/** Opens the breaker of sandbox-a at one instance; the other follows. */
const agree = async (extra: object, env: Record<string, string>) => {
  const sections = { ...extra, routing: { policy: "fixed", order: ["sandbox-a", "sandbox-b"] } }
  const [one, other] = await Promise.all([serve(sections, env), serve(sections, env)])
  const { body } = await ask(one, "/v1/payments", { key: apiKey, body: request("tok_gateway_error") })
  assert.strictEqual(body["code"], "idempotency_key_missing")
  await ask(one, "/v1/payments", { key: apiKey, body: request("tok_gateway_error"), under: `share-${JSON.stringify(extra).length}` })
  const opened = async () => (valueOf(await scrape(other), "aegispay_breaker_state", "sandbox-a.sale") === 2 ? true : undefined)
  await waitFor(opened, "the other instance's breaker")
  const families = await scrape(other)
  await Promise.all([one.stop("SIGTERM"), other.stop("SIGTERM")])
  return families
}

const nervous = { failureThreshold: 1, openTimeoutMillis: 60_000 }

describe("instances", () => {
  it("share what their breakers find out through the database", async () => {
    await agree({ breakers: nervous }, {})
  })

  TestRedis.suites("with Redis", () => {
    it("share it through Redis, which is a dependency that is watched", async () => {
      const redis = await Effect.runPromise(Scope.provide(TestRedis.start(), scope))
      const families = await agree(
        { breakers: nervous, redis: { url: "env:TEST_REDIS_URL" } },
        { TEST_REDIS_URL: Redacted.value(redis.url) }
      )
      assert.strictEqual(valueOf(families, "aegispay_dependency_level", "redis"), 0)
    })

    it("do not start with a password that their Redis refuses", async () => {
      const redis = await Effect.runPromise(Scope.provide(TestRedis.start({ args: ["--requirepass", "right"] }), scope))
      const { env, file } = await configurationWith({ redis: { url: "env:TEST_REDIS_URL" } })
      const url = `redis://:wrong-hidden@127.0.0.1:${redis.port}`
      const ended = await aegispay(["serve", "--config", file], { env: { ...env, TEST_REDIS_URL: url } })
      assert.strictEqual(ended.code, 2)
      assertOneLine(ended, /redis: Redis at .* refuses the connection/)
      assert.notInclude(ended.stderr, "hidden")
    })
  })

  it("start without their Redis, say so, and take payments", async () => {
    const sections = { redis: { url: `redis://127.0.0.1:${await refusingPort()}` }, rateLimits: {} }
    const running = await serve(sections)
    assert.match(running.log(), /starting without Redis/)
    const { status } = await ask(running, "/v1/payments", { key: apiKey, body: request(), under: "without-redis" })
    assert.strictEqual(status, 201)
    assert.strictEqual((await running.stop("SIGTERM")).code, 0)
  })
})
