/**
 * What each outcome says of a gateway: the table, category by category and reason by reason.
 */
import { assert, describe, it } from "@effect/vitest"
import { DeclineCategory } from "../../../src/domain/operation/Decline.ts"
import { type Intent, OperationKind } from "../../../src/domain/operation/Operation.ts"
import { NotSentReason, UnknownReason } from "../../../src/domain/operation/Outcome.ts"
import { OperationNumber } from "../../../src/domain/payment/Ids.ts"
import { approvalOf, askedOf, verdictOf } from "../../../src/domain/routing/Attribution.ts"
import { intent as intentOf, newPaymentId } from "../../support/payments.ts"

const intent = intentOf({ payment: newPaymentId() })
const sale = { kind: "sale", isFirst: true } as const

describe("Attribution", () => {
  it("declines: an issuer's is no fault of the gateway; a technical one is; a rate limit is mildly; a wrong configuration is flagged", () => {
    const table = Object.fromEntries(
      DeclineCategory.literals.map((category) => {
        const outcome = { _tag: "Declined", category } as const
        return [category, [verdictOf(outcome), approvalOf(sale, outcome)]]
      })
    )
    assert.deepStrictEqual(table, {
      soft: ["healthy", "declined"],
      hard: ["healthy", "ignored"],
      fraud: ["healthy", "ignored"],
      authentication_required: ["healthy", "ignored"],
      invalid_data: ["healthy", "ignored"],
      gateway_error: ["failed", "ignored"],
      rate_limited: ["limited", "ignored"],
      configuration: ["healthy", "declined"]
    })
  })

  it("what was not sent counts where the gateway could not be reached, not where we held it back", () => {
    const table = Object.fromEntries(NotSentReason.literals.map((reason) => [reason, verdictOf({ _tag: "NotSent", reason })]))
    assert.deepStrictEqual(table, {
      name_not_resolved: "failed",
      connection_refused: "failed",
      connection_not_made: "failed",
      breaker_open: "ignored",
      bulkhead_full: "ignored",
      local_limit: "ignored",
      permission_lapsed: "ignored",
      rate_limited: "ignored"
    })
  })

  it("unknown outcomes are unavailability, but for conflicts and calls that we gave up", () => {
    const table = Object.fromEntries(UnknownReason.literals.map((reason) => [reason, verdictOf({ _tag: "Unknown", reason })]))
    assert.deepStrictEqual(table, {
      timeout: "failed",
      connection_lost: "failed",
      server_error: "failed",
      unreadable: "failed",
      conflict: "ignored",
      inconclusive: "failed",
      interrupted: "ignored"
    })
  })

  it("only a payment's first charge tells of approvals: what failed over was declined before; a confirmation and a step-up belong to it", () => {
    const asked = (differs: Partial<Intent>) => askedOf({ ...intent, ...differs })
    const second = OperationNumber.make(2)
    const after = (operation: OperationNumber) => ({ policy: "weighted", reason: "next", ranked: [], excluded: [], after: operation })
    assert.deepStrictEqual(asked({}), { kind: "sale", isFirst: true })
    assert.isFalse(asked({ number: second, decision: after(intent.number) }).isFirst)
    assert.isTrue(asked({ number: second, kind: "confirm", target: intent.number }).isFirst)
    assert.isFalse(asked({ number: OperationNumber.make(3), kind: "confirm", target: second }).isFirst)
    const stepUp = { customerPresent: true, stepUp: true }
    assert.isTrue(asked({ number: second, details: stepUp, decision: after(intent.number) }).isFirst)
    assert.isFalse(asked({ number: OperationNumber.make(3), details: stepUp, decision: after(second) }).isFirst)
    for (const outcome of [{ _tag: "Succeeded" }, { _tag: "Declined", category: "soft" }] as const) {
      assert.strictEqual(approvalOf({ kind: "sale", isFirst: false }, outcome), "ignored")
    }
  })

  it("answers are healthy; only charges are approved or declined, and only by an answer", () => {
    for (const _tag of ["Succeeded", "Pending", "RequiresAction"] as const) assert.strictEqual(verdictOf({ _tag }), "healthy")
    const approvals = Object.fromEntries(
      OperationKind.literals.map((kind) => [kind, approvalOf({ kind, isFirst: true }, { _tag: "Succeeded" })])
    )
    assert.deepStrictEqual(approvals, {
      authorize: "approved",
      sale: "approved",
      confirm: "approved",
      capture: "ignored",
      void: "ignored",
      refund: "ignored"
    })
    assert.strictEqual(approvalOf({ kind: "refund", isFirst: true }, { _tag: "Declined", category: "soft" }), "ignored")
    for (const outcome of [
      { _tag: "Pending" },
      { _tag: "RequiresAction" },
      { _tag: "NotSent", reason: "connection_refused" },
      { _tag: "Unknown", reason: "timeout" }
    ] as const) {
      assert.strictEqual(approvalOf(sale, outcome), "ignored")
    }
  })
})
