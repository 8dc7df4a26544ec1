/**
 * What one answer of a source holds: rates from one currency into many. Any two of them have a rate.
 */
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode, isKnown } from "../Currency.ts"
import { EpochMillis } from "../operation/Outcome.ts"
import * as Rate from "./Rate.ts"

/** 1 to 32 characters of `a-z 0-9 - _`, beginning with a letter or digit: part of a breaker's name and a label of metrics, from the configuration. */
export const SourceName = Schema.String.check(Schema.isPattern(/^[a-z0-9][a-z0-9_-]{0,31}$/)).pipe(Schema.brand("SourceName"))
export type SourceName = typeof SourceName.Type

/** `asOf`: epoch milliseconds of which the source says that its rates are, where it says so. */
export const RateTable = Schema.Struct({ base: CurrencyCode, rates: Schema.Array(Rate.Rate), asOf: Schema.optionalKey(EpochMillis) })
export type RateTable = typeof RateTable.Type

/** A table as it was fetched, in epoch milliseconds by the clock of who fetched it. */
export const FetchedRates = Schema.Struct({ source: SourceName, fetchedAt: EpochMillis, table: RateTable })
export type FetchedRates = typeof FetchedRates.Type

/**
 * The table of a base and the decimals that a source wrote beside the currencies' codes. Currencies that are not in our list are left out, and
 * so is a rate that is none: a zero beside one currency says nothing about the others.
 */
export const make = (options: {
  readonly base: CurrencyCode
  readonly decimals: Readonly<Record<string, string>>
  readonly asOf?: number | undefined
}): RateTable => {
  const { asOf, base, decimals } = options
  const rates = Object.entries(decimals).flatMap(([to, text]) =>
    isKnown(to) && to !== base ? Option.toArray(Result.getSuccess(Rate.parse({ from: base, to }, text))) : []
  )
  return { base, rates, ...(asOf === undefined ? {} : { asOf }) }
}

/** The rate of two currencies: as it stands there, its inverse, or over the base. `undefined`: the table does not have both. */
export const rateOf = (table: RateTable, { from, to }: Rate.Pair): Rate.Rate | undefined => {
  const intoBase = from === table.base ? Rate.identity(from) : inverseOf(find(table, from))
  const outOfBase = to === table.base ? Rate.identity(to) : find(table, to)
  return intoBase === undefined || outOfBase === undefined ? undefined : Rate.chain(intoBase, outOfBase)
}

const find = ({ rates }: RateTable, currency: CurrencyCode): Rate.Rate | undefined => rates.find(({ to }) => to === currency)
const inverseOf = (rate: Rate.Rate | undefined): Rate.Rate | undefined => (rate === undefined ? undefined : Rate.inverse(rate))
