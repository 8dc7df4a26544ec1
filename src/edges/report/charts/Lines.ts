/**
 * Figures over time as lines: how many charges succeed, and how long they take.
 */
import type { Criteria } from "../../../domain/chaos/experiment/Criteria.ts"
import type { ExperimentResult } from "../../../domain/chaos/experiment/ExperimentResult.ts"
import * as Text from "../Text.ts"
import { type Chart, colours, type LegendEntry, type Size, type Table } from "./Chart.ts"
import * as Timeline from "./Timeline.ts"

/** A line. `values`: one per slice, `null` where there is none: the line is broken there. */
interface Line {
  readonly label: string
  readonly colour: string
  readonly dash: ReadonlyArray<number>
  readonly values: ReadonlyArray<number | null>
}

/** A value that the line is measured by. */
interface Limit {
  readonly label: string
  readonly value: number
}

interface LineChart {
  readonly id: string
  readonly title: string
  readonly description: string
  readonly yTitle: string
  readonly scale: Readonly<Record<string, unknown>>
  /** Where the vertical axis has its labels; left to the library where there are none. */
  readonly ticks?: ReadonlyArray<number>
  readonly lines: ReadonlyArray<Line>
  readonly limits: ReadonlyArray<Limit>
  readonly table: Table
}

/** The share of charges that succeed, slice by slice. */
export const successRate = (result: ExperimentResult, timeline: Timeline.Timeline): Chart => {
  const rates = timeline.slices.map(({ slice }) => slice.successRate)
  const limits = limitsOf(result, "minSuccessRate").map(({ label, value }) => ({ label, value: value * 100 }))
  const percents = rates.map((rate) => (rate === null ? null : rate * 100))
  const lowest = Math.min(100, ...percents.filter(isNumber), ...limits.map(({ value }) => value))
  return lineChart(timeline, {
    id: "success",
    title: "Success rate",
    description: describe(
      timeline,
      rates,
      (low, high) =>
        `Per slice of ${Text.duration(timeline.sliceMillis)}, by the time a charge was asked for: ${low.value === high ? `always ${Text.share(high)}` : `from ${Text.share(low.value)} (at ${whenText(timeline, low)}) to ${Text.share(high)}`} of the charges succeeded. What a bank declined is left out.`
    ),
    yTitle: "succeeded (%)",
    // A rate that never falls below 60% would be a flat line at the top of a scale from 0.
    scale: { domain: [lowest < 60 ? 0 : Math.floor(lowest / 10 - 0.5) * 10, 100], nice: false, zero: false },
    lines: [{ label: "succeeded", colour: colours.blue, dash: [], values: percents }],
    limits,
    table: {
      head: [Timeline.timeHead(timeline), "charges", "succeeded", "declined", "failed", "in doubt", "success rate"],
      rows: timeline.slices.map(({ fromMillis, slice }) => [
        Timeline.timeCell(timeline, fromMillis),
        ...[slice.charges, slice.succeeded, slice.declined, slice.failed, slice.inDoubt].map(Text.count),
        Text.share(slice.successRate)
      ])
    }
  })
}

/** From a caller's request to its answer, slice by slice. */
export const latency = (result: ExperimentResult, timeline: Timeline.Timeline): Chart => {
  const p50 = timeline.slices.map(({ slice }) => slice.latency.p50)
  const p95 = timeline.slices.map(({ slice }) => slice.latency.p95)
  const seen = [...p50, ...p95].filter(isNumber)
  const limits = limitsOf(result, "maxP95LatencyMillis")
  // Between an answer and a caller that waits for its timeout lie orders of magnitude.
  const isWide = seen.length > 0 && Math.min(...seen) > 0 && Math.max(...seen) > 20 * Math.min(...seen)
  const shown = [...seen, ...limits.map(({ value }) => value).filter((value) => value > 0)]
  const domain = isWide ? [Math.min(...shown) / 1.2, Math.max(...shown) * 1.2] : []
  return lineChart(timeline, {
    id: "latency",
    title: "Latency",
    description: describe(
      timeline,
      p95.map((value) => (value === null ? null : -value)),
      (worst, best) =>
        `Per slice of ${Text.duration(timeline.sliceMillis)}, by the time a charge was asked for: 95 % were answered within ${Text.millis(-best)} at the best and ${Text.millis(-worst.value)} at the worst (at ${whenText(timeline, worst)}).`
    ),
    yTitle: isWide ? "answered within (ms, log scale)" : "answered within (ms)",
    scale: isWide ? { type: "log", domain, nice: false } : { zero: true, nice: true },
    ...(isWide ? { ticks: powers(domain) } : {}),
    lines: [
      { label: "p50", colour: colours.blue, dash: [], values: p50 },
      { label: "p95", colour: colours.vermillion, dash: [6, 3], values: p95 }
    ],
    limits: isWide ? limits.filter(({ value }) => value > 0) : limits,
    table: {
      head: [Timeline.timeHead(timeline), "charges", "p50", "p95"],
      rows: timeline.slices.map(({ fromMillis, slice }) => [
        Timeline.timeCell(timeline, fromMillis),
        Text.count(slice.charges),
        Text.millis(slice.latency.p50),
        Text.millis(slice.latency.p95)
      ])
    }
  })
}

/** Round numbers of a logarithmic axis: three to each power of ten, or one where there are many. */
const powers = ([low = 1, high = 1]: ReadonlyArray<number>): ReadonlyArray<number> => {
  const first = Math.floor(Math.log10(low))
  const exponents = Array.from({ length: Math.ceil(Math.log10(high)) - first + 1 }, (_, index) => first + index)
  const steps = high / low < 1_000 ? [1, 2, 5] : [1]
  return exponents.flatMap((exponent) => steps.map((step) => step * 10 ** exponent)).filter((value) => value >= low && value <= high)
}

const isNumber = (value: number | null): value is number => value !== null

interface Extreme {
  readonly value: number
  readonly index: number
}

/** The lowest value with its slice, and the highest, in a sentence; or that there is nothing. */
const describe = (
  timeline: Timeline.Timeline,
  values: ReadonlyArray<number | null>,
  sentence: (lowest: Extreme, highest: number) => string
): string => {
  const seen = values.flatMap((value, index) => (value === null ? [] : [{ value, index }]))
  const [first, ...others] = seen
  if (first === undefined) return timeline.slices.length === 0 ? "Nothing was measured." : "No charge was answered."
  const lowest = others.reduce((low, one) => (one.value < low.value ? one : low), first)
  return sentence(lowest, Math.max(...seen.map(({ value }) => value)))
}

const whenText = (timeline: Timeline.Timeline, { index }: Extreme): string =>
  Text.inUnit(timeline.slices[index]?.fromMillis ?? 0, timeline.unit)

/** What the experiment asked of the figure that is drawn, over all charges under faults. */
const limitsOf = ({ criteria }: ExperimentResult, criterion: keyof Criteria): ReadonlyArray<Limit> =>
  criteria
    .filter(({ name }) => name === criterion)
    .slice(0, 1)
    .map((one) => ({ label: `criterion, over all charges under faults: ${Text.limit(one)}`, value: one.limit }))

const lineChart = (timeline: Timeline.Timeline, chart: LineChart): Chart => {
  const isEmpty = chart.lines.every(({ values }) => !values.some(isNumber))
  return {
    id: chart.id,
    title: chart.title,
    description: chart.description,
    legend: [
      ...chart.lines.map(({ colour, dash, label }): LegendEntry => ({ label, colour, shape: "line", dash })),
      ...chart.limits.map(({ label }): LegendEntry => ({ label, colour: "currentColor", shape: "line", dash: limitDash })),
      ...Timeline.shadeLegend(timeline)
    ],
    spec: isEmpty ? undefined : (size) => spec(timeline, size, chart),
    table: chart.table
  }
}

const limitDash = [2, 3]

const spec = (timeline: Timeline.Timeline, size: Size, { limits, lines, scale, ticks, yTitle }: LineChart) => {
  const values = ticks === undefined ? {} : { values: [...ticks] }
  const y = {
    field: "value",
    type: "quantitative" as const,
    title: yTitle,
    scale: { ...scale },
    axis: { ...Timeline.gutter(size), tickCount: 5, format: Timeline.numberFormat, ...values }
  }
  const limited = timeline.underFaults ?? { fromMillis: 0, toMillis: timeline.endMillis }
  // In the middle of its slice, which is what it is about.
  const middle = ({ fromMillis, toMillis }: { readonly fromMillis: number; readonly toMillis: number }) => (fromMillis + toMillis) / 2
  return Timeline.layered(timeline, size, [
    ...Timeline.shades(timeline, size),
    ...lines.map(({ colour, dash, values }): Timeline.Layer => ({
      data: {
        values: timeline.slices.map((slice, index) => ({ at: Timeline.at(timeline, middle(slice)), value: values[index] ?? null }))
      },
      mark: {
        type: "line",
        color: colour,
        strokeWidth: 2,
        strokeDash: [...dash],
        invalid: "break-paths-show-path-domains",
        point: { filled: true, size: 12, color: colour }
      },
      encoding: { x: Timeline.axis(timeline, "at", size), y }
    })),
    ...limits.map(({ value }): Timeline.Layer => ({
      data: { values: [{ value, from: Timeline.at(timeline, limited.fromMillis), to: Timeline.at(timeline, limited.toMillis) }] },
      mark: { type: "rule", color: "currentColor", strokeWidth: 1.5, strokeDash: limitDash },
      encoding: { x: Timeline.axis(timeline, "from", size), x2: { field: "to" }, y }
    })),
    ...Timeline.phaseMarks(timeline, size)
  ])
}
