/**
 * The simulation over the SQL of the Postgres layers, in an in-process Postgres.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import * as Bugs from "../../src/simulation/bugs/Bugs.ts"
import * as Campaign from "../../src/simulation/campaign/Campaign.ts"
import * as Labs from "../../src/simulation/campaign/Labs.ts"
import * as Setup from "../../src/simulation/Setup.ts"
import { holds, isLong, limitMillis } from "./campaigns.ts"

describe("over the SQL of Postgres", () => {
  let lab = Campaign.inMemory
  beforeAll(async () => {
    lab = await Labs.open("pglite")
  }, limitMillis)

  it("a seed gives the same run every time, step by step", { timeout: limitMillis }, () => {
    const [first, second] = [lab.run({ seed: 3, trace: true }), lab.run({ seed: 3, trace: true })]
    assert.deepStrictEqual(first.trace, second.trace)
    assert.deepStrictEqual(first.stats, second.stats)
  })

  it("nothing is lost, nothing is doubled", { timeout: limitMillis }, () => {
    const report = holds({ from: 1, count: isLong ? 300 : 8 }, lab)
    assert.isAbove(report.crashes, 2)
    assert.isAbove(report.faults, 50)
  })

  it("a crash inside a host's transaction leaves nothing of it", { timeout: limitMillis }, () => {
    const seed = seedOf("prepare")
    const operations = Campaign.operationsOf({ seed }, lab)
    const report = Campaign.exhaustive({ seed, operations, offset: 0, stride: isLong ? 7 : Math.ceil(operations / 20) }, lab)
    assert.deepStrictEqual(report.failures, [])
    assert.isAbove(report.crashes, 15)
  })

  it("planted bugs are found there too", { timeout: limitMillis }, () => {
    const planted = Bugs.all.filter(({ name }) => ["no-intent", "acknowledged-before-delivery", "call-in-host-transaction"].includes(name))
    assert.lengthOf(planted, 3)
    for (const bug of planted) {
      let seed = 1
      while (seed <= 60 && lab.run({ seed, bug }).violations.length === 0) seed++
      assert.isAtMost(seed, 60, `no seed found ${bug.name}`)
    }
  })
})

/** The first seed whose first payment is asked for in this way. */
const seedOf = (how: "prepare"): number => {
  let seed = 1
  while (Setup.of(seed).plans[0]?.how !== how) seed++
  return seed
}
