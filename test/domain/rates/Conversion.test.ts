/**
 * Converting an amount: exponents, roundings, and what holds for every amount and rate.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import * as Money from "../../../src/domain/Money.ts"
import * as Conversion from "../../../src/domain/rates/Conversion.ts"
import * as Rate from "../../../src/domain/rates/Rate.ts"

const rateOf = (from: string, to: string, text: string) =>
  Result.getOrThrow(Rate.parse({ from: CurrencyCode.make(from), to: CurrencyCode.make(to) }, text))
const money = (currency: string, minor: bigint) => ({ currency: CurrencyCode.make(currency), minor })
const converted = (minor: bigint, rate: Rate.Rate, rounding?: Conversion.Rounding) =>
  Result.getOrThrow(Conversion.convert({ currency: rate.from, minor }, rate, rounding)).minor

describe("exponents", () => {
  for (const [from, minor, to, rate, expected] of [
    ["EUR", 4990n, "USD", "1.0847", 5413n],
    ["EUR", 4990n, "JPY", "168.12", 8389n],
    ["JPY", 8389n, "EUR", "0.00594813", 4990n],
    ["EUR", 4990n, "KWD", "0.33271", 16602n],
    ["USD", 10_000n, "BTC", "0.0000105", 105_000n],
    ["JPY", 1n, "KWD", "0.0019", 2n]
  ] as const) {
    it(`${minor} minor units of ${from} at ${rate} are ${expected} of ${to}`, () =>
      assert.strictEqual(converted(minor, rateOf(from, to, rate)), expected))
  }
})

describe("rounding", () => {
  const half = rateOf("EUR", "USD", "0.5")
  const quarter = rateOf("EUR", "USD", "0.25")
  const table: ReadonlyArray<readonly [Conversion.Rounding, ReadonlyArray<bigint>]> = [
    // 0.5, 1.5, 2.5; 0.25, 0.75
    ["half_up", [1n, 2n, 3n, 0n, 1n]],
    ["half_even", [0n, 2n, 2n, 0n, 1n]],
    ["up", [1n, 2n, 3n, 1n, 1n]],
    ["down", [0n, 1n, 2n, 0n, 0n]]
  ]
  for (const [rounding, expected] of table) {
    it(`${rounding}, and the same with the other sign`, () => {
      const all = (sign: bigint) => [
        ...[1n, 3n, 5n].map((minor) => converted(sign * minor, half, rounding)),
        ...[1n, 3n].map((minor) => converted(sign * minor, quarter, rounding))
      ]
      assert.deepStrictEqual(all(1n), expected)
      assert.deepStrictEqual(
        all(-1n),
        expected.map((minor) => -minor)
      )
    })
  }

  it("is half_up where nothing is said", () => assert.strictEqual(converted(1n, half), 1n))
})

const arbitrary = {
  minor: Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: -(10n ** 12n), maximum: 10n ** 12n })),
  mantissa: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 999_999_999 })),
  scale: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })),
  to: Schema.Literals(["USD", "JPY", "KWD"]),
  rounding: Schema.Literals(Conversion.roundings)
}

describe("what always holds", () => {
  it.effect.prop(
    "the result is less than one minor unit away, half of one where it is rounded to the nearest, and on the side that was asked for",
    arbitrary,
    ({ mantissa, minor, rounding, scale, to }) =>
      Effect.sync(() => {
        const rate = rateOf("EUR", to, `${mantissa}e-${scale}`)
        const result = Conversion.convert(money("EUR", minor), rate, rounding)
        if (Result.isFailure(result)) return assert.strictEqual(result.failure._tag, "AmountOutOfRange")
        const exponent = { USD: 2n, JPY: 0n, KWD: 3n }[to]
        const divisor = rate.denominator * 100n
        const error = result.success.minor * divisor - minor * rate.numerator * 10n ** exponent
        const size = error < 0n ? -error : error
        assert.isTrue(size < divisor)
        if (rounding.startsWith("half")) assert.isTrue(2n * size <= divisor)
        const outwards = minor < 0n ? -error : error
        if (rounding === "up") assert.isTrue(outwards >= 0n)
        if (rounding === "down") assert.isTrue(outwards <= 0n)
      }),
    { arbitrary: { seed: 2, runs: 400 } }
  )

  it("an amount in another currency and a result out of range are refused", () => {
    const dear = rateOf("EUR", "USD", "1e18")
    assert.strictEqual(Result.getOrThrow(Result.flip(Conversion.convert(money("USD", 1n), dear)))._tag, "CurrencyMismatch")
    assert.strictEqual(Result.getOrThrow(Result.flip(Conversion.convert(money("EUR", 2n), dear)))._tag, "AmountOutOfRange")
    const beyond = money("EUR", Money.maxMinor + 1n)
    assert.strictEqual(Result.getOrThrow(Result.flip(Conversion.convert(beyond, rateOf("EUR", "USD", "1"))))._tag, "AmountOutOfRange")
  })
})
