/** Charges that show up after the host was told otherwise, after another one took over, or too late by the PSP's own time. */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import type { Command } from "../../../src/domain/payment/Command.ts"
import { decide } from "../../../src/domain/payment/Decide.ts"
import { nextStep } from "../../../src/domain/payment/NextStep.ts"
import type { PaymentState } from "../../../src/domain/payment/State.ts"
import { amounts } from "../../../src/domain/payment/Status.ts"
import { operationNumber } from "../../support/payments.ts"
import {
  absent,
  answered,
  at,
  begun,
  does,
  given,
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

const b = terms({ gateway: "b" })
const cancel: Command = { _tag: "CancelPayment", purpose: "cancel", terms: terms() }
const expire: Command = { _tag: "CancelPayment", purpose: "expire", terms: terms() }
const capture: Command = { _tag: "CapturePayment", amount: undefined, final: false, terms: terms() }
const reverse = (number = 1): Command => ({ _tag: "ReverseLate", operation: operationNumber(number), terms: terms() })
const failOver = (state: PaymentState, now: number): Command => ({
  _tag: "FailOver",
  after: proofOf(state, 1),
  terms: b,
  now,
  stepUp: false
})
const end =
  (as: "failed" | "cancelled" | "expired") =>
  (state: PaymentState): Command => ({ _tag: "EndPayment", after: proofOf(state, 1), as })
const reversing = { maxCharges: 3, failoverOnSoftDecline: true, lateSuccess: "reverse" } as const
const keeping = { ...reversing, lateSuccess: "keep" } as const
const step = (state: PaymentState, now = t0 + 5000) => nextStep(begun(state), { policy: reversing, now })._tag

describe("late success", () => {
  const failed = [starts(), at(100_000, told(1, absent)), does(end("failed"))] as const
  const lateAuthorization = [startsManual(), at(100_000, told(1, absent)), does(end("failed")), told(1, succeeded())] as const
  it("a charge that shows up after the host was told `failed` is told by name and reversed", () => {
    given(...failed)
      .when(told(1, succeeded()))
      .then("OperationSucceeded 1", "LateSuccess 1")
    const late = given(...failed, told(1, succeeded()))
    assert.strictEqual(step(late.state), "Reverse")
    late.when(reverse()).then("intend 2: refund to reverse 4990 at a of 1").hasStatus("processing")
    late.when(reverse(2)).refused("IllegalInStatus")
    const reversed = given(...failed, told(1, succeeded()), does(reverse()), answered(2, succeeded()))
    reversed.hasStatus("failed")
    reversed.when(reverse()).refused("IllegalInStatus")
    assert.strictEqual(step(reversed.state), "Rest")
    late.when(cancel).refused("IllegalInStatus")
  })
  it("an authorization is reversed by a void", () => {
    const late = given(startsManual(), at(100_000, told(1, absent)), does(end("failed")), told(1, succeeded()))
    late.when(reverse()).then("intend 2: void to reverse 4990 at a of 1").hasStatus("processing")
    given(...lateAuthorization, does(reverse()))
      .when(capture)
      .refused("OperationInProgress")
    given(...lateAuthorization, does(reverse()))
      .when(cancel)
      .refused("OperationInProgress")
  })
  it("an authorization that policy keeps can be captured, and is not reversed afterwards", () => {
    const late = given(...lateAuthorization)
    late.hasStatus("authorized")
    assert.strictEqual(nextStep(begun(late.state), { policy: keeping, now: late.now })._tag, "Rest")
    late.when(capture).then("intend 2: capture 4990 at a of 1 final").hasStatus("processing")
    const captured = given(...lateAuthorization, does(capture), answered(2, succeeded({ id: "cap_1" })))
    captured.hasStatus("succeeded")
    assert.deepInclude(amounts(begun(captured.state)), { authorized: 4990n, captured: 4990n })
    assert.strictEqual(step(captured.state), "Rest")
    captured.when({ _tag: "RefundPayment", amount: undefined, terms: terms() }).then("intend 3: refund 4990 at a of 1")
  })
  it("an authorization that policy keeps can be cancelled: the payment is what it was before", () => {
    given(...lateAuthorization)
      .when(cancel)
      .then("intend 2: void to cancel 4990 at a of 1")
    given(...lateAuthorization)
      .when(expire)
      .refused("IllegalInStatus")
    const cancelled = given(...lateAuthorization, does(cancel), answered(2, succeeded({ id: "void_1" })))
    cancelled.hasStatus("failed")
    assert.deepInclude(amounts(begun(cancelled.state)), { authorized: 0n, captured: 0n })
    assert.strictEqual(step(cancelled.state), "Rest")
    for (const command of [cancel, capture]) assert.isTrue(Result.isFailure(decide(command, cancelled.state)))
  })
  it("a late authorization beside a good one is never captured, only cancelled", () => {
    const two = [
      startsManual(),
      at(100_000, told(1, absent)),
      does(failOver),
      answered(2, succeeded({ id: "ch_2" })),
      told(1, succeeded())
    ] as const
    const captureAtB: Command = { _tag: "CapturePayment", amount: undefined, final: false, terms: b }
    assert.deepStrictEqual(begun(given(...two).state).late, [operationNumber(1)])
    given(...two)
      .when(captureAtB)
      .then("intend 3: capture 4990 at b of 2 final")
    const captured = [...two, does(captureAtB), answered(3, succeeded({ id: "cap_1" }))] as const
    given(...captured)
      .when(captureAtB)
      .refused("IllegalInStatus")
    given(...captured)
      .when(cancel)
      .then("intend 4: void to cancel 4990 at a of 1")
  })
  it("an authorization that is late by the PSP's own time, and kept: captured or cancelled like any other", () => {
    const late = [startsManual(), answered(1, unknown), at(3_600_000, told(1, succeeded({ chargedAt: t0 + 900_001 })))] as const
    given(...late).hasStatus("authorized")
    given(...late)
      .when(capture)
      .then("intend 2: capture 4990 at a of 1 final")
    given(...late, does(cancel), answered(2, succeeded({ id: "void_1" }))).hasStatus("cancelled")
  })

  const cancelledSale = [
    starts(),
    answered(1, requiresAction),
    does(cancel),
    answered(2, succeeded({ id: "void_1" })),
    does(end("cancelled"))
  ] as const
  it("a sale told as succeeded after a cancel of it counted is money: shown, and reversed by a refund", () => {
    given(...cancelledSale).hasStatus("cancelled")
    given(...cancelledSale)
      .when(told(1, succeeded()))
      .then("OperationSucceeded 1", "LateSuccess 1")
      .hasStatus("succeeded")
    const late = given(...cancelledSale, told(1, succeeded()))
    assert.deepInclude(amounts(begun(late.state)), { authorized: 4990n, captured: 4990n, refunded: 0n })
    assert.strictEqual(step(late.state), "Reverse")
    late.when(reverse()).then("intend 3: refund to reverse 4990 at a of 1").hasStatus("processing")
    const reversed = given(...cancelledSale, told(1, succeeded()), does(reverse()), answered(3, succeeded({ id: "re_1" })))
    reversed.hasStatus("cancelled")
    assert.deepInclude(amounts(begun(reversed.state)), { captured: 4990n, refunded: 4990n })
    assert.strictEqual(step(reversed.state), "Rest")
    // The cancel told once more changes nothing of it.
    late.when(told(2, succeeded({ id: "void_1" }))).then()
  })
  it("a sale whose cancel by reference counted, told as succeeded after the next gateway took over, is reversed", () => {
    const cancelUncertain: Command = { _tag: "CancelUncertain", operation: operationNumber(1), terms: terms() }
    const both = given(
      starts(),
      answered(1, unknown),
      at(100_000, does(cancelUncertain)),
      answered(2, succeeded({ id: "void_1" })),
      does(failOver),
      answered(3, succeeded({ id: "ch_3" })),
      told(1, succeeded())
    )
    assert.deepStrictEqual(begun(both.state).late, [operationNumber(1)])
    assert.strictEqual(step(both.state), "Reverse")
    both.when(reverse()).then("intend 4: refund to reverse 4990 at a of 1")
  })
  it("an authorization told as succeeded after a cancel of it counted stays released: a hold takes nothing", () => {
    const released = given(
      startsManual(),
      answered(1, requiresAction),
      does(cancel),
      answered(2, succeeded({ id: "void_1" })),
      does(end("cancelled")),
      told(1, succeeded())
    )
    released.hasStatus("cancelled")
    assert.deepInclude(amounts(begun(released.state)), { authorized: 0n, captured: 0n })
    assert.strictEqual(step(released.state), "Rest")
  })
  it("the charge of a gateway that was failed over from is late; the good one can still be refunded", () => {
    const both = given(
      starts(),
      at(100_000, told(1, absent)),
      does(failOver),
      answered(2, succeeded()),
      told(1, succeeded()),
      does(reverse()),
      answered(3, succeeded())
    )
    assert.deepStrictEqual(begun(both.state).late, [operationNumber(1)])
    both.when({ _tag: "RefundPayment", amount: undefined, terms: b }).then("intend 4: refund 4990 at b of 2")
  })
  it("rule 12: late by the PSP's own time; made in time and learned late is kept", () => {
    const done = (chargedAt: number) =>
      given(starts(), answered(1, unknown)).when((state) => {
        const now = t0 + 3_600_000
        return told(1, succeeded({ chargedAt }))(state, now)
      })
    done(t0 + 900_001).then("OperationSucceeded 1", "LateSuccess 1")
    done(t0 + 900_000)
      .then("OperationSucceeded 1")
      .hasStatus("succeeded")
  })
  it("rule 12: learned late from a PSP without a time: kept, and a person looks; a later time clears it", () => {
    const kept = [starts(), answered(1, unknown), at(3_600_000, told(1, succeeded()))] as const
    given(...kept).hasStatus("needs_review")
    assert.strictEqual(step(given(...kept).state), "Rest")
    given(...kept)
      .when(told(1, succeeded({ chargedAt: t0 + 5 })))
      .then("OperationSucceeded 1", "ReviewClosed 1 late_without_time")
      .hasStatus("succeeded")
    given(...kept)
      .when(told(1, succeeded({ chargedAt: t0 + 900_001 })))
      .then("OperationSucceeded 1", "LateSuccess 1", "ReviewClosed 1 late_without_time")
    given(starts(), answered(1, succeeded())).hasStatus("succeeded")
  })
})
