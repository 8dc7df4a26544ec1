/**
 * What an experiment found: figures and verdict, from what was noted while it ran. Pure: the same notes give the same findings.
 */
import type { CompleteExperiment } from "./Experiment.ts"
import * as Criteria from "./Criteria.ts"
import type {
  CriterionResult,
  ExperimentResult,
  GatewayFigures,
  InvariantResult,
  Phase,
  Reason,
  SteadyState,
  Verdict
} from "./ExperimentResult.ts"
import { resultVersion } from "./ExperimentResult.ts"
import * as Figures from "./Figures.ts"
import { maxBreakerChanges, type Recorder } from "./Recorder.ts"

/** A result without the time of day. */
export type Findings = Omit<ExperimentResult, "timestamps">

/** Beside what was noted. Times in milliseconds from the start of the experiment. */
export interface Run {
  readonly experiment: CompleteExperiment
  readonly definitionHash: string
  readonly summary: ReadonlyArray<string>
  readonly mode: ExperimentResult["experiment"]["mode"]
  /** When the load ended, before its time where the experiment was aborted. */
  readonly loadEndedAt: number
  readonly endedAt: number
  /** Why it was ended early. */
  readonly aborted: Reason | undefined
  readonly invariants: ReadonlyArray<InvariantResult>
  /** `null` where they cannot be seen. */
  readonly failovers: number | null
  readonly seesCalls: boolean
}

/** Puts the result together. */
export const of = (recorder: Recorder, run: Run): Findings => {
  const { experiment } = run
  const { faultsAt, loadMillis, recoverAt, steadyAfterAt } = experiment.phases
  const gateways = experiment.gateways.map(({ name }) => name)
  const figures = Figures.figuresOf(recorder, { fromMillis: faultsAt, toMillis: recoverAt })
  const breakerOpens = [...recorder.breakerOpens.values()].reduce((total, count) => total + count, 0)
  const criteria = Criteria.judge(experiment.criteria, { figures, breakerOpens, injections: recorder.injected })
  const steadyState = {
    before: steadyOf(recorder, experiment, 0, faultsAt),
    after: run.loadEndedAt < loadMillis ? null : steadyOf(recorder, experiment, steadyAfterAt, loadMillis)
  }
  const unsettled = recorder.charges.filter(({ end }) => end === "unsettled").length
  return {
    version: resultVersion,
    experiment: {
      name: experiment.name,
      description: experiment.description,
      seed: experiment.seed,
      mode: run.mode,
      durationMillis: experiment.durationMillis,
      definitionHash: run.definitionHash,
      gateways,
      summary: run.summary
    },
    verdict: verdictOf({ ...run, criteria, steadyState, unsettled }),
    criteria,
    invariants: run.invariants,
    figures,
    totals: totalsOf(recorder, run, { breakerOpens, unsettled }),
    errors: Figures.errorsOf(recorder.charges),
    gatewayErrors: sumOf([...recorder.calls.values()].map(({ errors }) => errors)),
    injections: Figures.countsOf(recorder.injections),
    firstChoices: Figures.firstChoicesOf(recorder.charges),
    gateways: gatewaysOf(recorder, run),
    steadyState,
    series: {
      sliceMillis: recorder.sliceMillis,
      slices: Figures.slicesOf(recorder),
      breakers: Figures.breakerBandsOf(recorder, gateways, loadMillis).slice(0, maxBreakerChanges),
      breakersCut: recorder.breakers.length > maxBreakerChanges,
      injections: recorder.spells.map((spell) => ({ ...spell, gateway: spell.gateway ?? null })),
      phases: phasesOf(experiment, run)
    }
  }
}

/** How the charges of a steady state went; `null` where none is looked at. */
export const steadyOf = (
  recorder: Recorder,
  { steadyCriteria }: CompleteExperiment,
  fromMillis: number,
  toMillis: number
): SteadyState | null => {
  if (steadyCriteria === undefined || toMillis <= fromMillis) return null
  const figures = Figures.figuresOf(recorder, { fromMillis, toMillis })
  const criteria = Criteria.judge(steadyCriteria, { figures, breakerOpens: 0, injections: 0 })
  return { fromMillis, toMillis, figures, criteria, held: criteria.every(({ met }) => met) }
}

const sumOf = (counts: ReadonlyArray<ReadonlyMap<string, number>>) => {
  const sum = new Map<string, number>()
  for (const one of counts) for (const [kind, number] of one) sum.set(kind, (sum.get(kind) ?? 0) + number)
  return Figures.countsOf(sum)
}

const totalsOf = (
  recorder: Recorder,
  { failovers, seesCalls }: Run,
  { breakerOpens, unsettled }: { readonly breakerOpens: number; readonly unsettled: number }
): Findings["totals"] => {
  const { cancel, capture, duplicate, refund } = recorder.followUps
  const followUps = [cancel, capture, duplicate, refund]
  const calls = [...recorder.calls.values()].reduce((total, { latencies }) => total + latencies.length, 0)
  return {
    requests: followUps.reduce((total, { asked }) => total + asked, recorder.charges.length),
    charges: recorder.charges.length,
    duplicates: duplicate.asked,
    captures: capture.asked,
    cancels: cancel.asked,
    refunds: refund.asked,
    followUpsFailed: followUps.reduce((total, { failed }) => total + failed, 0),
    recovered: recorder.charges.filter(({ answer, end }) => answer === "in_doubt" && end === "succeeded").length,
    unsettled,
    gatewayCalls: seesCalls ? calls : null,
    failovers,
    injections: recorder.injected,
    breakerOpens
  }
}

const gatewaysOf = (recorder: Recorder, { experiment, seesCalls }: Run): ReadonlyArray<GatewayFigures> => {
  const firstChoices = Figures.firstChoicesOf(recorder.charges)
  return experiment.gateways.map(({ name }) => {
    const calls = recorder.calls.get(name)
    return {
      gateway: name,
      firstChoices: firstChoices[name] ?? 0,
      calls: seesCalls ? (calls?.latencies.length ?? 0) : null,
      errors: Figures.countsOf(calls?.errors ?? new Map()),
      injections: Figures.countsOf(calls?.injections ?? new Map()),
      breakerOpens: recorder.breakerOpens.get(name) ?? 0,
      latency: Figures.latencyOf(calls?.latencies ?? [])
    }
  })
}

const phasesOf = ({ phases }: CompleteExperiment, { endedAt, loadEndedAt }: Run): ReadonlyArray<Phase> => {
  const { faultsAt, loadMillis, recoverAt, steadyAfterAt } = phases
  const all: ReadonlyArray<Phase> = [
    { name: "steady_before", fromMillis: 0, toMillis: faultsAt },
    { name: "faults", fromMillis: faultsAt, toMillis: recoverAt },
    { name: "recovering", fromMillis: recoverAt, toMillis: steadyAfterAt },
    { name: "steady_after", fromMillis: steadyAfterAt, toMillis: loadMillis }
  ]
  const until = (phase: Phase): Phase => ({ ...phase, toMillis: Math.min(phase.toMillis, loadEndedAt) })
  return [...all.map(until), { name: "settling" as const, fromMillis: loadEndedAt, toMillis: Math.max(loadEndedAt, endedAt) }].filter(
    ({ fromMillis, toMillis }) => toMillis > fromMillis
  )
}

interface Judged extends Pick<Run, "aborted" | "invariants"> {
  readonly criteria: ReadonlyArray<CriterionResult>
  readonly steadyState: ExperimentResult["steadyState"]
  readonly unsettled: number
}

const verdictOf = ({ aborted, criteria, invariants, steadyState, unsettled }: Judged): Verdict => {
  const steady = (code: "steady_state_before" | "steady_state_after", when: string, state: SteadyState | null): ReadonlyArray<Reason> =>
    (state?.criteria ?? [])
      .filter(({ met }) => !met)
      .map((criterion) => ({ code, message: `${when} the faults: ${sentenceOf(criterion)}` }))
  const reasons: ReadonlyArray<Reason> = [
    ...(aborted === undefined ? [] : [aborted]),
    ...invariants
      .filter(({ status }) => status === "broken")
      .map(({ detail, name }) => ({ code: "invariant" as const, message: `${name}: ${detail}`.slice(0, 500) })),
    ...steady("steady_state_before", "before", steadyState.before),
    // Of an experiment that was ended early the criteria say nothing: it did not come to what they are about.
    ...(aborted === undefined
      ? criteria.filter(({ met }) => !met).map((one) => ({ code: "criterion" as const, message: sentenceOf(one) }))
      : []),
    ...steady("steady_state_after", "after", steadyState.after),
    ...(unsettled > 0 ? [{ code: "not_settled" as const, message: `nobody knows what became of ${unsettled} payments in the end` }] : [])
  ]
  return { outcome: aborted !== undefined ? "aborted" : reasons.length > 0 ? "failed" : "passed", reasons: reasons.slice(0, 200) }
}

const words: Readonly<Record<string, string>> = {
  minSuccessRate: "success rate",
  minFinalSuccessRate: "success rate in the end",
  maxAverageLatencyMillis: "average latency",
  maxP95LatencyMillis: "p95 latency",
  maxP99LatencyMillis: "p99 latency",
  maxBreakerOpens: "openings of circuit breakers",
  minBreakerOpens: "openings of circuit breakers",
  minInjections: "injected faults"
}

/** What a criterion is called. */
export const wordsOf = ({ name }: Pick<CriterionResult, "name">): string => words[name] ?? name

/** A figure with its unit. */
export const shown = ({ unit }: Pick<CriterionResult, "unit">, value: number): string =>
  unit === "share" ? `${Math.round(value * 10_000) / 100} %` : unit === "ms" ? `${value} ms` : String(value)

/** How a criterion came out, in words. */
const sentenceOf = (criterion: CriterionResult): string => {
  const { bound, limit, measured } = criterion
  const wanted = `${bound === "at_least" ? "at least" : "at most"} ${shown(criterion, limit)}`
  return `${wordsOf(criterion)}: ${measured === null ? "nothing to measure" : shown(criterion, measured)}, wanted ${wanted}`
}
