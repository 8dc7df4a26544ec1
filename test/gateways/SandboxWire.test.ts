/** The sandbox's wire format: the request is a pure function of the intent, and every answer has a meaning that is safe. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../src/domain/Currency.ts"
import type { Intent, OperationKind } from "../../src/domain/operation/Operation.ts"
import { Intent as IntentSchema } from "../../src/domain/operation/Operation.ts"
import { Outcome } from "../../src/domain/operation/Outcome.ts"
import { GatewayReference } from "../../src/domain/payment/Ids.ts"
import * as Lookup from "../../src/gateways/sandbox/SandboxLookup.ts"
import * as Wire from "../../src/gateways/sandbox/SandboxWire.ts"
import { eur, intent, newPaymentId } from "../support/payments.ts"

const exponents: Wire.Exponents = new Map([
  [CurrencyCode.make("EUR"), 2],
  [CurrencyCode.make("JPY"), 0]
])
const payment = newPaymentId()
const charge = GatewayReference.make("ch_1")
const of = (kind: OperationKind, overrides: Partial<Intent> = {}): Intent => {
  const base = intent({ payment, kind, amount: eur(4990n) })
  return { ...base, details: { ...base.details, targetReference: charge }, ...overrides }
}
const sale = of("sale")
const requestOf = (one: Intent) => Result.getOrThrow(Wire.toRequest(payment, one, exponents))
const answer = (status: number, body: unknown, headers: Record<string, string> = {}) => ({
  status,
  headers,
  text: typeof body === "string" ? body : JSON.stringify(body)
})
const outcomeOf = (one: Intent, status: number, body: unknown, headers: Record<string, string> = {}) => {
  const outcome = Wire.toOutcome(one, answer(status, body, headers), exponents)
  assert.isTrue(
    Schema.is(Outcome)(outcome),
    JSON.stringify(outcome, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))
  )
  return outcome
}

/** The outcome has at least these fields with these values. */
const includes = (outcome: object, expected: object) => assert.deepInclude<object>(outcome, expected)

const operationBody = (one: Intent, overrides: object = {}) => ({
  id: "op_1",
  reference: one.requestKey,
  kind: one.kind === "sale" || one.kind === "authorize" ? "charge" : one.kind,
  status: "succeeded",
  amount: 4990,
  currency: "EUR",
  created: 1_700_000_000_000,
  ...overrides
})
const chargeBody = (overrides: object = {}) => ({
  id: charge,
  reference: sale.requestKey,
  status: "succeeded",
  amount: 4990,
  currency: "EUR",
  amount_authorized: 4990,
  created: 1_700_000_000_000,
  ...overrides
})
const failure = (code: string, declineCode?: string) => ({
  type: "card_error",
  code,
  ...(declineCode === undefined ? {} : { decline_code: declineCode }),
  message: "no"
})
const resultBody = (one: Intent, operation: object = {}, charged: object = {}) => ({
  operation: operationBody(one, operation),
  charge: chargeBody(charged)
})

describe("requests", () => {
  it("of every kind of operation", () => {
    const reference = sale.requestKey
    assert.deepStrictEqual(requestOf(sale), {
      path: "/v1/charges",
      body: { reference, amount: 4990, currency: "EUR", token: "tok_success", capture: "automatic", payment }
    })
    const details = { ...sale.details, returnUrl: "https://shop.example", customerPresent: false, stepUp: true }
    assert.deepInclude(requestOf(of("authorize", { details })).body, {
      capture: "manual",
      return_url: "https://shop.example",
      off_session: true,
      step_up: true
    })
    assert.deepStrictEqual(requestOf(of("confirm")), { path: "/v1/charges/ch_1/confirm", body: { reference } })
    assert.deepStrictEqual(requestOf(of("capture")), { path: "/v1/charges/ch_1/capture", body: { reference, amount: 4990, final: false } })
    assert.deepStrictEqual(requestOf(of("void")), { path: "/v1/charges/ch_1/void", body: { reference } })
    assert.deepStrictEqual(requestOf(of("refund")), { path: "/v1/charges/ch_1/refunds", body: { reference, amount: 4990 } })
    const byReference = of("void", { details: { customerPresent: true, targetRequestKey: sale.requestKey } })
    assert.deepStrictEqual(requestOf(byReference), { path: "/v1/voids", body: { reference, target_reference: sale.requestKey } })
  })

  it("an id of the gateway cannot leave its place in the path", () => {
    const details = { customerPresent: true, targetReference: GatewayReference.make("../../b/v1/charges?x=1#y") }
    assert.strictEqual(requestOf(of("capture", { details })).path, "/v1/charges/..%2F..%2Fb%2Fv1%2Fcharges%3Fx%3D1%23y/capture")
  })

  it("that cannot be made are refused before a byte is sent", () => {
    const refused = (one: Intent) => assert.isTrue(Result.isFailure(Wire.toRequest(payment, one, exponents)))
    refused(of("sale", { amount: { currency: CurrencyCode.make("USD"), minor: 1n } }))
    refused(of("sale", { details: { customerPresent: true } }))
    for (const kind of ["confirm", "capture", "refund"] as const) refused(of(kind, { details: { customerPresent: true } }))
    refused(of("sale", { amount: eur(2n ** 53n) }))
  })

  it.prop("are a pure function of the intent: read back from storage it makes the same bytes", [IntentSchema], ([generated]) => {
    const codec = Schema.toCodecJson(IntentSchema)
    const one: Intent = {
      ...generated,
      amount: eur((generated.amount.minor < 0n ? -generated.amount.minor : generated.amount.minor) % 1_000_000n)
    }
    const stored = Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeSync(codec)(one))))
    assert.strictEqual(JSON.stringify(Wire.toRequest(payment, stored, exponents)), JSON.stringify(Wire.toRequest(payment, one, exponents)))
  })
})

describe("answers to requests", () => {
  it("success: the gateway's id, amount, currency and time", () => {
    assert.deepStrictEqual(outcomeOf(sale, 201, resultBody(sale)), {
      _tag: "Succeeded",
      gatewayReference: charge,
      amount: eur(4990n),
      chargedAt: 1_700_000_000_000,
      named: true
    })
    const capture = of("capture")
    includes(outcomeOf(capture, 200, resultBody(capture, { amount: 100 })), { gatewayReference: "op_1", amount: eur(100n) })
    const refund = of("refund")
    const refundBody = { id: "re_1", reference: refund.requestKey, status: "succeeded", amount: 100, currency: "EUR", created: 1 }
    includes(outcomeOf(refund, 201, { ...resultBody(refund), refund: refundBody }), { gatewayReference: "re_1" })
  })

  it("another amount or currency is a success of that amount: judging it is not the adapter's", () => {
    includes(outcomeOf(sale, 201, resultBody(sale, { amount: 4991 })), { _tag: "Succeeded", amount: eur(4991n) })
    includes(outcomeOf(sale, 201, resultBody(sale, { currency: "JPY" })), {
      _tag: "Succeeded",
      amount: { currency: CurrencyCode.make("JPY"), minor: 4990n }
    })
  })

  const unknowns: ReadonlyArray<readonly [title: string, status: number, body: unknown, reason: string]> = [
    ["another operation's reference", 201, resultBody(sale, { reference: `${sale.requestKey}x` }), "unreadable"],
    ["another kind of operation", 201, resultBody(sale, { kind: "refund" }), "unreadable"],
    ["a currency nobody knows", 201, resultBody(sale, { currency: "QQQ" }), "unreadable"],
    ["an amount that is no integer", 201, resultBody(sale, { amount: 1.5 }), "unreadable"],
    ["an amount as a text", 201, resultBody(sale, { amount: "4990" }), "unreadable"],
    ["a status nobody knows", 201, resultBody(sale, { status: "maybe" }), "unreadable"],
    ["an action without an address", 201, resultBody(sale, { status: "requires_action" }), "unreadable"],
    [
      "an action that is a script",
      201,
      resultBody(sale, { status: "requires_action" }, { next_action: { type: "redirect", url: "javascript:x" } }),
      "unreadable"
    ],
    ["an id that leads elsewhere", 201, resultBody(sale, {}, { id: ".." }), "unreadable"],
    ["an id that is no text", 201, resultBody(sale, {}, { id: "\ud800" }), "unreadable"],
    ["an empty body", 200, "", "unreadable"],
    ["a page", 200, "<html>", "unreadable"],
    ["a JSON that is no object", 200, "[]", "unreadable"],
    ["no content", 204, "", "unreadable"],
    ["a redirect", 307, "", "unreadable"],
    ["402 of somebody else", 402, "<html>", "unreadable"],
    ["403 of a proxy", 403, "forbidden", "unreadable"],
    [
      "402 about another operation",
      402,
      { error: failure("card_declined"), operation: operationBody(sale, { reference: "other" }) },
      "unreadable"
    ],
    ["404", 404, { error: { type: "invalid_request_error", code: "not_found" } }, "conflict"],
    ["409 key_in_use", 409, { error: { type: "idempotency_error", code: "key_in_use" } }, "conflict"],
    ["409 parameter_mismatch", 409, { error: { type: "idempotency_error", code: "parameter_mismatch" } }, "conflict"],
    ["409 invalid_state", 409, { error: { type: "invalid_request_error", code: "invalid_state" }, charge: chargeBody() }, "conflict"],
    ["409 without a body", 409, "", "conflict"],
    ["418", 418, "", "unreadable"],
    ["500", 500, { error: { type: "api_error", code: "internal_error" } }, "server_error"],
    ["502 of a proxy", 502, "<html>", "server_error"],
    ["503", 503, { error: { type: "api_error", code: "service_unavailable" } }, "server_error"]
  ]
  for (const [title, status, body, reason] of unknowns) {
    it(`${title} is unknown: ${reason}`, () => includes(outcomeOf(sale, status, body), { _tag: "Unknown", reason }))
  }

  for (const [code, category] of [
    ["insufficient_funds", "soft"],
    ["stolen_card", "hard"],
    ["fraudulent", "fraud"],
    ["authentication_required", "authentication_required"],
    ["authentication_failed", "authentication_required"],
    ["invalid_expiry", "invalid_data"],
    ["processor_unavailable", "gateway_error"],
    ["never_seen_before", "soft"],
    ["constructor", "soft"]
  ] as const) {
    it(`402 ${code} is a decline: ${category}`, () =>
      includes(outcomeOf(sale, 402, { error: failure("card_declined", code), charge: chargeBody({ status: "failed" }) }), {
        _tag: "Declined",
        category,
        code,
        gatewayReference: charge
      }))
  }

  for (const [status, type, code, category] of [
    [400, "invalid_request_error", "unknown_token", "invalid_data"],
    [400, "invalid_request_error", "amount_exceeds_authorized", "invalid_data"],
    [400, "invalid_request_error", "unsupported_currency", "configuration"],
    [400, "invalid_request_error", "unknown_field", "configuration"],
    [400, "idempotency_error", "key_too_long", "configuration"],
    [401, "authentication_error", "invalid_api_key", "configuration"],
    [403, "account_error", "account_not_allowed", "configuration"],
    [413, "invalid_request_error", "body_too_large", "configuration"],
    [429, "rate_limit_error", "rate_limited", "rate_limited"]
  ] as const) {
    it(`${status} ${code} is a decline: ${category}`, () =>
      includes(outcomeOf(sale, status, { error: { type, code, message: "no" } }), { _tag: "Declined", category, code }))
  }

  it("a void of what is over without money succeeded: by name, or unnamed where nothing carries the reference", () => {
    const byId = of("void")
    const byReference = of("void", { details: { customerPresent: true, targetRequestKey: sale.requestKey } })
    const invalidState = (overrides: object) => ({
      error: { type: "invalid_request_error", code: "invalid_state" },
      charge: chargeBody(overrides)
    })
    const notFound = { error: { type: "invalid_request_error", code: "not_found" } }
    for (const one of [byId, byReference]) {
      includes(outcomeOf(one, 409, invalidState({ status: "failed" })), { _tag: "Succeeded", gatewayReference: charge, named: true })
      includes(outcomeOf(one, 409, invalidState({ status: "succeeded" })), { _tag: "Unknown", reason: "conflict" })
      includes(outcomeOf(one, 409, invalidState({ status: "failed", id: "ch_2", reference: "other" })), {
        _tag: "Unknown",
        reason: "conflict"
      })
      includes(outcomeOf(one, 404, { error: { type: "invalid_request_error", code: "unknown_path" } }), {
        _tag: "Unknown",
        reason: "conflict"
      })
    }
    includes(outcomeOf(byReference, 404, notFound), { _tag: "Succeeded", named: false })
    includes(outcomeOf(byId, 404, notFound), { _tag: "Unknown", reason: "conflict" })
    includes(outcomeOf(of("capture"), 409, invalidState({ status: "failed" })), { _tag: "Unknown", reason: "conflict" })
  })

  it("texts of the gateway are cut to what an outcome may carry", () => {
    const error = { type: "card_error", code: "c".repeat(2000), message: "m".repeat(2000) }
    assert.strictEqual(outcomeOf(sale, 402, { error })._tag, "Declined")
  })
})

describe("answers to look-ups", () => {
  const byReference = (one: Intent, status: number, body: unknown) =>
    Lookup.toLookupAnswer(one, Lookup.lookupPath(one, undefined), answer(status, body), exponents)
  const byId = (one: Intent, status: number, body: unknown) =>
    Lookup.toLookupAnswer(one, Lookup.lookupPath(one, charge), answer(status, body), exponents)
  const notFound = { error: { type: "invalid_request_error", code: "not_found" } }

  it("absent is only what the gateway does not find under our reference", () => {
    assert.deepStrictEqual(byReference(sale, 404, notFound), { _tag: "Absent" })
    includes(byReference(sale, 404, { error: { type: "invalid_request_error", code: "unknown_path" } }), { _tag: "Unknown" })
    includes(byReference(sale, 404, "<html>"), { _tag: "Unknown", reason: "unreadable" })
    includes(byId(sale, 404, notFound), { _tag: "Unknown", reason: "conflict" })
    includes(byReference(sale, 401, notFound), { _tag: "Unknown" })
    includes(byReference(sale, 503, notFound), { _tag: "Unknown", reason: "server_error" })
    includes(byReference(sale, 200, "[]"), { _tag: "Unknown", reason: "unreadable" })
  })

  it("cancelled before anything was charged is absent", () => {
    assert.deepStrictEqual(byReference(sale, 200, { ...resultBody(sale, { status: "cancelled" }), matches: 1 }), { _tag: "Absent" })
    assert.deepStrictEqual(byId(sale, 200, chargeBody({ status: "voided", amount_authorized: 0 })), { _tag: "Absent" })
  })

  it("several operations under one reference are for a person", () => {
    includes(byReference(sale, 200, { ...resultBody(sale), matches: 2 }), { _tag: "Unknown", reason: "conflict" })
  })

  for (const [status, tag] of [
    ["succeeded", "Succeeded"],
    ["authorized", "Succeeded"],
    ["partially_captured", "Succeeded"],
    ["voided", "Succeeded"],
    ["pending", "Pending"],
    ["failed", "Declined"],
    ["requires_payment_method", "Declined"],
    ["requires_action", "Unknown"],
    ["something_new", "Unknown"]
  ] as const) {
    it(`by id, a charge that is ${status}: ${tag}`, () => {
      assert.strictEqual(byId(sale, 200, chargeBody({ status }))._tag, tag)
      assert.strictEqual(byId(sale, 200, chargeBody({ status, reference: "another" }))._tag, "Unknown")
    })
  }

  it("by id, a charge that waits for the customer", () => {
    const next_action = { type: "redirect", url: "http://127.0.0.1/a/customer/ch_1" }
    includes(byId(sale, 200, chargeBody({ status: "requires_action", next_action })), { nextAction: next_action })
  })

  for (const [status, tag] of [
    ["succeeded", "Succeeded"],
    ["pending", "Pending"],
    ["failed", "Declined"],
    ["something_new", "Unknown"]
  ] as const) {
    it(`by id, a refund that is ${status}: ${tag}`, () => {
      const refund = of("refund")
      const body = { id: "re_1", reference: refund.requestKey, status, amount: 4990, currency: "EUR", created: 1 }
      assert.strictEqual(byId(refund, 200, body)._tag, tag)
      assert.strictEqual(byId(refund, 200, { ...body, reference: "another" })._tag, "Unknown")
    })
  }
})
