/**
 * Exploration: as much as configured, where it may be, with the probability that is told.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Chance from "../../../../src/domain/routing/plan/Chance.ts"
import type { PolicyData } from "../../../../src/domain/routing/policy/Policy.ts"
import { details, eur } from "../../../support/payments.ts"
import { decide, name, namesOf, small } from "../../../support/routing.ts"

const gateways = { a: {}, b: { successRate: 0.9 }, c: { successRate: 0.8 } }

/** The share of decisions whose first gateway is each, over seeded random numbers. */
const firsts = (decisions: number, input: Parameters<typeof decide>[1] = {}, given: Parameters<typeof decide>[0] = gateways) => {
  const random = Chance.streamOf(0.31)
  const counts = new Map<string, number>()
  for (let count = 0; count < decisions; count++) {
    const { ranked } = decide(given, { ...input, random: random() })
    const first = ranked[0]?.gateway ?? ""
    counts.set(first, (counts.get(first) ?? 0) + 1)
  }
  return (gateway: string) => (counts.get(gateway) ?? 0) / decisions
}

/** Five standard errors. */
const near = (actual: number, expected: number, decisions: number) =>
  assert.closeTo(actual, expected, 5 * Math.sqrt((expected * (1 - expected)) / decisions) + 1e-12)

const explored = (input: Parameters<typeof decide>[1]) => decide(gateways, { ...input, random: 0 }).explored === true

describe("Exploration", () => {
  it("5 % of the payments, in equal parts to the other gateways", () => {
    const share = firsts(20_000)
    near(share("a"), 0.95, 20_000)
    near(share("b"), 0.025, 20_000)
    near(share("c"), 0.025, 20_000)
  })

  it("the share of the policy, of a rule, or none", () => {
    near(firsts(10_000, { policyData: { exploration: { share: 0.3 } } })("a"), 0.7, 10_000)
    const ruled: PolicyData = { rules: [{ name: "more", then: { explorationShare: 0.5 } }] }
    near(firsts(10_000, { policyData: ruled })("a"), 0.5, 10_000)
    assert.strictEqual(firsts(1_000, { policyData: { exploration: { share: 0 } } })("a"), 1)
  })

  it("up to an amount by currency; currencies without one are not explored", () => {
    assert.isTrue(explored({ details: details({ amount: eur(3_000n) }) }))
    assert.isFalse(explored({ details: details({ amount: eur(3_001n) }) }))
    const maxAmount = { USD: 1_000 }
    assert.isFalse(explored({ details: small, policyData: { exploration: { maxAmount } } }))
  })

  it("never where a rule pins the gateway, for the most reliable one, in a fixed order, or with one gateway", () => {
    const ruled = (then: NonNullable<PolicyData["rules"]>[number]["then"]) => explored({ policyData: { rules: [{ name: "rule", then }] } })
    assert.isFalse(ruled({ prefer: [name("b")] }))
    assert.isFalse(ruled({ split: [{ gateway: name("b"), share: 100 }] }))
    assert.isFalse(ruled({ strategy: "most_reliable" }))
    assert.isFalse(ruled({ only: [name("c")] }))
    assert.isTrue(ruled({ strategy: "low_latency" }))
    assert.isFalse(explored({ policyData: { policy: "fixed" } }))
    assert.isUndefined(decide({ a: {} }, { random: 0 }).explored)
  })

  it("the others keep their order behind the one that is tried", () => {
    const { ranked } = decide(gateways, { random: 0.04 })
    assert.deepStrictEqual(namesOf(ranked), ["c", "a", "b"])
    assert.strictEqual(ranked[0]?.reason, "explored")
  })

  it("the probability told is that with which the first was chosen", () => {
    const random = Chance.streamOf(0.77)
    const told = new Map<string, number>()
    for (let count = 0; count < 2_000; count++) {
      const { propensity, ranked } = decide(gateways, { random: random() })
      const first = ranked[0]?.gateway ?? ""
      assert.strictEqual(told.get(first) ?? propensity, propensity)
      told.set(first, propensity ?? 0)
    }
    assert.closeTo(told.get("a") ?? 0, 0.95, 1e-12)
    assert.closeTo(told.get("b") ?? 0, 0.025, 1e-12)
    assert.closeTo(
      [...told.values()].reduce((sum, share) => sum + share, 0),
      1,
      1e-12
    )
  })

  it("where breakers are half-open only their gateways are tried", () => {
    const recovering = { breaker: "half_open", health: 0.65 } as const
    const share = firsts(20_000, {}, { ...gateways, c: { ...recovering, successRate: 0.5 } })
    near(share("c"), 0.05, 20_000)
    assert.strictEqual(share("b"), 0)
  })
})

describe("Thompson sampling", () => {
  const policyData = { policy: "thompson" } as const

  it("tries what little is known of, and hardly ever what is known to be worse", () => {
    const known = firsts(5_000, { policyData }, { a: { samples: 5_000 }, b: { samples: 5_000, successRate: 0.9 } })
    assert.isAbove(known("a"), 0.999)
    const bySuccess = { ...policyData, weights: { success: 1, latency: 0, cost: 0 } }
    const unknown = firsts(
      5_000,
      { policyData: bySuccess },
      { a: { samples: 5_000, successRate: 0.95 }, b: { samples: 5, successRate: 0.8 } }
    )
    assert.isBelow(unknown("b"), 0.5)
    assert.isAbove(unknown("b"), 0.05)
  })

  it("the probability told for the first is that with which it wins", () => {
    const cases = [
      { a: { samples: 100, successRate: 0.9 }, b: { samples: 60, successRate: 0.93 }, c: undefined },
      { a: { samples: 2_000, successRate: 0.95 }, b: { samples: 30, successRate: 0.9 } },
      { a: undefined, b: undefined, c: undefined, d: undefined },
      { a: { approved: 20, declined: 180 }, b: { samples: 40, successRate: 0.5 } }
    ]
    for (const given of cases) {
      const decisions = 8_000
      const random = Chance.streamOf(0.5)
      const won = new Map<string, { count: number; told: number }>()
      for (let count = 0; count < decisions; count++) {
        const { propensity = 0, ranked } = decide(given, { policyData, random: random() })
        const first = ranked[0]?.gateway ?? ""
        won.set(first, { count: (won.get(first)?.count ?? 0) + 1, told: propensity })
      }
      for (const { count, told } of won.values()) {
        assert.closeTo(count / decisions, told, 0.01 + 5 * Math.sqrt((told * (1 - told)) / decisions))
      }
    }
  })

  it("above the amount, or pinned by a rule, the mean decides", () => {
    const large = { policyData, details: details({ amount: eur(3_001n) }) }
    const pinned = { policyData: { ...policyData, rules: [{ name: "pin", then: { prefer: [name("c")] } }] } }
    assert.strictEqual(firsts(200, large)("a"), 1)
    assert.strictEqual(decide(gateways, large).propensity, 1)
    assert.strictEqual(firsts(200, pinned)("c"), 1)
  })
})
