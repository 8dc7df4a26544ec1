/** Rule 5: one table says what a decline allows. */
import { assert, describe, it } from "@effect/vitest"
import { effectiveReplay, isRecoverable } from "../../../src/domain/operation/Capabilities.ts"
import { DeclineCategory, mayPrecedeKeyCheck, safetyOf } from "../../../src/domain/operation/Decline.ts"
import { terms } from "../../support/paymentSpec.ts"

describe("the safety table", () => {
  it("is the published one", () => {
    const rows = Object.entries(safetyOf).map(([category, row]) => [
      category,
      row.otherGateway,
      row.sameGatewayLater,
      row.countsAgainstGateway
    ])
    assert.sameDeepMembers(rows, [
      ["gateway_error", "yes", "yes", "yes"],
      ["configuration", "yes", "never", "flag"],
      ["rate_limited", "yes", "yes", "mildly"],
      ["soft", "policy", "capped", "no"],
      ["authentication_required", "never", "yes", "no"],
      ["hard", "never", "never", "no"],
      ["fraud", "never", "never", "no"],
      ["invalid_data", "never", "after_new_input", "no"]
    ])
    assert.sameMembers(Object.keys(safetyOf), [...DeclineCategory.literals])
  })
  it("rule 13: only technical refusals may precede the look at the key", () => {
    assert.deepStrictEqual(DeclineCategory.literals.filter(mayPrecedeKeyCheck).toSorted(), [
      "configuration",
      "gateway_error",
      "rate_limited"
    ])
  })
})

describe("capabilities", () => {
  const capabilities = terms().capabilitiesOf("sale")
  it("an object left open that is not stored under the key counts as no replay", () => {
    assert.strictEqual(effectiveReplay({ ...capabilities, leavesOpenAfterDecline: true, cachesFailures: false }), "none")
    assert.strictEqual(effectiveReplay({ ...capabilities, leavesOpenAfterDecline: true, cachesFailures: true }), "result")
    assert.strictEqual(effectiveReplay({ ...capabilities, leavesOpenAfterDecline: false, cachesFailures: false }), "result")
  })
  it("a gateway with none of look-up, replay and cancel cannot be recovered", () => {
    const none = { ...capabilities, lookupByReference: undefined, replay: "none", cancelByReference: "none" } as const
    assert.isFalse(isRecoverable(none))
    assert.isTrue(isRecoverable({ ...none, lookupByReference: { lagMillis: 1 } }))
    assert.isTrue(isRecoverable({ ...none, replay: "result" }))
    assert.isFalse(isRecoverable({ ...none, replay: "conflict" }), "a refused repetition tells nothing without a look-up")
    assert.isTrue(isRecoverable({ ...none, cancelByReference: "unnamed" }))
  })
})
