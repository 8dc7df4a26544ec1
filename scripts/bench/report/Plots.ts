/**
 * Results as pictures: the engine beside its peers, latencies, and what the database can do. Drawn by Vega-Lite, without a browser.
 */
import * as vega from "vega"
import * as vegaLite from "vega-lite"
import type { Spread } from "../Harness.ts"
import type { Measured } from "./Results.ts"

/** A bar with the range of its rounds. */
interface Bar {
  readonly panel: string
  readonly name: string
  readonly median: number
  readonly min: number
  readonly max: number
}

interface Picture {
  readonly title: string
  readonly subtitle: string
  readonly panels: ReadonlyArray<string>
  readonly bars: ReadonlyArray<Bar>
}

const ours = /^AegisPay|^relay$/

const barOf = (panel: string, name: string, spread: Spread): Bar => ({ panel, name, ...spread })

/** Bars of some numbers of a workload's cases. `named`: how a case is called there; `undefined`: it is left out. */
const barsOf = (measured: Measured, numbers: ReadonlyArray<string>, named: (name: string) => string | undefined): ReadonlyArray<Bar> =>
  measured.report.cases.flatMap((one) => {
    const name = named(one.name)
    if (name === undefined) return []
    return numbers.flatMap((number) => {
      const spread = one.numbers[number]
      return spread === undefined ? [] : [barOf(number, name, spread)]
    })
  })

const pictures: Readonly<Record<string, (measured: Measured) => Picture>> = {
  peers: (measured) => {
    const panels = ["payments/s", "Node CPU ms", "Postgres CPU ms", "fsyncs", "WAL KB"]
    return {
      title: "The same crash-safe payment",
      subtitle: "64 at a time, a gateway that answers at once; CPU, fsyncs and WAL per payment. Lines: the range of the rounds.",
      panels,
      bars: barsOf(measured, panels, (name) => (name.endsWith(", c=64") ? name.replace(/, c=64$/, "") : undefined))
    }
  },
  latency: (measured) => {
    const panels = ["p50 ms", "p99 ms"]
    return {
      title: "Latency that is added to the gateway's",
      subtitle: "Payments arrive by their own schedule; from the time they were due. Lines: the range of the rounds.",
      panels,
      bars: barsOf(measured, panels, (name) => name)
    }
  },
  pgbench: (measured) => ({
    title: "What the database can do",
    subtitle: "Durable payments per second by pgbench, and by the engine beside it. Lines: the range of the rounds.",
    panels: ["payments/s"],
    bars: barsOf(measured, ["payments/s"], (name) => name)
  })
}

/** The pictures of what was measured, as SVG by workload, with their titles. */
export const draw = async (
  measured: ReadonlyArray<Measured>
): Promise<Readonly<Record<string, { readonly title: string; readonly svg: string }>>> => {
  const drawn: Record<string, { readonly title: string; readonly svg: string }> = {}
  for (const one of measured) {
    const pictureOf = pictures[one.report.workload]
    if (pictureOf === undefined) continue
    const picture = pictureOf(one)
    const { spec } = vegaLite.compile(specOf(picture))
    drawn[one.report.workload] = { title: picture.title, svg: await new vega.View(vega.parse(spec), { renderer: "none" }).toSVG() }
  }
  return drawn
}

/** Told apart by people who do not see all colours (Okabe and Ito 2008). */
const colours = { ours: "#D55E00", others: "#0072B2" }

const specOf = ({ bars, panels, subtitle, title }: Picture): vegaLite.TopLevelSpec => {
  const names = [...new Set(bars.map(({ name }) => name))]
  const y = (isFirst: boolean) => ({
    field: "name",
    type: "nominal" as const,
    sort: names,
    title: null,
    axis: { labels: isFirst, ticks: isFirst }
  })
  const panel = (number: string, index: number) => ({
    width: panels.length > 2 ? 150 : 320,
    height: { step: 22 },
    title: number,
    data: { values: bars.filter((bar) => bar.panel === number).map((bar) => ({ ...bar, isOurs: ours.test(bar.name) })) },
    encoding: { y: y(index === 0) },
    layer: [
      {
        mark: { type: "bar" as const },
        encoding: {
          x: { field: "median", type: "quantitative" as const, title: null, axis: { tickCount: 4 } },
          color: {
            field: "isOurs",
            type: "nominal" as const,
            legend: null,
            scale: { domain: [true, false], range: [colours.ours, colours.others] }
          }
        }
      },
      {
        mark: { type: "rule" as const, strokeWidth: 1.5 },
        encoding: { x: { field: "min", type: "quantitative" as const }, x2: { field: "max" } }
      }
    ]
  })
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: "white",
    padding: 16,
    config: { font: "sans-serif", axis: { labelLimit: 400 }, title: { fontSize: 13, anchor: "start" } },
    title: { text: title, subtitle, anchor: "start", fontSize: 16, subtitleFontSize: 12, offset: 14 },
    hconcat: panels.map(panel)
  }
}
