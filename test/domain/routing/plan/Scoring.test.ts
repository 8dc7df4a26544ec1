/**
 * Scores: their formulas by example, their bounds, and what they may and may not depend on.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { GatewaySignals } from "../../../../src/domain/routing/Decision.ts"
import * as Scoring from "../../../../src/domain/routing/plan/Scoring.ts"
import * as Policy from "../../../../src/domain/routing/policy/Policy.ts"
import { Weights } from "../../../../src/domain/routing/policy/Rules.ts"
import { signalsOf, unknownSignals } from "../../../support/routing.ts"

const { scoring: settings, weights } = Policy.make()
/** 100.00 EUR. */
const amountMinor = 10_000

describe("Scoring", () => {
  it("success is the mean of a Beta distribution: the prior without calls, neither 0 nor 1 with one, the rate with many", () => {
    assert.strictEqual(Scoring.success(unknownSignals, settings), 0.95)
    assert.strictEqual(Scoring.success(signalsOf({ samples: 1, successRate: 0 }), settings), 0.9048)
    assert.strictEqual(Scoring.success(signalsOf({ samples: 1, successRate: 1 }), settings), 0.9524)
    assert.strictEqual(Scoring.success(signalsOf({ samples: 1_000_000, successRate: 0.42 }), settings), 0.42)
  })

  it("what is approved does not count; with a floor of 1 fully, with a lower one not while at least so much is approved", () => {
    assert.strictEqual(Scoring.success(signalsOf({ approved: 0, declined: 1_000 }), settings), Scoring.success(signalsOf(), settings))
    const fully = Policy.make({ scoring: { approvalFloor: 1 } }).scoring
    assert.strictEqual(Scoring.success(signalsOf({ samples: 1e6, successRate: 1, approved: 600_000, declined: 400_000 }), fully), 0.6)
    const half = Policy.make({ scoring: { approvalFloor: 0.5 } }).scoring
    assert.strictEqual(Scoring.success(signalsOf({ approved: 600, declined: 400 }), half), Scoring.success(signalsOf(), half))
    const nobody = Scoring.success(signalsOf({ approved: 0, declined: 1_000 }), half)
    assert.isBelow(nobody, 0.05)
  })

  it("latency is 1 up to the target, 0 from the limit on, and falls with the logarithm in between", () => {
    const many = { samples: 1e6 }
    assert.strictEqual(Scoring.latency(signalsOf({ ...many, p95Millis: 1 }), settings), 1)
    assert.strictEqual(Scoring.latency(signalsOf({ ...many, p95Millis: 1_000 }), settings), 1)
    assert.strictEqual(Scoring.latency(signalsOf({ ...many, p95Millis: 15_000 }), settings), 0)
    assert.strictEqual(Scoring.latency(signalsOf({ ...many, p95Millis: 60_000 }), settings), 0)
    // Half way between the logarithms of 1,000 and 15,000.
    assert.closeTo(Scoring.latency(signalsOf({ ...many, p95Millis: Math.sqrt(1_000 * 15_000) }), settings), 0.5, 0.0002)
  })

  it("a gateway is taken to be quick until its calls say otherwise: without them it would never be seen to be", () => {
    assert.strictEqual(Scoring.latency(unknownSignals, settings), 1)
    assert.strictEqual(Scoring.latency(signalsOf({ samples: 20, p95Millis: 10 }), settings), 1)
    assert.strictEqual(Scoring.latency(signalsOf({ samples: 20, p95Millis: 60_000 }), settings), 0.5)
  })

  it("hope adds a standard deviation: much where little is known, hardly anything where much is", () => {
    const added = (differs: Parameters<typeof signalsOf>[0]) =>
      Scoring.hopedSuccess(signalsOf(differs), settings) - Scoring.success(signalsOf(differs), settings)
    // The deviation of Beta(19, 1): sqrt(19 / 21) / 20.
    assert.strictEqual(Scoring.hopedSuccess(unknownSignals, settings), 0.9976)
    assert.isBelow(added({ samples: 1_000, successRate: 0.98 }), 0.005)
    assert.isAbove(added({ samples: 10, successRate: 0.5 }), 0.05)
    const sober = Policy.make({ scoring: { optimism: 0 } }).scoring
    assert.strictEqual(Scoring.hopedSuccess(unknownSignals, sober), Scoring.success(unknownSignals, sober))
  })

  it("cost falls with the fee's share of the amount, fixed part included; an unknown fee is the middle", () => {
    assert.strictEqual(Scoring.cost(undefined, amountMinor, settings), 0.5)
    assert.strictEqual(Scoring.cost({}, amountMinor, settings), 1)
    assert.strictEqual(Scoring.cost({ basisPoints: 100 }, amountMinor, settings), 0.8)
    // 50 of 10,000 are another 50 basis points.
    assert.strictEqual(Scoring.cost({ basisPoints: 100, fixedMinor: 50 }, amountMinor, settings), 0.7)
    assert.strictEqual(Scoring.cost({ basisPoints: 900 }, amountMinor, settings), 0)
  })

  it("a latency is the same whatever was asked before", () => {
    const asked = [1_500, 1_500 + 512, 1_500.5, 14_999, 1_500 + 5 * 512, 1_001]
    const { latencyLimitLog, latencySpanLog, priorStrength } = settings
    for (const p95Millis of [...asked, ...asked.toReversed(), ...asked]) {
      const fast = (latencyLimitLog - Math.log(p95Millis)) / latencySpanLog
      const expected = Math.round(((fast * 1_000 + priorStrength) / (1_000 + priorStrength)) * 10_000) / 10_000
      assert.strictEqual(Scoring.latency(signalsOf({ samples: 1_000, p95Millis }), settings), expected)
    }
  })

  it("the presets weigh success 0.5, latency 0.3, cost 0.2", () => {
    assert.deepStrictEqual(weights, { success: 0.5, latency: 0.3, cost: 0.2 })
    assert.strictEqual(Scoring.total({ success: 1, latency: 0, cost: 0 }, weights), 0.5)
    assert.strictEqual(Scoring.total({ success: 0, latency: 1, cost: 0 }, weights), 0.3)
    assert.strictEqual(Scoring.total({ success: 0, latency: 0, cost: 1 }, weights), 0.2)
  })

  it.prop(
    "parts and score are in [0, 1], whatever is known and however it is weighed",
    { signals: GatewaySignals, weights: Weights, basisPoints: Schema.Int },
    (given) => {
      const { signals } = given
      const parts = {
        success: Scoring.hopedSuccess(signals, settings),
        latency: Scoring.latency(signals, settings),
        cost: Scoring.cost({ basisPoints: Math.abs(given.basisPoints) }, amountMinor, settings)
      }
      for (const value of [...Object.values(parts), Scoring.total(parts, Policy.weightsOf(given.weights))]) {
        assert.isAtLeast(value, 0)
        assert.isAtMost(value, 1)
      }
    }
  )

  it.prop(
    "a higher success rate or a lower latency never lowers the score",
    { signals: GatewaySignals, better: GatewaySignals },
    ({ better, signals }) => {
      const rate = Math.max(signals.successRate, better.successRate)
      assert.isAtLeast(Scoring.success({ ...signals, successRate: rate }, settings), Scoring.success(signals, settings))
      const p95Millis = Math.min(signals.p95Millis, better.p95Millis)
      assert.isAtLeast(Scoring.latency({ ...signals, p95Millis }, settings), Scoring.latency(signals, settings))
    }
  )
})
