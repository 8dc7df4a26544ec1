/**
 * An amount in another currency: multiplied exactly, rounded once.
 *
 * `minor x numerator x 10^exponent(to) / (denominator x 10^exponent(from))`, all of it integers: EUR 49.90 at 1.0847 is USD 54.12653, so 5413
 * cents; the same in JPY has no minor unit, in KWD three digits.
 */
import * as Result from "effect/Result"
import { exponent } from "../Currency.ts"
import * as Money from "../Money.ts"
import type { Rate } from "./Rate.ts"

/**
 * What becomes of the part of a minor unit that is left over. All of them treat an amount and its negative alike, so that a refund of a whole
 * charge is the charge.
 *
 * - `half_up`: to the nearest, from the middle away from zero. How conversions to the euro are rounded by law (Regulation (EC) No
 *   1103/97, Article 5), and the default.
 * - `half_even`: to the nearest, from the middle to the even one: no drift in sums of many.
 * - `up`: away from zero: whoever is owed the amount gets no less. `down`: towards zero.
 */
export const roundings = ["half_up", "half_even", "up", "down"] as const
export type Rounding = (typeof roundings)[number]

/** The amount in the rate's other currency. Refused: an amount that is not in the currency the rate begins with, and a result beyond +-10^18. */
export const convert = (
  money: Money.Money,
  rate: Rate,
  rounding: Rounding = "half_up"
): Result.Result<Money.Money, Money.CurrencyMismatch | Money.AmountOutOfRange> => {
  if (money.currency !== rate.from) return Result.fail(new Money.CurrencyMismatch({ expected: rate.from, actual: money.currency }))
  return Result.flatMap(Money.make(money), ({ minor }) => {
    const size = (minor < 0n ? -minor : minor) * rate.numerator * 10n ** BigInt(exponent(rate.to))
    const rounded = divide(size, rate.denominator * 10n ** BigInt(exponent(rate.from)), rounding)
    return Money.make({ currency: rate.to, minor: minor < 0n ? -rounded : rounded })
  })
}

/** Of a dividend that is not negative. */
const divide = (dividend: bigint, divisor: bigint, rounding: Rounding): bigint => {
  const whole = dividend / divisor
  const rest = dividend % divisor
  return isRaised({ whole, twice: 2n * rest, rest, divisor }, rounding) ? whole + 1n : whole
}

const isRaised = (
  { divisor, rest, twice, whole }: { readonly whole: bigint; readonly twice: bigint; readonly rest: bigint; readonly divisor: bigint },
  rounding: Rounding
): boolean => {
  switch (rounding) {
    case "half_up":
      return twice >= divisor
    case "half_even":
      return twice > divisor || (twice === divisor && whole % 2n === 1n)
    case "up":
      return rest > 0n
    case "down":
      return false
  }
}
