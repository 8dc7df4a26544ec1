/**
 * Schedules of events that charged twice, or lost a truth, in a model without the rule that each of them names. A and B are
 * gateways; P is the process that wrote the intent, R a recovery.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { type Evidence, settle } from "../../../src/domain/operation/Settle.ts"
import type { Command } from "../../../src/domain/payment/Command.ts"
import { nextStep } from "../../../src/domain/payment/NextStep.ts"
import { replay } from "../../../src/domain/payment/Replay.ts"
import { eur, initiated, operationNumber, screened } from "../../support/payments.ts"
import {
  absent,
  answered,
  at,
  begun,
  declined,
  does,
  given,
  operation,
  paymentId,
  pending,
  proofOf,
  requiresAction,
  starts,
  succeeded,
  t0,
  terms,
  told,
  unknown
} from "../../support/paymentSpec.ts"

const permit = (now: number, number = 1): Command => ({
  _tag: "PermitResend",
  operation: operationNumber(number),
  now,
  sendWindowMillis: 30_000,
  reason: "recovery"
})
const cancel: Command = { _tag: "CancelPayment", purpose: "cancel", terms: terms() }
const refund: Command = { _tag: "RefundPayment", amount: eur(1000n), terms: terms() }
const sent = (permission: number, outcome: Parameters<typeof answered>[1], writtenAt: number): Evidence => ({
  _tag: "Sent",
  permission,
  attempts: [{ outcome, writtenAt }]
})
const policy = { maxCharges: 3, failoverOnSoftDecline: true, lateSuccess: "reverse" } as const

describe("schedules", () => {
  it("1: P's refusal does not count while R's replay is in flight (rule 12)", () => {
    const permitted = given(starts(), at(50_000, does(permit(t0 + 50_000)))).state
    const refusal = settle(operation(permitted, 1), sent(0, declined("gateway_error"), t0 + 10))
    assert.strictEqual(refusal._tag, "StillOpen")
    assert.strictEqual(settle(operation(permitted, 1), sent(0, declined("hard"), t0 + 10))._tag, "StillOpen")
    const open = given(starts(), at(50_000, does(permit(t0 + 50_000))), answered(1, declined("gateway_error")))
    assert.strictEqual(nextStep(begun(open.state), { policy, now: open.now })._tag, "Rest")
    open.hasStatus("in_doubt")
  })
  it("2: no permission whose late arrival outlives the key (rule 12)", () => {
    const short = given(starts({}, { replayWindowMillis: 120_000 }), answered(1, unknown))
    short.when(permit(t0 + 30_000)).then("ResendPermitted 1")
    short.when(permit(t0 + 30_001)).refused("ResendNotAllowed")
  })
  it("3: no repetition where the gateway does not recognise it, of a charge or of a refund (rule 3)", () => {
    given(starts({}, { replay: "none" }), answered(1, unknown))
      .when(permit(t0 + 1))
      .refused("ResendNotAllowed")
    const noReplay = { ...refund, terms: terms({ replay: "none" }) } as Command
    given(starts(), answered(1, succeeded()), does(noReplay), answered(2, unknown))
      .when(permit(t0 + 1, 2))
      .refused("ResendNotAllowed")
  })
  it("4: a declined object that stays open and is not stored under the key is never repeated (rules 3 and 6)", () => {
    const state = given(starts({}, { leavesOpenAfterDecline: true, cachesFailures: false }), answered(1, unknown))
    assert.strictEqual(operation(state.state, 1).intent.protection.replay, "none")
    state.when(permit(t0 + 1)).refused("ResendNotAllowed")
  })
  it("5: what was absent, or declined, before a permission is judged again after it (rules 10 and 17)", () => {
    const asked: Evidence = { _tag: "Asked", askedAt: t0 + 100_000, answer: absent }
    const before = given(starts(), answered(1, unknown)).state
    assert.strictEqual(settle(operation(before, 1), asked)._tag, "NotCharged")
    const after = given(starts(), answered(1, unknown), at(100_001, does(permit(t0 + 100_001)))).state
    for (const answer of [absent, declined("soft")]) {
      assert.strictEqual(settle(operation(after, 1), { ...asked, answer })._tag, "StillOpen")
    }
    const webhook = given(starts(), answered(1, unknown), at(100_001, does(permit(t0 + 100_001))), told(1, declined("soft")))
    assert.strictEqual(operation(webhook.state, 1).progress._tag, "Uncertain")
  })
  it("6: absence is judged by the database's time of the question and of the permission (rules 12 and 13)", () => {
    const state = given(starts()).state
    assert.deepStrictEqual(operation(state, 1).permissions, [{ sendBefore: t0 + 30_000 }])
    const edge = operation(state, 1).intendedAt + 90_000
    assert.strictEqual(settle(operation(state, 1), { _tag: "Asked", askedAt: edge, answer: absent })._tag, "StillOpen")
    assert.strictEqual(settle(operation(state, 1), { _tag: "Asked", askedAt: edge + 1, answer: absent })._tag, "NotCharged")
  })
  it("7: a cancel is an operation: a success merged meanwhile is not the end (rule 6)", () => {
    const cancelling = [starts(), answered(1, requiresAction), does(cancel)] as const
    given(...cancelling, told(1, succeeded())).hasStatus("processing")
    given(...cancelling, told(1, succeeded()), answered(2, succeeded())).hasStatus("cancelled")
    given(...cancelling, told(1, succeeded()), answered(2, declined("invalid_data"))).hasStatus("succeeded")
  })
  it("8: nobody is told `failed` while the customer's page may still pay (rule 6)", () => {
    const left = given(starts({}, { leavesOpenAfterDecline: true }), answered(1, declined("hard")))
    assert.strictEqual(nextStep(begun(left.state), { policy, now: left.now })._tag, "Close")
    left.when((state) => ({ _tag: "EndPayment", after: proofOf(state, 1), as: "failed" })).refused("IllegalInStatus")
  })
  it("9: every operation has a reference of its own (rule 14)", () => {
    const state = given(starts(), answered(1, succeeded()), does(refund), does(refund)).state
    const keys = begun(state).operations.map((each) => each.intent.requestKey)
    assert.strictEqual(new Set(keys).size, 3)
    assert.strictEqual(operation(state, 2).intent.details.targetRequestKey, keys[0])
  })
  it("10: a charge made in time and learned late is kept (rule 12)", () => {
    const late = given(starts(), answered(1, requiresAction), at(3_600_000, told(1, succeeded({ chargedAt: t0 + 900_000 }))))
    late.hasStatus("succeeded")
    assert.strictEqual(nextStep(begun(late.state), { policy, now: late.now })._tag, "Rest")
  })
  it("11: the decline of the only send settles at once, and no question moves the time of certainty (rule 13)", () => {
    for (const category of ["soft", "hard", "gateway_error", "rate_limited"] as const) {
      assert.strictEqual(operation(given(starts(), answered(1, declined(category))).state, 1).progress._tag, "Declined")
    }
    const asked = given(starts(), answered(1, unknown), told(1, unknown), told(1, absent), told(1, unknown))
    assert.lengthOf(operation(asked.state, 1).permissions, 1)
    const told1 = given(starts(), answered(1, unknown), told(1, declined("soft")))
    assert.strictEqual(operation(told1.state, 1).progress._tag, "Declined")
  })
  it("12: once the gateway gave its id it is asked by that id, never by a replay", () => {
    for (const outcome of [pending, requiresAction, { ...unknown, gatewayReference: pending.gatewayReference }]) {
      given(starts(), answered(1, outcome))
        .when(permit(t0 + 1))
        .refused("ResendNotAllowed")
    }
  })
  it("a history with a gap, a repetition or two beginnings halts (rule 8)", () => {
    const at1 = (version: number, event = screened) => ({ version, recordedAt: t0, event })
    const start = at1(1, initiated())
    const halts = (events: Parameters<typeof replay>[1]) => Result.isFailure(replay(paymentId, events))
    assert.isFalse(halts([start, at1(2)]))
    assert.isTrue(halts([start, at1(3)]))
    assert.isTrue(halts([start, at1(1)]))
    assert.isTrue(halts([start, at1(2), at1(2)]))
    assert.isTrue(halts([at1(1)]))
    assert.isTrue(halts([start, at1(2, initiated())]))
  })
  it("a truth about an unknown operation changes nothing", () => {
    given(starts())
      .when({ _tag: "ReportFailure", operation: operationNumber(9), source: "webhook", message: "" })
      .then()
  })
})
