import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { declined, pending, requiresAction, success, testGateway, unknown } from "../../support/TestEngine.ts"
import { client, idempotent, type InProcess, key, layerInProcess, newPayment, otherKey, readKey, written } from "./TestApi.ts"

/** Runs against one gateway that answers this, whatever it is asked. */
const withGateway = <A, E>(
  send: Parameters<typeof testGateway>[1],
  test: Effect.Effect<A, E, InProcess>,
  settings: Parameters<typeof layerInProcess>[1] = {}
) => Effect.provide(test, layerInProcess([testGateway("sandbox-a", send)], settings))

const answering = (outcome: Outcome) => ({ send: () => Effect.succeed(outcome) })

describe("POST /v1/payments", () => {
  it.effect("charges, and answers the payment", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const created = yield* send("POST", "/v1/payments", {
          key,
          headers: idempotent(),
          body: {
            ...newPayment,
            customer: { id: "c1", email: "a@b.example" },
            metadata: { order: "A-1" },
            returnUrl: "https://shop.example/r?x=4242424242424242"
          }
        })
        assert.strictEqual(created.status, 201, created.text)
        assert.strictEqual(created.headers.get("content-type"), "application/json")
        assert.isNull(created.headers.get("idempotent-replayed"))
        const { createdAt, id, updatedAt, ...rest } = created.body
        assert.match(id, /^pay_[0-9a-f]{36}$/)
        for (const time of [createdAt, updatedAt]) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
        assert.deepStrictEqual(rest, {
          status: "succeeded",
          amount: 4990,
          currency: "EUR",
          amountAuthorized: 4990,
          amountCaptured: 4990,
          amountRefunded: 0,
          gateway: "sandbox-a",
          captureMethod: "automatic",
          operations: [{ number: 1, kind: "sale", gateway: "sandbox-a", status: "succeeded", amount: 4990 }],
          version: 4,
          metadata: { order: "A-1" }
        })
        assert.deepStrictEqual((yield* send("GET", `/v1/payments/${id}`, { key })).body, created.body)
      })
    )
  )

  it.effect("answers a decline with 201, status failed and the category", () =>
    withGateway(
      answering(declined("hard")),
      Effect.gen(function* () {
        const send = yield* client
        const { body, status } = yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment })
        assert.strictEqual(status, 201)
        assert.strictEqual(body.status, "failed")
        assert.strictEqual(body.failure.category, "hard")
      })
    )
  )

  const open: ReadonlyArray<readonly [name: string, outcome: Outcome, status: string]> = [
    ["pending", pending, "processing"],
    ["in doubt", unknown, "in_doubt"],
    ["waiting for the customer", requiresAction, "requires_action"]
  ]
  for (const [name, outcome, status] of open) {
    it.effect(`answers 202 when the outcome is ${name}`, () =>
      withGateway(
        answering(outcome),
        Effect.gen(function* () {
          const send = yield* client
          const answer = yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment })
          assert.strictEqual(answer.status, 202, answer.text)
          assert.strictEqual(answer.body.status, status)
          assert.deepStrictEqual(answer.body.nextAction, outcome._tag === "RequiresAction" ? outcome.nextAction : undefined)
        })
      )
    )
  }

  it.effect("repeats the answer under the same key, and refuses another request under it", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const headers = idempotent("same-key")
        const first = yield* send("POST", "/v1/payments", { key, headers, body: newPayment })
        const again = yield* send("POST", "/v1/payments", { key, headers, body: newPayment })
        assert.deepStrictEqual([again.status, again.body], [201, first.body])
        assert.strictEqual(again.headers.get("idempotent-replayed"), "true")
        const before = yield* written
        const other = yield* send("POST", "/v1/payments", { key, headers, body: { ...newPayment, amount: 1 } })
        assert.deepStrictEqual([other.status, other.body.code], [422, "idempotency_key_reused"])
        assert.deepStrictEqual(yield* written, before)
        const stranger = yield* send("POST", "/v1/payments", { key: otherKey, headers, body: newPayment })
        assert.strictEqual(stranger.status, 201)
        assert.notStrictEqual(stranger.body.id, first.body.id)
      })
    )
  )

  it.effect("answers 409 with Retry-After while the first request runs longer than it waits", () =>
    withGateway(
      { send: (intent) => Effect.delay(Effect.succeed(success(intent)), "10 seconds") },
      Effect.gen(function* () {
        const send = yield* client
        const request = send("POST", "/v1/payments", { key, headers: idempotent("slow"), body: newPayment })
        const first = yield* Effect.forkChild(request, { startImmediately: true })
        yield* settled
        const second = yield* Effect.forkChild(request, { startImmediately: true })
        yield* settled
        yield* TestClock.adjust("5 seconds")
        const answer = yield* Fiber.join(second)
        assert.deepStrictEqual([answer.status, answer.body.code, answer.headers.get("retry-after")], [409, "request_in_progress", "1"])
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* Fiber.join(first)).status, 201)
      })
    )
  )

  it.effect("answers 422 when no gateway can take the payment, with the reasons", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const paymentMethod = { type: "card", references: { "gateway-nobody-configured": "tok_1" } }
        const answer = yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: { ...newPayment, paymentMethod } })
        assert.deepStrictEqual([answer.status, answer.body.code], [422, "no_usable_gateway"])
        assert.deepStrictEqual(answer.body.errors, [{ path: "sandbox-a", message: "the payment method has no reference for this gateway" }])
        assert.deepStrictEqual(yield* written, { payments: 0, events: 0, claims: 0 })
      })
    )
  )

  it.effect("answers 503 with Retry-After when too many outcomes wait for the database", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const answer = yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment })
        assert.deepStrictEqual([answer.status, answer.body.code, answer.headers.get("retry-after")], [503, "not_accepting", "5"])
        const ready = yield* send("GET", "/health/ready")
        assert.deepStrictEqual([ready.status, ready.body.checks.accepting], [503, "unavailable"])
        assert.strictEqual((yield* send("GET", "/health/live")).status, 200)
      }),
      { maxUnstoredOutcomes: 0 }
    )
  )
})

/** Promises and fibers in hand run until they wait for the clock. */
const settled = Effect.promise(() => new Promise<void>((resolve) => setImmediate(() => setImmediate(() => setImmediate(resolve)))))

describe("commands on a payment", () => {
  const manual = { ...newPayment, captureMethod: "manual" }

  it.effect("capture, refund and cancel, each under its own key", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: manual })).body
        const post = (path: string, body?: unknown) => send("POST", `/v1/payments/${id}/${path}`, { key, headers: idempotent(), body })
        const part = yield* post("capture", { amount: 1000 })
        assert.deepStrictEqual([part.status, part.body.status, part.body.amountCaptured], [200, "partially_captured", 1000])
        const headers = idempotent("rest")
        const rest = yield* send("POST", `/v1/payments/${id}/capture`, { key, headers, body: { final: true } })
        assert.deepStrictEqual([rest.status, rest.body.status, rest.body.amountCaptured], [200, "succeeded", 4990])
        const replay = yield* send("POST", `/v1/payments/${id}/capture`, { key, headers, body: { final: true } })
        assert.deepStrictEqual([replay.status, replay.headers.get("idempotent-replayed"), replay.body], [200, "true", rest.body])
        const refund = yield* post("refunds", { amount: 990 })
        assert.deepStrictEqual([refund.status, refund.body.status, refund.body.amountRefunded], [200, "partially_refunded", 990])
        assert.strictEqual((yield* post("refunds")).body.status, "refunded")
        const refused = yield* post("cancel")
        assert.deepStrictEqual([refused.status, refused.body.code], [409, "illegal_in_status"])
      })
    )
  )

  it.effect("cancel takes no body or an empty object", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        for (const body of [undefined, {}, ""]) {
          const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: manual })).body
          const cancelled = yield* send("POST", `/v1/payments/${id}/cancel`, { key, headers: idempotent(), body })
          assert.deepStrictEqual([cancelled.status, cancelled.body.status], [200, "cancelled"])
        }
      })
    )
  )

  it.effect("refuse too much with 422, and what an open operation excludes with 409 and Retry-After", () =>
    withGateway(
      { send: (intent) => Effect.succeed(intent.kind === "capture" ? pending : success(intent)) },
      Effect.gen(function* () {
        const send = yield* client
        const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: manual })).body
        const post = (path: string, body: unknown) => send("POST", `/v1/payments/${id}/${path}`, { key, headers: idempotent(), body })
        const before = yield* written
        const tooMuch = yield* post("capture", { amount: 4991 })
        assert.deepStrictEqual([tooMuch.status, tooMuch.body.code], [422, "amount_exceeded"])
        assert.deepStrictEqual(yield* written, before)
        const open = yield* post("capture", { amount: 4990 })
        assert.deepStrictEqual([open.status, open.body.operations[1].status], [202, "pending"])
        const excluded = yield* post("cancel", {})
        assert.deepStrictEqual(
          [excluded.status, excluded.body.code, excluded.headers.get("retry-after")],
          [409, "operation_in_progress", "1"]
        )
        const second = yield* post("capture", { amount: 1 })
        assert.deepStrictEqual([second.status, second.body.code], [422, "amount_exceeded"])
      })
    )
  )

  it.effect("confirm continues a payment that waits for the customer", () =>
    withGateway(
      { send: (intent) => Effect.succeed(intent.kind === "confirm" ? success(intent) : requiresAction) },
      Effect.gen(function* () {
        const send = yield* client
        const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment })).body
        const confirmed = yield* send("POST", `/v1/payments/${id}/confirm`, { key, headers: idempotent() })
        assert.deepStrictEqual([confirmed.status, confirmed.body.status], [200, "succeeded"], confirmed.text)
      })
    )
  )
})

describe("reads", () => {
  it.effect("list payments newest first, in pages, by status and time", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const ids: Array<string> = []
        for (let index = 0; index < 5; index++) {
          yield* TestClock.adjust("1 minute")
          ids.push((yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment })).body.id)
        }
        yield* send("POST", "/v1/payments", { key: otherKey, headers: idempotent(), body: newPayment })
        const list = (query: string) => Effect.map(send("GET", `/v1/payments${query}`, { key: readKey }), ({ body }) => body)
        const idsOf = (page: { readonly data: ReadonlyArray<{ readonly id: string }> }) => page.data.map(({ id }) => id)
        const first = yield* list("?limit=2")
        assert.deepStrictEqual(idsOf(first), [ids[4], ids[3]])
        const second = yield* list(`?limit=2&cursor=${first.nextCursor}`)
        assert.deepStrictEqual(idsOf(second), [ids[2], ids[1]])
        const last = yield* list(`?limit=2&cursor=${second.nextCursor}`)
        assert.deepStrictEqual([idsOf(last), last.nextCursor], [[ids[0]], undefined])
        assert.deepStrictEqual(idsOf(yield* list("?status=failed")), [])
        assert.lengthOf(idsOf(yield* list("?status=succeeded")), 5)
        assert.deepStrictEqual(idsOf(yield* list("?from=1970-01-01T00:05:00Z")), [ids[4]])
        assert.deepStrictEqual(idsOf(yield* list("?cursor=bm90aGluZw")), [])
      })
    )
  )

  it.effect("show the history without a token, in pages", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const paymentMethod = { type: "card", references: { [GatewayName.make("sandbox-a")]: "tok_very_secret" } }
        const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: { ...newPayment, paymentMethod } })).body
        const all = yield* send("GET", `/v1/payments/${id}/events`, { key })
        const events: ReadonlyArray<{ readonly type: string; readonly version: number }> = all.body.data
        assert.deepStrictEqual(
          events.map(({ type, version }) => [version, type]),
          [
            [1, "PaymentInitiated"],
            [2, "PaymentScreened"],
            [3, "OperationIntended"],
            [4, "OperationSucceeded"]
          ]
        )
        assert.deepStrictEqual(Object.keys(events[0] ?? {}), ["eventId", "paymentId", "version", "type", "occurredAt", "data"])
        assert.notInclude(all.text, "tok_very_secret")
        assert.deepStrictEqual(all.body.data[0].data.details.method, { type: "card", references: { "sandbox-a": "[redacted]" } })
        assert.strictEqual(all.body.data[2].data.intent.details.token, "[redacted]")
        assert.strictEqual(all.body.data[2].data.intent.decision.policy, "weighted")
        const page = yield* send("GET", `/v1/payments/${id}/events?limit=3`, { key })
        assert.lengthOf(page.body.data, 3)
        const next = yield* send("GET", `/v1/payments/${id}/events?cursor=${page.body.nextCursor}`, { key })
        assert.deepStrictEqual([next.body.data.length, next.body.nextCursor], [1, undefined])
      })
    )
  )

  it.effect("show no payment of another merchant, by any route", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment })).body
        const before = yield* written
        const routes = [
          ["GET", `/v1/payments/${id}`],
          ["GET", `/v1/payments/${id}/events`],
          ...["confirm", "capture", "cancel", "refunds"].map((command) => ["POST", `/v1/payments/${id}/${command}`])
        ]
        for (const [method = "", path = ""] of routes) {
          const headers = method === "POST" ? idempotent() : {}
          const answer = yield* send(method, path, { key: otherKey, headers })
          const absent = yield* send(method, path.replace(id, `pay_${"0".repeat(36)}`), { key: otherKey, headers })
          assert.deepStrictEqual([answer.status, answer.body.code], [404, "payment_not_found"], path)
          assert.deepStrictEqual([answer.status, answer.body.detail], [absent.status, absent.body.detail])
        }
        assert.deepStrictEqual(yield* written, before)
      })
    )
  )
})

describe("without a key", () => {
  it.effect("health, OpenAPI and the reference page answer", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        for (const path of ["/health", "/health/ready"]) {
          const { body, status } = yield* send("GET", path)
          assert.deepStrictEqual([status, body], [200, { status: "ok", checks: { database: "ok", accepting: "ok" } }])
        }
        assert.deepStrictEqual((yield* send("GET", "/health/live")).body, { status: "ok" })
        const { body } = yield* send("GET", "/openapi.json")
        assert.strictEqual(body.openapi.slice(0, 2), "3.")
        assert.sameMembers(Object.keys(body.paths), [
          "/v1/payments",
          "/v1/payments/{id}",
          "/v1/payments/{id}/events",
          "/v1/payments/{id}/confirm",
          "/v1/payments/{id}/capture",
          "/v1/payments/{id}/cancel",
          "/v1/payments/{id}/refunds",
          "/resilience/circuit-breakers",
          "/resilience/circuit-breakers/{name}/reset",
          "/resilience/circuit-breakers/{name}/force-open",
          "/resilience/circuit-breakers/{name}/force-closed",
          "/resilience/rate-limits/{key}/{endpoint}",
          "/resilience/idempotency/stats",
          "/resilience/health",
          "/health",
          "/health/live",
          "/health/ready",
          "/health/external"
        ])
        assert.sameMembers(Object.keys(body.paths["/v1/payments"].post.responses), [
          "201",
          "202",
          "400",
          "401",
          "403",
          "404",
          "409",
          "413",
          "415",
          "422",
          "429",
          "500",
          "503"
        ])
        assert.match((yield* send("GET", "/docs")).text, /<html/i)
      })
    )
  )

  it.effect("nothing else does", () =>
    withGateway(
      {},
      Effect.gen(function* () {
        const send = yield* client
        const id = `pay_${"0".repeat(36)}`
        const routes = [
          ["GET", "/v1/payments"],
          ["POST", "/v1/payments"],
          ["GET", `/v1/payments/${id}`],
          ["GET", `/v1/payments/${id}/events`],
          ...["confirm", "capture", "cancel", "refunds"].map((command) => ["POST", `/v1/payments/${id}/${command}`])
        ]
        for (const [method = "", path = ""] of routes) {
          for (const authorization of [undefined, "Bearer", "Bearer ", "Bearer wrong", `Basic ${key}`, `Bearer ${key}x`, key]) {
            const answer = yield* send(method, path, { headers: authorization === undefined ? {} : { authorization } })
            assert.deepStrictEqual([answer.status, answer.body.code], [401, "unauthorized"], `${method} ${path} ${authorization}`)
            assert.strictEqual(answer.headers.get("www-authenticate"), 'Bearer realm="aegispay"')
          }
          if (method === "GET") continue
          const forbidden = yield* send(method, path, { key: readKey, headers: idempotent(), body: newPayment })
          assert.deepStrictEqual([forbidden.status, forbidden.body.code], [403, "scope_missing"])
        }
        assert.deepStrictEqual(yield* written, { payments: 0, events: 0, claims: 0 })
      })
    )
  )
})
