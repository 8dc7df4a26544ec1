/**
 * Exchange rates: how many units of one currency are paid for one unit of another, exactly.
 *
 * A rate is a ratio of two integers and never a float: what a source wrote, `1.0847`, is 10847/10000. So the way back is exactly the inverse,
 * and a rate over a third currency is exactly the product; rounding happens once, where an amount is converted (`Conversion.ts`).
 *
 * Units are whole ones (1 EUR, not 1 cent), as every source writes them: the exponents of the currencies come in with the amount.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { CurrencyCode } from "../Currency.ts"

/** The most digits of a part of a ratio: what two decimals as they are read below come to when they are multiplied, and some. */
const maxDigits = 120

/** A rate is within 10^-18 and 10^18: one unit of the dearest token in the smallest unit of the cheapest currency is inside. */
const limit = 10n ** 18n

const PartFromString = Schema.String.check(Schema.isPattern(new RegExp(`^[1-9][0-9]{0,${maxDigits - 1}}$`))).pipe(
  Schema.decodeTo(
    Schema.BigInt.check(Schema.isGreaterThanBigInt(0n)),
    SchemaTransformation.transform({ decode: (text: string) => BigInt(text), encode: (part: bigint) => part.toString() })
  )
)

/** One unit of `from` is `numerator / denominator` units of `to`. Stored with its integers as strings. */
export const Rate = Schema.Struct({ from: CurrencyCode, to: CurrencyCode, numerator: PartFromString, denominator: PartFromString })
export type Rate = typeof Rate.Type

/** Two currencies: what is to be exchanged into what. */
export type Pair = Pick<Rate, "from" | "to">

/** A text that is no rate: no positive decimal (`not_a_decimal`), or one beyond 10^-18 to 10^18 (`out_of_range`). */
export class RateRefused extends Schema.TaggedError<RateRefused>()("RateRefused", {
  from: Schema.String,
  to: Schema.String,
  reason: Schema.Literals(["not_a_decimal", "out_of_range"])
}) {
  override get message(): string {
    const expected = "expected a positive decimal such as 1.0847, from 10^-18 to 10^18"
    return `the rate from ${this.from} to ${this.to} is no rate (${this.reason}): ${expected}`
  }
}

/** A decimal as sources write it, JSON's `1.05e-5` included. Longer than any source needs, and bounded. */
const decimal = /^(?<whole>\d{1,19})(?:\.(?<fraction>\d{1,40}))?(?:[eE](?<exponent>[+-]?\d{1,2}))?$/

/** The rate that a text says, digit by digit. */
export const parse = (pair: Pair, text: string): Result.Result<Rate, RateRefused> => {
  const { exponent = "0", fraction = "", whole } = decimal.exec(text)?.groups ?? {}
  if (whole === undefined) return Result.fail(new RateRefused({ from: pair.from, to: pair.to, reason: "not_a_decimal" }))
  const scale = Number(exponent) - fraction.length
  const mantissa = BigInt(whole + fraction)
  return ratio(pair, {
    numerator: scale > 0 ? mantissa * 10n ** BigInt(scale) : mantissa,
    denominator: scale < 0 ? 10n ** BigInt(-scale) : 1n
  })
}

/** The rate of a ratio, in its lowest terms. */
const ratio = (
  { from, to }: Pair,
  { denominator, numerator }: { readonly numerator: bigint; readonly denominator: bigint }
): Result.Result<Rate, RateRefused> => {
  if (numerator <= 0n || numerator > limit * denominator || numerator * limit < denominator) {
    return Result.fail(new RateRefused({ from, to, reason: "out_of_range" }))
  }
  const divisor = greatestCommonDivisor(numerator, denominator)
  return Result.succeed({ from, to, numerator: numerator / divisor, denominator: denominator / divisor })
}

const greatestCommonDivisor = (one: bigint, other: bigint): bigint => {
  let [left, right] = [one, other]
  while (right > 0n) [left, right] = [right, left % right]
  return left
}

/** The way back, exactly. */
export const inverse = ({ denominator, from, numerator, to }: Rate): Rate => ({
  from: to,
  to: from,
  numerator: denominator,
  denominator: numerator
})

/** The rate over a third currency: `first`, then `second`. `undefined`: they do not meet, or the product is beyond 10^-18 to 10^18. */
export const chain = (first: Rate, second: Rate): Rate | undefined =>
  first.to === second.from
    ? Option.getOrUndefined(
        Result.getSuccess(
          ratio(
            { from: first.from, to: second.to },
            { numerator: first.numerator * second.numerator, denominator: first.denominator * second.denominator }
          )
        )
      )
    : undefined

/** A currency in itself: 1. */
export const identity = (currency: CurrencyCode): Rate => ({ from: currency, to: currency, numerator: 1n, denominator: 1n })

/** For people: the decimal, cut after so many digits behind the point (default 8). Not for computing. */
export const format = ({ denominator, numerator }: Rate, digits = 8): string => {
  const scaled = ((numerator * 10n ** BigInt(digits)) / denominator).toString().padStart(digits + 1, "0")
  const fraction = scaled.slice(scaled.length - digits).replace(/0+$/, "")
  return scaled.slice(0, scaled.length - digits) + (fraction === "" ? "" : `.${fraction}`)
}
