/** What a misbehaving Stripe, network or configuration does to the adapter: a clear refusal or `Unknown`, never a failure where money may have moved. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import type { Intent, OperationKind } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { PaymentId } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import type { StripeAccount } from "../../../src/gateways/stripe/StripeGateway.ts"
import * as GatewaySafety from "../../../src/orchestration/operation/GatewaySafety.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import { defaults } from "../../../src/services/Settings.ts"
import { intent, newPaymentId, operationNumber, reference } from "../../support/payments.ts"
import type { Reply } from "../../support/stripe/Account.ts"
import * as FakeStripe from "../../support/stripe/FakeStripe.ts"
import { accountOf, gatewayOf } from "./stripeGateways.ts"

interface On {
  readonly fake: FakeStripe.FakeStripe
  readonly gateway: Gateway
  /** A sale of 49.90 EUR with a payment method. */
  readonly pay: (method: string, details?: Partial<Intent["details"]>) => Effect.Effect<Outcome>
}

const saleWith = (method: string, overrides: Partial<Intent> = {}, details: Partial<Intent["details"]> = {}): Intent => ({
  ...intent({ payment: newPaymentId() }),
  ...overrides,
  details: { customerPresent: true, token: Token.make(method), methodType: "card", returnUrl: "https://shop.example/return", ...details }
})
const payment = newPaymentId()
const send = (gateway: Gateway, one: Intent) =>
  gateway
    .send({ payment: PaymentId.make(one.requestKey.slice(0, 40)), intent: one })
    .pipe(Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.die(new Error("no answer in 30 s")) }))

const at = (
  title: string,
  body: (on: On) => Effect.Effect<unknown>,
  options: FakeStripe.Options & { readonly account?: Partial<StripeAccount> } = {}
) =>
  it.live(title, () =>
    Effect.scoped(
      Effect.gen(function* () {
        const { intercept } = options
        // Whose key it is, is another question (Keys.integration.test.ts).
        const afterIdentity: FakeStripe.Options =
          intercept === undefined ? {} : { intercept: (request) => (request.path === "/v1/account" ? undefined : intercept(request)) }
        const fake = yield* FakeStripe.started({ ...options, ...afterIdentity })
        const gateway = yield* gatewayOf(accountOf(fake.url, options.account))
        yield* body({ fake, gateway, pay: (method, details) => send(gateway, saleWith(method, {}, details)) })
      })
    )
  )

const is = (outcome: Outcome, expected: object) => assert.deepInclude<object>(outcome, expected)
const nothingMoved = ({ fake }: On) => assert.deepStrictEqual(fake.account.movements, [])
const error = (status: number, fields: object): Reply => ({
  status,
  body: { error: { type: "invalid_request_error", message: "no", ...fields } }
})

describe("keys and accounts", () => {
  at(
    "a wrong key: a configuration error that does not repeat the key",
    (on) =>
      Effect.gen(function* () {
        const answer = yield* on.pay("pm_card_visa")
        is(answer, { _tag: "Declined", category: "configuration" })
        assert.notInclude(JSON.stringify(answer), "sk_test_mistyped")
        assert.include(JSON.stringify(answer), "<redacted>")
        const found = yield* on.gateway.lookup({ payment, intent: saleWith("pm_card_visa"), gatewayReference: undefined })
        assert.strictEqual(found._tag, "Unknown", "who may not ask does not know")
        nothingMoved(on)
      }),
    { account: { secretKey: Redacted.make("sk_test_mistyped") } }
  )

  for (const code of ["api_key_expired", "platform_api_key_expired"]) {
    at(
      `a key that is over (${code})`,
      ({ pay }) => Effect.map(pay("pm_card_visa"), (answer) => is(answer, { category: "configuration", code })),
      {
        intercept: () => error(401, { code })
      }
    )
  }

  at(
    "a key without the permission",
    ({ pay }) => Effect.map(pay("pm_card_visa"), (answer) => is(answer, { _tag: "Declined", category: "configuration" })),
    { intercept: () => error(403, { code: "more_permissions_required" }) }
  )

  at("a currency that the account lacks", ({ gateway }) =>
    Effect.gen(function* () {
      const amount = { currency: CurrencyCode.make("PLN"), minor: 4990n }
      is(yield* send(gateway, saleWith("pm_card_visa", { amount })), { _tag: "Declined", category: "configuration" })
    })
  )

  at("a currency and amounts that Stripe cannot take: nothing is sent", (on) =>
    Effect.gen(function* () {
      for (const [currency, minor] of [
        ["UGX", 5000n],
        ["BTC", 5000n],
        ["MGA", 501n],
        ["KWD", 5125n],
        ["EUR", 1_000_000_000_000n]
      ] as const) {
        const amount = { currency: CurrencyCode.make(currency), minor }
        is(yield* send(on.gateway, saleWith("pm_card_visa", { amount })), { _tag: "NotSent", reason: "local_limit" })
      }
      assert.lengthOf(
        on.fake.recorded.filter((request) => request.method === "POST"),
        0
      )
    })
  )

  at("a method that the account lacks", ({ pay }) =>
    Effect.map(pay("pm_typeNotActivated"), (answer) => is(answer, { _tag: "Declined", category: "configuration" }))
  )

  at("a payment method that Stripe does not know", ({ pay }) =>
    Effect.map(pay("pm_unknown"), (answer) => is(answer, { _tag: "Declined", category: "invalid_data", code: "resource_missing" }))
  )

  at("a token that is none of Stripe's: nothing is sent", (on) =>
    Effect.gen(function* () {
      for (const token of ["tok_visa", "pm_../../x", "cus_1/", "seti_1"])
        is(yield* on.pay(token), { _tag: "NotSent", reason: "local_limit" })
      assert.lengthOf(
        on.fake.recorded.filter(({ method }) => method === "POST"),
        0
      )
    })
  )
})

describe("the customer", () => {
  at("a saved method is charged with its customer, present or not", ({ fake, pay }) =>
    Effect.gen(function* () {
      is(yield* pay("pm_savedVisa"), { _tag: "Declined" })
      is(yield* pay("cus_1/pm_savedVisa"), { _tag: "Succeeded" })
      is(yield* pay("cus_1/pm_savedVisa", { customerPresent: false }), { _tag: "Succeeded" })
      const forms = fake.recorded.filter(({ method }) => method === "POST").map(({ body }) => new URLSearchParams(body))
      assert.deepStrictEqual(
        forms.map((form) => [form.get("customer"), form.get("off_session")]),
        [
          [null, null],
          ["cus_1", null],
          ["cus_1", "true"]
        ]
      )
    })
  )

  at("who cannot be sent anywhere is not asked to act: authentication required, and nothing waits", (on) =>
    Effect.gen(function* () {
      for (const customerPresent of [true, false]) {
        const one = saleWith("pm_card_threeDSecure2Required")
        const { returnUrl: _, ...details } = one.details
        const answer = yield* send(on.gateway, { ...one, details: { ...details, customerPresent } })
        is(answer, { _tag: "Declined", category: "authentication_required", code: "authentication_required" })
      }
      nothingMoved(on)
    })
  )

  at("a step-up asks for 3-D Secure", ({ fake, pay }) =>
    Effect.gen(function* () {
      yield* pay("pm_card_visa", { stepUp: true })
      const form = new URLSearchParams(fake.recorded.find(({ method }) => method === "POST")?.body)
      assert.strictEqual(form.get("payment_method_options[card][request_three_d_secure]"), "any")
    })
  )
})

describe("answers that are none", () => {
  for (const fault of ["garbage", "html", "huge"] as const) {
    at(`${fault} with status 200 after the charge: unknown, and the look-up finds it`, ({ fake, gateway }) =>
      Effect.gen(function* () {
        const one = saleWith(`pm_fault_charge_${fault}`)
        is(yield* send(gateway, one), { _tag: "Unknown", reason: "unreadable" })
        assert.lengthOf(fake.account.movements, 1)
        const found = yield* gateway.lookup({
          payment: PaymentId.make(one.requestKey.slice(0, 40)),
          intent: one,
          gatewayReference: undefined
        })
        assert.strictEqual(found._tag, "Succeeded")
      })
    )
  }

  at("a redirect is not followed", (on) =>
    Effect.gen(function* () {
      is(yield* on.pay("pm_fault_charge_redirect"), { _tag: "Unknown", reason: "unreadable" })
      assert.deepStrictEqual(
        on.fake.recorded.map(({ path }) => path),
        ["/v1/account", "/v1/payment_intents"]
      )
    })
  )

  for (const status of [400, 401, 402, 403, 404, 409, 418]) {
    at(
      `status ${status} with a page of somebody else: unknown`,
      ({ pay }) => Effect.map(pay("pm_card_visa"), (answer) => is(answer, { _tag: "Unknown", reason: "unreadable" })),
      { intercept: () => ({ status, body: "<html>blocked</html>" }) }
    )
  }

  for (const status of [424, 500, 502, 503]) {
    at(
      `status ${status}: unknown`,
      ({ pay }) => Effect.map(pay("pm_card_visa"), (answer) => is(answer, { _tag: "Unknown", reason: "server_error" })),
      { intercept: () => ({ status, body: "" }) }
    )
  }

  at("429 with Retry-After: rate limited, for as long as Stripe says", ({ pay }) =>
    Effect.map(pay("pm_rateLimited"), (answer) => is(answer, { _tag: "Declined", category: "rate_limited", retryAfterMillis: 3_000 }))
  )

  at(
    "429 because the object is locked: unknown, since a look-up tells more",
    ({ pay }) => Effect.map(pay("pm_card_visa"), (answer) => is(answer, { _tag: "Unknown", reason: "conflict" })),
    { intercept: () => error(429, { code: "lock_timeout" }) }
  )
})

describe("a version that this adapter does not know", () => {
  const body = {
    object: "payment_intent",
    id: "pi_1",
    status: "succeeded",
    amount: 4990,
    amount_received: 4990,
    capture_method: "automatic",
    currency: "eur",
    created: 1_700_000_000
  }
  const answering = (title: string, change: object, expected: object) => {
    const one = saleWith("pm_card_visa")
    at(title, ({ gateway }) => Effect.map(send(gateway, one), (answer) => is(answer, expected)), {
      intercept: () => ({ status: 200, body: { ...body, metadata: { aegispay_reference: one.requestKey }, ...change } })
    })
  }
  answering("new fields are no matter", { a_field_of_next_year: { deep: [1] } }, { _tag: "Succeeded" })
  answering("an unknown status", { status: "settling" }, { _tag: "Unknown", reason: "unreadable", gatewayReference: "pi_1" })
  answering("a missing status", { status: undefined }, { _tag: "Unknown", reason: "unreadable" })
  answering("a missing amount", { amount_received: undefined }, { _tag: "Unknown", reason: "unreadable" })
  answering("an amount that is no integer", { amount_received: "49.90" }, { _tag: "Unknown", reason: "unreadable" })
  answering("a currency that nobody knows", { currency: "xxx" }, { _tag: "Unknown", reason: "unreadable" })
  answering(
    "an action of a new kind",
    { status: "requires_action", next_action: { type: "wave_hands", wave_hands: {} } },
    { _tag: "Unknown" }
  )
  answering("another payment's object", { metadata: { aegispay_reference: "somebody else" } }, { _tag: "Unknown", reason: "unreadable" })
  answering("a manual capture that nobody asked for", { capture_method: "manual", status: "requires_capture" }, { _tag: "Unknown" })
  answering("an id that would be another path", { id: "../refunds/re_1" }, { _tag: "Unknown", reason: "unreadable" })
  answering(
    "another amount is what the gateway says, for the engine to judge",
    { amount_received: 10 },
    { _tag: "Succeeded", amount: { currency: "EUR", minor: 10n } }
  )

  at(
    "a 402 that shows a charged object is a contradiction: unknown",
    ({ gateway }) =>
      Effect.gen(function* () {
        is(yield* send(gateway, contradicted), { _tag: "Unknown", reason: "conflict", gatewayReference: "pi_1" })
      }),
    {
      intercept: () => ({
        status: 402,
        body: {
          error: {
            type: "card_error",
            code: "card_declined",
            payment_intent: { ...body, metadata: { aegispay_reference: contradicted.requestKey } }
          }
        }
      })
    }
  )
  const contradicted = saleWith("pm_card_visa")

  at("a decline code of next year is a soft decline: nothing was charged, says the 402", ({ pay }) =>
    Effect.map(pay("pm_brandNewCode"), (answer) => is(answer, { _tag: "Declined", category: "soft", code: "a_code_of_next_year" }))
  )
  at("an advice not to try again makes a soft decline a hard one", ({ pay }) =>
    Effect.map(pay("pm_doNotTryAgain"), (answer) => is(answer, { _tag: "Declined", category: "hard", code: "do_not_honor" }))
  )
  at(
    "a refusal with a code of next year goes to no other gateway",
    ({ pay }) => Effect.map(pay("pm_card_visa"), (answer) => is(answer, { _tag: "Declined", category: "invalid_data" })),
    { intercept: () => error(400, { code: "a_code_of_next_year" }) }
  )
})

describe("look-ups", () => {
  const lookup = (gateway: Gateway, kind: OperationKind, id?: string) =>
    gateway.lookup({
      payment,
      intent: {
        ...intent({ payment, kind, number: 2, target: 1 }),
        details: { customerPresent: true, targetReference: reference("pi_nowhere"), targetRequestKey: saleWith("pm_card_visa").requestKey }
      },
      gatewayReference: id === undefined ? undefined : reference(id)
    })

  at("an object whose id Stripe gave and does not find: unknown, never absent", ({ gateway }) =>
    Effect.gen(function* () {
      for (const kind of ["confirm", "capture", "void"] as const) {
        is((yield* lookup(gateway, kind)) as Outcome, { _tag: "Unknown", reason: "conflict" })
      }
      is((yield* lookup(gateway, "refund", "re_nowhere")) as Outcome, { _tag: "Unknown", reason: "conflict" })
    })
  )

  at(
    "a list that has more than is read is no absence",
    ({ gateway }) =>
      Effect.gen(function* () {
        const found = yield* gateway.lookup({ payment, intent: saleWith("pm_card_visa"), gatewayReference: undefined })
        is(found as Outcome, { _tag: "Unknown", reason: "inconclusive" })
      }),
    {
      intercept: ({ method }) =>
        method === "GET" ? { status: 200, body: { data: [{ id: "pi_1", created: 1 }], has_more: true } } : undefined
    }
  )

  at(
    "two objects with one reference are for a person",
    ({ gateway }) =>
      Effect.gen(function* () {
        const found = yield* gateway.lookup({ payment, intent: doubled, gatewayReference: undefined })
        is(found as Outcome, { _tag: "Unknown", reason: "conflict" })
      }),
    {
      intercept: () => {
        const object = (id: string) => ({ id, created: 1, metadata: { aegispay_reference: doubled.requestKey } })
        return { status: 200, body: { data: [object("pi_1"), object("pi_2")], has_more: false } }
      }
    }
  )
  const doubled = saleWith("pm_card_visa")

  at("a capture that somebody else made is not ours: no success, and absent", ({ fake, gateway }) =>
    Effect.gen(function* () {
      const held = saleWith("pm_card_visa", { kind: "authorize" })
      const id = PaymentId.make(held.requestKey.slice(0, 40))
      const target = yield* send(gateway, held)
      if (target._tag !== "Succeeded") return assert.fail(target._tag)
      const capture: Intent = {
        ...intent({ payment: id, number: 2, kind: "capture", target: 1 }),
        details: { customerPresent: true, targetReference: target.gatewayReference, final: true }
      }
      fake.account.execute(`/v1/payment_intents/${target.gatewayReference}/capture`, new Map(), "by hand")
      is(yield* send(gateway, capture), { _tag: "Unknown", reason: "conflict" })
      const found = yield* gateway.lookup({ payment: id, intent: capture, gatewayReference: undefined })
      assert.strictEqual(found._tag, "Absent")
    })
  )

  at("what is on a later page is found", ({ fake, gateway }) =>
    Effect.gen(function* () {
      const one = saleWith("pm_card_visa")
      yield* send(gateway, one)
      for (let other = 0; other < 120; other++) {
        const form = new Map([
          ["amount", "100"],
          ["currency", "eur"],
          ["payment_method", "pm_card_visa"]
        ])
        fake.account.execute("/v1/payment_intents", form, `other ${other}`)
      }
      const found = yield* gateway.lookup({
        payment: PaymentId.make(one.requestKey.slice(0, 40)),
        intent: one,
        gatewayReference: undefined
      })
      assert.strictEqual(found._tag, "Succeeded")
      assert.lengthOf(
        fake.recorded.filter(({ query }) => query.includes("starting_after")),
        1
      )
    })
  )
})

describe("a request", () => {
  at("carries our names, the pinned version and the key, and nothing of a card", ({ fake, gateway }) =>
    Effect.gen(function* () {
      const one = { ...saleWith("pm_card_visa"), number: operationNumber(1) }
      const id = PaymentId.make(one.requestKey.slice(0, 40))
      yield* send(gateway, one)
      const request = fake.recorded.find(({ method }) => method === "POST") ?? assert.fail("nothing was sent")
      assert.deepInclude(request.headers, { "idempotency-key": one.requestKey, "stripe-version": "2026-10-28.endive" })
      assert.notProperty(request.headers, "traceparent")
      assert.deepInclude(Object.fromEntries(new URLSearchParams(request.body)), {
        "metadata[aegispay_payment]": id,
        "metadata[aegispay_operation]": "1",
        "metadata[aegispay_reference]": one.requestKey,
        confirm: "true",
        amount: "4990",
        currency: "eur"
      })
    })
  )

  for (const lookup of ["list", "search"] as const) {
    it.live(`of an account as it declares itself may be sent, with ${lookup}`, () =>
      Effect.scoped(
        Effect.gen(function* () {
          const { connectLimitMillis: _, settleTimeMillis: __, ...account } = accountOf("http://127.0.0.1:1", { lookup })
          assert.isUndefined(GatewaySafety.problemOf(yield* gatewayOf(account), defaults))
        })
      )
    )
  }

  it("shows no secret of its account", () => {
    const shown = JSON.stringify(accountOf("http://127.0.0.1:1"))
    assert.notInclude(shown, FakeStripe.secretKey)
    assert.notInclude(shown, FakeStripe.webhookSecret)
  })
})
