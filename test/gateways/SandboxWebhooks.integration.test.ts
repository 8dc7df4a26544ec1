/**
 * Webhooks of a real sandbox into a real server: signed, stored, processed; and what the payments became, compared with its ledger.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import * as WebhookProcessing from "../../src/orchestration/notify/WebhookProcessing.ts"
import * as EngineApi from "../../src/orchestration/payment/Payments.ts"
import { WebhookInbox } from "../../src/services/notify/WebhookInbox.ts"
import { layerServed } from "../edges/http/TestApi.ts"
import { until } from "../sandbox/client.ts"
import { chargeRequest, key, tenant } from "../support/TestEngine.ts"
import { accountOf, closedPort, gatewayOf, ledgerOf, started } from "./sandboxGateways.ts"

const secret = Redacted.make("whsec_test_of_account_a")

it.live("a pending charge ends, a refund fails later, and repeated and reordered events change nothing more", () =>
  Effect.gen(function* () {
    const port = yield* closedPort
    const { url } = yield* started({
      settleDelayMillis: 100,
      accounts: [{ name: "a", webhookUrl: `http://127.0.0.1:${port}/v1/webhooks/sandbox-a`, webhookSecret: secret }],
      webhooks: { retryMillis: 20, duplicateRate: 1, reorderMillis: 100 }
    })
    const gateway = yield* gatewayOf(accountOf(url, "a", { webhookSecret: Redacted.make("whsec_new"), previousWebhookSecrets: [secret] }))
    yield* Effect.gen(function* () {
      const payments = yield* EngineApi.Payments
      const inbox = yield* WebhookInbox
      const pay = (under: string, token: string) =>
        payments.charge(chargeRequest(under, { method: { type: "card", token: Token.make(token) } }))
      const viewOf = (id: Parameters<typeof payments.get>[0]["id"]) =>
        Effect.andThen(WebhookProcessing.runOnce(), payments.get({ id, tenant }))
      const waits = (yield* pay("p1", "tok_pending_success")).payment
      const fails = (yield* pay("p2", "tok_pending_failure")).payment
      const returned = (yield* pay("p3", "tok_refund_fails_later")).payment
      yield* payments.refund({ tenant, key: key("r3"), id: returned.id })
      yield* until(viewOf(waits.id), ({ status }) => status === "succeeded")
      yield* until(viewOf(fails.id), ({ status }) => status === "failed")
      const settled = yield* until(viewOf(returned.id), ({ operations }) => operations[1]?.status === "failed_later")
      assert.strictEqual(settled.amountRefunded, 0)
      // All that is still on its way is the same again.
      const versions = () =>
        Effect.forEach([waits.id, fails.id, returned.id], (id) => Effect.map(payments.get({ id, tenant }), ({ version }) => version))
      const before = yield* versions()
      yield* Effect.sleep(400)
      yield* until(Effect.andThen(WebhookProcessing.runOnce(), inbox.summary), ({ waiting }) => waiting === 0)
      assert.deepStrictEqual(yield* versions(), before)
      assert.strictEqual((yield* inbox.summary).dead, 0)
      assert.deepStrictEqual((yield* ledgerOf(url, "a")).map(({ kind }) => kind).sort(), ["charge", "charge", "refund", "refund_failed"])
    }).pipe(Effect.provide(layerServed([gateway], { http: { port } })))
  }).pipe(Effect.scoped)
)
