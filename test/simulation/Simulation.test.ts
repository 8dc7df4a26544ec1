/**
 * The simulation: one seed is one run, fixed seeds hold, and what fails is reduced. `FreshSeeds.test.ts` has as many that are new with each commit.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Bugs from "../../src/simulation/bugs/Bugs.ts"
import * as Campaign from "../../src/simulation/campaign/Campaign.ts"
import * as Simulation from "../../src/simulation/Simulation.ts"
import { holds, limitMillis, ranges } from "./campaigns.ts"

describe("a seed", () => {
  it("gives the same run every time, step by step", () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const [first, second] = [Simulation.run({ seed, trace: true }), Simulation.run({ seed, trace: true })]
      assert.deepStrictEqual(first.trace, second.trace)
      assert.deepStrictEqual(first.stats, second.stats)
    }
  })

  it("gives the same run with its schedule and without", () => {
    for (const seed of [6, 7, 8]) assert.deepStrictEqual(Simulation.run({ seed, trace: true }).stats, Simulation.run({ seed }).stats)
  })

  it("gives another run than the next one", () => {
    const fingerprints = Array.from({ length: 10 }, (_, seed) => Simulation.run({ seed }).stats.fingerprint)
    assert.lengthOf(new Set(fingerprints), 10)
  })
})

describe("fixed seeds", () => {
  for (const range of ranges({ from: 1, count: 2_500 }, 250)) {
    it(`${range.from} to ${range.from + range.count - 1}: nothing is lost, nothing is doubled`, { timeout: limitMillis }, () => {
      const report = holds(range)
      assert.isAbove(report.crashes, 100)
      assert.isAbove(report.faults, 1_000)
    })
  }
})

describe("a failure", () => {
  const bug = Bugs.all.find(({ name }) => name === "no-intent")
  const failing = (seed: number): Simulation.Options => ({ seed, ...(bug === undefined ? {} : { bug }) })

  it("is reduced to what it needs, and the command shows it", { timeout: limitMillis }, () => {
    let seed = 1
    while (Simulation.run(failing(seed)).violations.length === 0) seed++
    const { violations } = Simulation.run(failing(seed))
    const reduced = Campaign.reduce(failing(seed), violations)
    assert.isNotEmpty(Simulation.run(reduced).violations)
    assert.lengthOf(reduced.payments ?? [], 1)
    assert.match(Campaign.replayOf(reduced), new RegExp(`^aegispay simulate --seeds 1 --from ${seed} --payments \\d .*--trace$`))
    assert.match(Campaign.replayOf(reduced, "pglite"), new RegExp(`^aegispay simulate --seeds 1 --from ${seed} --store pglite .*--trace$`))
  })
})
