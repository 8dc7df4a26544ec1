import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import * as Config from "../../../src/edges/config/Config.ts"

const gateway = { name: "a", kind: "sandbox", baseUrl: "http://127.0.0.1:9090/a" }
const file = (routing: unknown, ...gateways: ReadonlyArray<object>) => ({
  database: { dataDir: "./.aegispay" },
  gateways: [gateway, { ...gateway, name: "b" }, ...gateways],
  ...(routing === undefined ? {} : { routing })
})

const decoded = (input: unknown, environment: Config.Environment = {}): Config.Config =>
  Result.getOrThrow(Config.decode({ input, environment }))
const problemsOf = (input: unknown): ReadonlyArray<string> => {
  const result = Config.decode({ input, environment: {} })
  return Result.isSuccess(result) ? [] : result.failure.message.split("\n").map((line) => line.replace("configuration: ", ""))
}

describe("routing in the configuration", () => {
  it("left out it is the preset policy", () => {
    const { routing } = decoded(file(undefined))
    assert.strictEqual(routing.policy.version, Policy.make().version)
    assert.deepStrictEqual(routing.customRules, [])
  })

  it("reads policy, weights, exploration, rules, caps, fees and methods", () => {
    const { gateways, routing } = decoded(
      file(
        {
          policy: "thompson",
          order: ["b"],
          weights: { success: 5, latency: 2, cost: 3 },
          scoring: { latencyTargetMillis: 500 },
          minHealthScore: 0.6,
          exploration: { share: 0.02, maxAmount: { EUR: 5_000 } },
          rules: [
            { name: "second", when: { countries: ["DE"] }, then: { prefer: ["b"] } },
            { name: "first", priority: 1, then: { split: [{ gateway: "a", share: 50 }] } }
          ],
          retryCaps: [
            {
              network: "own",
              brands: ["visa"],
              from: "2026-01-01",
              limits: [{ max: 5, hours: 24 }],
              counts: ["soft"],
              never: [],
              neverDays: 1
            }
          ]
        },
        { ...gateway, name: "c", methods: ["card"], fees: [{ currency: "EUR", fixedMinor: 25, basisPoints: 140 }] }
      )
    )
    const { policy } = routing
    assert.deepStrictEqual(
      [policy.kind, policy.explorationShare, policy.explorationMaxAmount.get("EUR"), policy.minHealthScore],
      ["thompson", 0.02, 5_000, 0.6]
    )
    assert.deepStrictEqual(
      policy.rules.map(({ name }) => name),
      ["first", "second"]
    )
    assert.deepStrictEqual([...policy.retryCaps.keys()], ["visa"])
    assert.deepStrictEqual(policy.fees.get(GatewayName.make("c"))?.[0]?.basisPoints, 140)
    assert.deepStrictEqual(gateways[2]?.methods, ["card"])
  })

  it("names the place of what is wrong, with what was expected", () => {
    for (const [routing, problem] of [
      [{ policy: "best" }, "routing.policy: expected weighted, fixed or thompson, got a string"],
      [
        { weights: { success: -1, latency: 0, cost: 0 } },
        "routing.weights.success: expected a number from 0 to 1000, got a negative number"
      ],
      [{ exploration: { share: 5 } }, "routing.exploration.share: expected a share from 0 to 1, got a number"],
      [{ exploration: { maxAmount: { euro: 5 } } }, "routing.exploration.maxAmount: a key is a currency code, such as EUR"],
      [{ rules: [{ name: "x" }] }, "routing.rules[0].then: is required"],
      [
        { rules: [{ name: "x", when: { country: ["DE"] }, then: { prefer: ["a"] } }] },
        "routing.rules[0].when.country: is not a known field"
      ],
      [{ scoring: { latencyTargetMillis: 20_000 } }, "routing.scoring.latencyTargetMillis: must be below latencyLimitMillis (15000)"],
      [
        { policy: "fixed", exploration: { share: 0.1 } },
        "routing.exploration.share: the policy fixed explores nothing: leave it out, or choose another policy"
      ],
      [
        { rules: [{ name: "x", when: { amount: { currency: "EUR", min: 200, max: 100 } }, then: { prefer: ["a"] } }] },
        "routing.rules[0].when.amount.min: must not be above max (100): no amount is both"
      ],
      [{ rules: [{ name: "x", then: { only: ["a"], exclude: ["a"] } }] }, "routing.rules[0].then.only[0]: is in exclude as well"],
      [
        { rules: [{ name: "x", then: {} }] },
        "routing.rules[0].then: says nothing: name at least one of prefer, exclude, only, split, strategy, weights, latencyTargetMillis, explorationShare"
      ],
      [{ order: ["a", "z"] }, "routing.order[1]: is not the name of a gateway in this file"],
      [
        { rules: [{ name: "x", then: { split: [{ gateway: "z", share: 1 }] } }] },
        "routing.rules[0].then.split[0]: is not the name of a gateway in this file"
      ],
      [
        {
          rules: [
            { name: "x", then: { prefer: ["a"] } },
            { name: "x", then: { prefer: ["a"] } }
          ]
        },
        "routing.rules[1].name: is the same as routing.rules[0].name"
      ]
    ] as const) {
      assert.deepStrictEqual(problemsOf(file(routing)), [problem])
    }
    assert.deepStrictEqual(problemsOf(file(undefined, { ...gateway, name: "c", fees: [{ fixedMinor: 5 }] })), [
      "gateways[2].fees[0]: a fixed fee needs the currency that it is in"
    ])
    assert.deepStrictEqual(problemsOf(file(undefined, { ...gateway, name: "c", methods: [] })), [
      "gateways[2].methods: needs 1 to 7 entries"
    ])
  })

  it("AEGISPAY_ROUTING_POLICY chooses the policy", () => {
    assert.strictEqual(decoded(file({ minHealthScore: 0.6 }), { AEGISPAY_ROUTING_POLICY: "fixed" }).routing.policy.kind, "fixed")
  })
})
