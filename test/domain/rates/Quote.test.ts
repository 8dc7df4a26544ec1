/**
 * Which rate is given, by its age and use; and quotes in a payment's metadata.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { Metadata } from "../../../src/domain/payment/Event.ts"
import * as Quote from "../../../src/domain/rates/Quote.ts"
import * as Rate from "../../../src/domain/rates/Rate.ts"
import * as RateTable from "../../../src/domain/rates/RateTable.ts"

const [eur, usd, jpy] = ["EUR", "USD", "JPY"].map((code) => CurrencyCode.make(code)) as [CurrencyCode, CurrencyCode, CurrencyCode]
const pair = { from: eur, to: usd }
const limits: Quote.AgeLimits = { primaryMillis: 900_000, emergencyMillis: 7_200_000 }
const now = 1_763_712_000_000
const minute = 60_000
const named = (source: string) => RateTable.SourceName.make(source)

const fetched = (source: string, minutesAgo: number, rate = "1.0847"): RateTable.FetchedRates => ({
  source: named(source),
  fetchedAt: now - minutesAgo * minute,
  table: RateTable.make({ base: eur, decimals: { USD: rate } })
})
const known = (source: string, minutesAgo: number, warm = false): Quote.Known => ({ rates: fetched(source, minutesAgo), warm })

describe("what is kept", () => {
  it("is given without asking while it is warm and younger than its limit", () => {
    assert.isTrue(Quote.isPrimary(known("a", 14.99, true), now, limits))
    assert.isFalse(Quote.isPrimary(known("a", 15, true), now, limits))
    assert.isFalse(Quote.isPrimary(known("a", 1, false), now, limits))
  })

  it("is given in an emergency until it is 2 h old, the youngest first", () => {
    const quote = Quote.emergency([known("a", 100), known("b", 30), known("c", 130)], pair, now, limits)
    assert.deepInclude(quote, { tier: "emergency", source: named("b"), ageMillis: 30 * minute })
    assert.strictEqual(Quote.emergency([known("a", 120)], pair, now, limits)?.ageMillis, 7_200_000)
    assert.isUndefined(Quote.emergency([known("a", 120.001)], pair, now, limits))
    assert.isUndefined(Quote.emergency([known("a", 1)], { from: eur, to: jpy }, now, limits))
  })

  it("is never younger than new, though a clock was set back", () =>
    assert.strictEqual(Quote.emergency([known("a", -5)], pair, now, limits)?.ageMillis, 0))
})

describe("a configured rate", () => {
  const rate = Result.getOrThrow(Rate.parse(pair, "1.02"))
  it("says since when it is what it is, and is of its own direction alone", () => {
    const configured = [{ rate, since: now - 3 * minute }]
    assert.deepInclude(Quote.conservative(configured, pair, now), { rate, tier: "conservative", ageMillis: 3 * minute })
    assert.isUndefined(Quote.conservative(configured, { from: usd, to: eur }, now))
  })
})

describe("a quote in metadata", () => {
  const exchanged = { currency: eur, minor: 123_456_789_012_345n }
  const long = fetched("ecb", 3, "1.234567890123456789012345678901")
  const quotes = [
    Quote.ofFetched(fetched("ecb", 3), pair, { tier: "primary", now })!,
    Quote.ofFetched({ ...long, table: { ...long.table, asOf: now - 86_400_000 } }, { from: usd, to: eur }, { tier: "emergency", now })!
  ]
  for (const quote of quotes) {
    it(`is read as it was written, and is metadata of a payment (${quote.tier})`, () => {
      const metadata = Quote.toMetadata(quote, exchanged)
      assert.deepStrictEqual(Quote.fromMetadata(metadata), { quote, exchanged })
      assert.deepStrictEqual(Schema.decodeUnknownSync(Metadata)(metadata), metadata)
    })
  }

  it("that is none is none", () => {
    const metadata = Quote.toMetadata(quotes[0]!, exchanged)
    assert.isUndefined(Quote.fromMetadata({}))
    for (const change of [
      { fx_rate: "1.2" },
      { fx_pair: "EUR" },
      { fx_amount: "12.5 EUR" },
      { fx_tier: "best" },
      { fx_quoted_at: "today" }
    ]) {
      assert.isUndefined(Quote.fromMetadata({ ...metadata, ...change }), JSON.stringify(change))
    }
  })
})
