/**
 * The sections of the report, in the order in which they are read: whether it passed and why not, what was run, what was asked of it.
 */
import type {
  CriterionResult,
  ExperimentResult,
  Figures,
  InvariantResult,
  SteadyState
} from "../../domain/chaos/experiment/ExperimentResult.ts"
import { wordsOf } from "../../domain/chaos/experiment/Findings.ts"
import type { Latency } from "../../domain/chaos/experiment/Measures.ts"
import { byFrequency } from "./charts/Chart.ts"
import { type Content, html, type Html } from "./Html.ts"
import * as Parts from "./Parts.ts"
import * as Text from "./Text.ts"

const outcomes = {
  passed: { word: "Passed", tone: "good" },
  failed: { word: "Failed", tone: "bad" },
  aborted: { word: "Aborted", tone: "warn" }
} as const

/** The outcome in one word. */
export const outcomeWord = ({ verdict }: ExperimentResult): string => outcomes[verdict.outcome].word

/** The verdict and its reasons, and the figures that are looked at first. */
export const verdict = ({ experiment, figures, totals, verdict }: ExperimentResult): Html => {
  const { tone, word } = outcomes[verdict.outcome]
  const reasons = Parts.list(verdict.reasons.map(({ code, message }) => html`${message} <span class="code">(${Text.words(code)})</span>`))
  return html`<header>
    <div class="kind">Chaos experiment</div>
    <h1>${experiment.name}</h1>
    <p><strong class="badge ${tone}">${word}</strong></p>
    ${reasons === undefined ? undefined : html`<div class="reasons">${reasons}</div> `}
    <p class="kind">Rates, latency and charges: of the time in which the faults were on</p>
    ${Parts.tiles([
      ["success rate", Text.share(figures.successRate)],
      ["in the end", Text.share(figures.finalSuccessRate)],
      ["latency, p95", Text.millis(figures.latency.p95)],
      ["charges", Text.count(figures.charges)],
      ["faults injected", Text.count(totals.injections)],
      ["breakers opened", Text.count(totals.breakerOpens)],
      ["unsettled", Text.count(totals.unsettled)]
    ])}
  </header> `
}

const modes = {
  virtual: "the engine in one process, on virtual time: the same seed gives the same result",
  server: "a running server, over HTTP, in real time"
} as const

/** What was run. */
export const definition = ({ experiment }: ExperimentResult): Html =>
  Parts.section(
    "definition",
    "Experiment",
    experiment.description === "" ? undefined : html`<p>${experiment.description}</p>`,
    Parts.list(experiment.summary),
    Parts.facts([
      ["mode", modes[experiment.mode]],
      ["duration", Text.duration(experiment.durationMillis)],
      ["gateways", experiment.gateways.join(", ")],
      ["seed", String(experiment.seed)],
      ["definition", experiment.definitionHash]
    ])
  )

/** What was asked for and what was measured. */
export const criteria = ({ criteria }: ExperimentResult): Html =>
  Parts.section(
    "criteria",
    "Criteria",
    html`<p class="quiet">
      Rates and latencies are those of the charges that were asked for while the faults were on. The success rate in the end counts what
      recovery found out later as well.
    </p>`,
    criteria.length === 0 ? html`<p>None were set.</p>` : criteriaTable("Criteria, and what was measured", criteria)
  )

const criteriaTable = (caption: string, criteria: ReadonlyArray<CriterionResult>): Html =>
  Parts.table(
    { caption, head: ["criterion", "limit", "measured", "verdict"], columns: ["name", "number", "number", "name"] },
    criteria.map((one) => [
      wordsOf(one),
      Text.limit(one),
      one.measured === null ? "nothing to measure" : Text.figure(one.measured, one.unit),
      one.met ? html`<span class="good-text">met</span>` : html`<span class="bad-text">not met</span>`
    ])
  )

/** The system before the faults and after them. */
export const steadyState = ({ steadyState: { after, before } }: ExperimentResult): Html => {
  const part = (name: string, state: SteadyState | null): Content =>
    state === null
      ? html`<h3>${name}</h3>
          <p>Not looked at.</p>`
      : html`<h3>${name}</h3>
          <p>
            ${state.held ? html`<span class="good-text">Held</span>` : html`<span class="bad-text">Did not hold</span>`} from
            ${Text.between(state.fromMillis, state.toMillis)}.
          </p>
          ${state.criteria.length === 0 ? undefined : criteriaTable(`Steady state ${name.toLowerCase()}`, state.criteria)}`
  return Parts.section("steady-state", "Steady state", part("Before the faults", before), part("After the faults", after))
}

const invariantStates: Readonly<Record<InvariantResult["status"], { readonly word: string; readonly tone: string }>> = {
  held: { word: "held", tone: "good-text" },
  broken: { word: "broken", tone: "bad-text" },
  not_checked: { word: "not checked", tone: "warn-text" }
}

/** What has to hold whatever happens. */
export const invariants = ({ invariants }: ExperimentResult): Html =>
  Parts.section(
    "invariants",
    "Invariants",
    invariants.length === 0
      ? html`<p>None were checked.</p>`
      : Parts.table(
          { caption: "What has to hold, whatever happens", head: ["invariant", "", "detail"], columns: ["name", "name", "text"] },
          invariants.map(({ detail, name, status }) => {
            const { tone, word } = invariantStates[status]
            return [Text.words(name), html`<span class="${tone}">${word}</span>`, detail]
          })
        )
  )

/** How charges were answered before, under and after the faults, and all that was counted. */
export const totals = ({ figures, steadyState: { after, before }, totals }: ExperimentResult): Html => {
  const row = (name: string, figures: Figures): ReadonlyArray<Content> => [
    name,
    ...[figures.charges, figures.succeeded, figures.declined, figures.failed, figures.inDoubt].map(Text.count),
    Text.share(figures.successRate),
    Text.share(figures.finalSuccessRate)
  ]
  return Parts.section(
    "totals",
    "Totals",
    Parts.table(
      {
        caption: "How charges were answered",
        head: ["asked for", "charges", "succeeded", "declined", "failed", "in doubt", "success rate", "in the end"]
      },
      windows(figures, { after, before }).map(([name, figures]) => row(name, figures))
    ),
    Parts.table({ caption: "All of the experiment", head: ["", "count"] }, [
      ["requests", Text.count(totals.requests)],
      ["charges", Text.count(totals.charges)],
      ["asked for twice", Text.count(totals.duplicates)],
      ["captures", Text.count(totals.captures)],
      ["cancels", Text.count(totals.cancels)],
      ["refunds", Text.count(totals.refunds)],
      ["of these not done", Text.count(totals.followUpsFailed)],
      ["in doubt at first, succeeded in the end", Text.count(totals.recovered)],
      ["end never known", Text.count(totals.unsettled)],
      ["calls to gateways", Text.count(totals.gatewayCalls)],
      ["failovers", Text.count(totals.failovers)],
      ["faults injected", Text.count(totals.injections)],
      ["times that circuit breakers opened", Text.count(totals.breakerOpens)]
    ])
  )
}

/** The times whose charges are looked at apart. */
const windows = (
  figures: Figures,
  { after, before }: { readonly before: SteadyState | null; readonly after: SteadyState | null }
): ReadonlyArray<readonly [name: string, figures: Figures]> => [
  ...(before === null ? [] : [["before the faults", before.figures] as const]),
  ["while the faults were on", figures],
  ...(after === null ? [] : [["after the faults", after.figures] as const])
]

/** How long answers took. */
export const latency = ({ figures, gateways, steadyState: { after, before } }: ExperimentResult): Html => {
  const row = (name: string, { average, max, p50, p95, p99 }: Latency): ReadonlyArray<Content> => [
    name,
    ...[average, p50, p95, p99, max].map(Text.millis)
  ]
  return Parts.section(
    "latency",
    "Latency",
    Parts.table({ caption: "From a request to its answer", head: ["", "average", "p50", "p95", "p99", "longest"] }, [
      ...windows(figures, { after, before }).map(([name, { latency }]) => row(`charges ${name}`, latency)),
      ...gateways.map(({ gateway, latency }) => row(`calls to ${gateway}`, latency))
    ])
  )
}

/** What went wrong, by kind. */
export const errors = ({ errors, gatewayErrors, totals }: ExperimentResult): Html =>
  Parts.section(
    "errors",
    "Errors by type",
    countTable("Charges that were answered neither with success nor with a decline", "of charges", errors, totals.charges),
    countTable("Calls to gateways that went wrong", "of calls", gatewayErrors, totals.gatewayCalls)
  )

/** What was injected, by kind, and where. */
export const injections = ({ gateways, injections, totals }: ExperimentResult): Html =>
  Parts.section(
    "injections",
    "Injected faults",
    countTable("By type", "of all", injections, totals.injections),
    Parts.table(
      { caption: "By gateway", head: ["gateway", "asked first", "calls", "errors", "faults injected", "breakers opened"] },
      gateways.map(({ breakerOpens, calls, errors, firstChoices, gateway, injections }) => [
        gateway,
        ...[firstChoices, calls, sum(errors), sum(injections), breakerOpens].map(Text.count)
      ])
    )
  )

const sum = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((total, count) => total + count, 0)

const countTable = (caption: string, ofWhat: string, counts: Readonly<Record<string, number>>, all: number | null): Html => {
  const names = byFrequency(counts)
  return names.length === 0
    ? html`<p>${caption}: none.</p>`
    : Parts.table(
        { caption, head: ["type", "count", ofWhat] },
        names.map((name) => [
          name,
          Text.count(counts[name] ?? 0),
          all === null || all === 0 ? Text.none : Text.share((counts[name] ?? 0) / all)
        ])
      )
}
