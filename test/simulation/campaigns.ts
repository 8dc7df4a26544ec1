/**
 * What the tests of the simulation share: how much of it they run.
 *
 * Half of the seeds are always the same. The others are new with each commit and the same for one commit, so that a run that failed can be
 * repeated: the names of the tests say which, and every failure comes with the command that shows it. AEGISPAY_LONG adds to both halves.
 */
import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as Campaign from "../../src/simulation/campaign/Campaign.ts"

/** Is more to be run than a normal run has time for? */
export const isLong = process.env["AEGISPAY_LONG"] === "1"

/** Seeds of a commit stay apart from the fixed ones, and below 2^31, where streams of chance are taken from. */
const firstOfCommits = 10_000_000
const seedsOfCommit = 20_000
const commits = 90_000
/** Where there is no repository, as in a source package. */
const commitWithoutGit = "00000000"

const commit = (): string => {
  try {
    const printed = execFileSync("git", ["rev-parse", "HEAD"], {
      cwd: import.meta.dirname,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    })
    return /^[0-9a-f]{40,64}$/.test(printed.trim()) ? printed : commitWithoutGit
  } catch {
    return commitWithoutGit
  }
}

/** The first of the seeds that are new with the commit that is checked out. */
export const firstOfCommit = (): number => firstOfCommits + (Number.parseInt(commit().slice(0, 8), 16) % commits) * seedsOfCommit

/** Parts of `each` seeds from the first one on; with AEGISPAY_LONG four times as many. */
export const ranges = (wanted: { readonly from: number; readonly count: number }, each: number) =>
  Array.from({ length: ((isLong ? 4 : 1) * wanted.count) / each }, (_, part) => ({ from: wanted.from + part * each, count: each }))

/** Runs a range of seeds, all of which have to hold. */
export const holds = (range: { readonly from: number; readonly count: number }, lab?: Campaign.Lab): Campaign.Report => {
  const report = Campaign.seeds({ ...range, offset: 0, stride: 1 }, lab)
  assert.deepStrictEqual(report.failures, [], ["to see it:", ...report.failures.map(({ replay }) => replay)].join("\n"))
  assert.strictEqual(report.runs, range.count)
  return report
}

/** A busy machine takes minutes for what takes seconds, and for all operations of a scenario up to an hour. */
export const limitMillis = isLong ? 3_600_000 : 600_000

/** A test for each scenario: it is crashed at every operation, or at every `stride`-th. */
export const crashEverywhere = (scenarios: ReadonlyArray<Campaign.Scenario & { readonly what: string }>, stride = 1) => {
  for (const { what, ...scenario } of scenarios) {
    it(`of seed ${scenario.seed}: ${what}`, { timeout: limitMillis }, () => {
      const operations = Campaign.operationsOf(scenario)
      assert.isAbove(operations, 200)
      const report = Campaign.exhaustive({ ...scenario, operations, offset: 0, stride })
      assert.deepStrictEqual(report.failures, [], ["to see it:", ...report.failures.map(({ replay }) => replay)].join("\n"))
      assert.strictEqual(report.crashes, Math.ceil(operations / stride))
    })
  }
}
