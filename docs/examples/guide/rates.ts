import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { CircuitBreakers, Currency, FxRates, Money, Rates, RateTable, type RateSource } from "../../../src/index.ts"
import { RateCache } from "../../../src/public/memory.ts"

const eur = Currency.CurrencyCode.make("EUR")
const usd = Currency.CurrencyCode.make("USD")

/** A source of the host's own: one table of rates from the euro. */
const treasury: RateSource.RateSource = {
  name: RateTable.SourceName.make("treasury"),
  answerOf: () => "all",
  fetch: () => Effect.succeed(RateTable.make({ base: eur, decimals: { USD: "1.0842", GBP: "0.8571" } }))
}

export const example = Effect.gen(function* () {
  const rates = yield* FxRates.FxRates
  const { money, quote } = yield* rates.convert({ currency: eur, minor: 4990n }, usd)
  return { price: Money.format(money), source: quote.source, tier: quote.tier }
}).pipe(Effect.provide(Rates.layer({ sources: [treasury] })), Effect.provide(Layer.merge(RateCache.layer, CircuitBreakers.layer())))
