/**
 * How far a plan moves the clock: a function of the time alone.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ChaosTime from "../../../src/domain/chaos/ChaosTime.ts"
import type { ChaosRule } from "../../../src/domain/chaos/ChaosPlan.ts"
import { planOf } from "../../support/chaos.ts"

const clock = (rule: Pick<ChaosRule, "when" | "inject"> & Partial<ChaosRule>) => ({ ...rule, target: "clock" as const })
const offsets = (rules: ReadonlyArray<ReturnType<typeof clock>>, at: ReadonlyArray<number>, seed = 7) =>
  at.map((millis) => ChaosTime.offsetOf(ChaosTime.movesAt(planOf(rules, { seed }), millis)))

describe("a moved clock", () => {
  it("jumps at its times and stays there, as often as it may", () => {
    const jump = clock({ when: { type: "at", atMillis: [100, 200, 300] }, inject: { type: "clock_jump", byMillis: -50 } })
    assert.deepStrictEqual(offsets([jump], [0, 99, 100, 199, 200, 1_000]), [0, 0, -50, -50, -100, -150])
    const within = { ...jump, fromMillis: 150, untilMillis: 300 }
    assert.deepStrictEqual(offsets([within], [100, 150, 199, 200, 299, 300, 1_000]), [0, 0, 0, -50, -50, -50, -50])
    assert.deepStrictEqual(offsets([{ ...jump, maxInjections: 2 }], [100, 200, 1_000]), [-50, -100, -100])
  })

  it("is off while a skew is in force, and right after it", () => {
    const skew = clock({
      when: { type: "random", rate: 1 },
      inject: { type: "clock_skew", byMillis: 5_000 },
      fromMillis: 10,
      untilMillis: 20
    })
    assert.deepStrictEqual(offsets([skew], [9, 10, 19, 20]), [0, 5_000, 5_000, 0])
  })

  it("is off in the share of spells that was asked for, the same at every look at one spell", () => {
    const burst = clock({
      when: { type: "burst", everyMillis: 100, forMillis: 50, rate: 0.3 },
      inject: { type: "clock_skew", byMillis: 7 }
    })
    const spells = 5_000
    const starts = Array.from({ length: spells }, (_, spell) => spell * 100)
    const first = offsets([burst], starts)
    assert.deepStrictEqual(
      offsets(
        [burst],
        starts.map((at) => at + 49)
      ),
      first
    )
    assert.isTrue(
      offsets(
        [burst],
        starts.map((at) => at + 50)
      ).every((offset) => offset === 0)
    )
    const share = first.filter((offset) => offset === 7).length / spells
    assert.approximately(share, 0.3, 5 * Math.sqrt(0.21 / spells))
    assert.notDeepEqual(offsets([burst], starts, 8), first)
  })

  it("adds its moves up, and rules of other targets before it change nothing", () => {
    const jump = clock({ when: { type: "at", atMillis: [5] }, inject: { type: "clock_jump", byMillis: 1_000 } })
    const burst = clock({ when: { type: "burst", everyMillis: 10, forMillis: 10, rate: 0.5 }, inject: { type: "clock_skew", byMillis: 1 } })
    const at = Array.from({ length: 50 }, (_, index) => index * 10)
    const alone = ChaosTime.movesAt(planOf([burst]), 400)
    assert.isAtLeast(offsets([jump, burst], [5])[0] ?? 0, 1_000)
    const gateway = { target: "gateway" as const, when: { type: "random" as const, rate: 1 }, inject: { type: "network" as const } }
    const withOthers = at.map((millis) => ChaosTime.offsetOf(ChaosTime.movesAt(planOf([gateway, burst]), millis)))
    assert.deepStrictEqual(withOthers, offsets([burst], at))
    assert.isAtMost(alone.length, 1)
  })
})
