/**
 * What a gateway takes for a payment, by its price list: a fixed fee and a share of the amount, by method, brand, currency and country.
 *
 * Fees are what the merchant was quoted, configured per gateway; they are compared, never booked: what a gateway really took is on its
 * statement. Of a price list the first entry that fits the payment counts, so the special ones come first. Where none fits the fee is
 * not known.
 *
 * ```ts
 * const fees = [{ methods: ["card"], currency: "EUR", fixedMinor: 25, basisPoints: 140 }]
 * Cost.feeMinor(Cost.entryFor(fees, details), 5_000n)      // 95: 0.25 + 1.4 % of 50.00 EUR
 * ```
 */
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../Currency.ts"
import type { PaymentDetails } from "../../payment/Event.ts"
import { Brands, Countries, Methods, range } from "./Bounds.ts"

/** The most entries of a price list. */
const maxEntries = 100

/**
 * One entry of a price list. `fixedMinor`: per payment, in minor units of `currency`. `basisPoints`: hundredths of a percent of the
 * amount. What is left out fits every payment. A fixed fee needs its currency.
 */
export const Fee = Schema.Struct({
  currency: Schema.optionalKey(CurrencyCode),
  methods: Schema.optionalKey(Methods),
  brands: Schema.optionalKey(Brands),
  countries: Schema.optionalKey(Countries),
  fixedMinor: Schema.optionalKey(range.integer(0, 1_000_000_000)),
  basisPoints: Schema.optionalKey(range.number(0, 10_000))
}).check(
  Schema.makeFilter((fee) =>
    (fee.fixedMinor ?? 0) > 0 && fee.currency === undefined ? "a fixed fee needs the currency that it is in" : undefined
  )
)
export type Fee = typeof Fee.Type

/** A gateway's price list. */
export const Fees = Schema.Array(Fee).check(Schema.isMaxLength(maxEntries))
export type Fees = typeof Fees.Type

/** The entry that fits a payment. */
export const entryFor = (fees: Fees | undefined, details: Pick<PaymentDetails, "amount" | "method">): Fee | undefined => {
  if (fees === undefined) return undefined
  for (const fee of fees) if (fits(fee, details)) return fee
  return undefined
}

const fits = (fee: Fee, { amount, method }: Pick<PaymentDetails, "amount" | "method">): boolean =>
  (fee.currency === undefined || fee.currency === amount.currency) &&
  (fee.methods === undefined || fee.methods.includes(method.type)) &&
  (fee.brands === undefined || (method.brand !== undefined && fee.brands.includes(method.brand))) &&
  (fee.countries === undefined || (method.country !== undefined && fee.countries.includes(method.country)))

/** An amount in minor units; whoever asks about it often asks with a number, which is compared in a tenth of the time. */
type AmountMinor = bigint | number

/** What an entry makes of an amount, in minor units of its currency, rounded half up; exact below 9e11 minor units. */
export const feeMinor = (fee: Fee, amountMinor: AmountMinor): number =>
  (fee.fixedMinor ?? 0) + Math.floor((Number(amountMinor) * (fee.basisPoints ?? 0)) / 10_000 + 0.5)

/** The fee as a share of the amount, in basis points: what price lists are compared by. Infinite for an amount of nothing. */
export const effectiveBasisPoints = (fee: Fee, amountMinor: AmountMinor): number =>
  (fee.basisPoints ?? 0) + ((fee.fixedMinor ?? 0) * 10_000) / Number(amountMinor)
