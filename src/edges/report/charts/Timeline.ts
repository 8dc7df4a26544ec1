/**
 * The axis of time that all charts share: its unit, its end, the phases of the experiment and the time in which faults were on.
 */
import type { TopLevelSpec } from "vega-lite"
import type { ExperimentResult, Phase } from "../../../domain/chaos/experiment/ExperimentResult.ts"
import type { Slice } from "../../../domain/chaos/experiment/Measures.ts"
import * as Text from "../Text.ts"
import { colours, type LegendEntry, type Size } from "./Chart.ts"

type LayeredSpec = Extract<TopLevelSpec, { readonly layer: unknown }>
export type Layer = LayeredSpec["layer"][number]

export interface Timeline {
  readonly endMillis: number
  readonly unit: Text.Unit
  /** Slices with their ends; the last one ends where the experiment does. */
  readonly slices: ReadonlyArray<{ readonly slice: Slice; readonly fromMillis: number; readonly toMillis: number }>
  readonly sliceMillis: number
  /** When faults were on: the phase of them, or where there is none the times in which some were injected. */
  readonly shaded: ReadonlyArray<Span>
  readonly phases: ReadonlyArray<Span & { readonly label: string }>
  /** The phase whose charges are judged. */
  readonly underFaults: Span | undefined
}

interface Span {
  readonly fromMillis: number
  readonly toMillis: number
}

const phaseLabels: Readonly<Record<Phase["name"], string>> = {
  steady_before: "steady state",
  faults: "faults",
  recovering: "recovering",
  steady_after: "steady state",
  settling: "settling"
}

export const of = ({ experiment, series }: ExperimentResult): Timeline => {
  const { breakers, injections, phases, sliceMillis, slices } = series
  const ends = [...breakers, ...injections, ...phases].map(({ toMillis }) => toMillis)
  const endMillis = ends.reduce(
    (latest, end) => Math.max(latest, end),
    Math.max(1, experiment.durationMillis, slices.at(-1)?.fromMillis ?? 0)
  )
  const underFaults = phases.find(({ name }) => name === "faults")
  return {
    endMillis,
    unit: Text.unitOf(endMillis),
    slices: slices.map((slice, index) => ({
      slice,
      fromMillis: slice.fromMillis,
      toMillis: slices[index + 1]?.fromMillis ?? Math.min(endMillis, slice.fromMillis + sliceMillis)
    })),
    sliceMillis,
    shaded: underFaults === undefined ? union(injections) : [underFaults],
    underFaults,
    phases: phases.map(({ fromMillis, name, toMillis }) => ({ label: phaseLabels[name], fromMillis, toMillis }))
  }
}

/** Spans that overlap or touch as one. */
const union = (spans: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const joined: Array<Span> = []
  for (const { fromMillis, toMillis } of [...spans].sort((a, b) => a.fromMillis - b.fromMillis)) {
    const last = joined.at(-1)
    if (last !== undefined && fromMillis <= last.toMillis) {
      joined[joined.length - 1] = { fromMillis: last.fromMillis, toMillis: Math.max(last.toMillis, toMillis) }
    } else joined.push({ fromMillis, toMillis })
  }
  return joined
}

/** A time on the axis. */
export const at = ({ unit }: Timeline, millis: number): number => millis / unit.millis

/** The column of a table that says when. */
export const timeHead = ({ unit }: Timeline): string => `from (${unit.name})`
export const timeCell = ({ unit }: Timeline, millis: number): string => Text.inUnit(millis, unit).slice(0, -unit.name.length - 1)

/** The horizontal axis over a field of the data. */
export const axis = (timeline: Timeline, field: string, size: Size) => ({
  field,
  type: "quantitative" as const,
  title: `time since the start (${timeline.unit.name})`,
  scale: { domain: [0, at(timeline, timeline.endMillis)], nice: false, zero: false },
  axis: { tickCount: size.name === "wide" ? 10 : 4, grid: false, format: "~r" }
})

/** The room for the labels of a vertical axis: always the same, so that the times of all charts stand below each other. */
export const gutter = ({ name }: Size) => (name === "wide" ? { minExtent: 52, maxExtent: 52 } : { minExtent: 44, maxExtent: 44 })

/** A vertical axis that shows nothing; where there is room for that, it takes the room of one. */
export const blank = (size: Size) =>
  size.name === "narrow" ? null : { ...gutter(size), labels: false, ticks: false, domain: false, grid: false, title: " " }

/** Labels of vertical axes: thousands apart, no needless digits. */
export const numberFormat = ",~f"

/** The time of the faults, shaded behind the data. */
export const shades = (timeline: Timeline, size: Size): ReadonlyArray<Layer> =>
  timeline.shaded.length === 0
    ? []
    : [
        {
          data: {
            values: timeline.shaded.map(({ fromMillis, toMillis }) => ({ from: at(timeline, fromMillis), to: at(timeline, toMillis) }))
          },
          mark: { type: "rect", color: colours.vermillion, opacity: shadeOpacity },
          encoding: { x: axis(timeline, "from", size), x2: { field: "to" } }
        }
      ]

const shadeOpacity = 0.13

/** What the shade means. */
export const shadeLegend = ({ shaded }: Timeline): ReadonlyArray<LegendEntry> =>
  shaded.length === 0 ? [] : [{ label: "faults on", colour: colours.vermillion, shape: "box", opacity: 2 * shadeOpacity }]

/** Widths of the plot and of a letter of the phases' names, about, in pixels. */
const plotShare = 0.9
const letterWidth = 6

/** Where the phases begin, and their names where there is room. */
export const phaseMarks = (timeline: Timeline, size: Size): ReadonlyArray<Layer> => {
  const pixels = (millis: number) => (millis / timeline.endMillis) * size.width * plotShare
  const begins = timeline.phases.filter(({ fromMillis }) => fromMillis > 0).map(({ fromMillis }) => ({ at: at(timeline, fromMillis) }))
  const names = timeline.phases
    .filter(({ fromMillis, label, toMillis }) => pixels(toMillis - fromMillis) >= label.length * letterWidth)
    .map(({ fromMillis, label }) => ({ at: at(timeline, fromMillis), label }))
  return [
    ...(begins.length === 0
      ? []
      : [
          {
            data: { values: begins },
            mark: { type: "rule" as const, color: "currentColor", opacity: 0.45, strokeDash: [2, 3] },
            encoding: { x: axis(timeline, "at", size) }
          }
        ]),
    ...(names.length === 0
      ? []
      : [
          {
            data: { values: names },
            mark: { type: "text" as const, color: "currentColor", opacity: 0.75, align: "left" as const, dx: 3, fontSize: 11 },
            encoding: { x: axis(timeline, "at", size), y: { value: -8 }, text: { field: "label" } }
          }
        ])
  ]
}

/** A chart over time out of its layers. */
export const layered = (timeline: Timeline, size: Size, layers: ReadonlyArray<Layer>, height = size.height): TopLevelSpec => ({
  $schema: "https://vega.github.io/schema/vega-lite/v6.json",
  width: size.width,
  height,
  autosize: { type: "fit", contains: "padding" },
  padding: { left: 4, right: 8, top: timeline.phases.length === 0 ? 8 : 4, bottom: 4 },
  background: "transparent",
  config,
  layer: [...layers]
})

const ink = "currentColor"
const config = {
  // The page describes each chart as a whole; a label on every mark would only make the document larger.
  aria: false,
  font: "sans-serif",
  view: { stroke: null },
  axis: {
    labelColor: ink,
    titleColor: ink,
    tickColor: ink,
    domainColor: ink,
    gridColor: ink,
    gridOpacity: 0.15,
    domainOpacity: 0.5,
    tickOpacity: 0.5,
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: "normal" as const,
    titlePadding: 8
  }
}
