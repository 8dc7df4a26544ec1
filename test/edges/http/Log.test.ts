import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { testGateway } from "../../support/TestEngine.ts"
import * as Logs from "../../support/logs.ts"
import { scripted, withWebhooks } from "../../support/webhooks.ts"
import { client, idempotent, key, layerInProcess, newPayment, otherKey } from "./TestApi.ts"

it.effect("a request is one line in the log: its route, its status, no key, no body, no query", () => {
  const lines: Array<string> = []
  const logger = Logger.map(Logger.formatJson, (line) => void lines.push(line))
  return Effect.gen(function* () {
    const send = yield* client
    const body = { ...newPayment, paymentMethod: { type: "card", token: "tok_hidden_1" }, customer: { email: "hidden@x.example" } }
    const headers = { ...idempotent("hidden-key"), "x-correlation-id": "order-7" }
    const { id } = (yield* send("POST", "/v1/payments", { key, headers, body })).body
    yield* send("GET", "/v1/payments?cursor=hidden", { key })
    yield* send("GET", `/v1/payments/${id}`, { key: "hidden-api-key-0001" })
    yield* send("GET", "/hidden/address")
    const parsed = lines.map((line) => JSON.parse(line))
    assert.deepStrictEqual(
      parsed.map(({ annotations }) => [annotations.method, annotations.route, annotations.status]),
      [
        ["POST", "/v1/payments", 201],
        ["GET", "/v1/payments", 200],
        ["GET", "/v1/payments/:id", 401],
        ["GET", "unmatched", 404]
      ]
    )
    assert.strictEqual(parsed[0].annotations.correlationId, "order-7")
    assert.deepStrictEqual(
      parsed.map(({ annotations }) => [annotations.payment, annotations.gateway]),
      [
        [id, "sandbox-a"],
        [undefined, undefined],
        [undefined, undefined],
        [undefined, undefined]
      ]
    )
    // The digits of the amount may be in an id.
    assert.notMatch(lines.join("\n"), /hidden|(?<![0-9a-f-])4990(?![0-9a-f-])|test-key/)
  }).pipe(Effect.provide(Layer.merge(layerInProcess([testGateway("sandbox-a")]), Logger.layer([logger]))))
})

it.effect(
  "a request about a payment names it and its gateway in the log, also where it is refused; a webhook its gateway and event",
  () => {
    const { kept, lines } = Logs.collecting()
    const a = withWebhooks(
      testGateway("sandbox-a"),
      scripted(new Map([["evt-1", { occurredAt: undefined, news: { _tag: "Ignored", reason: "no news" } }]]))
    )
    return Effect.gen(function* () {
      const send = yield* client
      const { id } = (yield* send("POST", "/v1/payments", { key, headers: idempotent(), body: newPayment })).body
      lines.length = 0
      yield* send("GET", `/v1/payments/${id}`, { key })
      yield* send("GET", `/v1/payments/${id}/events`, { key })
      yield* send("POST", `/v1/payments/${id}/refunds`, { key, headers: idempotent(), body: { amount: 9_000 } })
      yield* send("GET", `/v1/payments/${id}`, { key: otherKey })
      yield* send("POST", "/v1/webhooks/sandbox-a", { headers: { signature: "signed" }, body: "evt-1" })
      yield* send("POST", "/v1/webhooks/sandbox-a", { headers: { signature: "forged" }, body: "evt-1" })
      assert.deepStrictEqual(
        lines.map(({ annotations: { gateway, payment, status, webhook } }) => [status, payment, gateway, webhook]),
        [
          [200, id, "sandbox-a", undefined],
          [200, id, undefined, undefined],
          [422, id, undefined, undefined],
          [404, id, undefined, undefined],
          [200, undefined, "sandbox-a", "evt-1"],
          [401, undefined, undefined, undefined]
        ]
      )
    }).pipe(Effect.provide(layerInProcess([a])), kept)
  }
)
