/**
 * The sandbox's webhooks: whose signature holds, and what a body tells.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Currency from "../../src/domain/Currency.ts"
import * as SandboxWebhook from "../../src/gateways/sandbox/SandboxWebhook.ts"
import * as WebhookSignature from "../../src/sandbox/WebhookSignature.ts"
import * as Payments from "../support/payments.ts"

const secret = Redacted.make("whsec_now")
const old = Redacted.make("whsec_before")
const exponents = new Map(Currency.all.map((code) => [code, Currency.exponent(code)]))
const timeSeconds = 1_700_000_000
const bytes = (text: string) => new TextEncoder().encode(text)

const signed = (rawBody: string, by = secret, at = timeSeconds) => WebhookSignature.sign({ secret: by, timeSeconds: at, rawBody })
const verify = (
  rawBody: string,
  header: string | undefined,
  options: { readonly secrets?: ReadonlyArray<Redacted.Redacted>; readonly now?: number } = {}
) =>
  SandboxWebhook.verify(
    options.secrets ?? [secret],
    { body: bytes(rawBody), headers: { "sandbox-signature": header } },
    options.now ?? timeSeconds
  )

const payment = Payments.newPaymentId()
const intent = Payments.intent({ payment })

const eventOf = (type: string, operation: object = {}, extra: object = {}) => ({
  id: "ev_1",
  object: "event",
  type,
  created: 1_700_000_000_123,
  data: {
    operation: {
      id: "op_1",
      reference: intent.requestKey,
      kind: "charge",
      status: "succeeded",
      amount: 4990,
      currency: "EUR",
      created: 5,
      ...operation
    },
    charge: {
      id: "ch_1",
      reference: intent.requestKey,
      status: "succeeded",
      amount: 4990,
      currency: "EUR",
      amount_authorized: 4990,
      created: 5
    },
    ...extra
  }
})
const parse = (event: unknown) => SandboxWebhook.parse(bytes(typeof event === "string" ? event : JSON.stringify(event)), exponents)

describe("verify", () => {
  it("takes the signature of the sandbox over the raw body", () => {
    assert.deepStrictEqual(verify('{"a":1}', signed('{"a":1}')), { _tag: "Valid" })
    assert.deepStrictEqual(verify('{"a": 1}', signed('{"a":1}')), { _tag: "Invalid", reason: "wrong" })
  })

  it("refuses what is missing, malformed, or signed with another secret", () => {
    assert.deepStrictEqual(verify("{}", undefined), { _tag: "Invalid", reason: "missing" })
    for (const header of ["", "v1=00", `t=1,v1=${"0".repeat(63)}`, `${signed("{}")},v1=00`, `t=-1,v1=${"0".repeat(64)}`]) {
      assert.deepStrictEqual(verify("{}", header), { _tag: "Invalid", reason: "malformed" }, header)
    }
    assert.deepStrictEqual(verify("{}", signed("{}", old)), { _tag: "Invalid", reason: "wrong" })
    assert.deepStrictEqual(verify("{}", signed("{}").replace(/^t=\d+/, `t=${timeSeconds + 1}`)), { _tag: "Invalid", reason: "wrong" })
  })

  it("takes several secrets while they are changed", () => {
    for (const by of [secret, old]) assert.deepStrictEqual(verify("{}", signed("{}", by), { secrets: [secret, old] }), { _tag: "Valid" })
  })

  it("takes a signature for 300 s, in the past and in the future", () => {
    for (const away of [-300, 0, 300]) assert.deepStrictEqual(verify("{}", signed("{}"), { now: timeSeconds + away }), { _tag: "Valid" })
    for (const away of [-301, 301]) {
      assert.deepStrictEqual(verify("{}", signed("{}"), { now: timeSeconds + away }), { _tag: "Invalid", reason: "expired" })
    }
  })
})

describe("parse", () => {
  it("reads what became of an operation, against its intent", () => {
    const { eventId, news, occurredAt } = parse(eventOf("charge.succeeded"))
    assert.deepStrictEqual([eventId, occurredAt, news._tag], ["ev_1", 1_700_000_000_123, "Answer"])
    if (news._tag !== "Answer") return
    assert.strictEqual(news.reference, intent.requestKey)
    assert.deepStrictEqual(news.answerFor(intent), {
      _tag: "Succeeded",
      gatewayReference: Payments.reference("ch_1"),
      amount: Payments.eur(4990n),
      chargedAt: 5,
      named: true
    })
    assert.strictEqual(news.answerFor(Payments.intent({ payment, number: 2 }))._tag, "Unknown", "of another operation it says nothing")
  })

  it("reads a decline with its category", () => {
    const { news } = parse(
      eventOf("charge.failed", { status: "failed", failure: { type: "card_error", code: "card_declined", decline_code: "stolen_card" } })
    )
    const answer = news._tag === "Answer" ? news.answerFor(intent) : undefined
    assert.deepStrictEqual([answer?._tag, answer?._tag === "Declined" && answer.category], ["Declined", "hard"])
  })

  it("a refund that failed had succeeded before", () => {
    const { news } = parse(
      eventOf("refund.failed", {
        kind: "refund",
        status: "failed",
        failure: { type: "api_error", code: "refund_failed", message: "returned" }
      })
    )
    assert.deepStrictEqual(news, { _tag: "FailedLater", reference: intent.requestKey, message: "returned" })
  })

  it("leaves out what is not about payments, and keeps what it cannot read, with an id", () => {
    assert.strictEqual(parse(eventOf("payout.paid")).news._tag, "Ignored")
    const strange = parse({ id: "ev_2", object: "event", type: "charge.succeeded", created: 1, data: { charge: {} } })
    assert.deepStrictEqual([strange.eventId, strange.news._tag], ["ev_2", "Unreadable"])
    for (const text of ["", "nothing", "[]", '{"id":"../x"}', "\u0000"]) {
      const { eventId, news } = parse(text)
      assert.match(eventId, /^sha256:[0-9a-f]{64}$/)
      assert.strictEqual(news._tag, "Unreadable")
    }
    assert.notStrictEqual(parse("a").eventId, parse("b").eventId)
  })
})
