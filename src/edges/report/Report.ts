/**
 * The result of an experiment as one HTML document that needs nothing else: no script, no network, no font.
 *
 * The charts are SVG inside it, drawn once for a desk and once for a telephone. The same result gives the same bytes.
 */
import * as Effect from "effect/Effect"
import type { ExperimentResult } from "../../domain/chaos/experiment/ExperimentResult.ts"
import * as Bands from "./charts/Bands.ts"
import { sizes } from "./charts/Chart.ts"
import * as Draw from "./charts/Draw.ts"
import * as Lines from "./charts/Lines.ts"
import * as Stacks from "./charts/Stacks.ts"
import * as Timeline from "./charts/Timeline.ts"
import { html, type Html, trusted } from "./Html.ts"
import * as Parts from "./Parts.ts"
import * as Sections from "./Sections.ts"
import { style } from "./Style.ts"

/** Writes the document of a result. */
export type Render = (result: ExperimentResult) => Effect.Effect<string, Draw.ChartsUnavailable>

/**
 * Loads what draws the charts. Fails where it is not installed: to be asked for before an experiment whose report is wanted, not after it.
 */
export const renderer: Effect.Effect<Render, Draw.ChartsUnavailable> = Effect.map(Draw.make(), (draw): Render =>
  Effect.fn("Report.render")(function* (result) {
    const figures: Array<Html> = []
    for (const chart of chartsOf(result)) {
      const pictures = chart.spec === undefined ? [] : yield* Effect.forEach(sizes, (size) => draw(chart, size))
      figures.push(Parts.figure(chart, pictures.map(trusted)))
    }
    return page(result, figures).text
  })
)

/** The document of one result. */
export const renderHtml: Render = (result) => Effect.flatMap(renderer, (render) => render(result))

const chartsOf = (result: ExperimentResult) => {
  const timeline = Timeline.of(result)
  return [
    Lines.successRate,
    Lines.latency,
    Bands.breakers,
    Stacks.routing,
    Stacks.errors,
    Stacks.gatewayErrors,
    Bands.faults,
    Stacks.injections
  ].map((chart) => chart(result, timeline))
}

/** Nothing may be loaded and nothing may run, whatever is in the document. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

const contents = [
  ["definition", "Experiment"],
  ["criteria", "Criteria"],
  ["charts", "Charts"],
  ["steady-state", "Steady state"],
  ["invariants", "Invariants"],
  ["totals", "Totals"],
  ["latency", "Latency"],
  ["errors", "Errors"],
  ["injections", "Faults"]
] as const

const page = (result: ExperimentResult, figures: ReadonlyArray<Html>): Html =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${trusted(policy)}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>${result.experiment.name}: ${Sections.outcomeWord(result).toLowerCase()} - chaos experiment</title>
        <style>
          ${trusted(style)}
        </style>
      </head>
      <body>
        ${Sections.verdict(result)}
        <nav aria-label="Contents">
          <ul>
            ${contents.map(([id, title]) => html`<li><a href="#${id}">${title}</a></li>`)}
          </ul>
        </nav>
        <main>
          ${Sections.definition(result)}${Sections.criteria(result)}${Parts.section("charts", "Over time", figures)}${Sections.steadyState(result)}${Sections.invariants(result)}${Sections.totals(result)}${Sections.latency(result)}${Sections.errors(result)}${Sections.injections(result)}
        </main>
        <footer>
          Started ${result.timestamps.startedAt}, finished ${result.timestamps.finishedAt}; the run took ${result.timestamps.runMillis} ms.
          Result version ${result.version}.
        </footer>
      </body>
    </html> `
