/** Payment methods: no card number comes in anywhere; a token belongs to its gateway. */
import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Customer, Metadata } from "../../src/domain/payment/Event.ts"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import { looksLikeCardNumber, maxReferences, PaymentMethod, referenceFor, Token } from "../../src/domain/payment/PaymentMethod.ts"

const decodes = (schema: Schema.Codec<unknown, unknown>, value: unknown) => Result.isSuccess(Schema.decodeUnknownResult(schema)(value))

/** Published test numbers of 13, 14, 15, 16 and 19 digits. */
const cards = ["4222222222222", "30569309025904", "378282246310005", "4242424242424242", "5555555555554444", "6304000000000000000"]

describe("card numbers", () => {
  it("are found by length and Luhn, with spaces and dashes, and inside a text", () => {
    for (const card of cards) {
      const grouped = card.replaceAll(/(\d{4})(?=\d)/g, "$1 ")
      for (const text of [card, grouped, grouped.replaceAll(" ", "-"), `card: ${grouped}.`, `x${card}y`])
        assert.isTrue(looksLikeCardNumber(text), text)
    }
  })
  it("are found beside other digits: an expiry date, a security code, a count", () => {
    for (const text of [
      "4242 4242 4242 4242 12/28",
      "4242424242424242 123",
      "4242-4242-4242-4242-123",
      "4242.4242.4242.4242",
      "2 4242424242424242",
      "12 4242 4242 4242 4242 12 28 123"
    ]) {
      assert.isTrue(looksLikeCardNumber(text), text)
    }
  })
  it("other digits are none", () => {
    for (const text of [
      "",
      "4242424242424241",
      "424242424242",
      "42424242424242424242",
      "order 2026-11-20",
      "2026-11-20 12:00:00",
      "192.168.100.200",
      "tok_1234567890",
      "+49 30 1234567"
    ]) {
      assert.isFalse(looksLikeCardNumber(text), text)
    }
  })
  it("are refused as token, reference, fingerprint, metadata and customer", () => {
    const card = "4242 4242 4242 4242"
    const bare = "4242424242424242"
    assert.isFalse(decodes(Token, bare))
    assert.isFalse(decodes(PaymentMethod, { type: "card", token: bare }))
    assert.isFalse(decodes(PaymentMethod, { type: "card", references: { a: bare } }))
    assert.isFalse(decodes(PaymentMethod, { type: "card", token: "tok_1", fingerprint: bare }))
    assert.isFalse(decodes(Metadata, { note: `paid with ${card}` }))
    assert.isFalse(decodes(Customer, { name: card }))
    assert.isFalse(decodes(Customer, { id: bare }))
    assert.isTrue(decodes(Metadata, { note: "paid with a card" }))
  })
  it("the message does not repeat the number", () => {
    const result = Schema.decodeUnknownResult(Token)("4242424242424242")
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) assert.notInclude(result.failure.message, "4242424242424242")
  })
})

describe("metadata", () => {
  it("is bounded: 50 keys of 40 characters, values of 500", () => {
    const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, ""]))
    assert.isTrue(decodes(Metadata, keys(50)))
    assert.isFalse(decodes(Metadata, keys(51)))
    assert.isFalse(decodes(Metadata, { ["k".repeat(41)]: "" }))
    assert.isFalse(decodes(Metadata, { k: "v".repeat(501) }))
    for (const key of ["a b", "", "é", "4242424242424242"]) assert.isFalse(decodes(Metadata, { [key]: "" }), key)
  })
})

describe("references and token", () => {
  const a = GatewayName.make("a")
  const method = (value: unknown) => Result.getOrThrow(Schema.decodeUnknownResult(PaymentMethod)(value))
  it("exactly one of them", () => {
    assert.isFalse(decodes(PaymentMethod, { type: "card" }))
    assert.isFalse(decodes(PaymentMethod, { type: "card", token: "t", references: { a: "t" } }))
  })
  it("a token is the same everywhere, a reference only at its gateway", () => {
    assert.deepStrictEqual(referenceFor(method({ type: "card", token: "t" }), a), Option.some(Token.make("t")))
    const referenced = method({ type: "card", references: { a: "ta" } })
    assert.deepStrictEqual(referenceFor(referenced, a), Option.some(Token.make("ta")))
    for (const name of ["b", "constructor", "tostring"]) assert.isTrue(Option.isNone(referenceFor(referenced, GatewayName.make(name))))
  })
  it("at most 32 references, attributes of known form", () => {
    const references = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`g${index}`, "t"]))
    assert.isTrue(decodes(PaymentMethod, { type: "card", references: references(maxReferences) }))
    assert.isFalse(decodes(PaymentMethod, { type: "card", references: references(maxReferences + 1) }))
    for (const wrong of [
      { type: "cheque" },
      { country: "de" },
      { bin: "42424" },
      { bin: "424242424" },
      { brand: "Visa" },
      { brand: "4242424242424242" },
      { funding: "gift" }
    ]) {
      assert.isFalse(decodes(PaymentMethod, { type: "card", token: "t", ...wrong }), JSON.stringify(wrong))
    }
  })
})
