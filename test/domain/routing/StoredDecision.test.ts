/**
 * Decisions as they are stored: nothing is lost, few bytes are needed, and what was stored before is read.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../src/domain/Currency.ts"
import { RoutingDecision } from "../../../src/domain/routing/Decision.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import { StoredDecision } from "../../../src/domain/routing/StoredDecision.ts"
import { decide, name, signalsOf } from "../../support/routing.ts"

const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
const encode = Schema.encodeResult(StoredDecision)
const decode = Schema.decodeUnknownResult(StoredDecision)
const stored = (decision: RoutingDecision): unknown => throughJson(Result.getOrThrow(encode(decision)))
const bytesOf = (decision: RoutingDecision): number => JSON.stringify(stored(decision)).length

const EUR = CurrencyCode.make("EUR")

/** A decision with every signal there is, over so many gateways. */
const decided = (gateways: number) => {
  const names = Array.from({ length: gateways }, (_, index) => `sandbox-${index}`)
  const fees = new Map(names.map((text, index) => [name(text), [{ currency: EUR, fixedMinor: 25, basisPoints: 140 + index }]]))
  const known = names.map((text, index) => {
    const differs = {
      samples: 1_234 + index,
      successRate: 0.9871,
      approved: 1_021,
      declined: 140,
      p95Millis: 812,
      health: 0.9961,
      level: "full"
    }
    return [text, differs] as const
  })
  return decide(Object.fromEntries(known), { policy: Policy.make({}, fees) })
}

describe("StoredDecision", () => {
  it("needs at most 400 bytes over three gateways, and 1,100 over ten", () => {
    assert.isAtMost(bytesOf(decided(3)), 400)
    assert.isAtMost(bytesOf(decided(10)), 1_100)
  })

  it.prop("whatever a decision says is read back", { decision: RoutingDecision }, ({ decision }) => {
    assert.deepStrictEqual<unknown>(Result.getOrThrow(decode(stored(decision))), throughJson(decision))
  })

  it("so are those that routing makes: failing gateways, probes, full ones, rules", () => {
    const gateways = {
      a: { breaker: "half_open", health: 0.65, probe: "due" },
      b: { saturated: true },
      c: { breaker: "open", health: 0, retryAfterMillis: 41_000, failuresInRow: 5 },
      d: { samples: 0 },
      e: undefined
    } as const
    const rules: Policy.PolicyData["rules"] = [
      { name: "not e", then: { exclude: [name("e")], weights: { success: 1, latency: 1, cost: 0 } } }
    ]
    for (const policyData of [{}, { rules }, { policy: "fixed" }, { policy: "thompson" }] as const) {
      for (const random of [0, 0.04, 0.5]) {
        const decision = decide(gateways, { policyData, random })
        assert.deepStrictEqual<unknown>(Result.getOrThrow(decode(stored(decision))), throughJson(decision))
      }
    }
  })

  it("the first form stays readable for ever: its numbers keep their meaning", () => {
    const text =
      '{"f":1,"v":"0123456789abcdef","o":0.95,"t":1700000000000,"a":2,"c":["visa","card",3],"x":false,' +
      '"g":[["a",0.9,0,0.99,1,0.5,95,1000,0.99,900,40,1000,1,0.95],["b",0.8,10,0.9,1,0.5,null,3,1,0,0,10,67,0.65,2,500]],' +
      '"n":[["c","rule"],["d","breaker_open","open"]],"u":"shop"}'
    const decision = Result.getOrThrow(decode(JSON.parse(text)))
    assert.deepStrictEqual<unknown>(decision, {
      policy: "weighted",
      reason: "a: by score",
      ranked: [
        {
          gateway: "a",
          score: 0.9,
          reason: "by score",
          parts: { success: 0.99, latency: 1, cost: 0.5 },
          feeMinor: 95,
          signals: { ...signalsOf({ approved: 900, declined: 40, health: 0.95 }), level: "full" }
        },
        {
          gateway: "b",
          score: 0.8,
          reason: "half-open: a probe is overdue",
          parts: { success: 0.9, latency: 1, cost: 0.5 },
          signals: {
            ...signalsOf({ samples: 3, successRate: 1, p95Millis: 10, health: 0.65, failuresInRow: 2 }),
            breaker: "half_open",
            retryAfterMillis: 500,
            level: "method_currency",
            probe: "due",
            saturated: true
          }
        }
      ],
      excluded: [
        { gateway: "c", reason: "rule", message: 'left out by the rule "shop"' },
        { gateway: "d", reason: "breaker_open", message: "open" }
      ],
      version: "0123456789abcdef",
      rule: "shop",
      weights: { success: 0.5, latency: 0.3, cost: 0.2 },
      propensity: 0.95,
      explored: false,
      caps: { network: "visa", basis: "card", declined: 3 },
      decidedAt: 1_700_000_000_000,
      after: 2
    })
  })

  it("decisions with the names of their fields are read as they are; what is none is refused", () => {
    const decision = decided(3)
    assert.deepStrictEqual<unknown>(Result.getOrThrow(decode(throughJson(decision))), throughJson(decision))
    for (const broken of [
      { f: 2, g: [] },
      { f: 1, g: [["a"]] },
      { f: 1, g: [["a", 0.5, 99]] },
      { f: 1, g: [], n: [["a", "no such"]] }
    ]) {
      assert.isTrue(Result.isFailure(decode(broken)), JSON.stringify(broken))
    }
  })
})
