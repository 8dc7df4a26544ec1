/**
 * What a chart is, before it is drawn.
 *
 * Names from the result never become part of a chart's specification, only of its data: a library that reads expressions has nothing of
 * theirs to read.
 */
import type { TopLevelSpec } from "vega-lite"

/** How wide and high a chart is drawn, in pixels. Every chart is drawn for a desk and for a telephone; the page shows one of them. */
export interface Size {
  readonly name: "wide" | "narrow"
  readonly width: number
  /** Of a chart with one axis of values; charts with a row per name are as high as their rows. */
  readonly height: number
}
export const sizes: ReadonlyArray<Size> = [
  { name: "wide", width: 880, height: 260 },
  { name: "narrow", width: 352, height: 230 }
]

/** A line of the legend, drawn beside its name in the page, where a name may be long. */
export interface LegendEntry {
  readonly label: string
  readonly colour: string
  readonly shape: "box" | "line"
  readonly dash?: ReadonlyArray<number>
  readonly opacity?: number
}

/** The figures of a chart for those who do not see it. */
export interface Table {
  readonly head: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
}

export interface Chart {
  /** Of this program, unique in the report: it becomes part of ids. */
  readonly id: string
  readonly title: string
  /** What there is to see, in a sentence or two. */
  readonly description: string
  readonly legend: ReadonlyArray<LegendEntry>
  /** `undefined`: there is nothing to draw, and the description says so. */
  readonly spec: ((size: Size) => TopLevelSpec) | undefined
  readonly table: Table
}

/** Told apart by people who do not see all colours (Okabe and Ito 2008), and on white as well as on black. */
export const colours = {
  blue: "#0072B2",
  orange: "#E69F00",
  green: "#009E73",
  vermillion: "#D55E00",
  sky: "#56B4E9",
  purple: "#CC79A7",
  grey: "#8C8C8C"
} as const

const series = [colours.blue, colours.orange, colours.green, colours.purple, colours.sky, colours.vermillion]

/** The most names with a colour of their own; the rest share one. */
export const maxColoured = series.length

/** Names with their colours. `key` stands for the name in a chart. */
export interface Coloured {
  readonly key: string
  readonly name: string
  readonly colour: string
  /** The names that it stands for: more than one where it is the rest. */
  readonly names: ReadonlyArray<string>
}

/** The names in the given order, the most important first; beyond the colours there are, the rest as one. */
export const coloured = (names: ReadonlyArray<string>, restName: (many: number) => string): ReadonlyArray<Coloured> => {
  const own = names.length <= maxColoured ? names : names.slice(0, maxColoured - 1)
  const rest = names.slice(own.length)
  return [
    ...own.map((name, index) => ({ key: `s${index}`, name, colour: series[index] ?? colours.grey, names: [name] })),
    ...(rest.length === 0 ? [] : [{ key: "rest", name: restName(rest.length), colour: colours.grey, names: rest }])
  ]
}

/** The scale that gives keys their colours. */
export const colourScale = (all: ReadonlyArray<Coloured>) => ({
  domain: all.map(({ key }) => key),
  range: all.map(({ colour }) => colour)
})

/** The legend of names. */
export const legendOf = (all: ReadonlyArray<Coloured>): ReadonlyArray<LegendEntry> =>
  all.map(({ colour, name }) => ({ label: name, colour, shape: "box" }))

/** Names by how often they were counted, the most frequent first, those of one count by name. */
export const byFrequency = (counts: Readonly<Record<string, number>>): ReadonlyArray<string> =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .sort(([a, countA], [b, countB]) => countB - countA || (a < b ? -1 : 1))
    .map(([name]) => name)

/** Names in their order, and after them those that are missing there. */
export const withRest = (names: ReadonlyArray<string>, others: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set([...names, ...others])
]

/** How many of the names were counted. */
export const countOf = (counts: Readonly<Record<string, number>>, { names }: Coloured): number =>
  names.reduce((sum, name) => sum + (Object.hasOwn(counts, name) ? (counts[name] ?? 0) : 0), 0)
