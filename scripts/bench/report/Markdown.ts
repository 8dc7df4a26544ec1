/**
 * Results as the part of docs/performance.md that is written by a program. Pure.
 */
import type { CaseResult, Ratio } from "../Harness.ts"
import { goals, verdictOf } from "./Goals.ts"
import type { Measured } from "./Results.ts"
import * as Text from "./Text.ts"

/** Between these lines the document belongs to the program. */
export const markers = {
  begin: "<!-- results: written by npm run bench:report, do not edit -->",
  end: "<!-- end of the results -->"
} as const

/** Puts the results between the markers; `undefined` where the document has none. */
export const insert = (document: string, results: string): string | undefined => {
  const [begin, end] = [document.indexOf(markers.begin), document.indexOf(markers.end)]
  if (begin < 0 || end < begin) return undefined
  return `${document.slice(0, begin + markers.begin.length)}\n\n${results.trim()}\n\n${document.slice(end)}`
}

const cell = (text: string): string => text.replaceAll("|", "\\|")
const row = (cells: ReadonlyArray<string>): string => `| ${cells.map(cell).join(" | ")} |`
const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [row(head), `|${head.map(() => "---").join("|")}|`, ...rows.map(row)].join("\n")

const goalTable = (measured: ReadonlyArray<Measured>): string =>
  table(
    ["#", "goal", "target", "stretch", "measured", "verdict"],
    goals(measured).map((goal) => {
      const bound = (value: number) => `${goal.better === "more" ? ">=" : "<="} ${value}${goal.unit === "" ? "" : ` ${goal.unit}`}`
      const found = goal.measured === undefined ? "" : Text.spread(goal.measured)
      return [String(goal.number), goal.what, bound(goal.target), bound(goal.stretch), found, verdictOf(goal)]
    })
  )

const caseTable = (cases: ReadonlyArray<CaseResult>): string => {
  const numbers = [...new Set(cases.flatMap((one) => Object.keys(one.numbers)))]
  const textOf = (one: CaseResult, name: string) => {
    const value = one.numbers[name]
    return value === undefined ? "" : Text.spread(value)
  }
  return table(
    ["", ...numbers],
    cases.map((one) => [one.name, ...numbers.map((name) => textOf(one, name))])
  )
}

const ratioTable = (ratios: ReadonlyArray<Ratio>): string =>
  table(
    ["ratio, round by round", "median [smallest - largest]"],
    ratios.map((ratio) => [ratio.name, Text.spread(ratio)])
  )

const section = ({ at, commit, machine, report, rounds, seconds }: Measured): string => {
  const on = `${at.slice(0, 10)}${commit === "" ? "" : `, commit ${commit}`}, ${rounds} ${rounds === 1 ? "round" : "rounds"} of ${seconds} s`
  const facts = [...Text.facts(machine), ...Text.facts(report.facts)].map((line) => `- ${line}`)
  return [
    `### ${report.workload}`,
    `${on}.`,
    caseTable(report.cases),
    ...(report.ratios.length === 0 ? [] : [ratioTable(report.ratios)]),
    ...(report.notes.length === 0 ? [] : [report.notes.map((note) => `- ${note.trim()}`).join("\n")]),
    `<details><summary>Machine and settings</summary>\n\n${facts.join("\n")}\n\n</details>`
  ].join("\n\n")
}

/** Everything between the markers. `plots`: the pictures, by their titles. */
export const results = (measured: ReadonlyArray<Measured>, plots: Readonly<Record<string, string>>): string =>
  [
    "### Goals",
    "A goal is met where the worst round meets it, missed where the median does not, unclear in between. An `x` is a ratio within the rounds of one run;",
    "the other numbers are the machine's as well, and one that is busy with other work misses them.",
    "",
    goalTable(measured),
    "",
    ...Object.entries(plots).flatMap(([title, path]) => [`![${title}](${path})`, ""]),
    ...measured.flatMap((one) => [section(one), ""])
  ].join("\n")
