/**
 * Segments as numbers and as stored texts, and the levels between a segment and its gateway.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Currency from "../../../src/domain/Currency.ts"
import { MethodType, Token } from "../../../src/domain/payment/PaymentMethod.ts"
import * as Segment from "../../../src/domain/routing/Segment.ts"

const euro = Currency.CurrencyCode.make("EUR")
const countries = ["", "AA", "DE", "US", "ZZ"]

describe("Segment", () => {
  it("every segment has a code of its own, which its stored parts lead back to", () => {
    const codes = new Set<number>()
    let segments = 0
    for (const method of MethodType.literals) {
      for (const currency of Currency.all) {
        for (const country of countries) {
          const code = Segment.code({ method, currency, country: country === "" ? undefined : country })
          assert.deepStrictEqual(Segment.partsOf(code), { method, currency, country })
          assert.strictEqual(Segment.ofParts({ method, currency, country }), code)
          assert.isBelow(code, 2 ** 21)
          codes.add(code)
          segments++
        }
      }
    }
    assert.strictEqual(codes.size, segments)
  })

  it("levels leave out the country, then the currency", () => {
    const full = Segment.code({ method: "card", currency: euro, country: "DE" })
    assert.deepStrictEqual(Segment.partsOf(Segment.withoutCountry(full)), { method: "card", currency: "EUR", country: "" })
    assert.deepStrictEqual(Segment.partsOf(Segment.withoutCurrency(full)), { method: "card", currency: "", country: "" })
    assert.deepStrictEqual(Segment.partsOf(Segment.currencyOnly(full)), { method: "", currency: "EUR", country: "" })
    assert.strictEqual(Segment.currencyOnly(full), Segment.currencyCode(euro))
    assert.strictEqual(Segment.currencyOf(full), euro)
    assert.deepStrictEqual(Segment.partsOf(0), { method: "", currency: "", country: "" })
    assert.strictEqual(Segment.ofParts({ method: "", currency: "", country: "" }), 0)
  })

  it("parts that this version does not know have no code", () => {
    for (const parts of [
      { method: "telepathy", currency: "EUR", country: "DE" },
      { method: "card", currency: "XXL", country: "DE" },
      { method: "card", currency: "EUR", country: "Germany" },
      { method: "card", currency: "EUR", country: "de" }
    ]) {
      assert.isUndefined(Segment.ofParts(parts))
    }
  })

  it("a country that is none is left out", () => {
    for (const country of ["", "D", "DEU", "de", "é1"]) {
      assert.strictEqual(Segment.code({ method: "card", currency: euro, country }), Segment.code({ method: "card", currency: euro }))
    }
  })

  it("of a payment: the issuer's country, or else the customer's", () => {
    const payment = { amount: { currency: euro, minor: 1n }, method: { type: "card", token: Token.make("t") } } as const
    assert.deepStrictEqual(Segment.ofPayment(payment), { method: "card", currency: euro, country: undefined })
    const customer = { country: "FR" }
    assert.strictEqual(Segment.ofPayment({ ...payment, customer }).country, "FR")
    assert.strictEqual(Segment.ofPayment({ ...payment, customer, method: { ...payment.method, country: "DE" } }).country, "DE")
  })
})
