import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { CircuitBreakers, Currency, FxRates, Money, Quote, Rate, Rates } from "../../src/index.ts"
import { GatewayHttpClient, HttpRateSource } from "../../src/public/http.ts"
import { RateCache } from "../../src/public/memory.ts"

const eur = Currency.CurrencyCode.make("EUR")
const usd = Currency.CurrencyCode.make("USD")

/** What is charged where no source has answered for two hours: on the safe side for the shop. */
const careful = { rate: Result.getOrThrow(Rate.parse({ from: eur, to: usd }, "1.25")), since: Date.UTC(2026, 10, 1) }

/** Rates of one or more addresses, asked in this order. */
export const rates = (urls: ReadonlyArray<string>) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const sources = yield* Effect.forEach(urls, (url, index) => HttpRateSource.make({ name: `rates-${index}`, url, allowLoopback: true }))
      return Rates.layer({ sources, conservative: [careful] }).pipe(
        Layer.provide(RateCache.layer),
        Layer.provide(CircuitBreakers.layer({ byName: Rates.breakers(sources.map(({ name }) => name)) }))
      )
    })
  ).pipe(Layer.provide(GatewayHttpClient.layer({ connectLimitMillis: 1_000 })))

/** A price in euro for a customer who pays in dollars, and what to keep of it with the payment. */
export const price = Effect.gen(function* () {
  const fx = yield* FxRates.FxRates
  const shown = { currency: eur, minor: 4990n }
  const { money, quote } = yield* fx.convert(shown, usd)
  return { charged: Money.format(money), tier: quote.tier, metadata: Quote.toMetadata(quote, shown) }
})
