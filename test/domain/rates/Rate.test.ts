/**
 * Rates are exact: what a source wrote, its inverse, and what two of them make.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import * as Rate from "../../../src/domain/rates/Rate.ts"
import * as RateTable from "../../../src/domain/rates/RateTable.ts"

const [eur, usd, jpy, kwd] = ["EUR", "USD", "JPY", "KWD"].map((code) => CurrencyCode.make(code)) as [
  CurrencyCode,
  CurrencyCode,
  CurrencyCode,
  CurrencyCode
]
const eurUsd = { from: eur, to: usd }
const read = (text: string) => Result.getOrThrow(Rate.parse(eurUsd, text))

describe("reading a rate", () => {
  for (const [text, numerator, denominator] of [
    ["1.0847", 10847n, 10000n],
    ["1", 1n, 1n],
    ["1.10", 11n, 10n],
    ["0.5", 1n, 2n],
    ["168.120000", 4203n, 25n],
    ["1.05e-5", 21n, 2_000_000n],
    ["9E+2", 900n, 1n],
    ["0.1000000000000000055511151231257827", 1000000000000000055511151231257827n, 10n ** 34n]
  ] as const) {
    it(`"${text}" is ${numerator}/${denominator}`, () => assert.deepStrictEqual(read(text), { ...eurUsd, numerator, denominator }))
  }

  for (const text of [
    "",
    "0",
    "0.0",
    "-1",
    "+1",
    "1,08",
    ".5",
    "5.",
    "1e",
    "NaN",
    "Infinity",
    "1e99",
    "1e-99",
    "0x10",
    " 1",
    "1".repeat(20)
  ]) {
    it(`refuses "${text}"`, () => assert.strictEqual(Result.getOrThrow(Result.flip(Rate.parse(eurUsd, text)))._tag, "RateRefused"))
  }

  it("the range is 10^-18 to 10^18, both included", () => {
    for (const text of ["1e18", "1e-18"]) assert.isTrue(Result.isSuccess(Rate.parse(eurUsd, text)), text)
    for (const text of ["1.000001e18", "9.99e-19"]) assert.isTrue(Result.isFailure(Rate.parse(eurUsd, text)), text)
  })
})

const Decimal = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 999_999_999 }))

describe("computing with rates", () => {
  it.effect.prop(
    "the inverse of the inverse is the rate, and a rate and its inverse make 1",
    { mantissa: Decimal, scale: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })) },
    ({ mantissa, scale }) =>
      Effect.sync(() => {
        const rate = read(`${mantissa}e-${scale}`)
        assert.deepStrictEqual(Rate.inverse(Rate.inverse(rate)), rate)
        assert.deepStrictEqual(Rate.chain(rate, Rate.inverse(rate)), Rate.identity(eur))
      }),
    { arbitrary: { seed: 1, runs: 200 } }
  )

  it("two rates that do not meet make none", () => assert.isUndefined(Rate.chain(read("1.1"), read("1.1"))))

  it("is stored exactly, and only its canonical form is read", () => {
    const stored = { from: "EUR", to: "USD", numerator: "10847", denominator: "10000" }
    assert.deepStrictEqual(Schema.encodeSync(Rate.Rate)(read("1.0847")), stored)
    assert.deepStrictEqual(Schema.decodeUnknownSync(Rate.Rate)(stored), read("1.0847"))
    for (const numerator of ["0", "-1", "01", "1.5", "", "9".repeat(121)]) {
      assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(Rate.Rate)({ ...stored, numerator })), numerator)
    }
  })

  it("is shown as a decimal, cut and not rounded", () => {
    assert.strictEqual(Rate.format(read("1.0847")), "1.0847")
    assert.strictEqual(Rate.format(Rate.inverse(read("3"))), "0.33333333")
    assert.strictEqual(Rate.format(Rate.inverse(read("1.5")), 2), "0.66")
    assert.strictEqual(Rate.format(read("900")), "900")
  })
})

describe("a table of rates", () => {
  const table = RateTable.make({ base: eur, decimals: { USD: "1.1", JPY: "165", EUR: "1", XXQ: "3", KWD: "0", GBP: "broken" } })

  it("keeps the rates of known currencies, and leaves out what is no rate", () =>
    assert.deepStrictEqual(
      table.rates.map(({ to }) => to as string),
      ["USD", "JPY"]
    ))

  it("has the rate of any two of its currencies: as written, inverted, over the base", () => {
    const shown = (from: CurrencyCode, to: CurrencyCode) => {
      const rate = RateTable.rateOf(table, { from, to })
      return rate === undefined ? undefined : [rate.from, rate.to, rate.numerator, rate.denominator].join(" ")
    }
    assert.strictEqual(shown(eur, usd), "EUR USD 11 10")
    assert.strictEqual(shown(usd, eur), "USD EUR 10 11")
    assert.strictEqual(shown(usd, jpy), "USD JPY 150 1")
    assert.strictEqual(shown(jpy, usd), "JPY USD 1 150")
    assert.isUndefined(shown(usd, kwd))
    assert.isUndefined(shown(kwd, eur))
  })
})
