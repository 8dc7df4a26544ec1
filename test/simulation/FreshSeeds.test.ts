/**
 * The half of the seeds that is new with each commit.
 */
import { assert, describe, it } from "@effect/vitest"
import { firstOfCommit, holds, limitMillis, ranges } from "./campaigns.ts"

describe("seeds that are new with this commit", () => {
  for (const range of ranges({ from: firstOfCommit(), count: 2_500 }, 250)) {
    it(`${range.from} to ${range.from + range.count - 1}: nothing is lost, nothing is doubled`, { timeout: limitMillis }, () => {
      const report = holds(range)
      assert.isAbove(report.crashes, 100)
      assert.isAbove(report.faults, 1_000)
    })
  }
})
