/**
 * The result of an experiment as lines for a terminal: the verdict and its reasons first, then what they were found from.
 */
import type { CriterionResult, ExperimentResult, Figures } from "../../../../domain/chaos/experiment/ExperimentResult.ts"
import { shown, wordsOf } from "../../../../domain/chaos/experiment/Findings.ts"
import type { Counts } from "../../../../domain/chaos/experiment/Measures.ts"
import { table } from "../../Output.ts"

const modes = { virtual: "virtual time", server: "running server" }

/** The lines. */
export const of = (result: ExperimentResult): ReadonlyArray<string> => {
  const { criteria, experiment, figures, gateways, invariants, steadyState, totals, verdict } = result
  return [
    `${verdict.outcome.toUpperCase()}  ${experiment.name} (seed ${experiment.seed}, ${modes[experiment.mode]})`,
    ...verdict.reasons.map(({ message }) => `  ${message}`),
    "",
    ...experiment.summary.map((line) => `  ${line}`),
    "",
    ...section("criteria", criteria.map(ofCriterion)),
    ...section(
      "has to hold",
      invariants.map(({ detail, name, status }) => [
        status === "not_checked" ? "not checked" : status,
        name,
        status === "held" ? "" : detail
      ])
    ),
    ...section("payments", [
      ["", "asked", "succeeded", "declined", "failed", "in doubt", "success", "in the end", "average", "p95", "p99"],
      ...(steadyState.before === null ? [] : [ofFigures("before", steadyState.before.figures)]),
      ofFigures("with faults", figures),
      ...(steadyState.after === null ? [] : [ofFigures("after", steadyState.after.figures)])
    ]),
    ...section("gateways", [
      ["", "asked first", "calls", "faults", "breaker opened", "p50", "p95", "went wrong"],
      ...gateways.map((gateway) => [
        gateway.gateway,
        String(gateway.firstChoices),
        gateway.calls === null ? "-" : String(gateway.calls),
        String(sum(gateway.injections)),
        String(gateway.breakerOpens),
        millis(gateway.latency.p50),
        millis(gateway.latency.p95),
        countsOf(gateway.errors)
      ])
    ]),
    `in all: ${totals.charges} payments, ${totals.requests} requests, ${totals.captures} captures, ${totals.cancels} cancels, ${totals.refunds} refunds, ${totals.duplicates} duplicates${totals.failovers === null ? "" : `, ${totals.failovers} failovers`}`,
    `        ${totals.recovered} in doubt at first and found to have succeeded, ${totals.unsettled} not settled, ${totals.injections} faults, breakers opened ${totals.breakerOpens} times`,
    ...(Object.keys(result.errors).length === 0 ? [] : [`errors: ${countsOf(result.errors)}`]),
    ...(Object.keys(result.injections).length === 0 ? [] : [`faults: ${countsOf(result.injections)}`])
  ]
}

const section = (title: string, rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> =>
  rows.length === 0 ? [] : [`${title}:`, ...table(rows).map((line) => `  ${line}`), ""]

const ofCriterion = (criterion: CriterionResult): ReadonlyArray<string> => [
  criterion.met ? "met" : "missed",
  wordsOf(criterion),
  criterion.measured === null ? "nothing to measure" : shown(criterion, criterion.measured),
  `${criterion.bound === "at_least" ? "at least" : "at most"} ${shown(criterion, criterion.limit)}`
]

const ofFigures = (when: string, figures: Figures): ReadonlyArray<string> => [
  when,
  String(figures.charges),
  String(figures.succeeded),
  String(figures.declined),
  String(figures.failed),
  String(figures.inDoubt),
  share(figures.successRate),
  share(figures.finalSuccessRate),
  millis(figures.latency.average),
  millis(figures.latency.p95),
  millis(figures.latency.p99)
]

const sum = (counts: Counts): number => Object.values(counts).reduce((total, count) => total + count, 0)

const countsOf = (counts: Counts): string =>
  Object.entries(counts)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ")

const share = (value: number | null): string => (value === null ? "-" : shown({ unit: "share" }, value))
const millis = (value: number | null): string => (value === null ? "-" : `${Math.round(value)} ms`)
