/**
 * The official SDK as the oracle: it runs the same flows against the fake that the adapter runs, verifies its webhooks, and speaks the API version
 * that the adapter pins. What the SDK takes for an error, the adapter takes for the outcome that the error means.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Stripe } from "stripe"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { apiVersion } from "../../../src/gateways/stripe/StripeRequest.ts"
import * as StripeWebhook from "../../../src/gateways/stripe/StripeWebhook.ts"
import { eur, intent, newPaymentId } from "../../support/payments.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

const sdkFor = (url: string) => {
  const { hostname, port } = new URL(url)
  return new Stripe(FakeStripe.secretKey, { host: hostname, port, protocol: "http", maxNetworkRetries: 0, telemetry: false })
}

const withSdk = (title: string, body: (stripe: Stripe, fake: FakeStripe.FakeStripe) => Promise<void>) =>
  it.live(title, () => Effect.scoped(Effect.flatMap(FakeStripe.started(), (fake) => Effect.promise(() => body(sdkFor(fake.url), fake)))))

const sale = {
  amount: 4990,
  currency: "eur",
  confirm: true,
  payment_method: "pm_card_visa",
  automatic_payment_methods: { enabled: true, allow_redirects: "never" },
  metadata: { aegispay_reference: "ours" }
} as const

const refusalOf = async (call: Promise<unknown>): Promise<Stripe.errors.StripeError> => {
  try {
    await call
  } catch (error) {
    if (error instanceof Stripe.errors.StripeError) return error
    throw error
  }
  return assert.fail("not refused")
}

describe("the official SDK and the fake", () => {
  it("speak the version that the adapter pins", () => assert.strictEqual(Stripe.API_VERSION, apiVersion))

  withSdk("charge, refund and list", async (stripe, fake) => {
    const made = await stripe.paymentIntents.create(sale, { idempotencyKey: "k1" })
    assert.strictEqual(made.status, "succeeded")
    assert.strictEqual((await stripe.paymentIntents.create(sale, { idempotencyKey: "k1" })).id, made.id)
    const refund = await stripe.refunds.create({ payment_intent: made.id, amount: 990 }, { idempotencyKey: "k2" })
    assert.strictEqual(refund.status, "succeeded")
    assert.deepStrictEqual(
      (await stripe.refunds.list({ payment_intent: made.id })).data.map(({ id }) => id),
      [refund.id]
    )
    assert.deepStrictEqual(
      (await stripe.paymentIntents.list({ limit: 1 })).data.map(({ id }) => id),
      [made.id]
    )
    const found = await stripe.paymentIntents.search({ query: `metadata["aegispay_reference"]:"ours"` })
    assert.deepStrictEqual(
      found.data.map(({ id }) => id),
      [made.id]
    )
    assert.deepStrictEqual(
      fake.account.movements.map(({ kind }) => kind),
      ["charge", "refund"]
    )
  })

  withSdk("authorize, capture in part, cancel", async (stripe) => {
    const held = await stripe.paymentIntents.create({ ...sale, capture_method: "manual" })
    assert.strictEqual(held.status, "requires_capture")
    const captured = await stripe.paymentIntents.capture(held.id, { amount_to_capture: 1990 })
    assert.deepInclude(captured, { status: "succeeded", amount_received: 1990 })
    const other = await stripe.paymentIntents.create({ ...sale, capture_method: "manual" })
    assert.strictEqual((await stripe.paymentIntents.cancel(other.id)).status, "canceled")
    assert.strictEqual((await refusalOf(stripe.paymentIntents.cancel(captured.id))).code, "payment_intent_unexpected_state")
  })

  withSdk("3-D Secure: an action, the customer, and a confirm", async (stripe, fake) => {
    const method = "pm_card_threeDSecure2Required"
    const waiting = await stripe.paymentIntents.create({
      ...sale,
      payment_method: method,
      automatic_payment_methods: { enabled: true },
      return_url: "https://shop.example"
    })
    assert.strictEqual(waiting.next_action?.type, "redirect_to_url")
    fake.account.customer(waiting.id, "complete")
    assert.strictEqual((await stripe.paymentIntents.retrieve(waiting.id)).status, "succeeded")
    const error = await refusalOf(stripe.paymentIntents.create({ ...sale, payment_method: method, error_on_requires_action: true }))
    assert.deepInclude<object>(error, { code: "authentication_required", statusCode: 402 })
  })

  withSdk("declines, conflicts and refusals are the SDK's errors", async (stripe) => {
    const create = (method: string, idempotencyKey: string) =>
      stripe.paymentIntents.create({ ...sale, payment_method: method }, { idempotencyKey })
    const declined = await refusalOf(create("pm_card_chargeDeclinedStolenCard", "d1"))
    assert.instanceOf(declined, Stripe.errors.StripeCardError)
    assert.deepInclude<object>(declined, { code: "card_declined", decline_code: "stolen_card" })
    assert.strictEqual(declined.payment_intent?.status, "requires_payment_method")
    await create("pm_card_visa", "d2")
    assert.instanceOf(await refusalOf(create("pm_card_chargeDeclined", "d2")), Stripe.errors.StripeIdempotencyError)
    assert.instanceOf(await refusalOf(create("pm_rateLimited", "d3")), Stripe.errors.StripeRateLimitError)
    assert.instanceOf(await refusalOf(create("pm_unknown", "d4")), Stripe.errors.StripeInvalidRequestError)
    assert.instanceOf(await refusalOf(create("pm_fault_charge_5xx_after", "d5")), Stripe.errors.StripeAPIError)
  })
})

describe("webhooks", () => {
  withSdk("the fake's signatures are verified by the SDK", async (stripe, fake) => {
    await stripe.paymentIntents.create(sale)
    const types = fake.deliveries.map(({ body, headers }) => {
      const signature = headers["stripe-signature"] ?? ""
      return stripe.webhooks.constructEvent(Buffer.from(body), signature, FakeStripe.webhookSecret).type
    })
    assert.deepStrictEqual(types, ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"])
  })

  it("the SDK's signatures are verified by the adapter, and refused where the SDK refuses them", () => {
    const stripe = sdkFor("http://127.0.0.1:1")
    const payload = JSON.stringify({ id: "evt_1", object: "event", type: "charge.succeeded", created: 1, data: { object: {} } })
    const body = new TextEncoder().encode(payload)
    const now = Math.floor(Date.now() / 1000)
    for (const [secret, age, tag] of [
      ["whsec_one", 0, "Valid"],
      ["whsec_two", 0, "Valid"],
      ["whsec_other", 0, "Invalid"],
      ["whsec_one", 900, "Invalid"]
    ] as const) {
      const header = stripe.webhooks.generateTestHeaderString({ payload, secret, timestamp: now - age })
      const secrets = ["whsec_one", "whsec_two"].map((text) => Redacted.make(text))
      assert.strictEqual(StripeWebhook.verify(secrets, { body, headers: { "stripe-signature": header } }, now)._tag, tag)
      const bySdk = () => ["whsec_one", "whsec_two"].some((known) => accepts(stripe, payload, header, known))
      assert.strictEqual(bySdk(), tag === "Valid")
    }
  })
})

const accepts = (stripe: Stripe, payload: string, header: string, secret: string): boolean => {
  try {
    stripe.webhooks.constructEvent(payload, header, secret)
    return true
  } catch {
    return false
  }
}

describe("the adapter beside the SDK", () => {
  const intentWith = (method: string): Intent => ({
    ...intent({ payment: newPaymentId(), amount: eur(4990n) }),
    details: { customerPresent: true, token: Token.make(method), methodType: "card", returnUrl: "https://shop.example/return" }
  })

  it.live("makes the same object of the same purchase", () =>
    Effect.scoped(
      Effect.gen(function* () {
        const fake = yield* FakeStripe.started()
        const gateway = yield* gatewayOf(accountOf(fake.url))
        const one = intentWith("pm_card_visa")
        const answer = yield* gateway.send({ payment: newPaymentId(), intent: one })
        if (answer._tag !== "Succeeded") return assert.fail(answer._tag)
        const bySdk = yield* Effect.promise(() =>
          sdkFor(fake.url).paymentIntents.retrieve(answer.gatewayReference, { expand: ["latest_charge"] })
        )
        assert.deepInclude(bySdk, { amount: 4990, amount_received: 4990, currency: "eur", capture_method: "automatic" })
        assert.strictEqual(bySdk.metadata["aegispay_reference"], one.requestKey)
        const { latest_charge: charge } = bySdk
        assert.strictEqual(typeof charge === "object" ? charge?.created : undefined, (answer.chargedAt ?? 0) / 1000)
      })
    )
  )
})
