import { assert, describe, it } from "@effect/vitest"
import { arrivals, quantile } from "../../scripts/bench/load/Schedule.ts"

describe("arrivals of an open loop", () => {
  it("rise, end before the duration, come as often as asked, and are the same for the same seed", () => {
    const options = { perSecond: 500, seconds: 20, seed: 7 }
    const due = arrivals(options)
    assert.deepStrictEqual(due, arrivals(options))
    assert.notDeepEqual(due, arrivals({ ...options, seed: 8 }))
    assert.isTrue(due.every((at, index) => at > (due[index - 1] ?? 0) && at < 20_000))
    // Ten thousand are expected; the standard deviation of a Poisson process is its root.
    assert.approximately(due.length, 10_000, 400)
  })

  it("know nothing of each other: the gaps are exponential", () => {
    const due = arrivals({ perSecond: 1_000, seconds: 20, seed: 1 })
    const gaps = due.map((at, index) => at - (due[index - 1] ?? 0))
    assert.approximately(quantile(gaps, 0.5), Math.LN2, 0.05)
    assert.approximately(quantile(gaps, 0.99), Math.log(100), 0.4)
  })
})

describe("quantile", () => {
  it("is the nearest rank", () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index)
    assert.strictEqual(quantile(values, 0.5), 50)
    assert.strictEqual(quantile(values, 0.99), 99)
    assert.strictEqual(quantile(values, 1), 100)
    assert.strictEqual(quantile([3], 0), 3)
    assert.isNaN(quantile([], 0.5))
  })
})
