/**
 * Routing rules: every condition, priorities, and what their data may be.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { PaymentDetails } from "../../../../src/domain/payment/Event.ts"
import * as Rules from "../../../../src/domain/routing/policy/Rules.ts"
import { details, eur } from "../../../support/payments.ts"
import { name, paymentId } from "../../../support/routing.ts"

const decodeRule = Schema.decodeUnknownResult(Rules.RoutingRule, { errors: "all", onExcessProperty: "error" })
const when = (conditions: unknown): Rules.RuleConditions =>
  Result.getOrThrow(decodeRule({ name: "rule", when: conditions, then: { prefer: ["a"] } })).when ?? {}
const refused = (rule: unknown): string => {
  const result = decodeRule(rule)
  return Result.isFailure(result) ? result.failure.message : ""
}

const matches = (conditions: unknown, payment: Partial<PaymentDetails> = {}, now = 0): boolean =>
  Rules.matches(when(conditions), { payment: paymentId(1), details: details(payment), now })

/** 2026-11-21 is a Saturday. */
const saturday = 1_795_219_200_000
const at = (hours: number, minutes = 0, days = 0): number => saturday + ((days * 24 + hours) * 60 + minutes) * 60_000

describe("Rules: conditions", () => {
  it("none at all concern every payment", () => {
    assert.isTrue(matches({}))
  })

  it("currency, method, brand, country, capture and presence", () => {
    assert.isTrue(matches({ currencies: ["USD", "EUR"], methods: ["card"], brands: ["visa"], countries: ["DE"] }))
    assert.isFalse(matches({ currencies: ["USD"] }))
    assert.isFalse(matches({ methods: ["wallet"] }))
    assert.isFalse(matches({ brands: ["mastercard"] }))
    assert.isFalse(matches({ countries: ["FR"] }))
    assert.isTrue(matches({ captureMethods: ["automatic"], customerPresent: true }))
    assert.isFalse(matches({ captureMethods: ["manual"] }))
    assert.isFalse(matches({ customerPresent: false }))
  })

  it("what the payment does not tell matches no list", () => {
    const bare = { method: { ...details().method, brand: undefined, country: undefined } as never }
    assert.isFalse(matches({ brands: ["visa"] }, bare))
    assert.isFalse(matches({ countries: ["DE"] }, bare))
  })

  it("the country is the card's, or else the customer's", () => {
    const customer = { country: "FR" }
    assert.isFalse(matches({ countries: ["FR"] }, { customer }))
    assert.isTrue(matches({ countries: ["FR"] }, { customer, method: { ...details().method, country: undefined } as never }))
  })

  it("an amount within both ends, in its currency only", () => {
    const range = { amount: { currency: "EUR", min: 100, max: 200 } }
    for (const [minor, matched] of [
      [99n, false],
      [100n, true],
      [200n, true],
      [201n, false]
    ] as const) {
      assert.strictEqual(matches(range, { amount: eur(minor) }), matched, String(minor))
    }
    assert.isFalse(matches({ amount: { currency: "USD", min: 1 } }))
    assert.isTrue(matches({ amount: { currency: "EUR" } }))
  })

  it("metadata: every entry, and nothing inherited", () => {
    assert.isTrue(matches({ metadata: { order: "A-1001" } }))
    assert.isFalse(matches({ metadata: { order: "A-1001", shop: "x" } }))
    assert.isFalse(matches({ metadata: { toString: "x" } }))
  })

  it("days and times of day in UTC, from on and before to", () => {
    const shop = { time: { days: ["sat"], from: "08:30", to: "17:00" } }
    for (const [now, matched] of [
      [at(8, 29), false],
      [at(8, 30), true],
      [at(16, 59), true],
      [at(17), false],
      [at(12, 0, 1), false],
      [at(12, 0, 7), true]
    ] as const) {
      assert.strictEqual(matches(shop, {}, now), matched, String(now))
    }
    assert.isTrue(matches({ time: { days: ["thu"] } }, {}, 0), "1970-01-01 was a Thursday")
    assert.isTrue(matches({ time: { days: ["wed"] } }, {}, -1), "and the day before it a Wednesday")
    assert.isTrue(matches({ time: { from: "23:00" } }, {}, at(23, 30)))
    assert.isFalse(matches({ time: { to: "06:00" } }, {}, at(6)))
  })

  it("a window over midnight belongs to the day on which it began", () => {
    const night = { time: { days: ["fri"], from: "22:00", to: "06:00" } }
    assert.isTrue(matches(night, {}, at(23, 0, -1)))
    assert.isTrue(matches(night, {}, at(5, 59)))
    assert.isFalse(matches(night, {}, at(6)))
    assert.isFalse(matches(night, {}, at(23)))
    assert.isFalse(matches(night, {}, at(12, 0, -1)))
  })
})

describe("Rules: priority", () => {
  const context = { payment: paymentId(1), details: details(), now: 0 }
  const rule = (text: string, rest: Partial<Rules.RoutingRule> = {}): Rules.RoutingRule => ({
    name: text,
    then: { prefer: [name(text)] },
    ...rest
  })
  const first = (...rules: ReadonlyArray<Rules.RoutingRule>) => Rules.firstMatch(Rules.byPriority(rules), context)?.name

  it("lowest first, in the given order among equals, 100 where none is given", () => {
    assert.strictEqual(first(rule("a"), rule("b")), "a")
    assert.strictEqual(first(rule("a"), rule("b", { priority: 99 })), "b")
    assert.strictEqual(first(rule("a", { priority: 101 }), rule("b"), rule("c", { priority: 100 })), "b")
  })

  it("rules that do not concern the payment are passed over", () => {
    assert.strictEqual(first(rule("a", { when: when({ countries: ["FR"] }) }), rule("b")), "b")
    assert.isUndefined(first(rule("a", { when: when({ countries: ["FR"] }) })))
  })
})

describe("Rules: data", () => {
  it("unknown keys, wrong values and contradictions are refused", () => {
    assert.strictEqual(refused({ name: "fine", then: { prefer: ["a"] } }), "")
    for (const [rule, message] of [
      [{ name: "", then: { prefer: ["a"] } }, /a name of 1 to 64/],
      [{ name: "x", when: { country: ["DE"] }, then: { prefer: ["a"] } }, /no excess property/],
      [{ name: "x", when: { countries: [] }, then: { prefer: ["a"] } }, /needs 1 to 250 entries/],
      [{ name: "x", when: { time: { from: "24:00" } }, then: { prefer: ["a"] } }, /a time of day/],
      [{ name: "x", when: { amount: { currency: "EUR", min: -1 } }, then: { prefer: ["a"] } }, /an integer from 0/],
      [{ name: "x", then: { strategy: "cheapest" } }, /most_reliable, low_latency or lowest_cost/],
      [{ name: "x", then: { weights: { success: 0, latency: 0, cost: 0 } } }, /at least one weight/],
      [
        {
          name: "x",
          then: {
            split: [
              { gateway: "a", share: 60 },
              { gateway: "b", share: 41 }
            ]
          }
        },
        /add up to 101/
      ],
      [
        {
          name: "x",
          then: {
            split: [
              { gateway: "a", share: 6 },
              { gateway: "a", share: 4 }
            ]
          }
        },
        /named twice/
      ],
      [{ name: "x", then: { explorationShare: 2 } }, /a share from 0 to 1/],
      [{ name: "x", then: {} }, /says nothing: name at least one of prefer/],
      [{ name: "x", then: { only: ["a", "b"], exclude: ["c", "b"] } }, /is in exclude as well[^]*\["then"\]\["only"\]\[1\]/],
      [
        { name: "x", when: { amount: { currency: "EUR", min: 2, max: 1 } }, then: { prefer: ["a"] } },
        /must not be above max \(1\): no amount is both[^]*\["when"\]\["amount"\]\["min"\]/
      ]
    ] as const) {
      assert.match(refused(rule), message)
    }
  })
})
