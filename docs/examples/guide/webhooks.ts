import * as Effect from "effect/Effect"
import { type Gateway, type Outcome, PaymentIds, Payments, WebhookProcessing, WebhookReceipt } from "../../../src/index.ts"
import { Background } from "../../../src/public/http.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order, shop } from "./shop.ts"

/** The gateway says the outcome later. What arrives names only a reference, so the gateway is asked what became of it. */
const pending: Outcome.Pending = { _tag: "Pending", gatewayReference: PaymentIds.GatewayReference.make("ch_1") }
const psp = ScriptedGateway.make("psp", { answer: () => pending, lookup: (intent) => ScriptedGateway.succeeded(intent) })
const withWebhooks: Gateway.Gateway = {
  ...psp,
  webhooks: {
    trust: "hint",
    verify: ({ headers }) => (headers["signature"] === "secret" ? { _tag: "Valid" } : { _tag: "Invalid", reason: "wrong" }),
    parse: (body) => {
      const { id, reference } = JSON.parse(new TextDecoder().decode(body)) as { readonly id: string; readonly reference: string }
      return { eventId: id, occurredAt: undefined, news: { _tag: "Hint", reference } }
    }
  }
}

export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge(order("order-1"))
  const body = new TextEncoder().encode(JSON.stringify({ id: "evt_1", reference: psp.sent[0]?.requestKey }))
  const forged = yield* WebhookReceipt.receive({ gateway: "psp", body, headers: { signature: "guess" } })
  const stored = yield* WebhookReceipt.receive({ gateway: "psp", body, headers: { signature: "secret" } })
  yield* Effect.provide(WebhookProcessing.runOnce(), Background.layer)
  const { status } = yield* payments.get({ id: payment.id, tenant: shop })
  return { before: payment.status, forged: forged._tag, stored: stored._tag, after: status }
}).pipe(Effect.provide(TestEngine.layer([withWebhooks])))
