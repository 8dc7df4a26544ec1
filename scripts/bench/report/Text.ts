/**
 * Measured numbers as text for a terminal.
 */
import type { CaseResult, Report, Spread } from "../Harness.ts"

/** A number, as precise as it is of use. */
export const digits = (value: number): string =>
  Number.isNaN(value) ? "-" : value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toPrecision(3)
/** Median and range. */
export const spread = ({ max, median, min }: Spread): string =>
  min === max ? digits(median) : `${digits(median)} [${digits(min)} - ${digits(max)}]`

/** A line per case, a column per number. */
export const table = (results: ReadonlyArray<CaseResult>): string => {
  const numbers = [...new Set(results.flatMap((result) => Object.keys(result.numbers)))]
  const rows = [
    ["", ...numbers],
    ...results.map((result) => [
      result.name,
      ...numbers.map((name) => {
        const value = result.numbers[name]
        return value === undefined ? "" : spread(value)
      })
    ])
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}

/** Facts, one a line. */
export const facts = (facts: Readonly<Record<string, string>>): ReadonlyArray<string> =>
  Object.entries(facts).map(([name, value]) => `${name}: ${value}`)

/** What a workload measured. */
export const report = (measured: Report): string => {
  const parts = [
    `\n== ${measured.workload} ==`,
    ...facts(measured.facts),
    "",
    table(measured.cases),
    ...(measured.ratios.length === 0
      ? []
      : ["", table(measured.ratios.map((ratio) => ({ name: ratio.name, numbers: { "median of the rounds' ratios": ratio } })))]),
    "",
    ...measured.notes
  ]
  return `${parts.join("\n")}\n`
}
