/**
 * A recorded decision, read back: a policy decides from it what it would have decided then, or it is said what the record lacks.
 */
import { assert, describe, it } from "@effect/vitest"
import { CurrencyCode } from "../../../../src/domain/Currency.ts"
import type { GatewaySignals, RoutingDecision } from "../../../../src/domain/routing/Decision.ts"
import * as Chance from "../../../../src/domain/routing/plan/Chance.ts"
import type { RouteInput } from "../../../../src/domain/routing/plan/Route.ts"
import type { Fees } from "../../../../src/domain/routing/policy/Cost.ts"
import * as Policy from "../../../../src/domain/routing/policy/Policy.ts"
import * as Chances from "../../../../src/domain/routing/replay/Chances.ts"
import * as Snapshot from "../../../../src/domain/routing/replay/Snapshot.ts"
import { candidate, decide, name, paymentId, signalsOf, small, unknownSignals } from "../../../support/routing.ts"

type Gateways = Readonly<Record<string, Partial<GatewaySignals> | undefined>>

const recordedOf = (decision: RoutingDecision): Snapshot.Recorded => ({
  payment: paymentId(1),
  details: small,
  decision,
  at: 1_700_000_000_000
})

const replay = (decision: RoutingDecision, data: Policy.PolicyData, fees?: ReadonlyMap<ReturnType<typeof name>, Fees>) =>
  Snapshot.replay(recordedOf(decision), Policy.make(data, fees), [])

const chancesOf = (replayed: Snapshot.Replayed): ReadonlyMap<string, number> =>
  replayed._tag === "Replayed" ? replayed.chances : assert.fail(`lacking: ${replayed.lack}`)

/** What the policy would have decided, with all that was known then. */
const truthOf = (gateways: Gateways, data: Policy.PolicyData, fees: ReadonlyMap<ReturnType<typeof name>, Fees> = new Map()) =>
  Chances.ofFirst({
    payment: paymentId(1),
    details: small,
    candidates: Object.keys(gateways).map((gateway) => candidate(gateway)),
    signals: Object.values(gateways).map((differs) => (differs === undefined ? unknownSignals : signalsOf(differs))),
    policy: Policy.make(data, fees),
    now: 1_700_000_000_000
  })

const open = { breaker: "open", health: 0, retryAfterMillis: 42_000 } as const

const policies: ReadonlyArray<Policy.PolicyData> = [
  {},
  { policy: "thompson" },
  { policy: "fixed", order: [name("c"), name("b")] },
  { weights: { success: 1, latency: 0, cost: 0 }, exploration: { share: 0.2 } },
  { weights: { success: 0, latency: 1, cost: 0 } },
  { weights: { success: 0, latency: 0, cost: 1 } },
  { rules: [{ name: "cheap", when: { currencies: [CurrencyCode.make("EUR")] }, then: { strategy: "lowest_cost" } }] },
  { minHealthScore: 0.95 },
  { rules: [{ name: "split", then: { split: [{ gateway: name("b"), share: 40 }] } }] }
]

describe("Snapshot.replay", () => {
  it("any policy decides from the record of any other as it would have decided then", () => {
    const uniform = Chance.streamOf(0.135)
    const fees = new Map<ReturnType<typeof name>, Fees>([
      [name("a"), [{ basisPoints: 290, fixedMinor: 30, currency: CurrencyCode.make("EUR") }]],
      [name("b"), [{ basisPoints: 140 }]],
      [name("c"), [{ basisPoints: 25, fixedMinor: 20, currency: CurrencyCode.make("EUR") }]]
    ])
    let compared = 0
    for (let world = 0; world < 60; world++) {
      const one = (): Partial<GatewaySignals> | undefined =>
        uniform() < 0.2
          ? undefined
          : {
              samples: 1 + Math.floor(uniform() * 500),
              successRate: 0.8 + 0.2 * uniform(),
              p95Millis: Math.round(300 + 5_000 * uniform()),
              health: 0.9 + 0.1 * uniform(),
              ...(uniform() < 0.15 ? open : {})
            }
      const gateways: Gateways = { a: one(), b: one(), c: one() }
      for (const recording of policies) {
        const decision = decide(gateways, { policy: Policy.make(recording, fees), random: uniform() })
        for (const other of policies) {
          const replayed = Snapshot.replay(recordedOf(decision), Policy.make(other, fees), [name("a"), name("b"), name("c")])
          assert.deepStrictEqual(chancesOf(replayed), truthOf(gateways, other, fees))
          compared++
        }
      }
    }
    assert.strictEqual(compared, 60 * policies.length ** 2)
  })

  it("a fixed order falls back to the order of the configuration", () => {
    const decision = decide({ a: {}, b: {}, c: {} })
    const fixed = Policy.make({ policy: "fixed" })
    const first = (configured: ReadonlyArray<ReturnType<typeof name>>) => [
      ...chancesOf(Snapshot.replay(recordedOf(decision), fixed, configured)).keys()
    ]
    assert.deepStrictEqual(first([name("c"), name("a")]), ["c"])
    assert.deepStrictEqual(first([]), ["a"])
  })

  it("gateways that could not take the payment cannot under any policy", () => {
    const decision = decide({ a: {}, b: {} }, {
      candidates: [candidate("a"), candidate("b", { currencies: new Map() })]
    } satisfies Partial<RouteInput>)
    assert.deepStrictEqual([...chancesOf(replay(decision, { policy: "fixed", order: [name("b")] })).keys()], ["a"])
  })

  it("the recorded fee counts where no price list says the same", () => {
    const fees = new Map<ReturnType<typeof name>, Fees>([
      [name("a"), [{ basisPoints: 400 }]],
      [name("b"), [{ basisPoints: 100 }]]
    ])
    const decision = decide({ a: {}, b: {} }, { policy: Policy.make({}, fees) })
    const cheapest: Policy.PolicyData = { weights: { success: 0, latency: 0, cost: 1 }, exploration: { share: 0 } }
    const dearer = new Map<ReturnType<typeof name>, Fees>([[name("b"), [{ basisPoints: 500 }]]])
    for (const configured of [undefined, fees, dearer]) {
      assert.deepStrictEqual([...chancesOf(replay(decision, cheapest, configured)).keys()], ["b"])
    }
  })

  it("time windows are those of the decision", () => {
    // 2023-11-14, 22:13 UTC.
    const decision = decide({ a: {}, b: {} })
    const during = (from: string, to: string) =>
      [...chancesOf(replay(decision, { rules: [{ name: "window", when: { time: { from, to } }, then: { prefer: [name("b")] } }] }))].length
    assert.strictEqual(during("22:00", "23:00"), 1)
    assert.strictEqual(during("01:00", "02:00"), 2)
  })

  it("lacking: a gateway that a rule left out, unless the policy leaves it out as well", () => {
    const rule = { name: "not b", then: { exclude: [name("b")] } }
    const decision = decide({ a: {}, b: {}, c: {} }, { policyData: { rules: [rule] } })
    assert.deepStrictEqual(replay(decision, {}), { _tag: "Lacking", lack: "left_out_by_rule" })
    assert.deepStrictEqual([...chancesOf(replay(decision, { rules: [{ ...rule, name: "same" }] })).keys()].sort(), ["a", "c"])
  })

  it("lacking: signals of decisions that stored none, and of the end of a long plan", () => {
    const many = decide(Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`g${index}`, {}])))
    assert.deepStrictEqual(replay(many, {}), { _tag: "Lacking", lack: "signals_not_stored" })
    const early: RoutingDecision = {
      policy: "configured_order",
      reason: "a",
      ranked: [{ gateway: name("a"), score: 1, reason: "first" }],
      excluded: []
    }
    assert.deepStrictEqual(replay(early, {}), { _tag: "Lacking", lack: "signals_not_stored" })
  })

  it("lacking: the fee of a failing gateway that the policy would use, where fees count", () => {
    const fees = new Map<ReturnType<typeof name>, Fees>([
      [name("a"), [{ basisPoints: 400 }]],
      [name("b"), [{ basisPoints: 100 }]]
    ])
    const decision = decide({ a: {}, b: { health: 0.4 } }, { policy: Policy.make({}, fees) })
    const brave: Policy.PolicyData = { minHealthScore: 0.1 }
    assert.deepStrictEqual(replay(decision, brave), { _tag: "Lacking", lack: "fee_not_stored" })
    assert.strictEqual(replay(decision, brave, fees)._tag, "Replayed")
    assert.strictEqual(replay(decision, {})._tag, "Replayed")
  })
})
