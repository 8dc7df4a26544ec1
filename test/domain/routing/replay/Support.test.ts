/**
 * Which gateways a decision could have put first, as it is stored and as it is rebuilt for earlier versions; and that a policy which wants
 * others is refused an answer.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../../src/domain/Currency.ts"
import type { GatewaySignals, RoutingDecision } from "../../../../src/domain/routing/Decision.ts"
import * as Chance from "../../../../src/domain/routing/plan/Chance.ts"
import * as Policy from "../../../../src/domain/routing/policy/Policy.ts"
import * as OffPolicy from "../../../../src/domain/routing/replay/OffPolicy.ts"
import * as Snapshot from "../../../../src/domain/routing/replay/Snapshot.ts"
import * as Support from "../../../../src/domain/routing/replay/Support.ts"
import { StoredDecision } from "../../../../src/domain/routing/StoredDecision.ts"
import { decide, name, paymentId, small } from "../../../support/routing.ts"

const encode = Schema.encodeSync(StoredDecision)
const decode = Schema.decodeUnknownSync(StoredDecision)
const stored = (decision: RoutingDecision): RoutingDecision => decode(JSON.parse(JSON.stringify(encode(decision))))

const supportOf = (decision: RoutingDecision): ReadonlyArray<string> | undefined => {
  const support = Support.of(decision)
  return support === undefined ? undefined : [...support].sort()
}

/** As an earlier version would have stored it. */
const earlier = (decision: RoutingDecision): RoutingDecision => {
  const { support: _support, ...others } = decision
  return others
}

const split = {
  name: "split",
  when: { metadata: { trial: "1" } },
  then: { split: ["a", "b"].map((one) => ({ gateway: name(one), share: 50 })) }
}
const inSplit = { ...small, metadata: { trial: "1" } }
const three = { a: {}, b: {}, c: {} }
const half: Partial<GatewaySignals> = { breaker: "half_open" }

describe("Support: stored with the decision", () => {
  it("exploration: every gateway of the plan; with a share of 1 all but the best", () => {
    assert.deepStrictEqual(supportOf(stored(decide(three))), ["a", "b", "c"])
    assert.deepStrictEqual(supportOf(stored(decide(three, { random: 0.01 }))), ["a", "b", "c"])
    assert.deepStrictEqual(supportOf(stored(decide(three, { policyData: { exploration: { share: 1 } } }))), ["b", "c"])
  })

  it("half-open gateways: they and the best", () => {
    for (const random of [0.01, 0.9]) assert.deepStrictEqual(supportOf(stored(decide({ a: {}, b: {}, c: half }, { random }))), ["a", "c"])
  })

  it("one that would have to wait: not explored", () => {
    assert.deepStrictEqual(supportOf(stored(decide({ a: {}, b: {}, c: { saturated: true } }))), ["a", "b"])
  })

  it("a split: its gateways, and whoever takes the rest", () => {
    const whole = { policyData: { rules: [split] }, details: inSplit }
    assert.deepStrictEqual(supportOf(stored(decide(three, whole))), ["a", "b"])
    const partly = { name: "part", then: { split: [{ gateway: name("b"), share: 10 }] } }
    for (let payment = 1; payment < 40; payment++) {
      const decision = decide(three, { policyData: { rules: [partly] }, payment: paymentId(payment) })
      assert.deepStrictEqual(supportOf(stored(decision)), ["a", "b"])
    }
  })

  it("drawn scores: all that stand as the first does", () => {
    const decision = decide({ a: {}, b: {}, c: half }, { policyData: { policy: "thompson" }, random: 0.4 })
    assert.deepStrictEqual(supportOf(stored(decision)), ["a", "b"])
  })

  it("certain decisions: the chosen one, and nothing is stored", () => {
    const decision = decide(three, { policyData: { exploration: { share: 0 } } })
    assert.isUndefined(decision.support)
    assert.deepStrictEqual(supportOf(stored(decision)), ["a"])
  })
})

describe("Support: of decisions of earlier versions", () => {
  it("is rebuilt from how the gateways stood", () => {
    for (const random of [0.001, 0.02, 0.045, 0.6]) {
      for (const gateways of [
        three,
        { a: {}, b: {}, c: half },
        { a: half, b: {}, c: half },
        { a: half, b: half },
        { a: {}, b: { saturated: true } }
      ]) {
        for (const share of [0.05, 1]) {
          const decision = decide(gateways, { random, policyData: { exploration: { share } } })
          // A share of 1 among closed gateways leaves the best out; earlier records do not tell that.
          if (share === 1 && !Object.values(gateways).some(({ breaker }: Partial<GatewaySignals>) => breaker === "half_open")) continue
          if (Object.values(gateways).every(({ breaker }: Partial<GatewaySignals>) => breaker === "half_open") && share === 1) continue
          assert.deepStrictEqual(supportOf(earlier(decision)), supportOf(decision), `${random} ${share} ${JSON.stringify(gateways)}`)
        }
      }
    }
  })

  it("cannot be told where a rule concerned the payment", () => {
    assert.isUndefined(supportOf(earlier(decide(three, { policyData: { rules: [split] }, details: inSplit }))))
  })
})

/** What is approved: 0.95 at a, 0.9 at b, 0.85 at c; beyond that the wanted gateway is as good as its estimate says. */
const approval: Readonly<Record<string, number>> = { a: 0.95, b: 0.9, c: 0.85 }

const answerTo = (
  wanted: string,
  of: (nth: number, random: number) => { readonly decision: RoutingDecision; readonly details: typeof small }
) => {
  const uniform = Chance.streamOf(0.31)
  const tally = OffPolicy.make()
  const policy = Policy.make({ policy: "fixed", order: [name(wanted)] })
  for (let nth = 1; nth <= 20_000; nth++) {
    const { decision: decided, details } = of(nth, uniform())
    const decision = stored(decided)
    const replayed = Snapshot.replay({ payment: paymentId(nth), details, decision, at: 0 }, policy, [])
    const gateway = decision.ranked[0]?.gateway ?? name("none")
    if (replayed._tag === "Lacking") return assert.fail(replayed.lack)
    OffPolicy.add(tally, {
      gateway,
      propensity: decision.propensity ?? 1,
      support: Support.of(decision) ?? assert.fail("no support"),
      drawn: false,
      chances: replayed.chances,
      approved: uniform() < (approval[gateway] ?? 0),
      latencyMillis: undefined,
      currency: CurrencyCode.make("EUR"),
      feeMinor: undefined
    })
  }
  return OffPolicy.answer(tally)
}

describe("Support: what had no chance is not estimated", () => {
  it("a tenth of the payments was split between others", () => {
    const answer = answerTo("c", (nth, random) => {
      const details = nth % 10 === 0 ? inSplit : small
      return { details, decision: decide(three, { policyData: { rules: [split] }, payment: paymentId(nth), details, random }) }
    })
    assert.deepInclude(answer.refusals[0], { _tag: "Unsupported" })
    assert.closeTo(answer.unsupportedShare, 0.1, 1e-9)
    assert.isUndefined(answer.estimates)
  })

  it("only a half-open gateway was explored, and a closed one is wanted", () => {
    const answer = answerTo("b", (nth, random) => ({
      details: small,
      decision: decide({ a: {}, b: {}, c: half }, { payment: paymentId(nth), random })
    }))
    assert.deepInclude(answer.refusals[0], { _tag: "Unsupported" })
    assert.closeTo(answer.unsupportedShare, 1, 1e-9)
  })
})
