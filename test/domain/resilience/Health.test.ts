/**
 * Health of breakers and gateways: the formula term by term, and what a gateway makes of several breakers.
 */
import { assert, describe, it } from "@effect/vitest"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as Breaker from "../../../src/domain/resilience/Breaker.ts"
import * as BreakerNames from "../../../src/domain/resilience/BreakerName.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import * as Health from "../../../src/domain/resilience/Health.ts"
import { BreakerScript } from "./BreakerScript.ts"

const thresholds = { successThreshold: 3, failureThreshold: 5 }
const perfect: Health.Signs = { state: "closed", successRate: 1, consecutiveSuccesses: 3, consecutiveFailures: 0 }
const scoreOf = (change: Partial<Health.Signs>) => Health.score({ ...perfect, ...change }, thresholds)

const gateway = (name: string) => GatewayName.make(name)
const defaults = BreakerSettings.gatewayDefault
const of = (name: string, kind: Parameters<typeof BreakerNames.of>[1], script: BreakerScript) =>
  Health.ofBreaker(BreakerNames.of(gateway(name), kind), script.breaker, script.now)

describe("score", () => {
  it("is 0.5 state + 0.3 rate + 0.1 run of successes + 0.1 absence of a run of failures", () => {
    const table: ReadonlyArray<readonly [Partial<Health.Signs>, number]> = [
      [{}, 1],
      [{ state: "forced-closed" }, 1],
      [{ state: "half-open" }, 0.75],
      [{ state: "open" }, 0.5],
      [{ state: "forced-open" }, 0.5],
      [{ successRate: 0.5 }, 0.85],
      [{ successRate: 0 }, 0.7],
      [{ consecutiveSuccesses: 0 }, 0.9],
      [{ consecutiveSuccesses: 1 }, 0.9 + 0.1 / 3],
      [{ consecutiveSuccesses: 30 }, 1],
      [{ consecutiveFailures: 1 }, 0.98],
      [{ consecutiveFailures: 50 }, 0.9],
      [{ state: "open", successRate: 0, consecutiveSuccesses: 0, consecutiveFailures: 5 }, 0]
    ]
    for (const [change, expected] of table) assert.closeTo(scoreOf(change), expected, 1e-9, JSON.stringify(change))
  })

  it("of a breaker: new 0.9, opened by failures at most 0.3, to be tried again 0.65", () => {
    const script = new BreakerScript(defaults)
    assert.closeTo(of("a", "sale", script).score, Health.newScore, 1e-9)
    script.success(20).failure(5)
    assert.closeTo(of("a", "sale", script).score, 0.3 * 0.8, 1e-9)
    script.wait(defaults.openTimeoutMillis)
    assert.closeTo(of("a", "sale", script).score, 0.65, 1e-9)
  })

  it("for routing it is 0 where calls are refused, however good the counts are", () => {
    const script = new BreakerScript(defaults).success(50)
    assert.strictEqual(Health.scoreAt(script.breaker, script.now), 1)
    Breaker.forceOpen(script.breaker, script.now)
    assert.strictEqual(of("a", "sale", script).score, 0.5)
    assert.isFalse(of("a", "sale", script).healthy)
    assert.strictEqual(Health.scoreAt(script.breaker, script.now), 0)
  })

  it("for routing it is 0 while all permits of a half-open breaker are out", () => {
    const script = new BreakerScript(defaults).failure(5).wait(defaults.openTimeoutMillis)
    const scoreNow = () => Health.scoreAt(script.breaker, script.now).toFixed(2)
    assert.strictEqual(scoreNow(), "0.65")
    const permits = Array.from({ length: defaults.halfOpenMaxAttempts }, () => script.permit())
    assert.strictEqual(scoreNow(), "0.00")
    script.report(permits[0]!, "ignored")
    assert.strictEqual(scoreNow(), "0.65")
    script.permit()
    script.wait(defaults.halfOpenTimeoutMillis - 1)
    assert.strictEqual(scoreNow(), "0.00")
    script.wait(1)
    assert.strictEqual(scoreNow(), "0.65")
  })
})

describe("a breaker's health", () => {
  it("tells counts, rates, runs, openings and the last failure", () => {
    const script = new BreakerScript({ ...defaults, slowCallMillis: 100 }).success(3).success(1, 100).failure(1)
    const failedAt = script.now
    script.wait(10).calls("ignored", 2)
    assert.deepStrictEqual(of("a", "sale", script), {
      name: BreakerNames.BreakerName.make("a.sale"),
      state: "closed",
      reason: "reset",
      changedAt: failedAt,
      retryAt: undefined,
      score: 0.5 + 0.3 * 0.8 + 0.1 * 0.8,
      healthy: true,
      successRate: 0.8,
      consecutiveSuccesses: 0,
      consecutiveFailures: 1,
      successCount: 4,
      failureCount: 1,
      slowCount: 1,
      failureRate: 0.2,
      slowRate: 0.2,
      totalSuccesses: 4,
      totalFailures: 1,
      totalBlocked: 0,
      openCount: 0,
      lastFailureAt: failedAt
    })
    script.failure(4)
    script.refused()
    const open = of("a", "sale", script)
    assert.deepInclude(open, { state: "open", reason: "consecutive_failures", openCount: 1, totalBlocked: 1, retryAt: script.now + 60_000 })
    assert.isFalse(open.healthy)
  })

  it("forgets what left the window, though no call comes", () => {
    const script = new BreakerScript(defaults).success(2).failure(2).wait(defaults.windowMillis)
    assert.deepInclude(of("a", "sale", script), {
      successCount: 0,
      failureCount: 0,
      successRate: 1,
      totalFailures: 2,
      consecutiveFailures: 2
    })
  })
})

describe("a gateway's health", () => {
  it("is that of its worst breaker, with the counts of all; other dependencies are none of its", () => {
    const good = new BreakerScript(defaults).success(10)
    const bad = new BreakerScript(defaults).success(2).failure(5)
    const other = new BreakerScript(defaults).success(1)
    const [a, b, ...rest] = Health.ofGateways([
      of("a", "sale", good),
      of("b", "sale", other),
      Health.ofBreaker(BreakerNames.BreakerName.make("exchange-rates"), bad.breaker, bad.now),
      of("a", "refund", bad)
    ])
    assert.lengthOf(rest, 0)
    assert.deepInclude(a, {
      gateway: gateway("a"),
      state: "open",
      healthy: false,
      score: of("a", "refund", bad).score,
      successCount: 12,
      failureCount: 5,
      failureRate: 5 / 17,
      consecutiveSuccesses: 0,
      consecutiveFailures: 5,
      openCount: 1,
      lastFailureAt: bad.now
    })
    assert.deepInclude(b, { gateway: gateway("b"), state: "closed", healthy: true, successCount: 1 })
  })

  it("the order of badness: forced open, open, half-open, closed", () => {
    const states = ["forced-closed", "closed", "half-open", "open", "forced-open"] as const
    const healthIn = (state: (typeof states)[number]) => ({ ...of("a", "sale", new BreakerScript(defaults)), state })
    for (const [index, worse] of states.entries()) {
      for (const better of states.slice(0, index + 1)) {
        assert.strictEqual(Health.ofGateways([healthIn(worse), healthIn(better)])[0]?.state, worse)
        assert.strictEqual(Health.ofGateways([healthIn(better), healthIn(worse)])[0]?.state, worse)
      }
    }
  })

  it("of one without a breaker: as if new", () => {
    const fresh = Health.ofGateways([of("a", "sale", new BreakerScript(defaults))])[0]
    assert.deepStrictEqual(Health.ofUnknown(gateway("a")), { ...fresh, score: Health.newScore } as Health.GatewayHealth)
    assert.closeTo(fresh?.score ?? 0, Health.newScore, 1e-9)
  })
})

describe("names", () => {
  it("are gateway and kind; whatever else is none of a gateway", () => {
    const { BreakerName, of, partsOf } = BreakerNames
    assert.strictEqual(of(gateway("stripe-eu"), "sale"), "stripe-eu.sale")
    assert.deepStrictEqual(partsOf(of(gateway("stripe-eu"), "capture")), { gateway: gateway("stripe-eu"), kind: "capture" })
    for (const name of ["sale", "stripe-eu", "stripe-eu.buy", ".sale".slice(1), "rates.v2", "a.b.sale"]) {
      assert.isUndefined(partsOf(BreakerName.make(name)), name)
    }
  })
})
