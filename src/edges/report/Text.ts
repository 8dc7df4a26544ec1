/**
 * Figures as text. The same on every machine: no locale, no time zone.
 */
import type { CriterionResult } from "../../domain/chaos/experiment/ExperimentResult.ts"

/** A figure that is not there. */
export const none = "\u2013"

/** A whole number with its thousands apart. */
export const count = (value: number | null): string =>
  value === null
    ? none
    : Math.round(value)
        .toFixed(0)
        .replaceAll(/\B(?=(\d{3})+$)/g, ",")

/** A share as a percentage; never rounded up to all nor down to nothing. */
export const share = (value: number | null): string => {
  if (value === null) return none
  if (value === 0 || value === 1) return `${value * 100} %`
  return `${Number(Math.min(99.99, Math.max(0.01, value * 100)).toFixed(2))} %`
}

/** Milliseconds as they are, with their thousands apart: for tables of latencies. */
export const millis = (value: number | null): string =>
  value === null ? none : `${value < 10 && !Number.isInteger(value) ? value.toFixed(1) : count(value)} ms`

const units = [
  { name: "ms", millis: 1, until: 1_000 },
  { name: "s", millis: 1_000, until: 180_000 },
  { name: "min", millis: 60_000, until: 10_800_000 },
  { name: "h", millis: 3_600_000, until: 259_200_000 },
  { name: "d", millis: 86_400_000, until: Number.POSITIVE_INFINITY }
] as const
export type Unit = (typeof units)[number]

/** The unit in which times of up to so many milliseconds read best. */
export const unitOf = (longestMillis: number): Unit => units.find(({ until }) => longestMillis < until) ?? units[4]

/** A length of time, in its own best unit. */
export const duration = (value: number): string => inUnit(value, unitOf(value))

/** A time in a given unit, so that a column of them can be compared. */
export const inUnit = (value: number, unit: Unit): string =>
  `${Number((value / unit.millis).toFixed(unit.name === "ms" ? 0 : 2))} ${unit.name}`

/** From a time to a later one, in the unit of the latter. */
export const between = (from: number, to: number): string =>
  `${inUnit(from, unitOf(to)).slice(0, -unitOf(to).name.length - 1)} to ${duration(to)}`

/** A word of the program for people: `half_open` is "half open". */
export const words = (name: string): string => name.replaceAll("_", " ")

/** A count with what is counted. */
export const counted = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`

/** A criterion's figure in its unit. */
export const figure = (value: number | null, unit: CriterionResult["unit"]): string =>
  unit === "share" ? share(value) : unit === "ms" ? millis(value) : count(value)

/** What a criterion asks for. */
export const limit = ({ bound, limit, unit }: CriterionResult): string =>
  `${bound === "at_least" ? "at least" : "at most"} ${figure(limit, unit)}`
