/** The charge of a payment: starting it, failing over, ending it, the customer's action, cancels and lateness. */
import { describe, it, assert } from "@effect/vitest"
import type { Command } from "../../../src/domain/payment/Command.ts"
import type { PaymentState } from "../../../src/domain/payment/State.ts"
import { nextStep } from "../../../src/domain/payment/NextStep.ts"
import { amounts, status } from "../../../src/domain/payment/Status.ts"
import { eur, operationNumber, reference } from "../../support/payments.ts"
import {
  absent,
  answered,
  at,
  begun,
  declined,
  does,
  given,
  initiate,
  notSent,
  operation,
  pending,
  proofOf,
  requiresAction,
  settledBy,
  starts,
  startsManual,
  succeeded,
  t0,
  terms,
  told,
  unknown
} from "../../support/paymentSpec.ts"

const b = terms({ gateway: "b" })
const open = { leavesOpenAfterDecline: true }
const confirm: Command = { _tag: "ConfirmPayment", terms: terms(), now: 0 }
const cancel: Command = { _tag: "CancelPayment", purpose: "cancel", terms: terms() }
const expire: Command = { _tag: "CancelPayment", purpose: "expire", terms: terms() }
const close = (number = 1): Command => ({ _tag: "CloseDeclined", operation: operationNumber(number), terms: terms(open) })
const failOver =
  (number = 1, over: Partial<Extract<Command, { _tag: "FailOver" }>> = {}) =>
  (state: PaymentState, now: number): Command => ({
    _tag: "FailOver",
    after: proofOf(state, number),
    terms: b,
    now,
    stepUp: false,
    ...over
  })
const end =
  (as: "failed" | "cancelled" | "expired", number = 1) =>
  (state: PaymentState): Command => ({ _tag: "EndPayment", after: proofOf(state, number), as })
const step = (state: PaymentState, now = t0 + 5000) =>
  nextStep(begun(state), { policy: { maxCharges: 3, failoverOnSoftDecline: true, lateSuccess: "reverse" }, now })._tag

describe("starting", () => {
  it("rule 7: initiating writes the intent with the payment", () => {
    given().when(initiate()).then("PaymentInitiated", "PaymentScreened", "intend 1: sale to charge 4990 at a").hasStatus("processing")
    given()
      .when(initiate({ captureMethod: "manual" }))
      .then("PaymentInitiated", "PaymentScreened", "intend 1: authorize to charge 4990 at a")
  })
  it("an amount that is not positive is refused", () => {
    for (const minor of [0n, -1n])
      given()
        .when(initiate({ amount: eur(minor) }))
        .refused("AmountNotPositive")
  })
  it("a payment starts once", () => {
    given(starts()).when(initiate()).refused("IllegalInStatus")
  })
  it("rule 12: a window that cannot hold the late arrival leaves no replay", () => {
    const held = (replayWindowMillis: number) => operation(given(starts({}, { replayWindowMillis })).state, 1).intent.protection.replay
    assert.strictEqual(held(90_000), "result")
    assert.strictEqual(held(89_999), "none")
  })
  it("a gateway that leaves a declined object open and caches no failures has no replay", () => {
    const state = given(starts({}, { ...open, cachesFailures: false })).state
    assert.strictEqual(operation(state, 1).intent.protection.replay, "none")
  })
})

describe("success and decline", () => {
  it("a sale that succeeds is captured", () => {
    given(starts()).when(answered(1, succeeded())).then("OperationSucceeded 1").hasStatus("succeeded")
  })
  it("an authorization that succeeds is authorized", () => {
    given(startsManual()).when(answered(1, succeeded())).then("OperationSucceeded 1").hasStatus("authorized")
  })
  it("rule 1: an unknown outcome is in doubt and nothing else starts", () => {
    const doubt = given(starts(), answered(1, unknown))
    doubt.hasStatus("in_doubt")
    assert.strictEqual(step(doubt.state), "Rest")
    assert.throws(() => proofOf(doubt.state, 1))
  })
  it("rule 5: a decline fails over, or not, as its category allows", () => {
    for (const category of ["gateway_error", "configuration", "rate_limited", "soft"] as const) {
      given(starts(), answered(1, declined(category)))
        .when(failOver())
        .then("intend 2: sale to charge 4990 at b")
    }
    for (const category of ["hard", "fraud", "invalid_data", "authentication_required"] as const) {
      given(starts(), answered(1, declined(category)))
        .when(failOver())
        .refused("IllegalInStatus")
    }
  })
  it("rule 5: another charge at the same gateway, or not, as the category of its decline allows, whoever advises it", () => {
    const here = failOver(1, { terms: terms() })
    for (const category of ["gateway_error", "rate_limited", "soft"] as const) {
      given(starts(), answered(1, declined(category)))
        .when(here)
        .then("intend 2: sale to charge 4990 at a")
    }
    for (const category of ["configuration", "hard", "fraud", "invalid_data", "authentication_required"] as const) {
      given(starts(), answered(1, declined(category)))
        .when(here)
        .refused("IllegalInStatus")
    }
  })
  it("rule 5: the recorded decline decides, not an older proof", () => {
    const before = given(starts(), answered(1, notSent))
    const stale = proofOf(before.state, 1)
    given(starts(), answered(1, notSent), at(120_000, told(1, declined("hard"))))
      .when((_, now) => ({ _tag: "FailOver", after: stale, terms: b, now, stepUp: false }))
      .refused("IllegalInStatus")
  })
  it("what was not sent fails over", () => {
    given(starts(), answered(1, notSent)).when(failOver()).then("intend 2: sale to charge 4990 at b")
  })
  it("rule 12: no failover after completeBefore", () => {
    given(starts(), answered(1, notSent))
      .when(failOver(1, { now: t0 + 900_000 }))
      .refused("TooLate")
    given(starts(), answered(1, notSent))
      .when(failOver(1, { now: t0 + 899_999 }))
      .then("intend 2: sale to charge 4990 at b")
  })
  it("step-up: a new operation at the same gateway, asking for authentication", () => {
    const asked = given(starts(), answered(1, declined("authentication_required")))
    asked.when(failOver(1, { terms: terms(), stepUp: true })).then("intend 2: sale to charge 4990 at a step-up")
    asked.when(failOver(1, { stepUp: true })).refused("OtherAccount")
    assert.strictEqual(step(asked.state), "StepUp")
    given(starts(), answered(1, notSent))
      .when(failOver(1, { terms: terms(), stepUp: true }))
      .refused("IllegalInStatus")
  })
  it("a payment ends with the reason of its last charge", () => {
    given(starts(), answered(1, declined("fraud")))
      .when(end("failed"))
      .then("PaymentFailed fraud")
      .hasStatus("failed")
    given(starts(), answered(1, notSent)).when(end("failed")).then("PaymentFailed not_sent_connection_refused").hasStatus("failed")
    given(starts(), at(100_000, told(1, absent)))
      .when(end("failed"))
      .then("PaymentFailed not_charged")
      .hasStatus("failed")
  })
  it("only the last charge ends a payment, and it ends once", () => {
    given(starts(), answered(1, notSent), does(failOver()), answered(2, notSent)).when(end("failed", 1)).refused("IllegalInStatus")
    given(starts(), answered(1, notSent), does(end("failed")))
      .when(end("failed"))
      .refused("IllegalInStatus")
  })
})

describe("rule 6: an object that a decline left open is closed before failover and before the end", () => {
  const left = [starts({}, open), answered(1, declined("soft"))] as const
  it("neither failover nor end before the close", () => {
    given(...left)
      .when(failOver())
      .refused("IllegalInStatus")
    given(...left)
      .when(end("failed"))
      .refused("IllegalInStatus")
    assert.strictEqual(step(given(...left).state), "Close")
  })
  it("the close is an operation of its own; while it is open the payment is processing", () => {
    given(...left)
      .when(close())
      .then("intend 2: void to close 4990 at a of 1")
      .hasStatus("processing")
    for (const outcome of [unknown, pending]) {
      const closing = given(...left, does(close()), answered(2, outcome))
      closing.hasStatus("processing")
      closing.when(failOver()).refused("OperationInProgress")
      closing.when(end("failed")).refused("OperationInProgress")
      closing.when(close()).refused("OperationInProgress")
    }
  })
  it("after the close both are allowed", () => {
    const closed = given(...left, does(close()), answered(2, succeeded()))
    closed.when(failOver()).then("intend 3: sale to charge 4990 at b")
    closed.when(end("failed")).then("PaymentFailed soft")
    closed.when(close()).refused("IllegalInStatus")
  })
  it("what is closed after a declined confirm is the object that it continued, also where the decline named none", () => {
    const state = given(
      starts({}, open),
      answered(1, requiresAction),
      does({ ...confirm, terms: terms(open) }),
      answered(2, declined("invalid_data")),
      does(close(2))
    ).state
    const { details, target } = operation(state, 3).intent
    assert.strictEqual(target, 2)
    assert.strictEqual(details.targetReference, operation(state, 1).gatewayReference)
  })
  it("a close releases what the customer authorized before it, whichever is told first", () => {
    const manual = [starts({ captureMethod: "manual" }, open), answered(1, declined("soft")), does(close())] as const
    for (const truths of [
      [answered(1, succeeded()), answered(2, succeeded())],
      [answered(2, succeeded()), answered(1, succeeded())]
    ] as const) {
      const closed = given(...manual, ...truths)
      assert.strictEqual(status(closed.state), "cancelled")
      assert.strictEqual(amounts(begun(closed.state)).authorized, 0n)
    }
  })
  it("a close that failed is no close", () => {
    const failed = given(...left, does(close()), answered(2, declined("gateway_error")))
    failed.when(end("failed")).refused("IllegalInStatus")
    assert.strictEqual(step(failed.state), "Close")
    const thrice = given(
      ...left,
      does(close()),
      answered(2, notSent),
      does(close()),
      answered(3, notSent),
      does(close()),
      answered(4, notSent)
    )
    assert.strictEqual(step(thrice.state), "Review")
  })
})

describe("the customer's action", () => {
  const asked = [starts({ returnUrl: "https://shop.example/return" }), answered(1, requiresAction)] as const
  it("confirm continues the same object; its success ends both", () => {
    const waiting = given(...asked)
    waiting.hasStatus("requires_action")
    waiting.when(confirm).then("intend 2: confirm to continue 4990 at a of 1").hasStatus("processing")
    const done = given(...asked, does(confirm), answered(2, succeeded()))
    assert.strictEqual(operation(done.state, 1).progress._tag, "Continued")
    assert.strictEqual(operation(done.state, 2).progress._tag, "Succeeded")
    done.hasStatus("succeeded")
    assert.strictEqual(operation(done.state, 2).intent.details.targetReference, "ch_1")
  })
  it("a success told of the first belongs to the confirm", () => {
    const done = given(...asked, does(confirm), told(1, succeeded()))
    assert.strictEqual(operation(done.state, 1).progress._tag, "Continued")
    assert.strictEqual(operation(done.state, 2).progress._tag, "Succeeded")
    assert.strictEqual(amounts(begun(done.state)).captured, 4990n)
  })
  it("a success without a confirm ends the first", () => {
    given(...asked)
      .when(told(1, succeeded()))
      .then("OperationSucceeded 1")
      .hasStatus("succeeded")
  })
  it("a confirm after a confirm: the success ends all three", () => {
    const done = given(...asked, does(confirm), answered(2, requiresAction), does(confirm), answered(3, succeeded()))
    assert.deepStrictEqual(
      begun(done.state).operations.map((one) => one.progress._tag),
      ["Continued", "Continued", "Succeeded"]
    )
    done.hasStatus("succeeded")
  })
  it("a confirm that was not sent leaves the first open", () => {
    const again = given(...asked, does(confirm), answered(2, notSent))
    again.hasStatus("requires_action")
    again.when(failOver(2)).refused("IllegalInStatus")
    again.when(end("failed", 2)).refused("IllegalInStatus")
    again.when(confirm).then("intend 3: confirm to continue 4990 at a of 1")
    again.when(cancel).then("CancelRequested", "intend 3: void to cancel 4990 at a of 1")
    again.when(told(1, succeeded())).then("OperationSucceeded 1").hasStatus("succeeded")
  })
  it("rule 6: a confirm that is refused before its object was looked at leaves the first open, and goes nowhere else", () => {
    for (const category of ["rate_limited", "configuration", "gateway_error"] as const) {
      const refused = given(...asked, does(confirm), answered(2, declined(category)))
      refused.hasStatus("requires_action")
      assert.strictEqual(step(refused.state), "Rest", category)
      refused.when(failOver(2)).refused("IllegalInStatus")
      refused.when(end("failed", 2)).refused("IllegalInStatus")
      refused.when(confirm).then("intend 3: confirm to continue 4990 at a of 1")
      refused.when(expire).then("intend 3: void to expire 4990 at a of 1")
      refused.when(told(1, succeeded())).then("OperationSucceeded 1").hasStatus("succeeded")
      const named = { ...declined(category), gatewayReference: reference("ch_1") }
      const answer = given(...asked, does(confirm), answered(2, named))
      assert.strictEqual(operation(answer.state, 1).progress._tag, "Continued", "the object was looked at")
    }
  })
  it("rule 5: after an unsent confirm the decline of the first decides", () => {
    const hard = given(...asked, does(confirm), answered(2, notSent), at(200_000, told(1, declined("hard"))))
    hard.when(failOver(1)).refused("IllegalInStatus")
    hard.when(failOver(2)).refused("IllegalInStatus")
    hard.when(end("failed", 1)).then("PaymentFailed hard")
  })
  it("rule 13: what is certain of the first is not certain of the confirm", () => {
    for (const answer of [declined("soft"), absent]) {
      const open = given(...asked, at(200_000, does(confirm)), told(1, answer))
      assert.strictEqual(operation(open.state, 2).progress._tag, "Intended")
      open.hasStatus("processing")
      assert.throws(() => proofOf(open.state, 2))
      open.when(failOver(1)).refused("IllegalInStatus")
    }
  })
  it("what waits for the customer in the first does not stop a confirm on its way", () => {
    const sent = given(...asked, does(confirm), told(1, requiresAction))
    assert.strictEqual(operation(sent.state, 2).progress._tag, "Intended")
    sent.when(confirm).refused("IllegalInStatus")
  })
  it("a declined confirm ends both and may fail over", () => {
    const soft = given(...asked, does(confirm), answered(2, declined("soft")))
    assert.strictEqual(operation(soft.state, 1).progress._tag, "Continued")
    soft.when(failOver(2)).then("intend 3: sale to charge 4990 at b")
  })
  it("a cancelled confirm ends what it continued", () => {
    const done = given(...asked, does(confirm), answered(2, pending), does(cancel), answered(3, succeeded()))
    assert.deepStrictEqual(
      begun(done.state).operations.map((one) => one.progress._tag),
      ["Continued", "Cancelled", "Succeeded"]
    )
    done.when(end("cancelled", 2)).then("PaymentCancelled").hasStatus("cancelled")
  })
  it("rule 12: no confirm after completeBefore", () => {
    given(...asked)
      .when({ _tag: "ConfirmPayment", terms: terms(), now: t0 + 900_000 })
      .refused("TooLate")
  })
  it("only at the account that has the object", () => {
    given(...asked)
      .when({ _tag: "ConfirmPayment", terms: b, now: 0 })
      .refused("OtherAccount")
    given(...asked)
      .when({ _tag: "ConfirmPayment", terms: terms({ account: "other" }), now: 0 })
      .refused("OtherAccount")
  })
})

describe("cancel and expiry", () => {
  it("while the outcome is awaited it is recorded each time, and forbids failover", () => {
    given(starts()).when(cancel).then("CancelRequested").hasStatus("processing")
    given(starts(), answered(1, unknown)).when(cancel).then("CancelRequested").hasStatus("in_doubt")
    given(starts(), does(cancel)).when(cancel).then("CancelRequested").hasStatus("processing")
    const declinedAfter = given(starts(), does(cancel), answered(1, declined("soft")))
    declinedAfter.when(failOver()).refused("IllegalInStatus")
    declinedAfter.when(end("cancelled")).then("PaymentCancelled").hasStatus("cancelled")
    assert.strictEqual(step(declinedAfter.state), "End")
  })
  it("a recorded cancel is carried out on the outcome", () => {
    for (const outcome of [requiresAction, pending]) {
      const waiting = given(starts(), does(cancel), answered(1, outcome))
      assert.strictEqual(step(waiting.state), "Cancel")
      waiting.when(cancel).then("intend 2: void to cancel 4990 at a of 1").hasStatus("processing")
    }
    assert.strictEqual(step(given(startsManual(), does(cancel), answered(1, succeeded())).state), "Cancel")
  })
  it("what is captured already wins over a cancel", () => {
    const charged = given(starts(), does(cancel), answered(1, succeeded()))
    charged.hasStatus("succeeded")
    charged.when(cancel).refused("IllegalInStatus")
    assert.strictEqual(step(charged.state), "Rest")
  })
  it("an authorized payment is voided", () => {
    given(startsManual(), answered(1, succeeded())).when(cancel).then("intend 2: void to cancel 4990 at a of 1").hasStatus("processing")
    given(startsManual(), answered(1, succeeded()), does(cancel), answered(2, succeeded())).hasStatus("cancelled")
    given(startsManual(), answered(1, succeeded()), does(cancel), answered(2, declined("gateway_error"))).hasStatus("authorized")
  })
  it("a payment that waits for the customer is cancelled at the gateway", () => {
    given(starts(), answered(1, requiresAction)).when(cancel).then("CancelRequested", "intend 2: void to cancel 4990 at a of 1")
    const cancelled = given(starts(), answered(1, requiresAction), does(cancel), answered(2, succeeded()))
    assert.strictEqual(operation(cancelled.state, 1).progress._tag, "Cancelled")
    cancelled.when(failOver()).refused("IllegalInStatus")
    cancelled.when(end("cancelled")).then("PaymentCancelled").hasStatus("cancelled")
  })
  it("expiry asks the gateway first and does not record a wish", () => {
    given(starts(), answered(1, requiresAction)).when(expire).then("intend 2: void to expire 4990 at a of 1")
    given(starts()).when(expire).refused("IllegalInStatus")
    const expired = given(starts(), answered(1, requiresAction), does(expire), answered(2, succeeded()))
    expired.when(failOver()).refused("IllegalInStatus")
    expired.when(end("expired")).then("PaymentExpired").hasStatus("expired")
  })
  it("an expired payment that was paid meanwhile is paid", () => {
    given(starts(), answered(1, requiresAction), does(expire), told(1, succeeded()), answered(2, declined("invalid_data"))).hasStatus(
      "succeeded"
    )
  })
  it("void and confirm exclude each other, as do two voids", () => {
    const voiding = given(starts(), answered(1, requiresAction), does(cancel))
    voiding.when(confirm).refused("IllegalInStatus")
    voiding.when(cancel).refused("OperationInProgress")
  })
  it("rule 13: an early cancel that names nothing does not end its target", () => {
    const unnamed = [starts(), answered(1, requiresAction), does(cancel), answered(2, succeeded({ named: false }))] as const
    assert.strictEqual(operation(given(...unnamed).state, 1).progress._tag, "AwaitingCustomer")
    const paid = given(...unnamed, told(1, succeeded()))
    paid.hasStatus("succeeded")
    const late = given(starts(), answered(1, requiresAction), at(91_000, does(cancel)), answered(2, succeeded({ named: false })))
    assert.strictEqual(operation(late.state, 1).progress._tag, "Cancelled")
    const learnedLate = given(starts(), answered(1, requiresAction), does(cancel), at(500_000, answered(2, succeeded({ named: false }))))
    assert.strictEqual(operation(learnedLate.state, 1).progress._tag, "AwaitingCustomer")
  })
  it("rule 6: a success merged while the cancel is open shows processing; the named cancel undoes it, in either order", () => {
    const cancelling = [starts(), answered(1, requiresAction), does(cancel)] as const
    given(...cancelling, told(1, succeeded())).hasStatus("processing")
    given(...cancelling, told(1, succeeded()), answered(2, succeeded())).hasStatus("cancelled")
    given(...cancelling, answered(2, succeeded()), told(1, succeeded())).hasStatus("cancelled")
    given(...cancelling, told(1, succeeded()))
      .when({ _tag: "RefundPayment", amount: undefined, terms: terms() })
      .refused("OperationInProgress")
  })
})

describe("reviews", () => {
  it("another amount or currency than the intent's goes to a person, and is never called absent or failed", () => {
    for (const outcome of [succeeded({ amount: 4989n }), succeeded({ currency: { ...eur(4990n), currency: "USD" as never } })]) {
      const wrong = given(starts(), answered(1, outcome))
      wrong.hasStatus("needs_review")
      wrong.when(told(1, outcome)).then()
      const asked = given(starts(), answered(1, outcome), at(500_000, told(1, absent)))
      assert.strictEqual(operation(asked.state, 1).progress._tag, "InReview")
      assert.throws(() => proofOf(asked.state, 1))
    }
  })
  it("rule 17: a contradiction keeps both", () => {
    const both = given(starts(), answered(1, declined("soft")), told(1, succeeded()))
    assert.strictEqual(operation(both.state, 1).facts.length, 2)
    both.hasStatus("needs_review")
    const other = given(starts(), told(1, succeeded()), at(200_000, told(1, declined("soft"))))
    other.hasStatus("needs_review")
    assert.strictEqual(operation(both.state, 1).progress._tag, "Succeeded")
    assert.strictEqual(operation(other.state, 1).progress._tag, "Succeeded")
  })
  const unresolvable: Command = { _tag: "OpenReview", operation: operationNumber(1), reason: "unresolvable", evidence: "cannot be asked" }
  it("what nothing can find out waits for a person; any later truth clears it", () => {
    const stuck = [starts(), answered(1, unknown), does(unresolvable)] as const
    given(...stuck).hasStatus("needs_review")
    given(...stuck)
      .when(unresolvable)
      .then()
    given(...stuck)
      .when(told(1, unknown))
      .then()
    given(...stuck)
      .when(told(1, succeeded(), { source: "person" }))
      .then("OperationSucceeded 1", "ReviewClosed 1 unresolvable")
      .hasStatus("succeeded")
    given(...stuck)
      .when((state) => told(1, absent)(state, settledBy(t0) + 1))
      .then("OperationAbsent 1", "ReviewClosed 1 unresolvable")
    given(...stuck)
      .when((state) => told(1, declined("hard"))(state, settledBy(t0) + 1))
      .then("OperationDeclined 1", "ReviewClosed 1 unresolvable")
    given(starts(), does(unresolvable)).when(answered(1, notSent)).then("OperationNotSent 1", "ReviewClosed 1 unresolvable")
  })
  it("what the gateway waits for was what could not be found out: the review is closed, and the payment goes on", () => {
    const stuck = [starts({ returnUrl: "https://shop.example/return" }), answered(1, unknown), does(unresolvable)] as const
    given(...stuck)
      .when(told(1, requiresAction))
      .then("ReviewClosed 1 unresolvable", "ActionRequired 1")
      .hasStatus("requires_action")
    given(...stuck)
      .when(told(1, pending))
      .then("ReviewClosed 1 unresolvable", "OperationPending 1")
      .hasStatus("processing")
    given(...stuck, told(1, requiresAction))
      .when(told(1, requiresAction))
      .then()
    given(...stuck, told(1, requiresAction), told(1, succeeded())).hasStatus("succeeded")
  })
  it("that it waits is no news where a cancel of it failed, or something contradicts: a person has to look", () => {
    const cancelFailed = [
      starts({ returnUrl: "https://shop.example/return" }),
      answered(1, requiresAction),
      does(cancel),
      answered(2, declined("gateway_error")),
      does(unresolvable)
    ] as const
    given(...cancelFailed).hasStatus("needs_review")
    given(...cancelFailed)
      .when(told(1, requiresAction))
      .then()
    const contradiction: Command = { _tag: "OpenReview", operation: operationNumber(1), reason: "contradiction", evidence: "both" }
    const both = [
      starts({ returnUrl: "https://shop.example/return" }),
      answered(1, unknown),
      does(unresolvable),
      does(contradiction)
    ] as const
    given(...both)
      .when(told(1, requiresAction))
      .then("ActionRequired 1")
      .hasStatus("needs_review")
  })
  it("a thing with a name opens a review once, also after it was closed; another one opens another", () => {
    const about = (name: string): Command => ({
      _tag: "OpenReview",
      operation: operationNumber(1),
      reason: "contradiction",
      evidence: `refund ${name}`,
      about: name
    })
    const word: Command = {
      _tag: "ResolveByPerson",
      operation: operationNumber(1),
      note: "seen",
      saidAt: t0,
      word: { _tag: "Succeeded", gatewayReference: reference("ch_1"), amount: eur(4990n), named: true }
    }
    const charged = [starts(), answered(1, succeeded())] as const
    given(...charged, does(about("re_1"))).hasStatus("needs_review")
    given(...charged, does(about("re_1")))
      .when(about("re_1"))
      .then()
    const closed = [...charged, does(about("re_1")), does(word)] as const
    given(...closed).hasStatus("succeeded")
    given(...closed)
      .when(about("re_1"))
      .then()
      .hasStatus("succeeded")
    given(...closed)
      .when(about("re_2"))
      .then("ReviewOpened 1 contradiction")
      .hasStatus("needs_review")
    // Beside an open one it is told as well, in whatever order.
    const [one, two] = [
      given(...charged, does(about("re_1")), does(about("re_2"))),
      given(...charged, does(about("re_2")), does(about("re_1")))
    ]
    for (const { state } of [one, two]) {
      assert.deepStrictEqual(
        begun(state).reviews.map(({ evidence }) => evidence),
        ["refund re_1; refund re_2"]
      )
    }
    given(...charged, does(about("re_1")), does(about("re_2")), does(word))
      .when(about("re_2"))
      .then()
  })
  it("an open review starts nothing", () => {
    const state = given(starts(), answered(1, unknown), does(unresolvable)).state
    assert.strictEqual(step(state), "Rest")
    assert.strictEqual(status(state), "needs_review")
  })
  it("a proof of one operation does not end another", () => {
    const proof = proofOf(given(starts(), answered(1, notSent)).state, 1)
    given(starts(), answered(1, notSent), does(failOver()))
      .when({ _tag: "RecordSettlement", operation: operationNumber(2), settlement: proof, source: "response", observedAt: t0 })
      .then()
  })
})
