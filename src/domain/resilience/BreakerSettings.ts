/**
 * How a circuit breaker judges. Every figure has a range; the named settings are those of the presets.
 */
import * as Schema from "effect/Schema"
import * as Presets from "../Presets.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const share = Schema.Finite.check(Schema.isBetween({ minimum: 0.000_001, maximum: 1 }))
const count = integer(1, 1_000_000_000)
const day = 86_400_000

/** A figure that is never reached turns a criterion off: `failureThreshold: 1_000_000_000`. All times in milliseconds. */
export const BreakerSettings = Schema.Struct({
  /** This many failures in a row open the breaker. */
  failureThreshold: count,
  /** So does this share of failures in the window, judged at each failure from `minimumCalls` calls on. */
  failureRateThreshold: share,
  /** Length of the rolling window. */
  windowMillis: integer(10, day),
  minimumCalls: count,
  /** Half-open, this many quick answers close the breaker; as many slow ones open it again. */
  successThreshold: integer(1, 1_000_000),
  /** How long an open breaker refuses before it is half-open. */
  openTimeoutMillis: integer(1, day),
  /** Each time it opens again without having closed, the open time grows by this factor, up to the cap. 1: it does not grow. */
  openTimeoutFactor: Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
  openTimeoutCapMillis: integer(1, day),
  /** Half-open and without any answer for this long, permits that are out are given back. */
  halfOpenTimeoutMillis: integer(1, day),
  /** Half-open, at most this many calls are under way. */
  halfOpenMaxAttempts: integer(1, 1_000_000),
  /** A call that takes at least this long is slow, whatever it answers. */
  slowCallMillis: integer(1, day),
  /** This share of slow calls in the window opens the breaker, judged at each slow call from `slowCallMinimumCalls` calls on. */
  slowCallRateThreshold: share,
  slowCallMinimumCalls: count,
  /** Does the tolerated failure rate follow the long-run rate? See `BreakerWindow.toleratedFailureRate`. */
  adaptive: Schema.Boolean,
  adaptiveFloor: share,
  adaptiveCeiling: share,
  adaptiveHalfLifeMillis: integer(1_000, 365 * day),
  adaptiveMinimumCalls: count,
  /** Routing counts a gateway as healthy from this score on. */
  minHealthScore: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))
})
export type BreakerSettings = typeof BreakerSettings.Type

/** The values of presets. */
const valuesOf = <A>(presets: { readonly [Key in keyof A]: Presets.Preset<A[Key]> }): A =>
  Object.fromEntries(Object.entries<Presets.Preset<unknown>>(presets).map(([name, { value }]) => [name, value])) as A

/** Gateways, per kind of operation. */
export const gatewayDefault: BreakerSettings = valuesOf<BreakerSettings>(Presets.breaker)

/** A payment provider that is not routed around: gives up sooner, tries again sooner. */
export const paymentProvider: BreakerSettings = { ...gatewayDefault, ...valuesOf<Partial<BreakerSettings>>(Presets.breakerPaymentProvider) }

/** A fraud check. */
export const fraudDetection: BreakerSettings = { ...gatewayDefault, ...valuesOf<Partial<BreakerSettings>>(Presets.breakerFraudDetection) }

/** A source of exchange rates. */
export const exchangeRate: BreakerSettings = { ...gatewayDefault, ...valuesOf<Partial<BreakerSettings>>(Presets.breakerExchangeRate) }
