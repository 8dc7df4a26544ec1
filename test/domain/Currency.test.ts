/** The currency list: complete, with ISO's exponents and not CLDR's, and closed to everything that is not exactly one of its codes. */
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"
import * as Currency from "../../src/domain/Currency.ts"
import { isoCurrencies, notChargeable, tokens } from "../../src/domain/CurrencyTable.ts"

const decode = Schema.decodeUnknownResult(Currency.CurrencyCode)
const refusal = (input: unknown): string =>
  Result.match(decode(input), { onFailure: (error) => error.message, onSuccess: () => "accepted" })

/**
 * Where CLDR 48 (ICU 78) differs from ISO 4217. Its digits are for display: countries that no longer use their small coins get 0.
 * ISO keeps the minor unit that banks and gateways count in.
 */
const cldrShowsFewer: Readonly<Record<string, number>> = {
  AFN: 0,
  ALL: 0,
  COP: 0,
  HUF: 0,
  IDR: 0,
  IQD: 0,
  IRR: 0,
  KPW: 0,
  LAK: 0,
  LBP: 0,
  MGA: 0,
  MMK: 0,
  PKR: 0,
  SOS: 0,
  SYP: 0,
  YER: 0
}
/** In ICU's list of currencies but no longer in ISO 4217 List One, with the successor. */
const withdrawn = ["ANG (XCG)", "BGN (EUR)", "CUC (CUP)", "HRK (EUR)", "SLL (SLE)", "ZWL (ZWG)"].map((text) => text.slice(0, 3))
/** Active in ISO 4217, but funds, units of account or used between banks: ICU does not list them. */
const notInIcu = ["BOV", "CHE", "CHW", "CLF", "COU", "MXV", "USN", "UYI", "UYW", "VED", "XAD"]

const cldrDigits = (code: string) =>
  new Intl.NumberFormat("en", { style: "currency", currency: code }).resolvedOptions().maximumFractionDigits

describe("the table", () => {
  it("has the counts of ISO 4217 List One", () => {
    const counts = [0, 1, 2, 3, 4].map((exponent) => isoCurrencies.filter((entry) => entry.exponent === exponent).length)
    assert.deepStrictEqual(counts, [17, 0, 139, 7, 2])
    assert.strictEqual(notChargeable.length, 13)
    assert.strictEqual(Currency.all.length, 165 + tokens.length)
  })

  it("has well-formed codes and numbers, each once", () => {
    for (const entry of isoCurrencies) {
      assert.match(entry.code, /^[A-Z]{3}$/)
      assert.match(entry.numeric ?? "", /^[0-9]{3}$/)
    }
    assert.strictEqual(new Set([...isoCurrencies, ...tokens].map((entry) => entry.code)).size, 168)
    assert.strictEqual(new Set(isoCurrencies.map((entry) => entry.numeric)).size, 165)
    assert.deepStrictEqual(
      notChargeable.filter((code) => Currency.isKnown(code)),
      []
    )
  })

  it("differs from ICU's list only where the reason is known", () => {
    const icu = new Set(Intl.supportedValuesOf("currency"))
    const iso = new Set(isoCurrencies.map((entry) => entry.code))
    assert.deepStrictEqual(
      [...icu].filter((code) => !iso.has(code) && !notChargeable.includes(code)),
      withdrawn
    )
    assert.deepStrictEqual([...iso].filter((code) => !icu.has(code)).sort(), notInIcu)
  })

  it("differs from ICU's digits only where CLDR describes display", () => {
    const differing = isoCurrencies.filter((entry) => cldrDigits(entry.code) !== entry.exponent)
    const digits = Object.fromEntries(differing.map((entry) => [entry.code, cldrDigits(entry.code)]))
    assert.deepStrictEqual(digits, cldrShowsFewer)
  })
})

describe("exponent", () => {
  it("is ISO's, and the tokens' own", () => {
    const exponents = { EUR: 2, JPY: 0, KWD: 3, CLF: 4, ISK: 0, UGX: 0, HUF: 2, IQD: 3, BTC: 8, ETH: 9, USDC: 6 }
    for (const [code, expected] of Object.entries(exponents)) {
      assert.strictEqual(Currency.exponent(Currency.CurrencyCode.make(code)), expected, code)
    }
  })

  it("is not a number for a string forced into the type", () => {
    assert.isNaN(Currency.exponent("toString" as Currency.CurrencyCode))
  })
})

describe("CurrencyCode", () => {
  it("takes every code of the list", () => {
    for (const code of Currency.all) assert.deepStrictEqual(decode(code), Result.succeed(code))
  })

  it("refuses lower case and says how to write it", () => {
    assert.include(refusal("eur"), "eur must be written EUR")
    assert.include(refusal("Usdc"), "Usdc must be written USDC")
  })

  it("refuses codes without a minor unit and says why", () => {
    for (const code of notChargeable) assert.include(refusal(code), `${code} has no minor unit`)
  })

  it("refuses withdrawn and unknown codes", () => {
    for (const code of [...withdrawn, "DEM", "EURO", "ABC"]) assert.include(refusal(code), `${code} is not a known currency`)
  })

  it("refuses names of Object.prototype", () => {
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"]) {
      assert.isFalse(Currency.isKnown(name))
      assert.match(refusal(name), /not a (known currency|currency code)/)
    }
  })

  it("refuses look-alikes, padding and other types, repeating nothing of them", () => {
    const inputs = ["ЕUR", "EUR ", " EUR", "EUR\n", "EUR\u0000", "ＥＵＲ", "", "4242424242424242", "978", 978, null, undefined, ["EUR"], {}]
    for (const input of inputs) {
      const message = refusal(input)
      assert.include(message, "not a currency code: expected an active ISO 4217 code in upper case, such as EUR")
      if (typeof input === "string" && input.trim() !== "EUR" && input !== "") assert.notInclude(message, input)
    }
  })

  it.prop("generates only codes of the list", [Currency.CurrencyCode], ([code]) => Currency.isKnown(code))
})
