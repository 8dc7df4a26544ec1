/**
 * The probabilities of being first are those with which routing, asked again and again, puts gateways first.
 */
import { assert, describe, it } from "@effect/vitest"
import type { PaymentDetails } from "../../../../src/domain/payment/Event.ts"
import type { GatewaySignals } from "../../../../src/domain/routing/Decision.ts"
import * as Chance from "../../../../src/domain/routing/plan/Chance.ts"
import * as Route from "../../../../src/domain/routing/plan/Route.ts"
import * as Policy from "../../../../src/domain/routing/policy/Policy.ts"
import * as Chances from "../../../../src/domain/routing/replay/Chances.ts"
import { details, eur } from "../../../support/payments.ts"
import { candidate, name, paymentId, signalsOf, small, unknownSignals } from "../../../support/routing.ts"

type Gateways = Readonly<Record<string, Partial<GatewaySignals> | undefined>>

const inputOf = (gateways: Gateways, data: Policy.PolicyData, payment: PaymentDetails = small): Chances.ChancesInput => ({
  payment: paymentId(1),
  details: payment,
  candidates: Object.keys(gateways).map((gateway) => candidate(gateway)),
  signals: Object.values(gateways).map((differs) => (differs === undefined ? unknownSignals : signalsOf(differs))),
  policy: Policy.make(data),
  now: 1_700_000_000_000
})

const draws = 20_000

/** How often each gateway is first, over random numbers and payments from a fixed seed. */
const frequencies = (input: Chances.ChancesInput): ReadonlyMap<string, number> => {
  const uniform = Chance.streamOf(0.4321)
  const counts = new Map<string, number>()
  for (let draw = 0; draw < draws; draw++) {
    const first = Route.route({ ...input, payment: paymentId(draw), random: uniform() }).ranked[0]?.gateway ?? "none"
    counts.set(first, (counts.get(first) ?? 0) + 1 / draws)
  }
  return counts
}

/** Within four standard errors of 20,000 draws, or the percent within which probabilities of drawn scores are known. */
const assertAgrees = (input: Chances.ChancesInput) => {
  const chances = Chances.ofFirst(input)
  const met = frequencies(input)
  assert.closeTo(
    [...chances.values()].reduce((sum, chance) => sum + chance, 0),
    1,
    1e-9
  )
  for (const gateway of new Set([...chances.keys(), ...met.keys()])) {
    const chance = chances.get(name(gateway)) ?? 0
    const tolerance = 4 * Math.sqrt((chance * (1 - chance)) / draws) + 0.005
    assert.closeTo(met.get(gateway) ?? 0, chance, tolerance, gateway)
  }
  return chances
}

const three: Gateways = { a: {}, b: { successRate: 0.9 }, c: { p95Millis: 8_000 } }

describe("Chances.ofFirst", () => {
  it("what is certain: no exploration, a preferred gateway, an amount that is not explored, one gateway", () => {
    const certain = (input: Chances.ChancesInput) => [...assertAgrees(input)]
    assert.deepStrictEqual(certain(inputOf(three, { policy: "fixed", order: [name("c")] })), [[name("c"), 1]])
    assert.deepStrictEqual(certain(inputOf(three, { exploration: { share: 0 } })), [[name("a"), 1]])
    assert.deepStrictEqual(certain(inputOf(three, {}, details({ amount: eur(1_000_000n) }))), [[name("a"), 1]])
    assert.deepStrictEqual(certain(inputOf(three, { rules: [{ name: "pinned", then: { prefer: [name("b")] } }] })), [[name("b"), 1]])
    assert.deepStrictEqual(certain(inputOf({ a: {} }, { policy: "thompson" })), [[name("a"), 1]])
  })

  it("no gateway: nothing has a chance", () => {
    const policy: Policy.PolicyData = { rules: [{ name: "none", then: { only: [name("elsewhere")] } }] }
    assert.strictEqual(Chances.ofFirst(inputOf(three, policy)).size, 0)
  })

  it("exploration: the best by what is left, the others by equal parts of the share", () => {
    const chances = assertAgrees(inputOf(three, { exploration: { share: 0.3 } }))
    assert.closeTo(chances.get(name("a")) ?? 0, 0.7, 1e-9)
    assert.closeTo(chances.get(name("b")) ?? 0, 0.15, 1e-9)
    assert.closeTo(chances.get(name("c")) ?? 0, 0.15, 1e-9)
    assertAgrees(inputOf(three, { exploration: { share: 1 } }))
    for (const count of [2, 7, 11, 30]) {
      const many = Object.fromEntries(Array.from({ length: count }, (_, index) => [`g${index}`, {}]))
      assert.strictEqual(assertAgrees(inputOf(many, { exploration: { share: 0.05 } })).size, count)
    }
  })

  it("probes: only gateways that are half-open are explored", () => {
    const chances = assertAgrees(
      inputOf({ ...three, d: { breaker: "half_open", successRate: 0.8, health: 0.65 } }, { exploration: { share: 0.2 } })
    )
    assert.deepStrictEqual([...chances.keys()].sort(), [name("a"), name("d")])
  })

  it("drawn scores", () => {
    const data: Policy.PolicyData = { policy: "thompson" }
    assertAgrees(inputOf(three, data))
    const chances = assertAgrees(inputOf({ a: { samples: 40 }, b: { samples: 35 }, c: { samples: 40, successRate: 0.97 } }, data))
    assert.strictEqual(chances.size, 3)
    for (const chance of chances.values()) assert.isAbove(chance, 0.01)
  })

  it("a split: shares over the payments' ids, the rest to the best", () => {
    const split = [
      { gateway: name("b"), share: 30 },
      { gateway: name("c"), share: 20 }
    ]
    const chances = assertAgrees(inputOf(three, { rules: [{ name: "split", then: { split } }] }))
    assert.closeTo(chances.get(name("a")) ?? 0, 0.5, 1e-9)
    assert.closeTo(chances.get(name("b")) ?? 0, 0.3, 1e-9)
    const withoutRest = assertAgrees(
      inputOf(three, { rules: [{ name: "split", then: { split: [...split, { gateway: name("a"), share: 50 }] } }] })
    )
    assert.closeTo(withoutRest.get(name("a")) ?? 0, 0.5, 1e-9)
  })
})
