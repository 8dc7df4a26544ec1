/**
 * What fibers of one process can come between: a check and the step after it, where an effect stands between the two.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Setup from "../../src/simulation/Setup.ts"
import * as Simulation from "../../src/simulation/Simulation.ts"
import * as Kernel from "../../src/simulation/world/Kernel.ts"

type Turns = Partial<Pick<Setup.Setup, "preempt" | "late">> & { readonly opsBeforeYield?: number }

const kernelWith = (seed: number, { late = 0, preempt = 0 }: Turns) => Kernel.make({ seed, preempt, late, maxSteps: 10_000 })

/** A gateway that means to charge once, and forgets that another caller may come between its look and its note. Answers how often it charged. */
const charges = (seed: number, turns: Turns, callersAt: ReadonlyArray<number>): number => {
  const kernel = kernelWith(seed, turns)
  const process = kernel.process("instance", { skewMillis: 0, opsBeforeYield: turns.opsBeforeYield })
  let charged = 0
  let known = false
  const charge = Effect.gen(function* () {
    if (known) return
    yield* Effect.sync(() => undefined)
    known = true
    charged++
  })
  let living = callersAt.length
  for (const at of callersAt) kernel.after(at, process, () => void kernel.fork(process, charge, () => living--))
  assert.isTrue(kernel.runUntil(() => living === 0))
  return charged
}

/** Of so many seeds, those that found it. */
const seeds = 100
const finding = (turns: Turns, callersAt: ReadonlyArray<number>): number =>
  Array.from({ length: seeds }, (_, seed) => charges(seed, turns, callersAt)).filter((charged) => charged > 1).length

describe("a check and the step after it, in one process", () => {
  const atOnce = [5, 5]
  const shortlyAfter = [5, 9]

  it("stay together where no fiber is made to give way: effect's default allows more operations than that", () => {
    assert.strictEqual(finding({}, atOnce), 0)
  })

  it("come apart where a turn has few operations, and not where it has more than both need", () => {
    assert.isAbove(finding({ opsBeforeYield: 1 }, atOnce), seeds / 4)
    assert.isAbove(finding({ opsBeforeYield: 4 }, atOnce), seeds / 10)
    assert.strictEqual(finding({ opsBeforeYield: 300 }, atOnce), 0)
  })

  it("come apart now and then where fibers give way at random", () => {
    const found = finding({ preempt: 0.08 }, atOnce)
    assert.isAbove(found, 0)
    assert.isBelow(found, finding({ opsBeforeYield: 1 }, atOnce))
  })

  it("come apart for whoever comes some milliseconds later only where a fiber goes on late", () => {
    assert.strictEqual(finding({ opsBeforeYield: 1 }, shortlyAfter), 0)
    assert.isAbove(finding({ opsBeforeYield: 1, late: 0.3 }, shortlyAfter), seeds / 10)
  })
})

describe("a process whose fiber is late", () => {
  it("is paused only when the fiber has gone on", () => {
    const kernel = kernelWith(1, { late: 1 })
    const process = kernel.process("instance", { skewMillis: 0 })
    let goneOn = false
    kernel.fork(process, Effect.yieldNow, () => (goneOn = true))
    while (!kernel.pause(process, 1_000)) assert.isTrue(kernel.runUntil(() => process.late === 0))
    assert.isTrue(goneOn)
    assert.strictEqual(process.state, "paused")
  })
})

describe("a seed", () => {
  it("brings turns of every kind, and with its share of random ones alone it brings no others", () => {
    const setups = Array.from({ length: 200 }, (_, seed) => Setup.of(seed))
    const most = setups.flatMap(({ opsBeforeYield }) => opsBeforeYield)
    for (const isThere of [most.includes(undefined), most.some((ops = 0) => ops > 30), most.some((ops = 31) => ops <= 30)])
      assert.isTrue(isThere)
    assert.isTrue(setups.some(({ late }) => late > 0) && setups.some(({ late }) => late === 0))
    const { late, opsBeforeYield, preempt } = Setup.of(7, { preempt: 0.02 })
    assert.deepStrictEqual({ late, opsBeforeYield, preempt }, { late: 0, opsBeforeYield: [], preempt: 0.02 })
  })

  it("gives the same run every time where fibers give way early and go on late", () => {
    let seed = 1
    while (Setup.of(seed).late === 0 || !Setup.of(seed).opsBeforeYield.some((ops = 31) => ops <= 30)) seed++
    const [first, second] = [Simulation.run({ seed, trace: true }), Simulation.run({ seed, trace: true })]
    assert.deepStrictEqual(first.trace, second.trace)
    assert.notStrictEqual(first.stats.fingerprint, Simulation.run({ seed, preempt: Setup.of(seed).preempt }).stats.fingerprint)
  })
})
