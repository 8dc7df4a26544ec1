/**
 * The study as a picture: regret over the day, and approvals against fees. Drawn by Vega-Lite, without a browser.
 */
import * as vega from "vega"
import * as vegaLite from "vega-lite"

/** A curve: the median over the seeds, and the range that four fifths of them are in. */
export interface CurvePoint {
  readonly policy: string
  readonly yardstick: string
  readonly hour: number
  readonly median: number
  readonly low: number
  readonly high: number
}

/**
 * What a policy came to: medians and the ranges of four fifths of the seeds. `fee`: in basis points. `approved`: percentage points more than
 * the oracle of approvals on the same day.
 */
export interface OutcomePoint {
  readonly policy: string
  readonly fee: number
  readonly feeLow: number
  readonly feeHigh: number
  readonly approved: number
  readonly approvedLow: number
  readonly approvedHigh: number
}

/** What is drawn. `policies`: in the order of the legend. */
export interface Study {
  readonly title: string
  readonly subtitle: ReadonlyArray<string>
  readonly policies: ReadonlyArray<string>
  readonly yardsticks: ReadonlyArray<string>
  readonly curves: ReadonlyArray<CurvePoint>
  readonly outcomes: ReadonlyArray<OutcomePoint>
}

/** Told apart by people who do not see all colours (Okabe and Ito 2008). */
const colours = ["#000000", "#E69F00", "#0072B2", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#999999"]

/** The picture as SVG. */
export const svg = (study: Study): Promise<string> => {
  const { spec } = vegaLite.compile(specOf(study))
  return new vega.View(vega.parse(spec), { renderer: "none" }).toSVG()
}

const specOf = ({ curves, outcomes, policies, subtitle, title, yardsticks }: Study): vegaLite.TopLevelSpec => {
  const color = {
    field: "policy",
    type: "nominal" as const,
    scale: { domain: [...policies], range: colours.slice(0, policies.length) },
    legend: {
      title: null,
      orient: "bottom" as const,
      columns: 2,
      labelFontSize: 12,
      labelLimit: 400,
      symbolType: "circle" as const,
      symbolOpacity: 1,
      symbolSize: 90
    }
  }
  const curve = (yardstick: string) => ({
    width: 330,
    height: 240,
    title: yardstick,
    data: { values: curves.filter((point) => point.yardstick === yardstick) },
    encoding: {
      x: {
        field: "hour",
        type: "quantitative" as const,
        title: "hour of the day",
        scale: { domain: [0, 24] },
        axis: { values: [0, 6, 12, 18, 24] }
      },
      color
    },
    layer: [
      {
        mark: { type: "area" as const, opacity: 0.12 },
        encoding: {
          y: { field: "low", type: "quantitative" as const, title: "cumulated regret" },
          y2: { field: "high" }
        }
      },
      { mark: { type: "line" as const, strokeWidth: 2 }, encoding: { y: { field: "median", type: "quantitative" as const } } }
    ]
  })
  const fee = { type: "quantitative" as const, title: "fees, basis points of what was approved", scale: { zero: false } }
  const approved = { type: "quantitative" as const, title: "approved, points to the oracle", scale: { zero: false } }
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: "white",
    padding: 16,
    config: { font: "sans-serif", title: { fontSize: 13, anchor: "start" } },
    title: { text: title, subtitle: [...subtitle], anchor: "start", fontSize: 16, subtitleFontSize: 12, offset: 14 },
    vconcat: [
      { hconcat: yardsticks.map(curve) },
      {
        width: 740,
        height: 260,
        title: "What the payments came to, failovers included (better: up and to the left)",
        data: { values: [...outcomes] },
        encoding: { color },
        layer: [
          {
            mark: { type: "rule", strokeWidth: 1.5 },
            encoding: { x: { field: "feeLow", ...fee }, x2: { field: "feeHigh" }, y: { field: "approved", ...approved } }
          },
          {
            mark: { type: "rule", strokeWidth: 1.5 },
            encoding: { x: { field: "fee", ...fee }, y: { field: "approvedLow", ...approved }, y2: { field: "approvedHigh" } }
          },
          {
            mark: { type: "point", filled: true, size: 90, opacity: 1 },
            encoding: { x: { field: "fee", ...fee }, y: { field: "approved", ...approved } }
          }
        ]
      }
    ]
  }
}
