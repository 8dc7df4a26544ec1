import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Enrichment from "../../../src/domain/hooks/Enrichment.ts"
import { HookName } from "../../../src/domain/hooks/HookKind.ts"
import * as PaymentFacts from "../../../src/domain/hooks/PaymentFacts.ts"
import type { PaymentDetails } from "../../../src/domain/payment/Event.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import { details } from "../../support/payments.ts"
import { paymentId } from "../../support/paymentSpec.ts"

const [one, two] = [HookName.make("one"), HookName.make("two")] as const

const set = (payment: PaymentDetails, answer: unknown, hook = one) => Result.getOrThrow(Enrichment.judge(payment, hook, answer))
const refusal = (payment: PaymentDetails, answer: unknown) => Result.getOrThrow(Result.flip(Enrichment.judge(payment, one, answer)))

describe("an enrichment", () => {
  it("sets metadata, the customer's country and the descriptors of the method, and nothing else", () => {
    const before = details({ metadata: { order: "1" }, customer: { id: "c-1" } })
    const fields = set(before, {
      metadata: { segment: "gold", order: "1" },
      customer: { country: "DE" },
      method: { brand: "visa", funding: "debit", bin: "424242", country: "FR", fingerprint: "fp" }
    })
    const after = Enrichment.apply(before, fields)
    assert.deepStrictEqual(after, {
      ...before,
      metadata: { order: "1", segment: "gold" },
      customer: { id: "c-1", country: "DE" },
      method: { ...before.method, brand: "visa", funding: "debit", bin: "424242", country: "FR", fingerprint: "fp" }
    })
    assert.isFalse(
      fields.some(({ field }) => field === "metadata.order"),
      "what stood there before is no change"
    )
  })

  it("names the protected fields that it is refused for", () => {
    assert.include(refusal(details(), { amount: 1, metadata: {}, captureMethod: "manual" }), "amount, captureMethod are protected")
    assert.include(refusal(details(), { method: { token: "t", brand: "visa" } }), "method.token")
    assert.include(refusal(details(), { customer: { email: "a@b.example" } }), "customer.email")
    assert.include(refusal(details(), { constructor: {} }), "constructor")
    assert.include(refusal(details(), JSON.parse('{"__proto__":{"amount":1}}')), "__proto__")
  })

  it("does not replace the fingerprint that the request has: the retry caps count by it", () => {
    const known = details({ method: { ...details().method, fingerprint: "fp_1" } })
    assert.include(refusal(known, { method: { fingerprint: "fp_2" } }), "method.fingerprint")
    assert.deepStrictEqual(set(known, { method: { fingerprint: "fp_1" } }), [])
  })

  it("is refused where it is none, or not within the bounds of a request", () => {
    for (const answer of [undefined, null, "metadata", [], 7, () => ({})]) assert.include(refusal(details(), answer), "no enrichment")
    for (const answer of [
      { metadata: { "not a key": "x" } },
      { metadata: { long: "x".repeat(501) } },
      { metadata: { card: "4242 4242 4242 4242" } },
      { metadata: 7 },
      { method: { country: "Germany" } },
      { method: { brand: 7 } },
      { customer: { country: "de" } }
    ])
      assert.include(refusal(details(), answer), "no enrichment", JSON.stringify(answer))
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`a${index}`, "x"]))
    const more = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`b${index}`, "x"]))
    assert.include(refusal(details({ metadata: many }), { metadata: more }), "more than 50")
  })

  it("what is recorded says for each field what was asked for and what stands there now, once", () => {
    const before = details({ metadata: { note: "asked" } })
    const first = set(before, { metadata: { note: "first", mark: "1" } })
    const second = set(Enrichment.apply(before, first), { metadata: { note: "second" } }, two)
    const third = set(Enrichment.apply(before, [...first, ...second]), { metadata: { note: "asked" } }, two)
    assert.deepStrictEqual(
      Enrichment.merged([...first, ...second]).map(({ field, from, hook, to }) => `${field}: ${from} -> ${to} by ${hook}`),
      ["metadata.note: asked -> second by two", "metadata.mark: undefined -> 1 by one"]
    )
    assert.deepStrictEqual(
      Enrichment.merged([...first, ...second, ...third]).map(({ field }) => field),
      ["metadata.mark"]
    )
    assert.deepStrictEqual(Enrichment.apply(before, Enrichment.merged([...first, ...second, ...third])).metadata, {
      note: "asked",
      mark: "1"
    })
  })
})

describe("what hooks are told of a payment", () => {
  it("is a frozen copy without tokens and return address", () => {
    const method = { type: "card" as const, references: { a: Token.make("tok_secret"), b: Token.make("tok_other") } }
    const asked = details({ method, returnUrl: "https://shop.example/back?session=secret", metadata: { order: "1" } })
    const facts = PaymentFacts.of(paymentId, asked)
    const text = JSON.stringify(facts, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value))
    for (const secret of ["tok_secret", "tok_other", "session=secret"]) assert.notInclude(text, secret)
    assert.deepStrictEqual(facts.method.gateways, [GatewayName.make("a"), GatewayName.make("b")])
    for (const part of [facts, facts.amount, facts.method, facts.metadata, facts.method.gateways]) assert.isTrue(Object.isFrozen(part))
    for (const [mine, theirs] of [
      [facts.amount, asked.amount],
      [facts.metadata, asked.metadata],
      [facts.method, asked.method]
    ])
      assert.notStrictEqual<unknown>(mine, theirs)
    assert.isFalse(Object.isFrozen(asked.metadata))
  })
})
