/**
 * What an experiment measures: counts by name, latencies, and one slice of the time series.
 */
import * as Schema from "effect/Schema"
import { Gateway } from "./Fields.ts"

/** A count of things that happened. */
export const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000_000 }))

/** Milliseconds since the experiment began, or a length of time in milliseconds. */
export const Millis = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 7 * 86_400_000 }))

/** A share of a whole, from 0 to 1; `null` where there was nothing to take a share of. */
export const Rate = Schema.NullOr(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })))

/** The most names that are counted apart; further ones are counted as `other`. */
export const maxNames = 64

/** A name things are counted under: the kind of an error, of an injection. */
const CountedName = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(64))

/** How many of each kind. */
export const Counts = Schema.Record(CountedName, Count).check(Schema.isMaxProperties(maxNames + 1))
export type Counts = typeof Counts.Type

/** How many at each gateway. */
export const ByGateway = Schema.Record(Gateway, Count).check(Schema.isMaxProperties(64))

/** From a caller's request to its answer, in milliseconds; `null` where nothing was answered. */
export const Latency = Schema.Struct({
  average: Schema.NullOr(Millis),
  p50: Schema.NullOr(Millis),
  p95: Schema.NullOr(Millis),
  p99: Schema.NullOr(Millis),
  max: Schema.NullOr(Millis)
})
export type Latency = typeof Latency.Type

/** The most slices of a time series. */
export const maxSlices = 240

/**
 * One slice of time, by the time at which a payment was asked for.
 *
 * - `charges`: payments asked for. `succeeded`, `declined` (refused by the customer's bank), `failed` and `inDoubt` say what was answered and
 *   add up to the charges that were answered.
 * - `successRate`: succeeded / (succeeded + failed + inDoubt): what a bank refuses is not the engine's failure.
 * - `latency`: of the charges' answers.
 * - `firstChoices`: which gateway was asked first, by gateway.
 * - `errors`: of charges not answered with success or a decline by the bank, by kind.
 * - `gatewayErrors`: of calls to gateways that began in the slice, by kind; empty where calls cannot be seen.
 * - `injections`: faults that were injected in the slice, by kind.
 */
export const Slice = Schema.Struct({
  fromMillis: Millis,
  charges: Count,
  succeeded: Count,
  declined: Count,
  failed: Count,
  inDoubt: Count,
  successRate: Rate,
  latency: Schema.Struct({ p50: Schema.NullOr(Millis), p95: Schema.NullOr(Millis) }),
  firstChoices: ByGateway,
  errors: Counts,
  gatewayErrors: Counts,
  injections: Counts
})
export type Slice = typeof Slice.Type
