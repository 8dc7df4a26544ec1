/**
 * What an experiment has to reach in order to pass, and how it is judged.
 *
 * Rates and latencies are those of the charges that were asked for while the faults were on; breaker openings and injections are
 * counted over the whole experiment.
 */
import * as Schema from "effect/Schema"
import type { CriterionResult, Figures } from "./ExperimentResult.ts"
import { integer, share } from "./Fields.ts"

const millis = Schema.optionalKey(integer(0, 3_600_000))
const rate = Schema.optionalKey(share)

/** Of charges: how many succeed, and how fast they are answered. */
const ofCharges = {
  /** Answered with success at once. */
  minSuccessRate: rate,
  /** The same, with what recovery found out later. */
  minFinalSuccessRate: rate,
  maxAverageLatencyMillis: millis,
  maxP95LatencyMillis: millis,
  maxP99LatencyMillis: millis
}

/** Criteria of the steady state. */
export const SteadyCriteria = Schema.Struct(ofCharges)
export type SteadyCriteria = typeof SteadyCriteria.Type

const count = Schema.optionalKey(integer(0, 1_000_000))

/**
 * Criteria; none is asked for that is left out.
 *
 * `minBreakerOpens`, `minInjections`: an experiment in which nothing went wrong shows nothing.
 */
export const Criteria = Schema.Struct({ ...ofCharges, maxBreakerOpens: count, minBreakerOpens: count, minInjections: count })
export type Criteria = typeof Criteria.Type

/** What was measured. */
export interface Measured {
  readonly figures: Figures
  readonly breakerOpens: number
  readonly injections: number
}

type Name = keyof Criteria

/** In the order of reports. */
const bounds: {
  readonly [Key in Name]-?: Pick<CriterionResult, "bound" | "unit"> & { readonly of: (measured: Measured) => number | null }
} = {
  minSuccessRate: { bound: "at_least", unit: "share", of: ({ figures }) => figures.successRate },
  minFinalSuccessRate: { bound: "at_least", unit: "share", of: ({ figures }) => figures.finalSuccessRate },
  maxAverageLatencyMillis: { bound: "at_most", unit: "ms", of: ({ figures }) => figures.latency.average },
  maxP95LatencyMillis: { bound: "at_most", unit: "ms", of: ({ figures }) => figures.latency.p95 },
  maxP99LatencyMillis: { bound: "at_most", unit: "ms", of: ({ figures }) => figures.latency.p99 },
  maxBreakerOpens: { bound: "at_most", unit: "count", of: ({ breakerOpens }) => breakerOpens },
  minBreakerOpens: { bound: "at_least", unit: "count", of: ({ breakerOpens }) => breakerOpens },
  minInjections: { bound: "at_least", unit: "count", of: ({ injections }) => injections }
}

/** Every criterion that is asked for, and whether it is met. What could not be measured is not. */
export const judge = (criteria: Criteria, measured: Measured): ReadonlyArray<CriterionResult> =>
  (Object.keys(bounds) as ReadonlyArray<Name>).flatMap((name) => {
    const limit = criteria[name]
    if (limit === undefined) return []
    const { bound, of, unit } = bounds[name]
    const value = of(measured)
    const met = value !== null && (bound === "at_least" ? value >= limit : value <= limit)
    return [{ name, bound, unit, limit, measured: value, met }]
  })
