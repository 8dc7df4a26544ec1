/**
 * What the tests of the simulation share: how much of it they run.
 *
 * The seeds of a normal run are always the same. With AEGISPAY_LONG others are added that nobody has run before; the names of their tests say
 * which, and every failure comes with the command that shows it.
 */
import { assert, it } from "@effect/vitest"
import * as Campaign from "../../src/simulation/campaign/Campaign.ts"

/** Is more to be run than a normal run has time for? */
export const isLong = process.env["AEGISPAY_LONG"] === "1"

/** The first of the seeds that nobody has run before: by the minute, so that the files of one run take different ones by their offset. */
const newest = Math.floor(Date.now() / 60_000) * 1_000

/** Seeds of a file: the fixed ones, and with AEGISPAY_LONG as many times more that are new. */
export const ranges = (fixed: { readonly from: number; readonly count: number }, each: number) => {
  const parts = (from: number, count: number) => Array.from({ length: Math.ceil(count / each) }, (_, part) => from + part * each)
  const added = isLong ? parts((newest % 1_000_000_000) + 10_000_000 + fixed.from, 3 * fixed.count) : []
  return [...parts(fixed.from, fixed.count), ...added].map((from) => ({ from, count: each }))
}

/** Runs a range of seeds, all of which have to hold. */
export const holds = (range: { readonly from: number; readonly count: number }, lab?: Campaign.Lab): Campaign.Report => {
  const report = Campaign.seeds({ ...range, offset: 0, stride: 1 }, lab)
  assert.deepStrictEqual(report.failures, [])
  assert.strictEqual(report.runs, range.count)
  return report
}

/** A busy machine takes minutes for what takes seconds. */
export const limitMillis = 600_000

/** A test for each scenario: it is crashed at every operation, or at every `stride`-th. */
export const crashEverywhere = (scenarios: ReadonlyArray<{ readonly seed: number; readonly what: string }>) => {
  for (const { seed, what } of scenarios) {
    it(`of seed ${seed}: ${what}`, { timeout: limitMillis }, () => {
      const operations = Campaign.operationsOf(seed)
      assert.isAbove(operations, 200)
      const report = Campaign.exhaustive({ seed, operations, offset: 0, stride: 1 })
      assert.deepStrictEqual(report.failures, [])
      assert.strictEqual(report.crashes, operations)
    })
  }
}
