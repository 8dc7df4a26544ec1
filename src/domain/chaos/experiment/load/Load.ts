/**
 * What callers ask of the engine during an experiment: how many payments, how they arrive, and what is done with them.
 */
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../Currency.ts"
import * as Presets from "../../../Presets.ts"
import { between, integer, share } from "../Fields.ts"

/** What callers do. A weight of 0 leaves it out. */
const weight = Schema.optionalKey(between(0, 1_000_000))

/**
 * How often callers do what, by weight.
 *
 * - `charge`: authorized and captured at once. `authorizeAndCapture`: captured a little later.
 * - `refund`: charged, and given back as a whole. `cancel`: authorized, and cancelled.
 * - `duplicate`: the same request with the same key twice, the second while the first may still be under way.
 */
const Mix = Schema.Struct({ charge: weight, authorizeAndCapture: weight, refund: weight, duplicate: weight, cancel: weight }).check(
  Schema.makeFilter((mix) => Object.values(mix).some((value) => value > 0) || "needs a weight above 0")
)

const amount = integer(1, Number.MAX_SAFE_INTEGER)

/** Amounts in minor units, any of the range as likely as any other. */
const CurrencyLoad = Schema.Struct({
  currency: CurrencyCode,
  weight: Schema.optionalKey(between(0.001, 1_000_000)),
  minAmount: amount,
  maxAmount: amount
}).check(
  Schema.makeFilter(({ maxAmount, minAmount }) =>
    minAmount <= maxAmount ? undefined : { path: ["minAmount"], issue: "must not be above maxAmount" }
  )
)

/**
 * The load. What is left out takes its preset.
 *
 * - `arrival`: `poisson`: independent customers. `uniform`: at equal distances. `bursts`: `burstSize` at once, with the same mean rate.
 * - `declinedShare`: so many payments are refused by the customer's bank, whichever gateway asks.
 * - `followUpMillis`: from an answer to the capture, refund or cancel.
 */
export const Load = Schema.Struct({
  ratePerSecond: Schema.optionalKey(between(0.01, 1_000)),
  arrival: Schema.optionalKey(
    Schema.Literals(["poisson", "uniform", "bursts"]).annotate({ message: "expected poisson, uniform or bursts" })
  ),
  burstSize: Schema.optionalKey(integer(1, 10_000)),
  mix: Schema.optionalKey(Mix),
  declinedShare: Schema.optionalKey(share),
  currencies: Schema.optionalKey(
    Schema.Array(CurrencyLoad).check(
      Schema.isMinLength(1, { message: "needs 1 to 20 entries" }),
      Schema.isMaxLength(20, { message: "needs 1 to 20 entries" })
    )
  ),
  followUpMillis: Schema.optionalKey(integer(0, 600_000))
})
export type Load = typeof Load.Type

/** The kinds of what callers do. */
export const kinds = ["charge", "authorizeAndCapture", "refund", "duplicate", "cancel"] as const
export type Kind = (typeof kinds)[number]

/** A load with nothing left out. */
export interface CompleteLoad {
  readonly ratePerSecond: number
  readonly arrival: "poisson" | "uniform" | "bursts"
  readonly burstSize: number
  readonly mix: Readonly<Record<Kind, number>>
  readonly declinedShare: number
  readonly currencies: ReadonlyArray<{
    readonly currency: CurrencyCode
    readonly weight: number
    readonly minAmount: number
    readonly maxAmount: number
  }>
  readonly followUpMillis: number
}

const noMix: Readonly<Record<Kind, number>> = { charge: 0, authorizeAndCapture: 0, refund: 0, duplicate: 0, cancel: 0 }
const presets = Presets.experiment

/** Fills in the presets. */
export const complete = (load: Load = {}): CompleteLoad => ({
  ratePerSecond: load.ratePerSecond ?? presets.ratePerSecond.value,
  arrival: load.arrival ?? presets.arrival.value,
  burstSize: load.burstSize ?? presets.burstSize.value,
  mix: load.mix === undefined ? presets.mix.value : { ...noMix, ...load.mix },
  declinedShare: load.declinedShare ?? presets.declinedShare.value,
  currencies: (load.currencies ?? presets.currencies.value.map((one) => ({ ...one, currency: CurrencyCode.make(one.currency) }))).map(
    (one) => ({ weight: 1, ...one })
  ),
  followUpMillis: load.followUpMillis ?? presets.followUpMillis.value
})
