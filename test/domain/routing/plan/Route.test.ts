/**
 * The routing decision: who is left out and why, what decides the order, and what holds for every decision.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../../src/domain/Currency.ts"
import { GatewaySignals, RoutingDecision } from "../../../../src/domain/routing/Decision.ts"
import * as Route from "../../../../src/domain/routing/plan/Route.ts"
import * as Policy from "../../../../src/domain/routing/policy/Policy.ts"
import { RuleAction } from "../../../../src/domain/routing/policy/Rules.ts"
import { Token } from "../../../../src/domain/payment/PaymentMethod.ts"
import { details, eur } from "../../../support/payments.ts"
import { candidate, decide, name, namesOf, paymentId, signalsOf, small, unknownSignals, unrecoverable } from "../../../support/routing.ts"

/** A policy whose one rule concerns every payment. */
const withRule = (action: RuleAction): Policy.PolicyData => ({ rules: [{ name: "test rule", then: action }] })

const half = { breaker: "half_open", successRate: 0.9, health: 0.65 } as const
const open = { breaker: "open", health: 0, retryAfterMillis: 42_000 } as const

describe("Route: order", () => {
  it("the best score first; runners-up keep their scores and what these are made of", () => {
    const { ranked, reason } = decide({ a: { successRate: 0.9 }, b: {}, c: { p95Millis: 5_000 } })
    assert.deepStrictEqual(namesOf(ranked), ["b", "a", "c"])
    assert.strictEqual(reason, "b: by score")
    assert.deepStrictEqual(
      ranked.map(({ score }) => score),
      [0.8962, 0.8552, 0.7214]
    )
    assert.deepStrictEqual(ranked[0]?.parts, { success: 0.9924, latency: 1, cost: 0.5 })
    assert.deepStrictEqual(ranked[0]?.signals, signalsOf())
  })

  it("equal scores are ordered by name, whatever the order of the configuration", () => {
    assert.deepStrictEqual(namesOf(decide({ c: undefined, a: undefined, b: undefined }).ranked), ["a", "b", "c"])
    assert.deepStrictEqual(namesOf(decide({ b: {}, c: {}, a: {} }).ranked), ["a", "b", "c"])
  })

  it("fees decide where all else is equal, and are told", () => {
    const fees = new Map([
      [name("a"), [{ basisPoints: 290, fixedMinor: 30, currency: CurrencyCode.make("EUR") }]],
      [name("b"), [{ basisPoints: 140 }]]
    ])
    const { ranked } = decide({ a: {}, b: {} }, { policy: Policy.make({}, fees) })
    assert.deepStrictEqual(
      ranked.map(({ feeMinor, gateway }) => [gateway, feeMinor]),
      [
        [name("b"), 28],
        [name("a"), 88]
      ]
    )
  })

  it("a fixed order is kept, gateways it does not name come after it as configured", () => {
    const policyData = { policy: "fixed", order: [name("c"), name("a")] } as const
    const { policy, ranked } = decide({ z: {}, a: {}, b: {}, c: { successRate: 0.6 } }, { policyData, random: 0 })
    assert.deepStrictEqual(namesOf(ranked), ["c", "a", "z", "b"])
    assert.strictEqual(policy, "fixed")
  })

  it("signals that say nothing are not stored, nor those far down the plan", () => {
    const { ranked } = decide({ a: undefined })
    assert.isUndefined(ranked[0]?.signals)
    const many = decide(Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`g${index}`, {}])))
    assert.lengthOf(
      many.ranked.filter(({ signals }) => signals !== undefined),
      16
    )
  })
})

describe("Route: who is left out", () => {
  const excludedOf = (input: Partial<Route.RouteInput>) => {
    const { excluded, ranked } = decide({ a: {}, b: {} }, input)
    assert.deepStrictEqual(namesOf(ranked), ["a"])
    assert.deepStrictEqual(namesOf(excluded), ["b"])
    return excluded[0]
  }
  const withB = (differs: Parameters<typeof candidate>[1]) => ({ candidates: [candidate("a"), candidate("b", differs)] })

  it("without a reference of the payment method", () => {
    const method = { type: "card", references: { a: Token.make("tok") } } as const
    assert.strictEqual(excludedOf({ details: details({ method }) })?.reason, "no_reference")
  })

  it("without the currency", () => {
    const excluded = excludedOf(withB({ currencies: new Map([[CurrencyCode.make("USD"), 2]]) }))
    assert.strictEqual(excluded?.reason, "currency_unsupported")
    assert.strictEqual(excluded?.message, "EUR is not supported by this account")
  })

  it("without the kind of payment method", () => {
    assert.strictEqual(excludedOf(withB({ methods: new Set(["wallet"]) }))?.reason, "method_unsupported")
    assert.lengthOf(decide({ a: {}, b: {} }, withB({ methods: new Set(["card"]) })).excluded, 0)
  })

  it("without a way to find out what became of a lost answer", () => {
    assert.strictEqual(excludedOf(withB({ operations: unrecoverable }))?.reason, "not_recoverable")
    assert.lengthOf(
      decide({ a: {}, b: {} }, { ...withB({ operations: unrecoverable }), details: details({ captureMethod: "manual" }) }).excluded,
      0
    )
  })

  it("behind an open breaker, with the time until it lets a probe through", () => {
    const excluded = excludedOf({ signals: [signalsOf(), signalsOf(open)] })
    assert.strictEqual(excluded?.reason, "breaker_open")
    assert.strictEqual(excluded?.message, "its circuit breaker is open for another 42000 ms")
    assert.deepStrictEqual(excluded?.signals, signalsOf(open))
    const { retryAfterMillis: _, ...forced } = open
    assert.strictEqual(excludedOf({ signals: [signalsOf(), signalsOf(forced)] })?.message, "its circuit breaker lets no call through")
  })

  it("below the least health, but not while half-open: it could never recover", () => {
    const excluded = excludedOf({ signals: [signalsOf(), signalsOf({ health: 0.49 })] })
    assert.strictEqual(excluded?.reason, "unhealthy")
    assert.lengthOf(decide({ a: {}, b: { breaker: "half_open", health: 0.3 } }).excluded, 0)
    assert.lengthOf(decide({ a: {}, b: { health: 0.49 } }, { policyData: { minHealthScore: 0.4 } }).excluded, 0)
  })

  it("by the health that its own breaker asks for, unless the policy says otherwise", () => {
    assert.lengthOf(decide({ a: {}, b: { health: 0.49, minHealth: 0.3 } }).excluded, 0)
    const [excluded] = decide({ a: {}, b: { health: 0.8, minHealth: 0.85 } }).excluded
    assert.strictEqual(excluded?.message, "its health is 0.8, below 0.85")
    assert.lengthOf(decide({ a: {}, b: { health: 0.8, minHealth: 0.85 } }, { policyData: { minHealthScore: 0.5 } }).excluded, 0)
  })

  it("by a rule, which is named", () => {
    const rule = { policyData: withRule({ exclude: [name("b")] }) }
    assert.deepStrictEqual(decide({ a: {}, b: {} }, rule).excluded, [
      { gateway: name("b"), reason: "rule", message: 'left out by the rule "test rule"' }
    ])
    assert.deepStrictEqual(namesOf(decide({ a: {}, b: {} }, { policyData: withRule({ only: [name("b")] }) }).excluded), ["a"])
  })

  it("by a retry cap: every gateway, since the card is the same everywhere", () => {
    const caps = { applied: { network: "visa", basis: "card", declined: 20 }, refused: "visa: 20 declined attempts" } as const
    const { caps: told, excluded, ranked } = decide({ a: {}, b: {} }, { caps })
    assert.lengthOf(ranked, 0)
    assert.deepStrictEqual(
      excluded.map(({ message, reason }) => [reason, message]),
      [
        ["retry_cap", "visa: 20 declined attempts"],
        ["retry_cap", "visa: 20 declined attempts"]
      ]
    )
    assert.deepStrictEqual(told, caps.applied)
    const below = decide({ a: {} }, { caps: { ...caps, refused: undefined } })
    assert.lengthOf(below.ranked, 1)
    assert.deepStrictEqual(below.caps, caps.applied)
  })

  it("where every gateway is failing all of them are a last resort: a payment that might fail is better than one that does", () => {
    const { excluded, explored, propensity, ranked, reason } = decide(
      { a: { health: 0.2, successRate: 0.1 }, b: open, c: { health: 0.4 } },
      { random: 0 }
    )
    assert.deepStrictEqual(namesOf(ranked), ["b", "c", "a"])
    assert.strictEqual(reason, "b: last resort: its circuit breaker is open for another 42000 ms")
    assert.lengthOf(excluded, 0)
    assert.strictEqual(propensity, 1)
    assert.isUndefined(explored)
  })

  it("no last resort is what cannot take the payment at all, or what a rule forbids", () => {
    const { excluded, ranked } = decide({ a: open, b: {} }, { policyData: withRule({ exclude: [name("b")] }) })
    assert.deepStrictEqual(namesOf(ranked), ["a"])
    assert.deepStrictEqual(namesOf(excluded), ["b"])
    assert.lengthOf(decide({ a: {} }, { policyData: withRule({ only: [name("z")] }) }).ranked, 0)
  })
})

describe("Route: rules", () => {
  it("prefer puts gateways first in their order, without exploring; what cannot be used is passed over", () => {
    const decision = decide(
      { a: {}, b: {}, c: {}, d: open },
      { policyData: withRule({ prefer: [name("d"), name("c"), name("z"), name("b")] }), random: 0 }
    )
    assert.deepStrictEqual(namesOf(decision.ranked), ["c", "b", "a"])
    assert.strictEqual(decision.rule, "test rule")
    assert.strictEqual(decision.propensity, 1)
    assert.strictEqual(decision.reason, "c: preferred by the rule")
  })

  it("high value: the most reliable gateway, whatever it is like otherwise", () => {
    const rules: Policy.PolicyData["rules"] = [
      { name: "high value", when: { amount: { currency: CurrencyCode.make("EUR"), min: 100_000 } }, then: { strategy: "most_reliable" } }
    ]
    const gateways = { fast: { successRate: 0.97, p95Millis: 100 }, solid: { successRate: 0.99, p95Millis: 9_000 } }
    const firstFor = (minor: bigint) => decide(gateways, { policyData: { rules }, details: details({ amount: eur(minor) }) })
    assert.strictEqual(firstFor(99_999n).ranked[0]?.gateway, name("fast"))
    assert.strictEqual(firstFor(100_000n).ranked[0]?.gateway, name("solid"))
    assert.strictEqual(firstFor(100_000n).rule, "high value")
    assert.isUndefined(firstFor(99_999n).rule)
  })

  it("low latency: by its own target; lowest cost: by fees before latency", () => {
    const gateways = { fast: { successRate: 0.97, p95Millis: 300 }, solid: { p95Millis: 700 } }
    assert.strictEqual(decide(gateways).ranked[0]?.gateway, name("solid"))
    const low = decide(gateways, { policyData: withRule({ strategy: "low_latency", latencyTargetMillis: 300 }) })
    assert.strictEqual(low.ranked[0]?.gateway, name("fast"))
    const fees = new Map([
      [name("fast"), [{ basisPoints: 300 }]],
      [name("solid"), [{ basisPoints: 250 }]]
    ])
    const cheap = decide(gateways, { policy: Policy.make(withRule({ strategy: "lowest_cost" }), fees) })
    assert.strictEqual(cheap.ranked[0]?.gateway, name("solid"))
    assert.deepStrictEqual(cheap.weights, { success: 0.4, latency: 0, cost: 0.6 })
  })

  it("weights of a rule replace the policy's", () => {
    const { ranked, weights } = decide(
      { a: { successRate: 0.9, p95Millis: 100 }, b: { p95Millis: 3_000 } },
      { policyData: withRule({ weights: { success: 0, latency: 1, cost: 0 } }) }
    )
    assert.deepStrictEqual(namesOf(ranked), ["a", "b"])
    assert.deepStrictEqual(weights, { success: 0, latency: 1, cost: 0 })
  })

  it("a split decides by payment id, says so, and tells the probability", () => {
    const split = [
      { gateway: name("a"), share: 10 },
      { gateway: name("b"), share: 30 }
    ]
    const policyData = withRule({ split })
    const counts = { a: 0, b: 0, best: 0 }
    for (let number = 0; number < 2_000; number++) {
      const decision = decide(
        { a: { successRate: 0.8 }, b: { successRate: 0.7 }, best: {} },
        { policyData, payment: paymentId(number), random: 0 }
      )
      const first = decision.ranked[0]
      counts[(first?.gateway ?? "best") as keyof typeof counts]++
      assert.closeTo(decision.propensity ?? 0, first?.gateway === name("a") ? 0.1 : first?.gateway === name("b") ? 0.3 : 0.6, 1e-9)
      assert.strictEqual(first?.reason, first?.gateway === name("best") ? "by score" : "its share of the split")
      assert.lengthOf(decision.ranked, 3)
    }
    assert.closeTo(counts.a / 2_000, 0.1, 0.035)
    assert.closeTo(counts.b / 2_000, 0.3, 0.055)
  })

  it("a gateway that is best anyway is chosen with its share and the rest together", () => {
    const policyData = withRule({ split: [{ gateway: name("a"), share: 10 }] })
    assert.closeTo(decide({ a: {}, b: { successRate: 0.7 } }, { policyData }).propensity ?? 0, 1, 1e-12)
  })

  it("the first rule by priority counts; a host's own comes before equals", () => {
    const rules: Policy.PolicyData["rules"] = [
      { name: "later", priority: 200, then: { prefer: [name("c")] } },
      { name: "usual", then: { prefer: [name("b")] } }
    ]
    const custom = (priority: number) => ({ name: "own", priority, action: { prefer: [name("a")] } })
    const ruleOf = (priority?: number) =>
      decide({ a: {}, b: {}, c: {} }, { policyData: { rules }, ...(priority === undefined ? {} : { custom: custom(priority) }) }).rule
    assert.strictEqual(ruleOf(), "usual")
    assert.strictEqual(ruleOf(100), "own")
    assert.strictEqual(ruleOf(101), "usual")
  })
})

describe("Route: what little is known of", () => {
  const fees = new Map([
    [name("new"), [{ basisPoints: 100 }]],
    [name("old"), [{ basisPoints: 110 }]]
  ])
  const firstFor = (minor: bigint) =>
    decide(
      { new: undefined, old: { samples: 60, successRate: 1, p95Millis: 900 } },
      { policy: Policy.make({}, fees), details: details({ amount: eur(minor) }) }
    ).ranked[0]?.gateway

  it("is tried with payments that may be explored, and not with larger ones", () => {
    assert.strictEqual(firstFor(3_000n), name("new"))
    assert.strictEqual(firstFor(3_001n), name("old"))
  })
})

describe("Route: a gateway without room for one more call", () => {
  const full = { saturated: true } as const

  it("stands behind those that have room, with the reason, whatever score and rule say", () => {
    const decision = decide({ a: full, b: { successRate: 0.7 }, c: half })
    assert.deepStrictEqual(namesOf(decision.ranked), ["b", "a", "c"])
    assert.strictEqual(decision.ranked[1]?.reason, "behind the others: a call would wait for its turn")
    assert.isTrue(decision.ranked[1]?.signals?.saturated)
    assert.deepStrictEqual(namesOf(decide({ a: full, b: {} }, { policyData: withRule({ prefer: [name("a")] }) }).ranked), ["b", "a"])
    assert.deepStrictEqual(namesOf(decide({ a: full, b: {} }, { policyData: { policy: "fixed" } }).ranked), ["b", "a"])
    const split = [{ gateway: name("a"), share: 100 }]
    assert.deepStrictEqual(namesOf(decide({ a: full, b: {} }, { policyData: withRule({ split }) }).ranked), ["b", "a"])
  })

  it("is not explored; where all are full the score decides again", () => {
    assert.isUndefined(decide({ a: full, b: {} }, { random: 0 }).explored)
    assert.deepStrictEqual(namesOf(decide({ a: { ...full, successRate: 0.7 }, b: full }).ranked), ["b", "a"])
    assert.deepStrictEqual(namesOf(decide({ a: full, b: full }, { random: 0 }).ranked), ["b", "a"])
  })
})

describe("Route: a gateway that comes back", () => {
  it("waits half-open behind the others for its probes, and gets the share that is explored", () => {
    const gateways = { a: half, b: { p95Millis: 9_000 }, c: { p95Millis: 9_500 } }
    assert.deepStrictEqual(namesOf(decide(gateways).ranked), ["b", "c", "a"])
    const probed = decide(gateways, { random: 0.049 })
    assert.deepStrictEqual(namesOf(probed.ranked), ["a", "b", "c"])
    assert.isTrue(probed.explored)
    assert.closeTo(probed.propensity ?? 0, 0.05, 1e-12)
  })

  it("waits whether payments are explored or not, in a fixed order and where a rule prefers it, though nothing is left in its window", () => {
    const gateways = { a: { ...half, samples: 0, successRate: 1 }, b: { successRate: 0.7 } }
    const large = { details: details({ amount: eur(3_001n) }) }
    const order = (input: Parameters<typeof decide>[1]) => namesOf(decide(gateways, input).ranked)
    assert.deepStrictEqual(order(large), ["b", "a"])
    assert.deepStrictEqual(order({ policyData: { exploration: { share: 0 } } }), ["b", "a"])
    assert.deepStrictEqual(order({ policyData: { policy: "fixed" } }), ["b", "a"])
    assert.deepStrictEqual(order({ policyData: { policy: "thompson" } }), ["b", "a"])
    assert.deepStrictEqual(order({ policyData: withRule({ prefer: [name("a")] }) }), ["b", "a"])
    assert.deepStrictEqual(namesOf(decide({ a: half }).ranked), ["a"], "nobody else is there")
  })

  it("gets a small payment when a probe is due, by every policy; a large one only when none has come for long", () => {
    const probing = (probe: "due" | "overdue", input: Parameters<typeof decide>[1] = {}) =>
      decide({ a: { ...half, probe }, b: {}, c: { successRate: 0.7 } }, { random: 0.999, ...input })
    const large = { details: details({ amount: eur(3_001n) }) }
    const decision = probing("due")
    assert.deepStrictEqual(namesOf(decision.ranked), ["a", "b", "c"])
    assert.strictEqual(decision.reason, "a: half-open: a probe is due")
    assert.isTrue(decision.explored)
    assert.strictEqual(decision.propensity, 1)
    for (const policyData of [{ policy: "thompson" }, { policy: "fixed" }, { exploration: { share: 0 } }] as const) {
      assert.strictEqual(probing("due", { policyData }).ranked[0]?.gateway, name("a"))
      assert.strictEqual(probing("due", { policyData, ...large }).ranked[0]?.gateway, name("b"))
    }
    assert.strictEqual(probing("overdue", large).ranked[0]?.gateway, name("a"))
    assert.strictEqual(probing("overdue", { ...large, policyData: { policy: "fixed" } }).ranked[0]?.gateway, name("a"))
  })

  it("no payment is an overdue probe above its amount, where that is switched off, or where nothing is to be explored", () => {
    const first = (minor: bigint, policyData: Parameters<typeof decide>[1] & object = {}) =>
      decide({ a: { ...half, probe: "overdue" }, b: {} }, { details: details({ amount: eur(minor) }), ...policyData }).ranked[0]?.gateway
    assert.strictEqual(first(30_000n), name("a"))
    assert.strictEqual(first(30_001n), name("b"), "ten times what is explored")
    assert.strictEqual(first(9_000n, { policyData: { exploration: { overdueMaxAmount: { EUR: 8_000 } } } }), name("b"))
    assert.strictEqual(first(2_000n, { policyData: { exploration: { overdueMaxAmount: {} } } }), name("b"))
    assert.strictEqual(first(2_000n, { policyData: { exploration: { share: 0 } } }), name("b"))
    for (const action of [{ strategy: "most_reliable" }, { explorationShare: 0 }] as const) {
      for (const minor of [2_000n, 20_000n]) assert.strictEqual(first(minor, { policyData: withRule(action) }), name("b"))
    }
    assert.strictEqual(first(20_000n, { policyData: withRule({ strategy: "low_latency" }) }), name("a"))
    assert.strictEqual(first(20_000n, { policyData: withRule({ strategy: "most_reliable", explorationShare: 0.1 }) }), name("a"))
  })

  it("where a rule explores nothing no small payment is a probe either", () => {
    const due = decide({ a: { ...half, probe: "due" }, b: {} }, { policyData: withRule({ explorationShare: 0 }) })
    assert.strictEqual(due.ranked[0]?.gateway, name("b"))
  })

  it("a payment that a rule sends elsewhere, or to the most reliable gateway, is no probe", () => {
    const first = (action: RuleAction) =>
      decide({ a: { ...half, probe: "due" }, b: {}, c: {} }, { policyData: withRule(action) }).ranked[0]?.gateway
    assert.strictEqual(first({ prefer: [name("c")] }), name("c"))
    assert.strictEqual(first({ prefer: [name("a")] }), name("a"))
    assert.strictEqual(first({ strategy: "most_reliable" }), name("b"))
    assert.strictEqual(first({ split: [{ gateway: name("c"), share: 100 }] }), name("c"))
    assert.strictEqual(first({ split: [{ gateway: name("a"), share: 100 }] }), name("a"))
  })

  it("a half-open gateway leaves its share of a split to the others until a probe is due", () => {
    const split = [
      { gateway: name("a"), share: 50 },
      { gateway: name("b"), share: 50 }
    ]
    for (let number = 0; number < 20; number++) {
      const { propensity, ranked } = decide({ a: half, b: {}, c: {} }, { policyData: withRule({ split }), payment: paymentId(number) })
      assert.strictEqual(ranked[0]?.gateway, name("b"))
      assert.closeTo(propensity ?? 0, 1, 1e-12)
    }
  })
})

const Gateways = Schema.Array(GatewaySignals).check(Schema.isMaxLength(12))
const Random = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 0.999_999 }))
const Kind = Schema.Literals(["weighted", "fixed", "thompson"])
const Rule = Schema.Option(RuleAction)
const Amount = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 }))

describe("Route: every decision", () => {
  const decided = (given: {
    readonly signals: ReadonlyArray<GatewaySignals>
    readonly kind: typeof Kind.Type
    readonly rule: typeof Rule.Type
    readonly random: number
    readonly minor: number
  }) => {
    const candidates = given.signals.map((_, index) => candidate(`g${index}`))
    const rules = given.rule._tag === "None" ? [] : [{ name: "generated", then: given.rule.value }]
    const input: Route.RouteInput = {
      payment: paymentId(given.minor),
      details: { ...small, amount: eur(BigInt(given.minor)) },
      candidates,
      signals: given.signals,
      policy: Policy.make({ policy: given.kind, rules }),
      now: 1_700_000_000_000,
      random: given.random
    }
    return { input, decision: Route.route(input) }
  }
  const given = { signals: Gateways, kind: Kind, rule: Rule, random: Random, minor: Amount }

  it("of figures beyond all bounds Thompson sampling tells a probability all the same", () => {
    const none = {
      samples: 0,
      successRate: 0,
      approved: 0,
      declined: 0,
      p95Millis: 0,
      breaker: "half_open",
      health: 0,
      failuresInRow: 0
    } as const
    const many = { ...none, samples: 4.825040184250853e232, successRate: 7.721729961566061e-158, approved: 2.4262287349201962e85 }
    const { decision } = decided({
      signals: [none, { ...many, declined: 9.029045210184926e-170, p95Millis: 2.99600326302693e-149, health: 1.9411596761263918e-137 }],
      kind: "thompson",
      rule: Option.none(),
      random: 3.439574123388692e-112,
      minor: 650
    })
    assert.isTrue(decision.propensity !== undefined && decision.propensity >= 0 && decision.propensity <= 1, String(decision.propensity))
  })

  it.prop("every gateway is in exactly one of ranked and excluded", given, (values) => {
    const { decision, input } = decided(values)
    const placed = [...namesOf(decision.ranked), ...namesOf(decision.excluded)]
    assert.deepStrictEqual(placed.toSorted(), input.candidates.map(({ name }) => name as string).toSorted())
  })

  it.prop("it is a function of its input", given, (values) => {
    const { decision, input } = decided(values)
    assert.deepStrictEqual(Route.route(input), decision)
  })

  it.prop("scores, parts and propensity are in [0, 1], and it can be stored and read back", given, (values) => {
    const { decision } = decided(values)
    const numbers = [decision.propensity ?? -1, ...decision.ranked.flatMap(({ parts, score }) => [score, ...Object.values(parts ?? {})])]
    for (const number of numbers) assert.isTrue(number >= 0 && number <= 1, String(number))
    const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))
    const stored = throughJson(Result.getOrThrow(Schema.encodeResult(RoutingDecision)(decision)))
    assert.deepStrictEqual<unknown>(Result.getOrThrow(Schema.decodeUnknownResult(RoutingDecision)(stored)), throughJson(decision))
  })

  it.prop("no failing gateway is tried while another one can be", given, (values) => {
    const { decision, input } = decided(values)
    const isFailing = (gateway: string) => {
      const known = input.signals[Number(gateway.slice(1))] ?? unknownSignals
      return known.breaker === "open" || (known.breaker === "closed" && known.health < (known.minHealth ?? 0.5))
    }
    const failing = namesOf(decision.ranked).filter(isFailing)
    assert.isTrue(failing.length === 0 || failing.length === decision.ranked.length)
  })
})
