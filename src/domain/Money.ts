/**
 * Money: an integer number of minor units of one currency. `{ currency: "EUR", minor: 4990n }` is EUR 49.90.
 *
 * All arithmetic is on bigint; two currencies never mix (a tagged refusal); nothing here throws. There are two encodings: `Money` for what
 * we store (`{"currency":"EUR","minor":"4990"}`, the integer as a string, so that no JSON reader rounds it) and `MoneyJson` for interfaces
 * (`{"amount":4990,"currency":"EUR"}`, an integer within +-(2^53-1)).
 *
 * Gotchas: a `Money` built as a literal is not checked against `maxMinor` until it is encoded or computed with. A JSON parser rounds before
 * anyone can look: `4990.0` and `4990.0000000000000001` both arrive as 4990, and 1e400 as Infinity, which is refused.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { CurrencyCode, exponent as exponentOf } from "./Currency.ts"

/** The largest |minor|, 10^18: fits a signed 64-bit column (9.2 * 10^18) and holds a hundred amounts of the largest size at the edges. */
export const maxMinor = 10n ** 18n
/** The largest |amount| at the edges, 2^53-1: every JSON reader keeps it exactly. */
export const maxAmount = BigInt(Number.MAX_SAFE_INTEGER)
/** The largest exponent a gateway may use: 18, the wei of an ETH. */
export const maxExponent = 18
/** The most parts `allocate` makes. */
export const maxParts = 10_000

const MinorFromString = Schema.String.check(
  Schema.isPattern(/^(?:0|-?[1-9][0-9]{0,18})$/, { expected: 'an integer in minor units as a string, such as "4990"' })
).pipe(
  Schema.decodeTo(
    Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: -maxMinor, maximum: maxMinor })),
    SchemaTransformation.transform({ decode: (text: string) => BigInt(text), encode: (minor: bigint) => minor.toString() })
  )
)

/** Stored form: `{"currency":"EUR","minor":"4990"}`. Only the canonical spelling decodes: no sign on zero, no leading zeros. */
export const Money = Schema.Struct({ currency: CurrencyCode, minor: MinorFromString })
export type Money = typeof Money.Type

const amountMessage = "expected an integer in minor units within +-(2^53-1), e.g. 4990 for EUR 49.90"
const positiveMessage = "expected an integer in minor units from 1 to 2^53-1, e.g. 4990 for EUR 49.90"

/** JSON has no bigint: a safe integer, and not -0, which is written by mistake only. */
const wireNumber = (message: string) =>
  Schema.Number.annotate({ message }).check(
    Schema.isInt({ message }),
    Schema.makeFilter((amount: number) => !Object.is(amount, -0), { message, toJsonSchema: () => ({}) })
  )
const toMinor = SchemaTransformation.transform({ decode: (amount: number) => BigInt(amount), encode: (minor: bigint) => Number(minor) })

/** An amount at the edges: a JSON integer within +-(2^53-1). Fractions, strings, NaN, Infinity, -0 and larger integers are refused. */
export const AmountFromJson = wireNumber(amountMessage).pipe(
  Schema.decodeTo(
    Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: -maxAmount, maximum: maxAmount }, { message: amountMessage })),
    toMinor
  )
)

/** As `AmountFromJson`, and greater than zero: what can be charged, captured or refunded. */
export const PositiveAmount = wireNumber(positiveMessage)
  .check(Schema.isGreaterThan(0, { message: positiveMessage }))
  .pipe(
    Schema.decodeTo(Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 1n, maximum: maxAmount }, { message: positiveMessage })), toMinor)
  )

/** Interface form: `{"amount":4990,"currency":"EUR"}`. Encoding an amount beyond +-(2^53-1) fails. */
export const MoneyJson = Schema.Struct({ amount: AmountFromJson, currency: CurrencyCode }).pipe(
  Schema.decodeTo(
    Schema.toType(Money),
    SchemaTransformation.transform({
      decode: ({ amount, currency }) => ({ currency, minor: amount }),
      encode: ({ currency, minor }) => ({ amount: minor, currency })
    })
  )
)

/** Two currencies in one calculation. */
export class CurrencyMismatch extends Schema.TaggedError<CurrencyMismatch>()("CurrencyMismatch", {
  expected: Schema.String,
  actual: Schema.String
}) {
  override get message(): string {
    return `amounts in ${this.expected} and ${this.actual} cannot be combined`
  }
}

/** An amount, given or computed, beyond +-10^18 minor units. */
export class AmountOutOfRange extends Schema.TaggedError<AmountOutOfRange>()("AmountOutOfRange", {
  currency: Schema.String,
  minor: Schema.BigInt
}) {
  override get message(): string {
    return `${this.minor} minor units of ${this.currency} are beyond +-${maxMinor}`
  }
}

/** Weights that no amount can be split by. */
export class AllocationRefused extends Schema.TaggedError<AllocationRefused>()("AllocationRefused", {
  reason: Schema.Literals(["no_weights", "too_many_weights", "negative_weight", "weight_too_large", "all_weights_zero"])
}) {
  override get message(): string {
    return `cannot allocate (${this.reason}): expected 1 to ${maxParts} weights from 0 to ${maxMinor}, one of them above 0`
  }
}

/** An amount that the other exponent cannot express (`inexact`), or an exponent that is not an integer from 0 to 18. */
export class ExponentRefused extends Schema.TaggedError<ExponentRefused>()("ExponentRefused", {
  reason: Schema.Literals(["inexact", "invalid_exponent"]),
  currency: Schema.String,
  minor: Schema.BigInt,
  // What was given may be NaN, and an error must be makeable from it.
  // @effect-diagnostics-next-line schemaNumber:off
  from: Schema.Number,
  // @effect-diagnostics-next-line schemaNumber:off
  to: Schema.Number
}) {
  override get message(): string {
    const conversion = `${this.minor} of ${this.currency} from exponent ${this.from} to ${this.to}`
    return this.reason === "inexact" ? `cannot convert ${conversion} without loss` : `cannot convert ${conversion}: exponents are 0 to 18`
  }
}

/** Checks the range, +-10^18 minor units. */
export const make = (money: Money): Result.Result<Money, AmountOutOfRange> => {
  const { currency, minor } = money
  return minor > maxMinor || minor < -maxMinor
    ? Result.fail(new AmountOutOfRange({ currency, minor }))
    : Result.succeed({ currency, minor })
}

/** Nothing, in a currency. */
export const zero = (currency: CurrencyCode): Money => ({ currency, minor: 0n })

export const isZero = (money: Money): boolean => money.minor === 0n
export const isPositive = (money: Money): boolean => money.minor > 0n
/** The same amount with the other sign: charge and refund. */
export const negate = (money: Money): Money => ({ currency: money.currency, minor: -money.minor })

const sameCurrency = <A, E>(self: Money, that: Money, then: () => Result.Result<A, E>): Result.Result<A, E | CurrencyMismatch> =>
  self.currency === that.currency ? then() : Result.fail(new CurrencyMismatch({ expected: self.currency, actual: that.currency }))

/** self + that. */
export const add = (self: Money, that: Money): Result.Result<Money, CurrencyMismatch | AmountOutOfRange> =>
  sameCurrency(self, that, () => make({ currency: self.currency, minor: self.minor + that.minor }))

/** self - that; may be negative. */
export const subtract = (self: Money, that: Money): Result.Result<Money, CurrencyMismatch | AmountOutOfRange> => add(self, negate(that))

/** The total of amounts that must all be in `currency`; zero for none. Only the total has to be in range. */
export const sum = (currency: CurrencyCode, amounts: Iterable<Money>): Result.Result<Money, CurrencyMismatch | AmountOutOfRange> => {
  let minor = 0n
  for (const amount of amounts) {
    if (amount.currency !== currency) return Result.fail(new CurrencyMismatch({ expected: currency, actual: amount.currency }))
    minor += amount.minor
  }
  return make({ currency, minor })
}

/** -1 where self is less, 0 where equal, 1 where self is more. */
export const compare = (self: Money, that: Money): Result.Result<-1 | 0 | 1, CurrencyMismatch> =>
  sameCurrency(self, that, () => Result.succeed(self.minor < that.minor ? -1 : self.minor > that.minor ? 1 : 0))

/** self < that. */
export const lessThan = (self: Money, that: Money): Result.Result<boolean, CurrencyMismatch> =>
  sameCurrency(self, that, () => Result.succeed(self.minor < that.minor))

/** The smaller one. */
export const min = (self: Money, that: Money): Result.Result<Money, CurrencyMismatch> =>
  sameCurrency(self, that, () => Result.succeed(that.minor < self.minor ? that : self))

/** The same currency and the same amount. Two currencies are not equal, not even at zero. */
export const equals = (self: Money, that: Money): boolean => self.currency === that.currency && self.minor === that.minor

const wrongWeights = (weights: ReadonlyArray<bigint>): AllocationRefused["reason"] | undefined => {
  if (weights.length === 0) return "no_weights"
  if (weights.length > maxParts) return "too_many_weights"
  if (weights.some((weight) => weight < 0n)) return "negative_weight"
  if (weights.some((weight) => weight > maxMinor)) return "weight_too_large"
  return weights.every((weight) => weight === 0n) ? "all_weights_zero" : undefined
}

/**
 * Splits an amount in proportion to weights; the parts, in the order of the weights, add up to the amount exactly.
 *
 * Largest remainder: each part is its share rounded towards zero, and the minor units left over go one each to the parts that lost most,
 * the earlier one first among equals. A weight of 0 gets nothing. A negative amount is split as the positive one, with the sign changed.
 */
export const allocate = (
  money: Money,
  weights: ReadonlyArray<bigint>
): Result.Result<ReadonlyArray<Money>, AllocationRefused | AmountOutOfRange> => {
  const reason = wrongWeights(weights)
  if (reason !== undefined) return Result.fail(new AllocationRefused({ reason }))
  return Result.map(make(money), ({ currency, minor }) => {
    const total = weights.reduce((left, right) => left + right, 0n)
    const size = minor < 0n ? -minor : minor
    const shares = weights.map((weight, index) => ({ index, whole: (size * weight) / total, lost: (size * weight) % total }))
    const leftOver = size - shares.reduce((given, share) => given + share.whole, 0n)
    const byLoss = shares.toSorted((left, right) => (left.lost === right.lost ? left.index - right.index : left.lost > right.lost ? -1 : 1))
    const luckier = new Set(byLoss.slice(0, Number(leftOver)).map((share) => share.index))
    return shares.map(({ index, whole }) => {
      const part = luckier.has(index) ? whole + 1n : whole
      return { currency, minor: minor < 0n ? -part : part }
    })
  })
}

/** For people: "49.90 EUR", "-0.05 EUR", "4990 JPY". No grouping and no locale; made from digits, not from a float. */
export const format = (money: Money): string => {
  const exponent = exponentOf(money.currency)
  if (!isExponent(exponent)) return `${money.minor} minor units of ${money.currency}`
  const sign = money.minor < 0n ? "-" : ""
  const digits = (money.minor < 0n ? -money.minor : money.minor).toString().padStart(exponent + 1, "0")
  const whole = digits.slice(0, digits.length - exponent)
  const fraction = exponent === 0 ? "" : `.${digits.slice(-exponent)}`
  return `${sign}${whole}${fraction} ${money.currency}`
}

const isExponent = (exponent: number): boolean => Number.isInteger(exponent) && exponent >= 0 && exponent <= maxExponent

const rescale = (options: {
  readonly currency: CurrencyCode
  readonly minor: bigint
  readonly from: number
  readonly to: number
}): Result.Result<bigint, ExponentRefused> => {
  const { from, minor, to } = options
  if (!isExponent(from) || !isExponent(to)) return Result.fail(new ExponentRefused({ reason: "invalid_exponent", ...options }))
  if (to >= from) return Result.succeed(minor * 10n ** BigInt(to - from))
  const divisor = 10n ** BigInt(from - to)
  return minor % divisor === 0n ? Result.succeed(minor / divisor) : Result.fail(new ExponentRefused({ reason: "inexact", ...options }))
}

/**
 * The amount in the units of a gateway that counts this currency with another exponent (0 to 18). Never rounds.
 *
 * The result is a plain integer, at most 10^36: wei, for instance, do not fit a `Money`.
 */
export const toExponent = (options: {
  readonly money: Money
  readonly exponent: number
}): Result.Result<bigint, AmountOutOfRange | ExponentRefused> =>
  Result.flatMap(make(options.money), ({ currency, minor }) =>
    rescale({ currency, minor, from: exponentOf(currency), to: options.exponent })
  )

/** The other way: what a gateway reported in units of its exponent (0 to 18), as `Money`. Never rounds. */
export const fromExponent = (options: {
  readonly currency: CurrencyCode
  readonly minor: bigint
  readonly exponent: number
}): Result.Result<Money, AmountOutOfRange | ExponentRefused> =>
  Result.flatMap(
    rescale({ currency: options.currency, minor: options.minor, from: options.exponent, to: exponentOf(options.currency) }),
    (minor) => make({ currency: options.currency, minor })
  )
