/**
 * Retry caps of the card networks: which hold, what they count, and when they forbid another attempt.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { DeclineCategory } from "../../../../src/domain/operation/Decline.ts"
import type { PaymentMethod } from "../../../../src/domain/payment/PaymentMethod.ts"
import { make } from "../../../../src/domain/routing/policy/Policy.ts"
import * as RetryCaps from "../../../../src/domain/routing/policy/RetryCaps.ts"
import { details } from "../../../support/payments.ts"

const hour = 3_600_000
const day = 24 * hour
/** 2026-11-21 12:00 UTC. */
const now = 1_795_262_400_000
const { retryCaps } = make()

const methodOf = (brand: string | undefined): PaymentMethod => ({ ...details().method, ...(brand === undefined ? {} : { brand }) })
const capsOf = (brand: string, at = now): RetryCaps.NetworkCaps => {
  const caps = RetryCaps.capsFor(retryCaps, methodOf(brand), at)
  assert.isDefined(caps)
  return caps
}

/** So many declines of a category, the first that long ago, then one every so often. */
const declines = (count: number, options: { readonly ago?: number; readonly every?: number; readonly category?: DeclineCategory } = {}) =>
  Array.from({ length: count }, (_, index) => ({
    at: now - (options.ago ?? hour) + index * (options.every ?? 0),
    category: options.category ?? ("soft" as const)
  }))

const refused = (brand: string, attempts: ReadonlyArray<RetryCaps.DeclinedAttempt>): string | undefined =>
  RetryCaps.judge(capsOf(brand), attempts, now).refused

describe("RetryCaps", () => {
  it("Visa: 20 declined attempts in 30 days, from 2025-05-19 on; 15 before", () => {
    assert.isUndefined(refused("visa", declines(19, { ago: 29 * day })))
    assert.strictEqual(
      refused("visa", declines(20, { ago: 29 * day })),
      "visa: 20 declined attempts of this card in 30 days, the cap is 20"
    )
    assert.isUndefined(refused("visa", declines(20, { ago: 30 * day })), "those of 30 days ago have left the window")
    const before = Date.UTC(2025, 4, 18, 23, 59, 59, 999)
    assert.deepStrictEqual(capsOf("visa", before).limits, [{ max: 15, hours: 720 }])
    assert.deepStrictEqual(capsOf("visa", before + 1).limits, [{ max: 20, hours: 720 }])
  })

  it("Mastercard: 10 in a day and 35 in 30 days", () => {
    assert.isUndefined(refused("mastercard", declines(9)))
    assert.strictEqual(refused("mastercard", declines(10)), "mastercard: 10 declined attempts of this card in 24 h, the cap is 10")
    assert.isUndefined(refused("mastercard", declines(10, { ago: 25 * hour })))
    assert.isUndefined(refused("mastercard", declines(34, { ago: 29 * day, every: 12 * hour })))
    assert.match(refused("mastercard", declines(35, { ago: 29 * day, every: 12 * hour })) ?? "", /in 30 days, the cap is 35/)
    assert.deepStrictEqual(capsOf("mc"), capsOf("mastercard"))
  })

  it("never again after the network forbade it, as long as that is remembered", () => {
    const forbidden = (ago: number, category: DeclineCategory = "hard") =>
      refused("visa", [{ at: now - ago, category, networkForbids: true }])
    assert.strictEqual(forbidden(hour), "visa: its answer to an earlier attempt forbids every further attempt with this card")
    assert.isDefined(forbidden(hour, "soft"), "whatever the category is")
    assert.isDefined(forbidden(364 * day))
    assert.isUndefined(forbidden(365 * day))
  })

  it("after a decline that the customer can correct again, however hard it was", () => {
    for (const brand of ["visa", "mastercard"]) assert.isUndefined(refused(brand, declines(1, { category: "hard" })))
    const strict = { ...capsOf("visa"), never: ["hard" as const] }
    assert.isDefined(RetryCaps.judge(strict, declines(1, { category: "hard" }), now).refused, "unless the caps say so")
  })

  it("what never reached the network does not count", () => {
    const counted = DeclineCategory.literals.filter(
      (category) => RetryCaps.judge(capsOf("visa"), declines(1, { category }), now).declined === 1
    )
    assert.deepStrictEqual(counted, ["soft", "hard", "fraud", "authentication_required", "invalid_data"])
    assert.isUndefined(refused("visa", declines(100, { category: "gateway_error" })))
  })

  it("brands without caps, and methods without a brand, are free", () => {
    assert.isUndefined(RetryCaps.capsFor(retryCaps, methodOf("amex"), now))
    const { brand: _, ...bare } = details().method
    assert.isUndefined(RetryCaps.capsFor(retryCaps, bare, now))
    assert.isUndefined(RetryCaps.capsFor(retryCaps, methodOf("visa"), Date.UTC(2020, 0, 1)), "before the first of them began")
  })

  it("caps begin on a day that there is", () => {
    const problem = (from: unknown) => {
      const result = Schema.decodeUnknownResult(RetryCaps.NetworkCaps)({ ...capsOf("visa"), from })
      return Result.isFailure(result) ? result.failure.message : ""
    }
    assert.strictEqual(problem("2028-02-29"), "")
    for (const from of ["2025-02-31", "2027-02-29", "2025-1-1", "soon", 20_250_519]) assert.match(problem(from), /a day such as 2025-05-19/)
    const caps = RetryCaps.byBrand([{ ...capsOf("visa"), from: "soon" }])
    assert.isUndefined(RetryCaps.capsFor(caps, methodOf("visa"), now))
  })

  it("an attempt is remembered as long as anything counts it", () => {
    const remembered = (declined: Omit<RetryCaps.DeclinedAttempt, "at">) => RetryCaps.rememberMillis(capsOf("visa"), declined)
    assert.strictEqual(remembered({ category: "soft" }), 30 * day)
    assert.strictEqual(remembered({ category: "hard" }), 30 * day)
    assert.strictEqual(remembered({ category: "hard", networkForbids: true }), 365 * day)
    assert.strictEqual(remembered({ category: "rate_limited" }), 0)
  })

  it("kept to, a cap is never exceeded in any window", () => {
    // Tries every hour for 90 days; every attempt that is allowed is declined.
    for (const brand of ["visa", "mastercard"]) {
      const caps = capsOf(brand)
      const made: Array<RetryCaps.DeclinedAttempt> = []
      for (let at = now; at < now + 90 * day; at += hour) {
        if (RetryCaps.judge(caps, made, at).refused === undefined) made.push({ at, category: "soft" })
      }
      for (const { hours, max } of caps.limits) {
        const fullest = Math.max(...made.map(({ at }) => made.filter((other) => other.at >= at && other.at < at + hours * hour).length))
        assert.strictEqual(fullest, max, `${brand}: ${max} in ${hours} h`)
      }
    }
  })
})
