/**
 * The other half of the fresh seeds.
 */
import { assert, describe, it } from "@effect/vitest"
import { holds, limitMillis, ranges } from "./campaigns.ts"

describe("fresh seeds", () => {
  for (const range of ranges({ from: 2_501, count: 2_500 }, 250)) {
    it(`${range.from} to ${range.from + range.count - 1}: nothing is lost, nothing is doubled`, { timeout: limitMillis }, () => {
      const report = holds(range)
      assert.isAbove(report.crashes, 100)
      assert.isAbove(report.faults, 1_000)
    })
  }
})
