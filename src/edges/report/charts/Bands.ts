/**
 * What lasts, as bands over time with a row per name: the states of circuit breakers, and the times in which faults were injected.
 */
import type { BreakerBand, ExperimentResult } from "../../../domain/chaos/experiment/ExperimentResult.ts"
import { clean } from "../Html.ts"
import * as Text from "../Text.ts"
import { byFrequency, type Chart, coloured, colours, type LegendEntry, legendOf, type Size, withRest } from "./Chart.ts"
import * as Timeline from "./Timeline.ts"

interface Row {
  readonly name: string
  readonly bands: ReadonlyArray<Band>
}

interface Band {
  readonly fromMillis: number
  readonly toMillis: number
  readonly colour: string
  readonly opacity: number
  /** Of bands that touch, the greater is drawn over the others. */
  readonly over: number
}

/** The most rows that are drawn, and the most lines of a table. */
const maxRows = 24
const maxLines = 300

const rowHeight = 36
/** The axis below the rows. */
const axisHeight = 64

/** In the order in which they are drawn, one over the other. */
const states = {
  closed: { label: "closed (calls go through)", colour: colours.green, opacity: 0.5 },
  open: { label: "open (no calls)", colour: colours.vermillion, opacity: 1 },
  // Often so short that it would be hidden below what follows.
  "half-open": { label: "half open (a few calls try)", colour: colours.orange, opacity: 1 }
} as const

/** The states of the breakers; those that opened first, if there are too many for one picture. */
export const breakers = ({ series, totals }: ExperimentResult, timeline: Timeline.Timeline): Chart => {
  const all = [...Map.groupBy(series.breakers, ({ breaker }) => breaker as string)].sort(
    ([a, bandsA], [b, bandsB]) => Number(opened(bandsB)) - Number(opened(bandsA)) || (a < b ? -1 : 1)
  )
  const rows = all.slice(0, maxRows).map(([name, bands]) => ({ name, bands: bands.map(bandOf) }))
  const troubled = all.filter(([, bands]) => opened(bands)).length
  return {
    id: "breakers",
    title: "Circuit breakers",
    description: [
      all.length === 0
        ? "No circuit breaker was seen."
        : troubled === 0
          ? `None of ${Text.counted(all.length, "circuit breaker")} opened.`
          : `${troubled} of ${Text.counted(all.length, "circuit breaker")} opened, ${Text.counted(totals.breakerOpens, "time")} in all.`,
      ...(all.length > maxRows ? [`The first ${maxRows} are drawn.`] : []),
      ...(series.breakersCut ? ["There were more changes than the result keeps."] : [])
    ].join(" "),
    legend: [
      ...Object.values(states).map(({ colour, label, opacity }): LegendEntry => ({ label, colour, opacity, shape: "box" })),
      ...Timeline.shadeLegend(timeline)
    ],
    spec: rows.length === 0 ? undefined : (size) => spec(timeline, size, rows),
    table: {
      head: ["breaker", "state", Timeline.timeHead(timeline), "for"],
      rows: cut(
        series.breakers.map((band) => [
          band.breaker,
          band.state,
          Timeline.timeCell(timeline, band.fromMillis),
          Text.duration(band.toMillis - band.fromMillis)
        ])
      )
    }
  }
}

const opened = (bands: ReadonlyArray<BreakerBand>): boolean => bands.some(({ state }) => state !== "closed")

const bandOf = ({ fromMillis, state, toMillis }: BreakerBand): Band => ({
  fromMillis,
  toMillis,
  colour: states[state].colour,
  opacity: states[state].opacity,
  over: Object.keys(states).indexOf(state)
})

/** When which faults were injected. */
export const faults = ({ injections, series }: ExperimentResult, timeline: Timeline.Timeline): Chart => {
  const windows = series.injections
  const kinds = coloured(
    withRest(
      byFrequency(injections),
      windows.map(({ kind }) => kind)
    ),
    (many) => Text.counted(many, "other type")
  )
  const colourOf = (kind: string) => kinds.find(({ names }) => names.includes(kind))?.colour ?? colours.grey
  const all = [...Map.groupBy(windows, ({ label }) => label)]
  const rows = all.slice(0, maxRows).map(([name, bands]) => ({
    name,
    bands: bands.map(({ fromMillis, kind, toMillis }) => ({ fromMillis, toMillis, colour: colourOf(kind), opacity: 1, over: 0 }))
  }))
  return {
    id: "faults",
    title: "When faults were injected",
    description: [
      windows.length === 0
        ? "No fault was injected."
        : `${Text.counted(windows.length, "spell")} of injected faults, by what was injected where.`,
      ...(all.length > maxRows ? [`The first ${maxRows} of ${all.length} are drawn.`] : [])
    ].join(" "),
    legend: legendOf(kinds),
    spec: rows.length === 0 ? undefined : (size) => spec({ ...timeline, shaded: [] }, size, rows),
    table: {
      head: ["fault", "type", "gateway", Timeline.timeHead(timeline), "for"],
      rows: cut(
        windows.map(({ fromMillis, gateway, kind, label, toMillis }) => [
          label,
          kind,
          gateway ?? Text.none,
          Timeline.timeCell(timeline, fromMillis),
          Text.duration(toMillis - fromMillis)
        ])
      )
    }
  }
}

const cut = (lines: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<ReadonlyArray<string>> => {
  const [first] = lines
  if (first === undefined || lines.length <= maxLines) return lines
  const rest = [`and ${Text.count(lines.length - maxLines)} more`, ...first.slice(1).map(() => "")]
  return [...lines.slice(0, maxLines), rest]
}

/** A row is its name, and the bands below it. */
const spec = (timeline: Timeline.Timeline, size: Size, rows: ReadonlyArray<Row>) => {
  const y = {
    type: "quantitative" as const,
    axis: Timeline.blank(size),
    scale: { domain: [0, rows.length], reverse: true, nice: false, zero: false }
  }
  const bands = rows.flatMap((row, index) =>
    [...row.bands]
      .sort((a, b) => a.over - b.over)
      .map(({ colour, fromMillis, opacity, toMillis }) => ({
        from: Timeline.at(timeline, fromMillis),
        to: Timeline.at(timeline, toMillis),
        top: index + 0.5,
        bottom: index + 0.94,
        colour,
        opacity,
        edge: opacity === 1 ? 1 : 0
      }))
  )
  const names = rows.map(({ name }, index) => ({ name: clean(name), at: index + 0.28 }))
  const literal = { scale: null, legend: null }
  return Timeline.layered(
    timeline,
    size,
    [
      ...Timeline.shades(timeline, size),
      {
        data: { values: bands },
        mark: { type: "rect" },
        encoding: {
          x: Timeline.axis(timeline, "from", size),
          x2: { field: "to" },
          y: { field: "top", ...y },
          y2: { field: "bottom" },
          color: { field: "colour", type: "nominal", ...literal },
          opacity: { field: "opacity", type: "quantitative", ...literal },
          // Of a moment in a long experiment at least an edge is seen.
          strokeWidth: { field: "edge", type: "quantitative", ...literal },
          stroke: { field: "colour", type: "nominal", ...literal }
        }
      },
      {
        data: { values: names },
        mark: { type: "text", color: "currentColor", align: "left", baseline: "middle", fontSize: 12, limit: size.width * 0.9 },
        encoding: { x: { value: 2 }, y: { field: "at", ...y }, text: { field: "name" } }
      },
      ...Timeline.phaseMarks(timeline, size)
    ],
    rows.length * rowHeight + axisHeight
  )
}
