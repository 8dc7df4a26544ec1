/**
 * Charts as pictures: SVG by Vega-Lite, without a browser.
 *
 * `vega` and `vega-lite` are optional peers of the package. They are loaded here, when a report is wanted, and not before.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { escape } from "../Html.ts"
import { type Chart, type Size } from "./Chart.ts"

/** The charts cannot be drawn. */
export class ChartsUnavailable extends Schema.TaggedError<ChartsUnavailable>()("ChartsUnavailable", {
  reason: Schema.Literals(["missing", "broken"]),
  detail: Schema.String
}) {
  override get message(): string {
    return this.reason === "missing"
      ? `The report's charts need the packages vega and vega-lite: npm install vega vega-lite (${this.detail})`
      : `The report's charts cannot be drawn: ${this.detail}`
  }
}

/** Draws a chart at a size. */
export type Draw = (chart: Chart, size: Size) => Effect.Effect<string, ChartsUnavailable>

interface Library {
  readonly vega: typeof import("vega")
  readonly vegaLite: typeof import("vega-lite")
}

const installed = async (): Promise<Library> => ({ vega: await import("vega"), vegaLite: await import("vega-lite") })

/** Loads the library. `load` is there to be replaced where it is not to be found. */
export const make = Effect.fn("Draw.make")(function* (load: () => Promise<Library> = installed) {
  const { vega, vegaLite } = yield* Effect.tryPromise({ try: load, catch: unavailable })
  const draw: Draw = Effect.fnUntraced(function* (chart, size) {
    const { spec } = chart
    if (spec === undefined) return ""
    const svg = yield* Effect.tryPromise({
      try: () => {
        const compiled = vegaLite.compile(spec(size), { logger: silent(vega) })
        const view = new vega.View(vega.parse(compiled.spec), { renderer: "none", logger: silent(vega) })
        return view.toSVG().finally(() => view.finalize())
      },
      catch: unavailable
    })
    return dressed(svg, chart, size)
  })
  return draw
})

const unavailable = (error: unknown): ChartsUnavailable =>
  new ChartsUnavailable({
    reason: (error as NodeJS.ErrnoException | null)?.code === "ERR_MODULE_NOT_FOUND" ? "missing" : "broken",
    detail: error instanceof Error ? error.message : String(error)
  })

/** Warnings would be lines on somebody's terminal. */
const silent = ({ logger, None }: Library["vega"]) => logger(None)

/** The picture with its name and its description, to stand in a page: as wide as there is room, and with ids of its own. */
const dressed = (svg: string, { description, id, title }: Chart, { height, name, width }: Size): string => {
  const own = `${id}-${name}`
  const box = /viewBox="([\d. ]+)"/.exec(svg)?.[1] ?? `0 0 ${width} ${height}`
  const inner = svg.replace(/^<svg[^>]*>/, "")
  return `<svg class="${name}" viewBox="${box}" role="img" aria-labelledby="${own}-title ${own}-desc"><title id="${own}-title">${escape(title)}</title><desc id="${own}-desc">${escape(description)}</desc>${inner}`
}
