/**
 * `POST /v1/webhooks/{gateway}`: 200 only for what is durable, and a clear refusal for everything else.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { EventStoreError } from "../../../src/services/EventStore.ts"
import { WebhookInbox, type WebhookStored } from "../../../src/services/notify/WebhookInbox.ts"
import { testGateway, unknown } from "../../support/TestEngine.ts"
import { type Script, scripted, tells, withWebhooks } from "../../support/webhooks.ts"
import { client, layerInProcess } from "./TestApi.ts"

const script: Script = new Map([
  ["ev_1", tells("order-1", unknown)],
  ["ev_2", tells("order-2", unknown)]
])
const all = [withWebhooks(testGateway("a"), scripted(script)), testGateway("b")]
const signed = { signature: "signed", "content-type": "application/json" }
const waiting = Effect.flatMap(WebhookInbox, (inbox) => Effect.map(inbox.summary, (summary) => summary.waiting))

describe("webhooks", () => {
  it.effect("a verified event is stored, then acknowledged, without an API key; a repeated one as well, and stored once", () =>
    Effect.gen(function* () {
      const request = yield* client
      const first = yield* request("POST", "/v1/webhooks/a", { headers: signed, body: "ev_1" })
      assert.deepStrictEqual([first.status, first.body], [200, { received: true, duplicate: false }])
      const again = yield* request("POST", "/v1/webhooks/a", { headers: signed, body: "ev_1" })
      assert.deepStrictEqual([again.status, again.body], [200, { received: true, duplicate: true }])
      assert.strictEqual(yield* waiting, 1)
    }).pipe(Effect.provide(layerInProcess(all)), Effect.scoped)
  )

  it.effect("refuses a signature that does not hold, an unknown gateway, one without webhooks, and too many bytes", () =>
    Effect.gen(function* () {
      const request = yield* client
      const refusals = [
        [401, "webhook_not_verified", yield* request("POST", "/v1/webhooks/a", { body: "ev_1" })],
        [404, "not_found", yield* request("POST", "/v1/webhooks/nobody", { headers: signed, body: "ev_1" })],
        [404, "not_found", yield* request("POST", "/v1/webhooks/b", { headers: signed, body: "ev_1" })],
        [404, "not_found", yield* request("POST", "/v1/webhooks/A%2F..", { headers: signed, body: "ev_1" })],
        [405, "method_not_allowed", yield* request("GET", "/v1/webhooks/a")],
        [413, "body_too_large", yield* request("POST", "/v1/webhooks/a", { headers: signed, body: "x".repeat(65_537) })]
      ] as const
      for (const [status, code, answer] of refusals) assert.deepStrictEqual([answer.status, answer.body.code], [status, code])
      assert.strictEqual(yield* waiting, 0)
    }).pipe(Effect.provide(layerInProcess(all)), Effect.scoped)
  )

  it.effect("what cannot be stored is not acknowledged: the gateway sends it again", () => {
    const answering = (store: Effect.Effect<WebhookStored, EventStoreError>) =>
      Effect.gen(function* () {
        const inbox = yield* WebhookInbox
        return yield* Effect.flatMap(client, (request) => request("POST", "/v1/webhooks/a", { headers: signed, body: "ev_2" })).pipe(
          Effect.provide(Layer.succeed(WebhookInbox, WebhookInbox.of({ ...inbox, store: () => store })))
        )
      }).pipe(Effect.provide(layerInProcess(all)), Effect.scoped)
    return Effect.gen(function* () {
      const away = new EventStoreError({ operation: "WebhookInbox.store", reason: { _tag: "Unavailable", detail: "away" } })
      const refused = yield* answering(Effect.fail(away))
      assert.deepStrictEqual([refused.status, refused.body.code], [503, "database_unavailable"])
      const full = yield* answering(Effect.succeed("full"))
      assert.deepStrictEqual([full.status, full.body.code, full.headers.get("retry-after")], [503, "not_accepting", "30"])
    })
  })
})
