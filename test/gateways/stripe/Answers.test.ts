/** What answers and webhooks mean, read without a network. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import type { Answer } from "../../../src/gateways/HttpGateway.ts"
import { toOutcome } from "../../../src/gateways/stripe/StripeAnswer.ts"
import { toStripe } from "../../../src/gateways/stripe/StripeCurrencies.ts"
import * as StripeWebhook from "../../../src/gateways/stripe/StripeWebhook.ts"
import type { WebhookNews } from "../../../src/services/Gateway.ts"
import { intent, newPaymentId } from "../../support/payments.ts"

const sale = intent({ payment: newPaymentId() })
const answer = (status: number, body: unknown, headers: Answer["headers"] = {}): Answer => ({
  status,
  headers,
  text: typeof body === "string" ? body : JSON.stringify(body)
})

/** What an event tells; of an object that is named by Stripe's id alone, as if it carried the sale's reference. */
const newsOf = (type: string, object: { readonly [field: string]: unknown }, reference: string = sale.requestKey): WebhookNews => {
  const event = { id: "evt_1", object: "event", type, created: 1_700_000_000, data: { object } }
  const { news } = StripeWebhook.parse(new TextEncoder().encode(JSON.stringify(event)))
  return news._tag === "About" ? news.newsOf(reference) : news
}

describe("an answer", () => {
  it("429 is Stripe's with Stripe's body only: a page of somebody between is unknown", () => {
    const limited = { error: { type: "invalid_request_error", code: "rate_limit", message: "Too many requests." } }
    const stripes = toOutcome(sale, answer(429, limited, { "retry-after": "3" }))
    assert.strictEqual(stripes._tag === "Declined" && stripes.category, "rate_limited")
    assert.strictEqual(toOutcome(sale, answer(429, "<html>slow down</html>"))._tag, "Unknown")
    assert.strictEqual(toOutcome(sale, answer(429, ""))._tag, "Unknown")
  })

  it("sends the customer to https addresses only", () => {
    const waiting = (url: string) =>
      toOutcome(
        sale,
        answer(200, {
          object: "payment_intent",
          id: "pi_1",
          status: "requires_action",
          amount: 4990,
          capture_method: "automatic",
          currency: "eur",
          created: 1_700_000_000,
          metadata: { aegispay_reference: sale.requestKey },
          next_action: { type: "redirect_to_url", redirect_to_url: { url } }
        })
      )._tag
    assert.strictEqual(waiting("https://hooks.stripe.com/3ds"), "RequiresAction")
    for (const url of ["http://hooks.stripe.com/3ds", "javascript:alert(1)", "https://", "http://127.0.0.1/3ds"]) {
      assert.strictEqual(waiting(url), "Unknown", url)
    }
  })
})

describe("an amount", () => {
  const amount = (currency: string, minor: bigint) => toStripe({ currency: CurrencyCode.make(currency), minor })

  it("of many units is for Stripe to refuse", () => {
    assert.deepStrictEqual(amount("IDR", 100_000_000n), Result.succeed("100000000"))
    assert.deepStrictEqual(amount("IDR", 999_999_999_999n), Result.succeed("999999999999"))
    assert.isTrue(Result.isFailure(amount("IDR", 1_000_000_000_000n)))
    assert.isTrue(Result.isFailure(amount("EUR", 0n)))
  })
})

describe("a refund that is none of ours", () => {
  const refund = { object: "refund", id: "re_1", status: "succeeded", amount: 1_990, currency: "eur", created: 1_700_000_000, metadata: {} }

  it("of our charge is for a person", () => {
    const news = newsOf("refund.created", { ...refund, payment_intent: "pi_1" })
    assert.strictEqual(news._tag === "ForPerson" && news.reference, sale.requestKey)
    assert.match(news._tag === "ForPerson" ? news.evidence : "", /re_1 .*19\.90 EUR.*succeeded/)
  })

  it("of somebody else's charge, or of none that is named, does not concern us", () => {
    assert.strictEqual(newsOf("refund.created", { ...refund, payment_intent: "pi_1" }, "")._tag, "Ignored")
    assert.strictEqual(newsOf("refund.created", refund)._tag, "Ignored")
  })
})

describe("a dispute", () => {
  const moved = (...amounts: ReadonlyArray<number>) => amounts.map((amount) => ({ object: "balance_transaction", amount }))
  const dispute = (status: string, fields: { readonly [field: string]: unknown } = {}) =>
    newsOf("charge.dispute.updated", {
      object: "dispute",
      id: "du_1",
      status,
      amount: 4990,
      currency: "eur",
      payment_intent: "pi_1",
      ...fields
    })
  const statusOf = (news: WebhookNews) => (news._tag === "Dispute" ? news.status : news._tag)

  it("that was prevented is what its money says; where nothing moved that tells, it is for a person", () => {
    assert.strictEqual(statusOf(dispute("prevented", { balance_transactions: moved(-4990) })), "lost")
    assert.strictEqual(statusOf(dispute("prevented", { balance_transactions: moved(-4990, 4990) })), "won")
    assert.strictEqual(statusOf(dispute("prevented", { balance_transactions: [] })), "ForPerson")
    assert.strictEqual(statusOf(dispute("prevented")), "ForPerson")
    const inquiry = { balance_transactions: [], payment_method_details: { type: "card", card: { case_type: "inquiry" } } }
    assert.strictEqual(statusOf(dispute("prevented", inquiry)), "Ignored")
  })

  it("that is an inquiry takes no money", () => {
    for (const status of ["warning_needs_response", "warning_under_review", "warning_closed"]) {
      assert.strictEqual(statusOf(dispute(status)), "Ignored")
    }
  })
})
