/**
 * Exchange rates as a dependency that is watched: `Dependencies.register(RatesProbe.make(rates, pair))`.
 *
 * They work where the quote of a pair is primary, and badly where it is an emergency or a configured rate; without any quote the check fails.
 * Recovery asks the sources past what is kept, each in its turn, so the first that works again takes over at once.
 *
 * Payments can be made without rates, so they are optional.
 */
import * as Effect from "effect/Effect"
import * as Presets from "../../domain/Presets.ts"
import type { Tier } from "../../domain/rates/Quote.ts"
import type { Pair } from "../../domain/rates/Rate.ts"
import type { FxRates } from "../../services/rates/FxRates.ts"
import type { HealthProbe } from "../../services/resilience/HealthProbe.ts"

/** A quote waits for its sources; its check waits a little longer. */
const timeoutMillis = Presets.rates.waitMillis.value + 1_000

const isGood = (tier: Tier): boolean => tier === "primary" || tier === "same_currency"

/** Watches the rates by this pair: one that is used. */
export const make = (rates: FxRates["Service"], pair: Pair): HealthProbe => ({
  name: "rates",
  importance: "optional",
  timeoutMillis,
  check: Effect.map(rates.quote(pair), ({ tier }) => (isGood(tier) ? "ok" : "impaired")),
  recover: Effect.filterOrFail(
    rates.refresh(pair),
    ({ tier }) => isGood(tier),
    ({ tier }) => `no source answers; the rate is ${tier}`
  )
})
