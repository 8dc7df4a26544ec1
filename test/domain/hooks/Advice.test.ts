/**
 * The bound of an error handler's advice: everything that can be said, against everything that may have happened.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Advice, bound, type Planned } from "../../../src/domain/hooks/Advice.ts"
import { DeclineCategory, safetyOf } from "../../../src/domain/operation/Decline.ts"
import type { NotCharged } from "../../../src/domain/operation/Settle.ts"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import { absent, declined, notSent } from "../../support/paymentSpec.ts"

const [a, b, c] = [GatewayName.make("a"), GatewayName.make("b"), GatewayName.make("c")] as const

const reason = "because"
const advices: ReadonlyArray<Advice> = [
  { _tag: "as_planned" },
  { _tag: "fail", reason },
  { _tag: "other_gateway", reason },
  { _tag: "other_gateway", gateway: a, reason },
  { _tag: "other_gateway", gateway: b, reason },
  { _tag: "other_gateway", gateway: c, reason },
  { _tag: "same_gateway", reason },
  { _tag: "step_up", reason }
]
const plans: ReadonlyArray<Planned> = [
  { _tag: "fail_over", remaining: [b] },
  { _tag: "fail_over", remaining: [] },
  { _tag: "step_up" },
  { _tag: "fail" }
]
const ends: ReadonlyArray<NotCharged["because"]> = [...DeclineCategory.literals.map((category) => declined(category)), notSent, absent]

const cases = ends.flatMap((because) => plans.flatMap((planned) => advices.map((advice) => ({ because, planned, advice }))))

describe("an advice after a charge at a that certainly did not happen", () => {
  it("never starts a charge where the engine would not have started one", () => {
    for (const { advice, because, planned } of cases) {
      const bounded = bound(advice, { because, planned, at: a })
      if (planned._tag !== "fail_over") assert.notStrictEqual(bounded._tag, "go_to", JSON.stringify({ advice, because, planned }))
    }
  })

  it("goes to no other gateway than one that is left of the plan", () => {
    for (const { advice, because, planned } of cases) {
      const bounded = bound(advice, { because, planned, at: a })
      if (bounded._tag !== "go_to" || bounded.gateway === a) continue
      assert.isTrue(
        planned._tag === "fail_over" && planned.remaining.includes(bounded.gateway),
        JSON.stringify({ advice, because, planned })
      )
    }
  })

  it("stays at the same gateway only where the safety table lets a new operation go there without new input", () => {
    for (const { advice, because, planned } of cases) {
      const bounded = bound(advice, { because, planned, at: a })
      if (bounded._tag !== "go_to" || bounded.gateway !== a) continue
      const later = because._tag === "Declined" ? safetyOf[because.category].sameGatewayLater : "yes"
      assert.isTrue(later === "yes" || later === "capped", JSON.stringify({ advice, because, planned }))
      assert.strictEqual(advice._tag, "same_gateway")
    }
  })

  it("may always end the payment, and is refused with a reason otherwise", () => {
    for (const { advice, because, planned } of cases) {
      const bounded = bound(advice, { because, planned, at: a })
      if (advice._tag === "fail") assert.strictEqual(bounded._tag, planned._tag === "fail" ? "planned" : "fail")
      if (advice._tag === "as_planned") assert.strictEqual(bounded._tag, "planned")
      if (bounded._tag === "refused") assert.isAbove(bounded.why.length, 10)
    }
  })

  it("a step-up is followed only where one is planned", () => {
    for (const { advice, because, planned } of cases) {
      if (advice._tag !== "step_up") continue
      assert.strictEqual(bound(advice, { because, planned, at: a })._tag, planned._tag === "step_up" ? "planned" : "refused")
    }
  })

  it("all four answers occur", () => {
    const met = new Set(cases.map(({ advice, because, planned }) => bound(advice, { because, planned, at: a })._tag))
    assert.sameMembers([...met], ["planned", "fail", "go_to", "refused"])
  })
})
