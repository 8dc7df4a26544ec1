/**
 * The quick check of a decision: it promises that the schema takes it, and is of use only where it says yes to usual decisions.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { isCertainlyDecision } from "../../../src/domain/routing/CertainDecision.ts"
import { RoutingDecision } from "../../../src/domain/routing/Decision.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import { decide } from "../../support/routing.ts"

const isDecision = Schema.is(RoutingDecision)

/** The value with one place of it replaced, for every place in it. */
const withOneWrong = (value: unknown, wrong: unknown): ReadonlyArray<unknown> =>
  typeof value !== "object" || value === null
    ? [wrong]
    : [
        wrong,
        ...Object.entries(value).flatMap(([name, inner]) =>
          withOneWrong(inner, wrong).map((other) =>
            Array.isArray(value) ? value.map((item, at) => (String(at) === name ? other : item)) : { ...value, [name]: other }
          )
        )
      ]

/** The value without one of its fields, for every field in it. */
const withOneLess = (value: unknown): ReadonlyArray<unknown> =>
  typeof value !== "object" || value === null
    ? []
    : Object.entries(value).flatMap(([name, inner]) => [
        ...(Array.isArray(value) ? [] : [Object.fromEntries(Object.entries(value).filter(([other]) => other !== name))]),
        ...withOneLess(inner).map((other) =>
          Array.isArray(value) ? value.map((item, at) => (String(at) === name ? other : item)) : { ...value, [name]: other }
        )
      ])

const wrongs: ReadonlyArray<unknown> = [
  Number.NaN,
  Infinity,
  -1,
  0.5,
  1.5,
  2 ** 53,
  "",
  "closed",
  "Not A Name",
  "x".repeat(501),
  null,
  undefined,
  {},
  [],
  Array.from({ length: 65 }, () => "a"),
  Object.assign([], { 1: "a" }),
  true,
  1n
]

const usual = decide(
  {
    a: { samples: 1_234, successRate: 0.9871, level: "full" },
    b: { breaker: "half_open", probe: "due" },
    c: { breaker: "open", health: 0 }
  },
  { policy: Policy.make({}) }
)

describe("the quick check of a decision", () => {
  it("takes what the router decides", () => {
    assert.isTrue(isCertainlyDecision(usual))
    assert.isAbove(usual.ranked.length, 0)
    assert.isAbove(usual.excluded.length, 0)
  })

  it.prop("takes every decision but one after another operation", { decision: Schema.toType(RoutingDecision) }, ({ decision }) => {
    assert.strictEqual(isCertainlyDecision(decision), !("after" in decision))
  })

  it("takes nothing that the schema refuses, whatever stands wherever in it, or is missing", () => {
    let refused = 0
    const rich = { ...usual, support: usual.ranked.map(({ gateway }) => gateway), explored: false, rule: "r", propensity: 0.5 }
    const caps = { network: "visa", basis: "card", declined: 3 }
    for (const decision of [usual, rich, { ...rich, caps }, { ...rich, ranked: [], reason: "" }]) {
      for (const broken of [...withOneLess(decision), ...wrongs.flatMap((wrong) => withOneWrong(decision, wrong))]) {
        if (isDecision(broken)) continue
        refused += 1
        assert.isFalse(
          isCertainlyDecision(broken),
          JSON.stringify(broken, (_, value: unknown) => (typeof value === "bigint" ? "1n" : value))
        )
      }
    }
    assert.isAbove(refused, 1_000)
    assert.isFalse(isCertainlyDecision(Object.assign([], usual)), "a list with the fields of a decision")
  })
})
