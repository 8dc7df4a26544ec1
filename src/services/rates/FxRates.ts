/**
 * Exchange rates for whoever shows or charges an amount in another currency.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Money from "../../domain/Money.ts"
import type { Rounding } from "../../domain/rates/Conversion.ts"
import type { Quote } from "../../domain/rates/Quote.ts"
import type { Pair } from "../../domain/rates/Rate.ts"

/** There is no rate for a pair: no source answered with it, none that was kept is young enough, and none is configured. */
export class RateUnavailable extends Schema.TaggedError<RateUnavailable>()("RateUnavailable", {
  from: Schema.String,
  to: Schema.String,
  /** What each source said, in the order in which they were asked. */
  problems: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const said = this.problems.length === 0 ? "no source is configured" : this.problems.join("; ")
    return `there is no exchange rate from ${this.from} to ${this.to} (${said}); a conservative rate can be configured for it`
  }
}

/** An amount in another currency, and by which quote. */
export interface Converted {
  readonly money: Money.Money
  readonly quote: Quote
}

/**
 * Rates.
 *
 * - `quote`: the best rate there is now. Takes as long as its sources need where none is kept, within the limit `rates.waitMillis`; then a
 *   kept or configured one answers and the sources go on for those who come after. Any number of callers at once ask a source once.
 * - `convert`: an amount by such a quote, rounded as asked (default `half_up`).
 *
 * - `refresh`: the same past what is kept: the sources are asked, and what they say is kept from now on. What was kept stays for emergencies
 *   until then.
 *
 * None of them moves money or writes anything but the cache, so all may be repeated.
 */
export class FxRates extends Context.Service<
  FxRates,
  {
    readonly quote: (pair: Pair) => Effect.Effect<Quote, RateUnavailable>
    readonly refresh: (pair: Pair) => Effect.Effect<Quote, RateUnavailable>
    readonly convert: (
      money: Money.Money,
      to: Money.Money["currency"],
      rounding?: Rounding
    ) => Effect.Effect<Converted, RateUnavailable | Money.AmountOutOfRange>
  }
>()("aegispay/services/rates/FxRates") {}
