import { assert, describe, it } from "@effect/vitest"
import type { CaseResult, Ratio, Report } from "../../scripts/bench/Harness.ts"
import * as Goals from "../../scripts/bench/report/Goals.ts"
import * as Markdown from "../../scripts/bench/report/Markdown.ts"
import * as Results from "../../scripts/bench/report/Results.ts"

const reportOf = (workload: string, cases: ReadonlyArray<CaseResult>, ratios: ReadonlyArray<Ratio> = []): Report => ({
  workload,
  facts: { Postgres: "18" },
  cases,
  ratios,
  notes: ["a note"]
})
const caseOf = (name: string, number: string, median: number): CaseResult => ({
  name,
  numbers: { [number]: { median, min: median, max: median } }
})
const resultsOf = (commit: string, ...reports: ReadonlyArray<Report>): Results.Results => ({
  at: "2026-11-20T10:00:00.000Z",
  commit,
  machine: { node: "v24" },
  options: {
    rounds: 5,
    seconds: 1,
    concurrency: [],
    payments: 1,
    inFlight: 1,
    calls: 1,
    gatewayMillis: [],
    rates: [],
    walMegabytes: 0,
    only: "",
    seeds: 1,
    plot: ""
  },
  reports
})

describe("results of benchmarks", () => {
  it("of a workload that was measured twice the last measurement counts, with its own machine and commit", () => {
    const before = Results.merge([], [resultsOf("old", reportOf("a", [caseOf("one", "ms", 1)]), reportOf("b", [caseOf("two", "ms", 2)]))])
    const after = Results.merge(before, [resultsOf("new", reportOf("a", [caseOf("one", "ms", 3)]))])
    assert.deepStrictEqual(
      after.map(({ commit, report }) => [report.workload, commit]),
      [
        ["a", "new"],
        ["b", "old"]
      ]
    )
    assert.strictEqual(Results.numberOf(after, { workload: "a", of: "one", number: "ms" })?.median, 3)
    assert.isUndefined(Results.numberOf(after, { workload: "a", of: "two", number: "ms" }))
  })

  it("two commits are compared within each round, and only by what both measured", () => {
    const round = (base: number, now: number): Results.Round => ({
      base: resultsOf("base", reportOf("a", [caseOf("one", "ms", base), caseOf("gone", "ms", 1)])),
      now: resultsOf("now", reportOf("a", [caseOf("one", "ms", now), caseOf("new", "ms", 1)]))
    })
    // The machine is three times as slow in the second round; the ratio does not see it.
    const [difference, ...more] = Results.differences([round(10, 5), round(30, 15), round(10, 6)])
    assert.isEmpty(more)
    assert.strictEqual(difference?.name, "one")
    assert.deepStrictEqual(difference?.ratio, { median: 0.5, min: 0.5, max: 0.6 })
    assert.deepStrictEqual(difference?.base, { median: 10, min: 10, max: 30 })
    assert.isEmpty(Results.differences([]))
  })
})

describe("goals", () => {
  const goal = (better: "more" | "less", measured: Goals.Goal["measured"]): Goals.Goal => ({
    number: 1,
    what: "",
    unit: "x",
    better,
    target: better === "more" ? 2 : 4,
    stretch: 3,
    measured
  })

  it("the worst round decides whether a goal is met, the median whether it is missed", () => {
    const verdict = (better: "more" | "less", min: number, median: number, max: number) =>
      Goals.verdictOf(goal(better, { min, median, max }))
    assert.strictEqual(verdict("more", 1, 1.9, 5), "missed")
    assert.strictEqual(verdict("more", 1.9, 2.5, 5), "unclear")
    assert.strictEqual(verdict("more", 2, 3.5, 5), "met")
    assert.strictEqual(verdict("more", 3, 3.5, 5), "met, stretch too")
    assert.strictEqual(verdict("less", 1, 4.1, 5), "missed")
    assert.strictEqual(verdict("less", 1, 3.9, 5), "unclear")
    assert.strictEqual(verdict("less", 1, 2, 4), "met")
    assert.strictEqual(verdict("less", 1, 2, 3), "met, stretch too")
  })

  it("what was not measured is said, and never passes", () => {
    assert.strictEqual(Goals.verdictOf(goal("less", undefined)), "not measured")
    assert.strictEqual(Goals.verdictOf(goal("less", { min: Number.NaN, median: Number.NaN, max: Number.NaN })), "not measured")
    assert.isTrue(Goals.goals([]).every((one) => Goals.verdictOf(one) === "not measured"))
    assert.deepStrictEqual([...new Set(Goals.goals([]).map(({ number }) => number))], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  })
})

describe("the written results", () => {
  const { begin, end } = Markdown.markers

  it("replace what is between the markers and nothing else", () => {
    const document = `before\n${begin}\nold\n${end}\nafter\n`
    const once = Markdown.insert(document, "new") ?? ""
    assert.strictEqual(once, `before\n${begin}\n\nnew\n\n${end}\nafter\n`)
    assert.strictEqual(Markdown.insert(once, "new"), once)
    assert.isUndefined(Markdown.insert("no markers", "new"))
    assert.isUndefined(Markdown.insert(`${end}\n${begin}`, "new"))
  })

  it("have a table of goals, the cases with their spread, the ratios, and where they were measured", () => {
    const ratio = { name: "payments/s: AegisPay, c=256 / one CTE per transaction, 32 clients", median: 1.5, min: 1.45, max: 1.6 }
    const cases = [{ name: "AegisPay | 256", numbers: { "payments/s": { median: 100, min: 90, max: 110 } } }]
    const text = Markdown.results(Results.merge([], [resultsOf("abc", reportOf("pgbench", cases, [ratio]))]), { A: "plots/a.svg" })
    assert.include(text, "| 1.50 [1.45 - 1.60] | met |")
    assert.include(text, "| AegisPay \\| 256 | 100 [90.0 - 110] |")
    assert.include(text, "commit abc, 5 rounds of 1 s")
    assert.include(text, "- node: v24")
    assert.include(text, "![A](plots/a.svg)")
    assert.include(text, "not measured")
  })
})
