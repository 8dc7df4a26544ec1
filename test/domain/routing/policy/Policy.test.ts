/**
 * Policies and price lists: defaults, versions, and what their data may be.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../../../src/domain/Currency.ts"
import * as Cost from "../../../../src/domain/routing/policy/Cost.ts"
import * as Policy from "../../../../src/domain/routing/policy/Policy.ts"
import { details, eur } from "../../../support/payments.ts"
import { name } from "../../../support/routing.ts"

const problemOf = (schema: typeof Policy.PolicyData | typeof Cost.Fee, input: unknown): string => {
  const result = Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })(input)
  return Result.isFailure(result) ? result.failure.message : ""
}

describe("Policy", () => {
  it("without data everything is preset", () => {
    const policy = Policy.make()
    assert.strictEqual(policy.kind, "weighted")
    assert.deepStrictEqual(policy.weights, { success: 0.5, latency: 0.3, cost: 0.2 })
    assert.strictEqual(policy.explorationShare, 0.05)
    assert.strictEqual(policy.explorationMaxAmount.get("EUR"), 3_000)
    assert.isUndefined(policy.minHealthScore, "the breakers' own")
    assert.strictEqual(policy.overdueProbeMaxAmount.get("EUR"), 30_000)
    assert.strictEqual(policy.scoring.approvalFloor, 0, "issuers' declines do not count")
    assert.deepStrictEqual([...policy.retryCaps.keys()], ["visa", "mastercard", "mc", "maestro"])
  })

  it("what is given replaces its preset and nothing else", () => {
    const policy = Policy.make({ scoring: { priorStrength: 5 }, exploration: { share: 0.1 }, weights: { success: 5, latency: 3, cost: 2 } })
    assert.strictEqual(policy.scoring.priorStrength, 5)
    assert.strictEqual(policy.scoring.priorMean, 0.95)
    assert.strictEqual(policy.explorationShare, 0.1)
    assert.strictEqual(policy.explorationMaxAmount.get("EUR"), 3_000)
    assert.deepStrictEqual(policy.weights, { success: 0.5, latency: 0.3, cost: 0.2 })
  })

  it("an overdue probe may be ten times what is explored, or what is said", () => {
    const amountOf = (exploration: Policy.PolicyData["exploration"]) =>
      Policy.make(exploration === undefined ? {} : { exploration }).overdueProbeMaxAmount.get("EUR")
    assert.strictEqual(amountOf({ maxAmount: { EUR: 500 } }), 5_000)
    assert.strictEqual(amountOf({ maxAmount: { EUR: 500 }, overdueMaxAmount: { EUR: 700 } }), 700)
    assert.isUndefined(amountOf({ overdueMaxAmount: {} }), "switched off")
    assert.isUndefined(amountOf({ maxAmount: {} }))
  })

  it("the version is one of the data: the same however it is written down, another for every difference", () => {
    const fees = (basisPoints: number) => new Map([[name("a"), [{ basisPoints }]]])
    const rules = (text: string) => [{ name: text, then: { prefer: [name("a")] } }]
    const versions = [
      Policy.make(),
      Policy.make({ policy: "fixed" }),
      Policy.make({ rules: rules("one") }),
      Policy.make({ rules: rules("two") }),
      Policy.make({}, fees(1)),
      Policy.make({}, fees(2)),
      Policy.make({ minHealthScore: 0.6 })
    ].map(({ version }) => version)
    assert.lengthOf(new Set(versions), versions.length)
    assert.strictEqual(Policy.make({ policy: "weighted" }).version, versions[0])
    assert.strictEqual(
      Policy.make({ weights: { cost: 0.2, latency: 0.3, success: 0.5 } }).version,
      Policy.make({ weights: { success: 5, latency: 3, cost: 2 } }).version
    )
    assert.match(versions[0] ?? "", /^[0-9a-f]{16}$/)
  })

  it("data that make no sense are refused, and say why", () => {
    assert.strictEqual(problemOf(Policy.PolicyData, {}), "")
    for (const [input, message] of [
      [{ policy: "best" }, /weighted, fixed or thompson/],
      [{ scoring: { latencyTargetMillis: 5_000, latencyLimitMillis: 5_000 } }, /must be below latencyLimitMillis \(5000\)/],
      [{ scoring: { latencyTargetMillis: 15_000 } }, /must be below latencyLimitMillis \(15000\)/],
      [{ policy: "fixed", exploration: { share: 0.1 } }, /explores nothing[^]*\["exploration"\]\["share"\]/],
      [{ exploration: { overdueMaxAmount: { eur: 1 } } }, /a key is a currency code/],
      [{ exploration: { maxAmount: { eur: 1 } } }, /a key is a currency code/],
      [{ retryCaps: [{ network: "visa" }] }, /Missing key/],
      [{ weight: {} }, /no excess property/]
    ] as const) {
      assert.match(problemOf(Policy.PolicyData, input), message)
    }
  })
})

describe("Cost", () => {
  const EUR = CurrencyCode.make("EUR")
  const payment = details({ amount: eur(10_000n) })

  it("the first entry that fits counts", () => {
    const fees: Cost.Fees = [
      { brands: ["amex"], basisPoints: 290 },
      { currency: CurrencyCode.make("USD"), basisPoints: 250 },
      { countries: ["FR"], basisPoints: 200 },
      { methods: ["wallet"], basisPoints: 180 },
      { methods: ["card"], currency: EUR, countries: ["DE"], basisPoints: 140 },
      { basisPoints: 100 }
    ]
    assert.strictEqual(Cost.entryFor(fees, payment)?.basisPoints, 140)
    assert.strictEqual(Cost.entryFor(fees, details({ method: { ...payment.method, country: "AT" } }))?.basisPoints, 100)
    assert.isUndefined(Cost.entryFor(fees.slice(0, 4), payment))
    assert.isUndefined(Cost.entryFor(undefined, payment))
  })

  it("a fee is the fixed part and the share of the amount, rounded half up", () => {
    const fee = { currency: EUR, fixedMinor: 25, basisPoints: 140 }
    assert.strictEqual(Cost.feeMinor(fee, 10_000n), 165)
    assert.strictEqual(Cost.feeMinor(fee, 35n), 25)
    assert.strictEqual(Cost.feeMinor({ basisPoints: 50 }, 100n), 1)
    assert.strictEqual(Cost.feeMinor({ basisPoints: 49 }, 100n), 0)
    assert.strictEqual(Cost.feeMinor({}, 100n), 0)
    assert.strictEqual(Cost.feeMinor({ basisPoints: 10_000 }, 900_000_000_000n), 900_000_000_000)
  })

  it("fees are compared by their share of the amount", () => {
    assert.strictEqual(Cost.effectiveBasisPoints({ currency: EUR, fixedMinor: 25, basisPoints: 140 }, 10_000n), 165)
    assert.strictEqual(Cost.effectiveBasisPoints({ currency: EUR, fixedMinor: 25, basisPoints: 140 }, 500n), 640)
  })

  it("a fixed fee needs its currency", () => {
    assert.match(problemOf(Cost.Fee, { fixedMinor: 25 }), /needs the currency/)
    assert.strictEqual(problemOf(Cost.Fee, { fixedMinor: 25, currency: "EUR" }), "")
    assert.strictEqual(problemOf(Cost.Fee, { basisPoints: 1.5 }), "")
  })
})
