/**
 * What is counted over time, by name: which gateway is asked first, which errors there are, which faults are injected.
 */
import type { ExperimentResult } from "../../../domain/chaos/experiment/ExperimentResult.ts"
import type { Slice } from "../../../domain/chaos/experiment/Measures.ts"
import * as Text from "../Text.ts"
import {
  byFrequency,
  type Chart,
  coloured,
  type Coloured,
  colourScale,
  countOf,
  legendOf,
  type Size,
  type Table,
  withRest
} from "./Chart.ts"
import * as Timeline from "./Timeline.ts"

/** Which share of the charges each gateway is asked first. */
export const routing = (result: ExperimentResult, timeline: Timeline.Timeline): Chart => {
  // In the order of the experiment, so that a gateway has one colour whatever it gets.
  const named = result.experiment.gateways as ReadonlyArray<string>
  const gateways = coloured(withRest(named, byFrequency(result.firstChoices)), (many) => Text.counted(many, "more gateway"))
  const total = sum(Object.values(result.firstChoices))
  const [most] = byFrequency(result.firstChoices)
  return {
    id: "routing",
    title: "Routing share",
    description:
      most === undefined
        ? "No charge was routed."
        : `Which gateway was asked first, as a share of the charges per slice of ${Text.duration(timeline.sliceMillis)}. Most went to ${most}: ${Text.share((result.firstChoices[most as keyof typeof result.firstChoices] ?? 0) / total)} of all ${Text.count(total)}.`,
    legend: legendOf(gateways),
    spec: most === undefined || timeline.slices.length === 0 ? undefined : (size) => shares(timeline, size, gateways),
    table: tableOf(timeline, gateways, ({ firstChoices }) => firstChoices)
  }
}

/** Charges that went wrong, by kind. */
export const errors = (result: ExperimentResult, timeline: Timeline.Timeline): Chart =>
  counts(timeline, {
    id: "errors",
    title: "Errors of charges by type",
    what: "charge that was answered with an error",
    many: "charges that were answered with an error",
    yTitle: "charges",
    totals: result.errors,
    of: ({ errors }) => errors
  })

/** Calls to gateways that went wrong, by kind. */
export const gatewayErrors = (result: ExperimentResult, timeline: Timeline.Timeline): Chart =>
  counts(timeline, {
    id: "gateway-errors",
    title: "Errors of gateways by type",
    what: "call to a gateway that went wrong",
    many: "calls to gateways that went wrong",
    yTitle: "calls",
    totals: result.gatewayErrors,
    of: ({ gatewayErrors }) => gatewayErrors
  })

/** Faults that were injected, by kind. */
export const injections = (result: ExperimentResult, timeline: Timeline.Timeline): Chart =>
  counts(timeline, {
    id: "injections",
    title: "Injected faults by type",
    what: "injected fault",
    many: "injected faults",
    yTitle: "faults",
    totals: result.injections,
    of: ({ injections }) => injections
  })

interface CountChart {
  readonly id: string
  readonly title: string
  readonly what: string
  readonly many: string
  readonly yTitle: string
  readonly totals: Readonly<Record<string, number>>
  readonly of: (slice: Slice) => Readonly<Record<string, number>>
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)

const counts = (timeline: Timeline.Timeline, { id, many, of, title, totals, what, yTitle }: CountChart): Chart => {
  const inSlices = sumOfRecords(timeline.slices.map(({ slice }) => of(slice)))
  const names = withRest(byFrequency(totals), byFrequency(inSlices))
  const kinds = coloured(names, (more) => Text.counted(more, "other type"))
  const [first] = byFrequency(totals)
  const total = sum(Object.values(totals))
  return {
    id,
    title,
    description:
      first === undefined
        ? `There was no ${what}.`
        : `There ${total === 1 ? "was" : "were"} ${Text.counted(total, what, many)}; the most frequent type: ${first}, ${Text.count(totals[first] ?? 0)}. Per slice of ${Text.duration(timeline.sliceMillis)}.`,
    legend: [...legendOf(kinds), ...Timeline.shadeLegend(timeline)],
    spec: byFrequency(inSlices).length === 0 ? undefined : (size) => bars(timeline, size, kinds, { of, yTitle }),
    table: names.length === 0 ? { head: [], rows: [] } : tableOf(timeline, kinds, of)
  }
}

const sumOfRecords = (records: ReadonlyArray<Readonly<Record<string, number>>>): Readonly<Record<string, number>> => {
  const total = new Map<string, number>()
  for (const record of records) for (const [name, count] of Object.entries(record)) total.set(name, (total.get(name) ?? 0) + count)
  return Object.fromEntries(total)
}

const tableOf = (
  timeline: Timeline.Timeline,
  all: ReadonlyArray<Coloured>,
  of: (slice: Slice) => Readonly<Record<string, number>>
): Table => ({
  head: [Timeline.timeHead(timeline), ...all.map(({ name }) => name)],
  rows: timeline.slices.map(({ fromMillis, slice }) => [
    Timeline.timeCell(timeline, fromMillis),
    ...all.map((one) => Text.count(countOf(of(slice), one)))
  ])
})

const stackedBy = (all: ReadonlyArray<Coloured>) => ({
  color: { field: "key", type: "nominal" as const, scale: colourScale(all), legend: null },
  order: { field: "order", type: "quantitative" as const }
})

const shares = (timeline: Timeline.Timeline, size: Size, gateways: ReadonlyArray<Coloured>) => {
  const shareOf = (slice: Slice, gateway: Coloured) => {
    const all = sum(Object.values(slice.firstChoices))
    return all === 0 ? 0 : (countOf(slice.firstChoices, gateway) / all) * 100
  }
  const last = timeline.slices.at(-1)
  // A step lasts until the next point, so the last one needs a point at its end.
  const points = [...timeline.slices, ...(last === undefined ? [] : [{ ...last, fromMillis: last.toMillis }])]
  const values = points.flatMap(({ fromMillis, slice }) =>
    gateways.map((gateway, order) => ({ at: Timeline.at(timeline, fromMillis), value: shareOf(slice, gateway), key: gateway.key, order }))
  )
  return Timeline.layered(timeline, size, [
    {
      data: { values },
      mark: { type: "area", interpolate: "step-after", opacity: 1 },
      encoding: {
        x: Timeline.axis(timeline, "at", size),
        y: {
          field: "value",
          type: "quantitative",
          stack: "zero",
          title: "asked first (%)",
          scale: { domain: [0, 100], nice: false },
          axis: { ...Timeline.gutter(size), tickCount: 5 }
        },
        ...stackedBy(gateways)
      }
    },
    ...Timeline.phaseMarks(timeline, size)
  ])
}

const bars = (
  timeline: Timeline.Timeline,
  size: Size,
  kinds: ReadonlyArray<Coloured>,
  { of, yTitle }: Pick<CountChart, "of" | "yTitle">
) => {
  const values = timeline.slices.flatMap(({ fromMillis, slice, toMillis }) =>
    kinds.flatMap((kind, order) => {
      const value = countOf(of(slice), kind)
      return value === 0
        ? []
        : [{ from: Timeline.at(timeline, fromMillis), to: Timeline.at(timeline, toMillis), value, key: kind.key, order }]
    })
  )
  return Timeline.layered(timeline, size, [
    ...Timeline.shades(timeline, size),
    {
      data: { values },
      // A gap where there is room for one.
      mark: { type: "bar", binSpacing: size.width / timeline.slices.length > 6 ? 1 : 0 },
      encoding: {
        x: { ...Timeline.axis(timeline, "from", size), bin: "binned" },
        x2: { field: "to" },
        y: {
          field: "value",
          type: "quantitative",
          stack: "zero",
          title: yTitle,
          axis: { ...Timeline.gutter(size), tickCount: 5, tickMinStep: 1, format: Timeline.numberFormat }
        },
        ...stackedBy(kinds)
      }
    },
    ...Timeline.phaseMarks(timeline, size)
  ])
}
