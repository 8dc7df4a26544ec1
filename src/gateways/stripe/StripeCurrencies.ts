/**
 * The currencies of Stripe and the exponents it counts them with, which are not always those of ISO 4217.
 *
 * Source: https://docs.stripe.com/currencies (presentment currencies, zero-decimal and three-decimal currencies, special cases) and, for ISK,
 * https://support.stripe.com/questions/deprecation-of-fractional-isk-charges-and-refunds. What differs from ISO 4217: ISK has two decimals,
 * which must be 00 (an amount in whole krona always is); MGA has none, so that an amount with iraimbilanja is refused.
 *
 * **Gotchas**: UGX is not in the table. Stripe's page lists it with the zero-decimal currencies and has described it with two decimals as well;
 * a wrong guess would be a factor of 100, and a currency that is not in the table is not charged.
 */
import * as Result from "effect/Result"
import * as Currency from "../../domain/Currency.ts"
import * as Money from "../../domain/Money.ts"

const two = [
  "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE CZK DKK DOP DZD EGP ETB",
  "EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP",
  "MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS",
  "TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD YER ZAR ZMW"
]
const zero = ["BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"]
const three = ["BHD JOD KWD OMR TND"]

const codes = (rows: ReadonlyArray<string>): ReadonlyArray<Currency.CurrencyCode> =>
  rows.flatMap((row) => row.split(" ")).filter(Currency.isKnown)

/** The exponent of each currency at Stripe. */
export const exponents: ReadonlyMap<Currency.CurrencyCode, number> = new Map([
  ...codes(two).map((code) => [code, 2] as const),
  ...codes(zero).map((code) => [code, 0] as const),
  ...codes(three).map((code) => [code, 3] as const)
])

/**
 * Twelve digits, the most that Stripe is known to take of any currency (rupiah); the reference of `amount` says eight, and which currencies may
 * have more has changed. An amount that is too large for its currency is Stripe's to refuse, and declined.
 */
const maxAmount = 999_999_999_999n

/** An amount as Stripe takes it, or why it does not. The last digit of three decimals must be 0. */
export const toStripe = (amount: Money.Money): Result.Result<string, string> => {
  const exponent = exponents.get(amount.currency)
  if (exponent === undefined) return Result.fail(`Stripe does not charge ${amount.currency}, or not unambiguously`)
  const minor = Money.toExponent({ money: amount, exponent })
  if (Result.isFailure(minor)) return Result.fail(minor.failure.message)
  if (exponent === 3 && minor.success % 10n !== 0n) {
    return Result.fail(`Stripe takes amounts of ${amount.currency} whose last of three decimals is 0`)
  }
  return minor.success > maxAmount || minor.success <= 0n
    ? Result.fail(`Stripe takes amounts of at most twelve digits, and more than nothing`)
    : Result.succeed(minor.success.toString())
}

/** An amount of Stripe's in our exponents, or `undefined` where it cannot be one. Stripe writes currencies in lower case. */
export const fromStripe = (body: { readonly amount: number; readonly currency: string }): Money.Money | undefined => {
  const currency = body.currency.toUpperCase()
  if (!Currency.isKnown(currency) || !Number.isSafeInteger(body.amount)) return undefined
  const exponent = exponents.get(currency)
  if (exponent === undefined) return undefined
  return Result.getOrUndefined(Money.fromExponent({ currency, minor: BigInt(body.amount), exponent }))
}
