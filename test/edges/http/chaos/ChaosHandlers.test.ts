/**
 * `/ops/chaos`: there only where the process has the switch, for a key with the scope, and a plan is checked before it is started.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { TenantId } from "../../../../src/domain/payment/Ids.ts"
import * as ChaosGateway from "../../../../src/gateways/chaos/ChaosGateway.ts"
import * as ChaosControl from "../../../../src/orchestration/chaos/ChaosControl.ts"
import { Chaos } from "../../../../src/services/chaos/Chaos.ts"
import { alone } from "../../../support/metrics.ts"
import { testGateway } from "../../../support/TestEngine.ts"
import { clientOf, config, engine, idempotent, key, newPayment, readKey } from "../TestApi.ts"
import { HttpServer } from "effect/http"

const chaosKey = "test-key-of-whoever-injects-faults"
const http = {
  ...config,
  apiKeys: [...config.apiKeys, { merchant: TenantId.make("m1"), key: Redacted.make(chaosKey), scopes: ["chaos"] as const }]
}
const ops = { key: chaosKey }

const plan = {
  seed: 5,
  rules: [{ target: "gateway", operations: ["sale"], when: { type: "calls", calls: [1] }, inject: { type: "response_lost" } }]
}

/** The interface with the switch, and with a gateway that it can make fail. */
const withSwitch = Layer.unwrap(
  Effect.gen(function* () {
    const chaos = yield* ChaosControl.make()
    const gateways = engine([ChaosGateway.make(testGateway("a"), chaos)], { retries: 0 })
    return Layer.mergeAll(gateways, HttpServer.layerServices).pipe(Layer.provideMerge(Layer.succeed(Chaos, chaos)))
  })
)
const withoutSwitch = Layer.merge(engine([testGateway("a")]), HttpServer.layerServices)

const routes = [
  ["GET", "/ops/chaos"],
  ["PUT", "/ops/chaos"],
  ["DELETE", "/ops/chaos"],
  ["GET", "/ops/chaos/repetition"],
  ["PUT", "/ops/chaos/hold"]
] as const

describe("/ops/chaos", () => {
  it.effect("does not exist without the switch, whatever key asks", () =>
    Effect.gen(function* () {
      const send = yield* clientOf(http)
      for (const [method, path] of [...routes, ["POST", "/ops/chaos"]] as const) {
        const answer = yield* send(method, path, { ...ops, ...(method === "PUT" ? { body: plan } : {}) })
        assert.deepStrictEqual([answer.status, answer.body?.code], [404, "not_found"], `${method} ${path}`)
      }
    }).pipe(Effect.provide(withoutSwitch), alone)
  )

  it.effect("takes a key with the scope chaos, which no key has by itself", () =>
    Effect.gen(function* () {
      const send = yield* clientOf(http)
      for (const [method, path] of routes) {
        const body = method === "PUT" ? { body: plan } : {}
        for (const [key, status] of [
          [undefined, 401],
          ["no key of this server", 401],
          [readKey, 403]
        ] as const) {
          assert.strictEqual((yield* send(method, path, { key, ...body })).status, status, `${method} ${path}`)
        }
        assert.strictEqual((yield* send(method, path, { key, ...body })).status, 403, `${method} ${path}`)
      }
      assert.isFalse((yield* (yield* Chaos).status).running)
      assert.strictEqual((yield* send("POST", "/ops/chaos", ops)).status, 405)
    }).pipe(Effect.provide(withSwitch), alone)
  )

  it.effect("is documented where it is there, and nowhere else", () =>
    Effect.gen(function* () {
      const pathsOf = Effect.gen(function* () {
        const send = yield* clientOf(http)
        const { body, status } = yield* send("GET", "/openapi.json")
        assert.strictEqual(status, 200)
        const page = yield* send("GET", "/docs")
        return {
          paths: Object.fromEntries(
            Object.entries(body.paths as Record<string, object>).flatMap(([path, methods]) =>
              path.startsWith("/ops") ? [[path, Object.keys(methods).toSorted()]] : []
            )
          ),
          onPage: page.text.includes("/ops/chaos"),
          all: Object.keys(body.paths as object).length
        }
      })
      const without = yield* Effect.provide(pathsOf, withoutSwitch)
      assert.deepInclude(without, { paths: {}, onPage: false })
      assert.deepStrictEqual(yield* Effect.provide(pathsOf, withSwitch), {
        paths: { "/ops/chaos": ["delete", "get", "put"], "/ops/chaos/repetition": ["get"], "/ops/chaos/hold": ["put"] },
        onPage: true,
        all: without.all + 3
      })
    }).pipe(alone)
  )

  it.effect("starts a plan, tells what it did, and ends it", () =>
    Effect.gen(function* () {
      const send = yield* clientOf(http)
      assert.deepInclude((yield* send("GET", "/ops/chaos", ops)).body, { running: false, injections: 0, counts: [], gateways: ["a"] })
      assert.strictEqual((yield* send("GET", "/ops/chaos/repetition", ops)).status, 404)
      const started = yield* send("PUT", "/ops/chaos", { ...ops, body: plan })
      assert.strictEqual(started.status, 200)
      assert.deepInclude(started.body, { running: true, plan, injections: 0, remaining: 10_000, startedAt: "1970-01-01T00:00:00.000Z" })

      const charging = yield* Effect.forkChild(send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment }))
      yield* TestClock.adjust("30 seconds")
      const charge = yield* Fiber.join(charging)
      assert.deepStrictEqual([charge.status, charge.body.status], [202, "in_doubt"])

      const status = yield* send("GET", "/ops/chaos", ops)
      assert.deepInclude(status.body, {
        running: true,
        injections: 1,
        remaining: 9_999,
        elapsedMillis: 30_000,
        counts: [{ type: "response_lost", target: "gateway", gateway: "a", count: 1 }]
      })
      const stopped = yield* send("DELETE", "/ops/chaos", ops)
      assert.deepInclude(stopped.body, { running: false, injections: 1 })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* send("GET", "/ops/chaos", ops)).body.elapsedMillis, 30_000, "it ended")

      const repetition = yield* send("GET", "/ops/chaos/repetition", ops)
      assert.deepStrictEqual(repetition.body, {
        seed: 5,
        maxInjections: 1,
        rules: [],
        script: [{ target: "gateway", gateway: "a", operation: "sale", call: 1, inject: { type: "response_lost" } }]
      })
      assert.strictEqual((yield* send("PUT", "/ops/chaos", { ...ops, body: repetition.body })).status, 200)
    }).pipe(Effect.provide(withSwitch), alone)
  )

  it.effect("keeps a plan that is held for as long as its holder says so, and another's is left alone", () =>
    Effect.gen(function* () {
      const send = yield* clientOf(http)
      const started = yield* send("PUT", "/ops/chaos?holdMillis=15000", { ...ops, body: plan })
      assert.deepInclude(started.body, { running: true, lapsesInMillis: 15_000 })
      const { startedAt } = started.body as { readonly startedAt: string }
      yield* TestClock.adjust("10 seconds")
      const extended = yield* send("PUT", "/ops/chaos/hold", { ...ops, body: { startedAt, holdMillis: 20_000 } })
      assert.deepInclude(extended.body, { running: true, lapsesInMillis: 20_000 })
      for (const [path, body, says] of [
        ["/ops/chaos?holdMillis=999", plan, "holdMillis"],
        ["/ops/chaos?holdMillis=3600001", plan, "holdMillis"],
        ["/ops/chaos?holdMillis=1e4", plan, "holdMillis"],
        ["/ops/chaos?holdMillis=15000&holdMillis=16000", plan, "holdMillis"],
        ["/ops/chaos?hold=15000", plan, "hold"],
        ["/ops/chaos/hold", { startedAt, holdMillis: 0 }, "holdMillis"],
        ["/ops/chaos/hold", { startedAt: "yesterday", holdMillis: 15_000 }, "startedAt"],
        ["/ops/chaos/hold", { holdMillis: 15_000 }, "startedAt"]
      ] as const) {
        const answer = yield* send("PUT", path, { ...ops, body })
        assert.deepStrictEqual([answer.status, answer.body.code], [400, "invalid_request"], path)
        assert.include(answer.body.detail, says)
      }
      const wrong = yield* send("DELETE", "/ops/chaos?startedAt=yesterday", ops)
      assert.deepStrictEqual([wrong.status, wrong.body.code], [400, "invalid_request"])
      const other = "2020-01-01T00:00:00.000Z"
      assert.isTrue((yield* send("DELETE", `/ops/chaos?startedAt=${other}`, ops)).body.running, "another's end")
      yield* send("PUT", "/ops/chaos/hold", { ...ops, body: { startedAt: other, holdMillis: 3_600_000 } })
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude((yield* send("GET", "/ops/chaos", ops)).body, { running: false, lapsed: true, elapsedMillis: 30_000 })
      const next = yield* send("PUT", "/ops/chaos", { ...ops, body: plan })
      assert.isUndefined(next.body.lapsesInMillis)
      const end = yield* send("DELETE", `/ops/chaos?startedAt=${next.body.startedAt}`, ops)
      assert.isFalse(end.body.running)
    }).pipe(Effect.provide(withSwitch), alone)
  )

  it.effect("refuses what is no plan, names what is wrong, and leaves what runs alone", () =>
    Effect.gen(function* () {
      const send = yield* clientOf(http)
      yield* send("PUT", "/ops/chaos", { ...ops, body: plan })
      const rule = plan.rules[0]
      for (const [body, status, says] of [
        ["{", 400, "not valid JSON"],
        [{ ...plan, seed: -1 }, 400, "seed"],
        [{ ...plan, rules: [{ ...rule, inject: { type: "meteor" } }] }, 400, "rules[0].inject"],
        [{ ...plan, rules: [{ ...rule, inject: { type: "lease_lost" } }] }, 400, "rule 1: lease_lost cannot happen there"],
        [{ ...plan, rules: [{ ...rule, gateways: ["b"] }] }, 400, 'gateway "b", which is not configured; configured: a'],
        [{ ...plan, extra: 1 }, 400, "extra"],
        [`{"seed":1,"rules":[],"x":"${"x".repeat(4_200_000)}"}`, 413, "4194304"]
      ] as const) {
        const answer = yield* send("PUT", "/ops/chaos", { ...ops, body })
        assert.strictEqual(answer.status, status, says)
        assert.include(answer.body.detail, says)
      }
      assert.deepInclude((yield* send("GET", "/ops/chaos", ops)).body, { running: true, plan })
    }).pipe(Effect.provide(withSwitch), alone)
  )
})
