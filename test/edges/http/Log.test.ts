import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import { testGateway } from "../../support/TestEngine.ts"
import { client, idempotent, key, layerInProcess, newPayment } from "./TestApi.ts"

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
    assert.notMatch(lines.join("\n"), /hidden|4990|test-key/)
  }).pipe(Effect.provide(Layer.merge(layerInProcess([testGateway("sandbox-a")]), Logger.layer([logger]))))
})
