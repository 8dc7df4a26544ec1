/**
 * Drawn numbers: fixed by their seed, and distributed as they say.
 */
import { assert, describe, it } from "@effect/vitest"
import * as BetaDistribution from "../../../../src/domain/routing/plan/BetaDistribution.ts"
import * as Chance from "../../../../src/domain/routing/plan/Chance.ts"

const list = (count: number, make: (index: number) => number): Array<number> => Array.from({ length: count }, (_, index) => make(index))
const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length
const variance = (values: ReadonlyArray<number>): number => {
  const middle = mean(values)
  return mean(values.map((value) => (value - middle) ** 2))
}

/** The greatest distance between what was drawn and a distribution (Kolmogorov and Smirnov). */
const distance = (values: ReadonlyArray<number>, below: (x: number) => number): number => {
  const sorted = [...values].sort((left, right) => left - right)
  return Math.max(
    ...sorted.map((value, index) =>
      Math.max(Math.abs(below(value) - index / sorted.length), Math.abs(below(value) - (index + 1) / sorted.length))
    )
  )
}

const draws = 20_000
/** A true distribution comes further than this in one of a million tests: sqrt(-ln(1e-6 / 2) / 2). */
const tooFar = 2.7 / Math.sqrt(draws)

describe("Chance", () => {
  it("one seed is one stream; another is another", () => {
    const take = (seed: number) => {
      const stream = Chance.streamOf(seed)
      return list(100, () => stream())
    }
    assert.deepStrictEqual(take(0.25), take(0.25))
    assert.notDeepEqual(take(0.25), take(0.250_001))
  })

  it("streams are uniform, across seeds too", () => {
    const stream = Chance.streamOf(0.5)
    assert.isBelow(
      distance(
        list(draws, () => stream()),
        (x) => x
      ),
      tooFar
    )
    assert.isBelow(
      distance(
        list(draws, (index) => Chance.streamOf(index / draws)()),
        (x) => x
      ),
      tooFar
    )
  })

  it("a text's number is fixed, in (0, 1), and uniform over near texts", () => {
    assert.strictEqual(Chance.uniformOf("pay_1"), Chance.uniformOf("pay_1"))
    const values = list(draws, (index) => Chance.uniformOf(`rule\npay_${index}\ngateway`))
    assert.isTrue(values.every((value) => value > 0 && value < 1))
    assert.isBelow(
      distance(values, (x) => x),
      tooFar
    )
  })

  for (const [alpha, beta] of [
    [0.4, 0.7],
    [1, 1],
    [19, 1],
    [95.5, 4.5],
    [900, 120],
    [9_000, 60]
  ] as const) {
    it(`Beta(${alpha}, ${beta}) has its mean, its variance and its shape`, () => {
      const stream = Chance.streamOf(0.123)
      const values = list(draws, () => Chance.beta(alpha, beta, stream))
      const distribution = BetaDistribution.make(alpha, beta)
      assert.isTrue(values.every((value) => value >= 0 && value <= 1))
      assert.closeTo(mean(values), distribution.mean, (5 * distribution.deviation) / Math.sqrt(draws))
      assert.closeTo(variance(values) / distribution.deviation ** 2, 1, 0.1)
      assert.isBelow(
        distance(values, (x) => BetaDistribution.below(distribution, x)),
        tooFar
      )
    })
  }
})

describe("BetaDistribution", () => {
  it("has the values of closed forms", () => {
    // Beta(1, 1) is uniform; I_x(a, 1) = x^a; I_x(1, b) = 1 - (1 - x)^b; Beta(2, 2): x^2 (3 - 2 x).
    for (const x of [0.01, 0.2, 0.5, 0.77, 0.99]) {
      assert.closeTo(BetaDistribution.below(BetaDistribution.make(1, 1), x), x, 1e-9)
      assert.closeTo(BetaDistribution.below(BetaDistribution.make(5, 1), x), x ** 5, 1e-9)
      assert.closeTo(BetaDistribution.below(BetaDistribution.make(1, 4), x), 1 - (1 - x) ** 4, 1e-9)
      assert.closeTo(BetaDistribution.below(BetaDistribution.make(2, 2), x), x * x * (3 - 2 * x), 1e-9)
      assert.closeTo(BetaDistribution.density(BetaDistribution.make(2, 2), x), 6 * x * (1 - x), 1e-9)
    }
  })

  it("rises from 0 to 1, and is the integral of its density", () => {
    for (const [alpha, beta] of [
      [0.5, 3],
      [19, 1],
      [400, 30]
    ] as const) {
      const distribution = BetaDistribution.make(alpha, beta)
      const steps = 10_000
      const step = (0.97 - 0.3) / steps
      let integral = BetaDistribution.below(distribution, 0.3)
      for (let at = 0; at < steps; at++) integral += BetaDistribution.density(distribution, 0.3 + (at + 0.5) * step) * step
      assert.closeTo(integral, BetaDistribution.below(distribution, 0.97), 1e-4)
      assert.strictEqual(BetaDistribution.below(distribution, 0), 0)
      assert.strictEqual(BetaDistribution.below(distribution, 1), 1)
    }
  })
})
