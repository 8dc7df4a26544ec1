/**
 * Plans are checked as a whole: what could never happen, or would mean nothing, is refused with the place where it stands.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { ChaosPlan } from "../../../src/domain/chaos/ChaosPlan.ts"

const decode = Schema.decodeUnknownResult(ChaosPlan, { onExcessProperty: "error" })
const planWith = (rule: object, more: object = {}) => ({
  seed: 1,
  rules: [{ target: "gateway", when: { type: "random", rate: 0.1 }, inject: { type: "network" }, ...rule }],
  ...more
})
const problemOf = (plan: unknown): string => {
  const decoded = decode(plan)
  return Result.isFailure(decoded) ? decoded.failure.message : ""
}

const firstSale = { target: "gateway", gateway: "psp", operation: "sale", call: 1 }

describe("a plan", () => {
  it("of every fault is taken where the fault can happen", () => {
    const executed = { executed: true }
    for (const [target, inject] of [
      ["gateway", { type: "network" }],
      ["gateway", { type: "reset", ...executed }],
      ["gateway", { type: "timeout", ...executed, hangMillis: 20_000 }],
      ["gateway", { type: "server_error", status: 500, ...executed }],
      ["gateway", { type: "server_error", status: 503, executed: false, retryAfterMillis: 5_000 }],
      ["gateway", { type: "rate_limited" }],
      ["gateway", { type: "latency" }],
      ["gateway", { type: "latency", maxMillis: 5_000, on: "request" }],
      ["gateway", { type: "corrupt_response" }],
      ["gateway", { type: "response_lost" }],
      ["gateway", { type: "pool_exhausted", waitMillis: 0 }],
      ["gateway", { type: "crash", ...executed }],
      ["eventStore", { type: "network" }],
      ["eventStore", { type: "response_lost" }],
      ["eventStore", { type: "latency", minMillis: 1, maxMillis: 300_000 }],
      ["lock", { type: "lock_busy" }],
      ["lock", { type: "lease_lost" }]
    ] as const) {
      assert.strictEqual(problemOf(planWith({ target, inject })), "", `${target} ${JSON.stringify(inject)}`)
    }
    assert.strictEqual(
      problemOf(planWith({ target: "clock", when: { type: "at", atMillis: [5] }, inject: { type: "clock_jump", byMillis: -3_600_000 } })),
      ""
    )
    assert.strictEqual(
      problemOf(planWith({ target: "clock", when: { type: "random", rate: 1 }, inject: { type: "clock_skew", byMillis: 100 } })),
      ""
    )
  })

  const refused: ReadonlyArray<readonly [what: string, plan: unknown, says: string]> = [
    ["no plan", 7, "object"],
    ["no seed", { rules: [] }, "seed"],
    ["a rate above 1", planWith({ when: { type: "random", rate: 1.5 } }), "share from 0 to 1"],
    ["a field nobody knows", planWith({ gateway: "psp" }), "gateway"],
    ["a fault nobody knows", planWith({ inject: { type: "meteor" } }), "inject"],
    [
      "a fault that cannot happen there",
      planWith({ target: "lock", inject: { type: "response_lost" } }),
      "rule 1: response_lost cannot happen there"
    ],
    [
      "a lost acknowledgement of a read",
      planWith({ target: "eventStore", operations: ["read"], inject: { type: "response_lost" } }),
      "rule 1: response_lost cannot happen there"
    ],
    ["an operation of another target", planWith({ target: "eventStore", operations: ["sale"] }), "a eventStore does: commit, read, now"],
    ["gateways of a store", planWith({ target: "eventStore", gateways: ["psp"] }), "only faults of gateways name gateways"],
    ["an end before the start", planWith({ fromMillis: 5, untilMillis: 5 }), "it ends before it begins"],
    [
      "a delay that shrinks",
      planWith({ inject: { type: "latency", minMillis: 7, maxMillis: 3 } }),
      "the least delay is above the greatest"
    ],
    ["a delay beyond five minutes", planWith({ inject: { type: "latency", maxMillis: 300_001 } }), "0 to 300000"],
    ["a request that is held too long", planWith({ inject: { type: "latency", maxMillis: 5_001, on: "request" } }), "at most 5000 ms"],
    ["times that do not ascend", planWith({ when: { type: "at", atMillis: [5, 5] } }), "the times have to ascend"],
    ["calls that do not ascend", planWith({ when: { type: "calls", calls: [2, 1] } }), "the calls have to ascend"],
    ["a burst longer than its period", planWith({ when: { type: "burst", everyMillis: 10, forMillis: 11 } }), "a burst lasts at most"],
    ["a clock that jumps at random", planWith({ target: "clock", inject: { type: "clock_jump", byMillis: 5 } }), "a jump needs the times"],
    ["a skew at random reads", planWith({ target: "clock", inject: { type: "clock_skew", byMillis: 5 } }), "a skew lasts"],
    ["a 429 that was carried out", planWith({ inject: { type: "rate_limited", executed: true } }), "executed"],
    [
      "a cascade to itself",
      planWith({}, { cascades: [{ from: "psp", to: ["psp"], inject: { type: "network" } }] }),
      "cascade 1: it spreads to where it comes from"
    ],
    [
      "a cascade of what gateways do not have",
      planWith({}, { cascades: [{ from: "psp", to: ["b"], inject: { type: "lock_busy" } }] }),
      "cascade 1"
    ],
    ["too many rules", { seed: 1, rules: Array.from({ length: 65 }, () => planWith({}).rules[0]) }, "at most 64 rules"],
    [
      "a script of what cannot happen",
      planWith({}, { script: [{ target: "lock", operation: "acquire", call: 1, inject: { type: "lease_lost" } }] }),
      "entry 1 of the script: lease_lost cannot happen there"
    ],
    [
      "a script that does not say at which gateway, which no call would meet",
      planWith({}, { script: [{ target: "gateway", operation: "sale", call: 1, inject: { type: "network" } }] }),
      "entry 1 of the script: name its gateway"
    ],
    [
      "a script with two faults for one call, one of which would be lost",
      planWith({}, { script: ["network", "response_lost"].map((type) => ({ ...firstSale, inject: { type } })) }),
      "entry 2 of the script: an entry before it has the same call"
    ]
  ]
  for (const [what, plan, says] of refused) {
    it(`is refused with ${what}`, () => assert.include(problemOf(plan), says))
  }

  it.prop("goes through JSON and back", { plan: ChaosPlan }, ({ plan }) => {
    const again: unknown = JSON.parse(JSON.stringify(plan))
    assert.deepStrictEqual<unknown>(Result.getOrThrow(decode(again)), again)
  })
})
