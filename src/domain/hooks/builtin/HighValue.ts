/**
 * The fraud check by amount: from one amount on a payment is flagged, from another on it is blocked, in each currency for itself.
 *
 * Amounts are integers in minor units, and a payment of just the amount is meant too. Nothing is converted: a limit holds in its currency, and
 * what happens in a currency that has none is a setting of its own.
 *
 * ```json
 * { "flagFrom": { "EUR": 100000, "JPY": 165000 }, "blockFrom": { "EUR": 1000000 }, "otherCurrencies": "flag" }
 * ```
 */
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../Currency.ts"
import type { Money } from "../../Money.ts"
import * as Presets from "../../Presets.ts"
import type { FraudVerdict } from "../Verdict.ts"
import { allowed, integer, registered, scored, Unjudged, verdict } from "./Bounds.ts"

const isCurrency = Schema.is(CurrencyCode)

/** Currencies are checked as a whole: a record whose key schema refuses a code would drop the entry without a word. */
const Limits = Schema.Record(Schema.String, integer(1, Number.MAX_SAFE_INTEGER)).check(
  Schema.makeFilter((limits) => {
    const unknown = Object.keys(limits).find((code) => !isCurrency(code))
    return unknown === undefined ? undefined : { path: [unknown], issue: "is not an active ISO 4217 code in upper case, such as EUR" }
  })
)

/** Settings of the check. `flagFrom`, `blockFrom`: minor units by currency, this amount included. */
export const HighValue = Schema.Struct({
  ...registered,
  ...scored,
  flagFrom: Schema.optionalKey(Limits),
  blockFrom: Schema.optionalKey(Limits),
  otherCurrencies: Schema.optionalKey(Unjudged)
}).check(
  Schema.makeFilter(({ blockFrom = {}, flagFrom = {} }) => {
    const contrary = Object.entries(flagFrom).find(([code, from]) => (blockFrom[code] ?? Infinity) <= from)
    return contrary === undefined
      ? undefined
      : { path: ["flagFrom", contrary[0]], issue: `must be below blockFrom (${blockFrom[contrary[0]]}): nothing would be flagged` }
  })
)
export type HighValue = typeof HighValue.Type

/** Judges an amount. */
export const judge = (settings: HighValue, { currency, minor }: Money): FraudVerdict => {
  const blockFrom = limitIn(settings.blockFrom ?? Presets.builtinHooks.highValueBlockFrom.value, currency)
  const flagFrom = limitIn(settings.flagFrom ?? Presets.builtinHooks.highValueFlagFrom.value, currency)
  if (blockFrom === undefined && flagFrom === undefined) {
    return verdict(settings.otherCurrencies ?? Presets.builtinHooks.highValueOtherCurrencies.value, settings, {
      code: "currency_without_limit",
      message: `no limit is set for ${currency}`
    })
  }
  const reached = (from: bigint) => ({ code: "high_value", message: `the amount is at least ${from} (minor units, ${currency})` })
  if (blockFrom !== undefined && minor >= blockFrom) return verdict("block", settings, reached(blockFrom))
  return flagFrom !== undefined && minor >= flagFrom ? verdict("flag", settings, reached(flagFrom)) : allowed
}

const limitIn = (limits: Readonly<Record<string, number>>, currency: CurrencyCode): bigint | undefined => {
  const limit = Object.hasOwn(limits, currency) ? limits[currency] : undefined
  return limit === undefined ? undefined : BigInt(limit)
}
