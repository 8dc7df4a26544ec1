/**
 * Quotes: a rate, where it came from, how old it is, and how good that is.
 *
 *     primary       fetched now, or kept: asked for in the last 5 min and fetched in the last 15 min
 *     emergency     no source answered: the youngest one that was fetched, at most 2 h ago
 *     conservative  none of these: what the operator has configured for it
 *
 * A kept rate slides: each use keeps it for another 5 min. Without a limit a pair that is asked for all the time would never be fetched again,
 * so its age has one too.
 *
 * Everything here is a function of what is known and the time; times are epoch milliseconds.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Money from "../Money.ts"
import { EpochMillis } from "../operation/Outcome.ts"
import * as Rate from "./Rate.ts"
import { type FetchedRates, rateOf, SourceName } from "./RateTable.ts"

/** How good a quote is, best first. `same_currency`: nothing is exchanged. */
export const Tier = Schema.Literals(["same_currency", "primary", "emergency", "conservative"])
export type Tier = typeof Tier.Type

/**
 * A rate as it was given. `fetchedAt`: when it was asked of its source, or since when it is configured; `asOf`: of when the source says it is;
 * `ageMillis`: since `fetchedAt`, when the quote was given.
 */
export const Quote = Schema.Struct({
  rate: Rate.Rate,
  tier: Tier,
  source: SourceName,
  fetchedAt: EpochMillis,
  ageMillis: Schema.Int.check(Schema.isGreaterThanOrEqualTo(0)),
  asOf: Schema.optionalKey(EpochMillis)
})
export type Quote = typeof Quote.Type

/** Until which age rates are given as what, in milliseconds. */
export interface AgeLimits {
  /** A kept rate is fetched again when it has this age, however often it is asked for. */
  readonly primaryMillis: number
  /** No fetched rate is given when it is older. */
  readonly emergencyMillis: number
}

/** What a cache has. `warm`: it was asked for lately. */
export interface Known {
  readonly rates: FetchedRates
  readonly warm: boolean
}

/** A rate that the operator stands in for. Of one direction: the inverse of a cautious rate is an incautious one. */
export interface ConservativeRate {
  readonly rate: Rate.Rate
  /** Since when it is what it is. */
  readonly since: number
}

/** Where quotes of configured rates, and of nothing, come from. */
const configuration = SourceName.make("configuration")

/** A clock that was set back makes nothing younger than new. */
const ageOf = (fetchedAt: number, now: number): number => Math.max(0, now - fetchedAt)

/** May this be given without asking the source? */
export const isPrimary = ({ rates, warm }: Known, now: number, limits: AgeLimits): boolean =>
  warm && ageOf(rates.fetchedAt, now) < limits.primaryMillis

/** A quote of fetched rates; `undefined`: the pair is not among them. */
export const ofFetched = (rates: FetchedRates, pair: Rate.Pair, at: { readonly tier: Tier; readonly now: number }): Quote | undefined => {
  const rate = rateOf(rates.table, pair)
  if (rate === undefined) return undefined
  const { fetchedAt, source, table } = rates
  return {
    rate,
    tier: at.tier,
    source,
    fetchedAt,
    ageMillis: ageOf(fetchedAt, at.now),
    ...(table.asOf === undefined ? {} : { asOf: table.asOf })
  }
}

/** The youngest quote that may still be given in an emergency; `undefined`: there is none. */
export const emergency = (known: ReadonlyArray<Known>, pair: Rate.Pair, now: number, limits: AgeLimits): Quote | undefined =>
  known
    .flatMap(({ rates }) => ofFetched(rates, pair, { tier: "emergency", now }) ?? [])
    .filter(({ ageMillis }) => ageMillis <= limits.emergencyMillis)
    .sort((one, other) => one.ageMillis - other.ageMillis)[0]

/** The configured rate of exactly this pair. */
export const conservative = (configured: ReadonlyArray<ConservativeRate>, { from, to }: Rate.Pair, now: number): Quote | undefined => {
  const found = configured.find(({ rate }) => rate.from === from && rate.to === to)
  if (found === undefined) return undefined
  const { rate, since } = found
  return { rate, tier: "conservative", source: configuration, fetchedAt: since, ageMillis: ageOf(since, now) }
}

/** One currency in itself. */
export const sameCurrency = ({ from }: Rate.Pair, now: number): Quote => ({
  rate: Rate.identity(from),
  tier: "same_currency",
  source: configuration,
  fetchedAt: now,
  ageMillis: 0
})

const iso = (millis: number): string => Option.match(DateTime.make(millis), { onNone: () => "", onSome: DateTime.formatIso })

/** Long digits are grouped: a row of 13 to 19 may pass for the number of a card, which nothing of a payment may hold. */
const grouped = (part: bigint): string => part.toString().replaceAll(/\B(?=(?:\d{9})+$)/g, "_")
const ungrouped = (text: string): string => text.replaceAll("_", "")

/**
 * A quote, and the amount that was exchanged by it, as metadata of a payment: whoever charges in another currency than its prices are in
 * records so what the customer was told, in the payment's first event.
 */
export const toMetadata = (quote: Quote, exchanged: Money.Money): Readonly<Record<string, string>> => ({
  fx_amount: `${grouped(exchanged.minor)} ${exchanged.currency}`,
  fx_pair: `${quote.rate.from}/${quote.rate.to}`,
  fx_rate: `${grouped(quote.rate.numerator)}/${grouped(quote.rate.denominator)}`,
  fx_tier: quote.tier,
  fx_source: quote.source,
  fx_fetched_at: iso(quote.fetchedAt),
  fx_quoted_at: iso(quote.fetchedAt + quote.ageMillis),
  ...(quote.asOf === undefined ? {} : { fx_as_of: iso(quote.asOf) })
})

const decodeQuote = Schema.decodeUnknownResult(Quote)
const decodeMoney = Schema.decodeUnknownResult(Money.Money)

const millisOf = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Option.getOrUndefined(Option.map(DateTime.make(text), DateTime.toEpochMillis))

/** What `toMetadata` wrote; `undefined` where there is no quote, or what is there is none. */
export const fromMetadata = (
  metadata: Readonly<Record<string, string>>
): { readonly quote: Quote; readonly exchanged: Money.Money } | undefined => {
  const [from, to] = (metadata["fx_pair"] ?? "").split("/")
  const [numerator, denominator] = ungrouped(metadata["fx_rate"] ?? "").split("/")
  const [minor, currency] = ungrouped(metadata["fx_amount"] ?? "").split(" ")
  const fetchedAt = millisOf(metadata["fx_fetched_at"])
  const quotedAt = millisOf(metadata["fx_quoted_at"])
  const asOf = millisOf(metadata["fx_as_of"])
  const quote = decodeQuote({
    rate: { from, to, numerator, denominator },
    tier: metadata["fx_tier"],
    source: metadata["fx_source"],
    fetchedAt,
    ageMillis: (quotedAt ?? Number.NaN) - (fetchedAt ?? Number.NaN),
    ...(asOf === undefined ? {} : { asOf })
  })
  const exchanged = decodeMoney({ currency, minor })
  return Result.isSuccess(quote) && Result.isSuccess(exchanged) ? { quote: quote.success, exchanged: exchanged.success } : undefined
}
