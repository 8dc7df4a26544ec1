/**
 * What an experiment found, as data: all that its reports show.
 *
 * The same experiment with the same seed gives the same result on virtual time, byte for byte, but for `timestamps`.
 */
import * as Schema from "effect/Schema"
import { BreakerName } from "../../resilience/BreakerName.ts"
import { Gateway, Name, Seed, sentences } from "./Fields.ts"
import { ByGateway, Count, Counts, Latency, maxSlices, Millis, Rate, Slice } from "./Measures.ts"

/** The version of this shape; it grows when a field changes its meaning or goes. */
export const resultVersion = 1

/**
 * What was run. `definitionHash`: a digest of the whole definition with its defaults, so that two results can be told to be of the same
 * experiment. `mode`: `virtual`: the engine in this process, on virtual time. `server`: a running server, over HTTP.
 */
const Identity = Schema.Struct({
  name: Name,
  description: sentences(1_000),
  seed: Seed,
  mode: Schema.Literals(["virtual", "server"]),
  durationMillis: Millis,
  definitionHash: Schema.String.check(Schema.isPattern(/^[0-9a-f]{16,64}$/u)),
  gateways: Schema.Array(Gateway).check(Schema.isMaxLength(64)),
  /** The load and the faults in words, one line each. */
  summary: Schema.Array(sentences(300)).check(Schema.isMaxLength(50))
})

/** The time of day, which differs from run to run. `runMillis`: how long the run took. */
const Timestamps = Schema.Struct({
  startedAt: Schema.String.check(Schema.isMaxLength(40)),
  finishedAt: Schema.String.check(Schema.isMaxLength(40)),
  runMillis: Count
})

/** Why an experiment did not pass. `not_settled`: of some payments nobody knew the end when the experiment was over. */
export const Reason = Schema.Struct({
  code: Schema.Literals(["criterion", "invariant", "steady_state_before", "steady_state_after", "aborted", "not_settled"]),
  message: sentences(500)
})
export type Reason = typeof Reason.Type

/** `aborted`: the abort condition came true, or somebody stopped it; that is a failure too. */
export const Verdict = Schema.Struct({
  outcome: Schema.Literals(["passed", "failed", "aborted"]),
  reasons: Schema.Array(Reason).check(Schema.isMaxLength(200))
})
export type Verdict = typeof Verdict.Type

/** A criterion and how it came out. `measured`: `null` where there was nothing to measure, which does not meet it. */
export const CriterionResult = Schema.Struct({
  name: Schema.String.check(Schema.isMaxLength(64)),
  /** `at_least`: the figure must not be below the limit. */
  bound: Schema.Literals(["at_least", "at_most"]),
  unit: Schema.Literals(["share", "count", "ms"]),
  limit: Schema.Finite,
  measured: Schema.NullOr(Schema.Finite),
  met: Schema.Boolean
})
export type CriterionResult = typeof CriterionResult.Type

/** What has to hold, whatever happens. `not_checked`: it could not be looked at; the detail says why. */
export const InvariantResult = Schema.Struct({
  name: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100)),
  status: Schema.Literals(["held", "broken", "not_checked"]),
  detail: sentences(2_000)
})
export type InvariantResult = typeof InvariantResult.Type

/** How charges went in a window of time. `finalSuccessRate` counts what recovery found out later as well. */
export const Figures = Schema.Struct({
  charges: Count,
  succeeded: Count,
  declined: Count,
  failed: Count,
  inDoubt: Count,
  successRate: Rate,
  finalSuccessRate: Rate,
  latency: Latency
})
export type Figures = typeof Figures.Type

/** The look at the system before the faults and after them. */
export const SteadyState = Schema.Struct({
  fromMillis: Millis,
  toMillis: Millis,
  figures: Figures,
  criteria: Schema.Array(CriterionResult).check(Schema.isMaxLength(20)),
  held: Schema.Boolean
})
export type SteadyState = typeof SteadyState.Type

/**
 * All that was counted over the whole experiment.
 *
 * - `requests`: everything the callers sent: charges, duplicates, captures, cancels and refunds.
 * - `recovered`: charges in doubt at first that turned out to have succeeded.
 * - `gatewayCalls`, `failovers`: `null` where they cannot be seen.
 * - `unsettled`: charges of which nobody knew the end when the experiment was over.
 */
const Totals = Schema.Struct({
  requests: Count,
  charges: Count,
  duplicates: Count,
  captures: Count,
  cancels: Count,
  refunds: Count,
  /** Follow-ups that were refused or failed. */
  followUpsFailed: Count,
  recovered: Count,
  unsettled: Count,
  gatewayCalls: Schema.NullOr(Count),
  failovers: Schema.NullOr(Count),
  injections: Count,
  breakerOpens: Count
})

/** A gateway's part. `latency`: of calls to it. */
export const GatewayFigures = Schema.Struct({
  gateway: Gateway,
  firstChoices: Count,
  calls: Schema.NullOr(Count),
  errors: Counts,
  injections: Counts,
  breakerOpens: Count,
  latency: Latency
})
export type GatewayFigures = typeof GatewayFigures.Type

/** A time in which a breaker was in one state; the bands of a breaker touch each other. */
export const BreakerBand = Schema.Struct({
  gateway: Gateway,
  breaker: BreakerName,
  state: Schema.Literals(["closed", "open", "half-open"]),
  fromMillis: Millis,
  toMillis: Millis
})
export type BreakerBand = typeof BreakerBand.Type

/** A time in which faults were injected: one injection of the plan. `gateway`: `null` where it strikes elsewhere or everywhere. */
export const InjectionBand = Schema.Struct({
  label: sentences(200),
  kind: Schema.String.check(Schema.isMaxLength(64)),
  gateway: Schema.NullOr(Gateway),
  fromMillis: Millis,
  toMillis: Millis
})
export type InjectionBand = typeof InjectionBand.Type

/** A part of the experiment. */
export const Phase = Schema.Struct({
  name: Schema.Literals(["steady_before", "faults", "recovering", "steady_after", "settling"]),
  fromMillis: Millis,
  toMillis: Millis
})
export type Phase = typeof Phase.Type

/** Over time. `slices` are of equal length, without a gap; counts in a slice are by the time it began. */
const Series = Schema.Struct({
  sliceMillis: Millis,
  slices: Schema.Array(Slice).check(Schema.isMaxLength(maxSlices)),
  /** At most 2,000; where there were more, `breakersCut` is true and the rest is left out. */
  breakers: Schema.Array(BreakerBand).check(Schema.isMaxLength(2_000)),
  breakersCut: Schema.Boolean,
  injections: Schema.Array(InjectionBand).check(Schema.isMaxLength(500)),
  phases: Schema.Array(Phase).check(Schema.isMaxLength(10))
})

/** The result. */
export const ExperimentResult = Schema.Struct({
  version: Schema.Literal(resultVersion),
  experiment: Identity,
  timestamps: Timestamps,
  verdict: Verdict,
  criteria: Schema.Array(CriterionResult).check(Schema.isMaxLength(20)),
  invariants: Schema.Array(InvariantResult).check(Schema.isMaxLength(100)),
  /** Of the charges asked for while the faults were on: what the criteria are about. */
  figures: Figures,
  totals: Totals,
  /** Charges not answered with success or a decline by the bank, by kind. */
  errors: Counts,
  /** Calls to gateways that went wrong, by kind. */
  gatewayErrors: Counts,
  injections: Counts,
  firstChoices: ByGateway,
  gateways: Schema.Array(GatewayFigures).check(Schema.isMaxLength(64)),
  steadyState: Schema.Struct({ before: Schema.NullOr(SteadyState), after: Schema.NullOr(SteadyState) }),
  series: Series
}).annotate({ identifier: "ExperimentResult", title: "Result of a chaos experiment" })
export type ExperimentResult = typeof ExperimentResult.Type
