/** Which command is legal in which status: every pair of the two. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import type { Command } from "../../../src/domain/payment/Command.ts"
import { decide, maxOperations } from "../../../src/domain/payment/Decide.ts"
import type { PaymentState } from "../../../src/domain/payment/State.ts"
import { amounts, type PaymentStatus, PaymentStatus as Statuses, status } from "../../../src/domain/payment/Status.ts"
import { details, eur, operationNumber } from "../../support/payments.ts"
import {
  absent,
  answered,
  at,
  begun,
  declined,
  does,
  fold,
  given,
  initiate,
  notSent,
  proofOf,
  requiresAction,
  starts,
  startsManual,
  succeeded,
  t0,
  terms,
  told,
  unknown
} from "../../support/paymentSpec.ts"

const one = operationNumber(1)
const capture: Command = { _tag: "CapturePayment", amount: eur(1000n), final: false, terms: terms() }
const refund: Command = { _tag: "RefundPayment", amount: eur(1000n), terms: terms() }
const cancel: Command = { _tag: "CancelPayment", purpose: "cancel", terms: terms() }
const dispute: Command = { _tag: "ReportDispute", disputeId: "dp_1", amount: eur(1n), status: "open" }
const ends = (as: "failed" | "cancelled" | "expired") => does((state) => ({ _tag: "EndPayment", after: proofOf(state, 1), as }))
const unsent = [starts(), answered(1, notSent)] as const
const sold = [starts(), answered(1, succeeded())] as const
const authorized = [startsManual(), answered(1, succeeded())] as const
const initiated = () => ({ _tag: "PaymentInitiated", details: details() }) as const

/** A payment in each status; `not charged` is what failover and the end start from. */
const states: { readonly [Name in PaymentStatus | "not charged"]: PaymentState } = {
  initiated: given(() => [initiated()]).state,
  screened: given(() => [initiated(), { _tag: "PaymentScreened", checks: [] }]).state,
  processing: given(starts()).state,
  requires_action: given(starts(), answered(1, requiresAction)).state,
  in_doubt: given(starts(), answered(1, unknown)).state,
  authorized: given(...authorized).state,
  partially_captured: given(...authorized, does(capture), answered(2, succeeded({ amount: 1000n, id: "cap_1" }))).state,
  succeeded: given(...sold).state,
  failed: given(...unsent, ends("failed")).state,
  cancelled: given(...unsent, ends("cancelled")).state,
  expired: given(...unsent, ends("expired")).state,
  needs_review: given(starts(), answered(1, succeeded({ amount: 1n }))).state,
  partially_refunded: given(...sold, does(refund), answered(2, succeeded({ amount: 1000n, id: "re_1" }))).state,
  refunded: given(...sold, does({ ...refund, amount: undefined }), answered(2, succeeded({ id: "re_1" }))).state,
  disputed: given(...sold, does(dispute)).state,
  "not charged": given(...unsent).state
}

const proof = proofOf(states["not charged"], 1)

/** Commands that a status may refuse. Those that only record a truth are accepted always. */
const commands: { readonly [Name: string]: Command } = {
  initiate: initiate(),
  "fail over": { _tag: "FailOver", after: proof, terms: terms({ gateway: "b" }), now: t0 + 3000, stepUp: false },
  confirm: { _tag: "ConfirmPayment", terms: terms(), now: 0 },
  capture,
  refund,
  cancel,
  expire: { _tag: "CancelPayment", purpose: "expire", terms: terms() },
  close: { _tag: "CloseDeclined", operation: one, terms: terms() },
  reverse: { _tag: "ReverseLate", operation: one, terms: terms() },
  resend: { _tag: "PermitResend", operation: one, now: t0 + 3000, sendWindowMillis: 30_000, reason: "recovery" },
  end: { _tag: "EndPayment", after: proof, as: "failed" }
}

const legal: { readonly [Name in keyof typeof states]: ReadonlyArray<string> } = {
  initiated: [],
  screened: [],
  processing: ["cancel", "resend"],
  requires_action: ["confirm", "cancel", "expire"],
  in_doubt: ["cancel", "resend"],
  authorized: ["capture", "cancel", "expire"],
  partially_captured: ["capture", "refund", "cancel", "expire"],
  succeeded: ["refund"],
  failed: [],
  cancelled: [],
  expired: [],
  needs_review: ["cancel"],
  partially_refunded: ["refund"],
  refunded: [],
  disputed: ["refund"],
  "not charged": ["fail over", "end"]
}

describe("every status and every command", () => {
  it("the table has every status", () => {
    const names = Object.keys(states).filter((name) => name !== "not charged")
    assert.deepStrictEqual(names.toSorted(), Statuses.literals.toSorted())
    for (const name of names) assert.strictEqual(status(states[name as PaymentStatus]), name)
  })
  for (const [name, state] of Object.entries(states)) {
    it(`${name}: only what is legal is accepted, the rest is refused naming state and command`, () => {
      for (const [label, command] of Object.entries(commands)) {
        const result = decide(command, state)
        const isLegal = legal[name as keyof typeof states].includes(label)
        assert.strictEqual(Result.isSuccess(result), isLegal, `${label} while ${name}`)
        if (Result.isSuccess(result)) continue
        assert.strictEqual(result.failure._tag, "CommandRefused")
        assert.strictEqual(result.failure.command, command._tag)
        assert.strictEqual(result.failure.status, status(state))
        assert.include(result.failure.message, `${command._tag} refused while the payment is ${status(state)}`)
      }
    })
  }
  it("rule 10: truths are never refused, in no status", () => {
    const truths: ReadonlyArray<Command> = [
      {
        _tag: "RecordSettlement",
        operation: one,
        settlement: { _tag: "Charged", outcome: succeeded() },
        source: "webhook",
        observedAt: t0
      },
      { _tag: "RecordSettlement", operation: one, settlement: proof, source: "webhook", observedAt: t0 },
      { _tag: "ReportFailure", operation: one, source: "webhook", message: "" },
      dispute,
      { _tag: "OpenReview", operation: one, reason: "unresolvable", evidence: "" }
    ]
    for (const state of Object.values(states)) for (const truth of truths) assert.isTrue(Result.isSuccess(decide(truth, state)))
  })
  it("nothing but its beginning is accepted by a payment that has not begun", () => {
    for (const [label, command] of Object.entries(commands)) {
      assert.strictEqual(Result.isSuccess(decide(command, given().state)), label === "initiate", label)
    }
  })
  it("a payment has at most 1,000 operations", () => {
    let state: PaymentState = given(...sold).state
    for (let number = 2; number <= maxOperations; number++) {
      state = fold(state, Result.getOrThrow(decide({ ...refund, amount: eur(1n) }, state)), t0 + 5000)
    }
    const refused = decide({ ...refund, amount: eur(1n) }, state)
    assert.isTrue(Result.isFailure(refused) && refused.failure.reason._tag === "TooManyOperations")
    assert.strictEqual(amounts(begun(state)).reservedForRefund, BigInt(maxOperations - 1))
  })
})

describe("rules 3, 12 and 14: a repetition of the request", () => {
  const resend = (now: number, sendWindowMillis = 30_000): Command => ({
    _tag: "PermitResend",
    operation: one,
    now,
    sendWindowMillis,
    reason: "recovery"
  })
  it("only where the gateway recognises it", () => {
    for (const replay of ["result", "conflict"] as const)
      given(starts({}, { replay }), answered(1, unknown))
        .when(resend(t0 + 1))
        .then("ResendPermitted 1")
    given(starts({}, { replay: "none" }), answered(1, unknown))
      .when(resend(t0 + 1))
      .refused("ResendNotAllowed")
    given(starts({}, { replayWindowMillis: 0 }), answered(1, unknown))
      .when(resend(t0 + 1))
      .refused("ResendNotAllowed")
  })
  it("only while the key window holds its late arrival", () => {
    const window = given(starts({}, { replayWindowMillis: 150_000 }), answered(1, unknown))
    window.when(resend(t0 + 60_000)).then("ResendPermitted 1")
    window.when(resend(t0 + 60_001)).refused("ResendNotAllowed")
    window.when(resend(t0 + 59_000, 31_001)).refused("ResendNotAllowed")
  })
  it("not after completeBefore, for a charge", () => {
    given(starts(), answered(1, unknown))
      .when(resend(t0 + 900_000))
      .refused("TooLate")
    const refunding = given(...sold, does(refund), answered(2, unknown))
    refunding.when({ ...resend(t0 + 900_000), operation: operationNumber(2) } as Command).then("ResendPermitted 2")
  })
  it("never once the gateway gave its id: ask by that id", () => {
    given(starts(), answered(1, { ...unknown, gatewayReference: succeeded().gatewayReference }))
      .when(resend(t0 + 1))
      .refused("ResendNotAllowed")
  })
  it("never of what is settled or in review", () => {
    given(...sold)
      .when(resend(t0 + 1))
      .refused("IllegalInStatus")
    given(...unsent)
      .when(resend(t0 + 1))
      .refused("IllegalInStatus")
    given(starts(), at(100_000, told(1, absent)))
      .when(resend(t0 + 100_001))
      .refused("IllegalInStatus")
    given(starts(), answered(1, declined()))
      .when(resend(t0 + 1))
      .refused("IllegalInStatus")
  })
  it("every permission is written down and moves the time of certainty", () => {
    const permitted = begun(given(starts(), answered(1, unknown), at(50_000, does(resend(t0 + 50_000)))).state)
    assert.deepStrictEqual(permitted.operations[0]?.permissions, [{ sendBefore: t0 + 30_000 }, { sendBefore: t0 + 80_000 }])
  })
})
