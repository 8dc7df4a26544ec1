/**
 * Going on after a charge that did not take effect: the next of the plan, then what was left out for failing.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Failover from "../../../../src/domain/routing/plan/Failover.ts"
import { operationNumber } from "../../../support/payments.ts"
import { decide, name, namesOf } from "../../../support/routing.ts"

const decision = decide(
  { a: {}, b: { successRate: 0.9 }, c: { breaker: "open", health: 0, retryAfterMillis: 9_000 }, d: {} },
  { policyData: { rules: [{ name: "no d", then: { exclude: [name("d")] } }] } }
)

const next = (options: Partial<Failover.FailoverInput>) =>
  Failover.next({
    decision,
    after: operationNumber(1),
    because: "a soft decline at a",
    tried: [name("a")],
    isConfigured: () => true,
    caps: undefined,
    now: 1_700_000_000_000,
    ...options
  })

describe("Failover", () => {
  it("the plan is the ranked gateways, then those that were failing; what could not take the payment never comes", () => {
    assert.deepStrictEqual(namesOf(Failover.plan(decision)), ["a", "b", "c"])
    assert.deepStrictEqual(Failover.plan(undefined), [])
  })

  it("the next one that was not tried, with what was left of the plan, the reason and the policy", () => {
    const { after, excluded, explored, policy, propensity, ranked, reason, rule, version } = next({})
    assert.deepStrictEqual(namesOf(ranked), ["b", "c"])
    assert.deepStrictEqual(
      excluded.map(({ gateway, reason }) => [gateway, reason]),
      [[name("a"), "tried"]]
    )
    assert.strictEqual(reason, "b: next of the plan after a soft decline at a")
    assert.deepStrictEqual([policy, version, rule, after], ["weighted", decision.version, "no d", operationNumber(1)])
    assert.strictEqual(propensity, 1)
    assert.isUndefined(explored)
  })

  it("a failing gateway is the last resort, and says so", () => {
    const { ranked } = next({ tried: [name("a"), name("b")] })
    assert.deepStrictEqual(
      ranked.map(({ gateway, reason }) => [gateway, reason]),
      [[name("c"), "last resort: its circuit breaker is open for another 9000 ms"]]
    )
  })

  it("gateways that are not configured any more are passed over", () => {
    const { excluded, ranked } = next({ isConfigured: (gateway) => gateway !== name("b") })
    assert.deepStrictEqual(namesOf(ranked), ["c"])
    assert.deepStrictEqual(
      excluded.map(({ reason }) => reason),
      ["tried", "not_configured"]
    )
  })

  it("nothing is left after the last, nor where there never was a plan", () => {
    assert.lengthOf(next({ tried: [name("a"), name("b"), name("c")] }).ranked, 0)
    assert.lengthOf(next({ decision: undefined }).ranked, 0)
  })

  it("a step-up goes to the same gateway", () => {
    const again = Failover.stepUp({ decision, after: operationNumber(1), gateway: name("b"), caps: undefined, now: 0 })
    assert.deepStrictEqual(namesOf(again.ranked), ["b"])
    assert.strictEqual(again.after, operationNumber(1))
  })

  it("without its grounds a decision is a fraction of itself, and goes on in the same way", () => {
    const left = Failover.withoutGrounds(decision)
    assert.isBelow(JSON.stringify(left).length, JSON.stringify(decision).length / 3)
    for (const tried of [[], ["a"], ["a", "b"], ["a", "b", "c"], ["b"], ["c"]].map((names) => names.map(name))) {
      for (const because of ["a soft decline at a", "a's rate limit"]) {
        assert.deepStrictEqual(next({ decision: left, tried, because }), next({ tried, because }))
        const advised = { gateway: name("c"), hook: "own", reason: "cheaper" }
        assert.deepStrictEqual(next({ decision: left, tried, because, advised }), next({ tried, because, advised }))
      }
    }
    for (const gateway of ["a", "b", "c", "d", "e"].map(name)) {
      const options = { after: operationNumber(1), gateway, caps: undefined, now: 0 }
      assert.deepStrictEqual(Failover.stepUp({ ...options, decision: left }), Failover.stepUp({ ...options, decision }))
    }
    assert.deepStrictEqual(
      Failover.plan(left).map(({ gateway, score }) => [gateway, score]),
      Failover.plan(decision).map(({ gateway, score }) => [gateway, score])
    )
  })
})
