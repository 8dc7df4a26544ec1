/**
 * Rule 17: truths merge. Every order of the same truths about a payment, each told once or more, ends in the same payment.
 *
 * Compared is what the payment is, not how it got there: progress, facts, reviews, disputes, amounts, status; not versions and times.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { factKey, type Operation } from "../../../src/domain/operation/Operation.ts"
import type { Outcome } from "../../../src/domain/operation/Outcome.ts"
import { type Absent, type NotCharged, recorded, type Settlement } from "../../../src/domain/operation/Settle.ts"
import type { Command } from "../../../src/domain/payment/Command.ts"
import { decide } from "../../../src/domain/payment/Decide.ts"
import type { Source } from "../../../src/domain/payment/Event.ts"
import type { Payment, PaymentState } from "../../../src/domain/payment/State.ts"
import { amounts, status } from "../../../src/domain/payment/Status.ts"
import { eur, operationNumber, reference } from "../../support/payments.ts"
import {
  absent,
  answered,
  at,
  begun,
  declined,
  does,
  fold,
  given,
  notSent,
  pending,
  proofOf,
  redirect,
  requiresAction,
  sentence,
  starts,
  startsManual,
  succeeded,
  t0,
  terms,
  told,
  unknown
} from "../../support/paymentSpec.ts"
import { randomOf } from "../../support/randomPayments.ts"

/** The proof, as `settle` would make it late enough; made here so that one truth stays one truth in every order. */
const proof = (number: number, because: NotCharged["because"]): NotCharged => {
  const base = given(starts(), answered(1, notSent)).state
  return { ...proofOf(base, 1), operation: operationNumber(number), because }
}

const settlementOf = (number: number, answer: Outcome | Absent): Settlement => {
  switch (answer._tag) {
    case "Succeeded":
      return { _tag: "Charged", outcome: answer }
    case "Declined":
    case "NotSent":
    case "Absent":
      return proof(number, answer)
    case "Pending":
    case "RequiresAction":
    case "Unknown":
      return { _tag: "StillOpen", outcome: answer, sends: 1 }
  }
}

interface Truth {
  readonly label: string
  readonly command: Command
}

const truth = (number: number, answer: Outcome | Absent, source: Source = "webhook", observedAt = t0 + 10_000): Truth => ({
  label: `${number} ${answer._tag} ${source}`,
  command: { _tag: "RecordSettlement", operation: operationNumber(number), settlement: settlementOf(number, answer), source, observedAt }
})
const failure = (number: number): Truth => ({
  label: `${number} failed later`,
  command: { _tag: "ReportFailure", operation: operationNumber(number), source: "webhook", message: "returned" }
})
const dispute = (disputeId: string, state: "open" | "won" | "lost"): Truth => ({
  label: `${disputeId} ${state}`,
  command: { _tag: "ReportDispute", disputeId, amount: eur(100n), status: state }
})

/** What an operation is. Two that certainly did not happen are alike, whatever told so first. */
const operationAs = (operation: Operation) => {
  const { progress } = operation
  return {
    number: operation.intent.number,
    progress: progress._tag,
    detail:
      progress._tag === "Succeeded"
        ? { chargedAt: progress.chargedAt, failedLater: progress.failedLater, voided: progress.voided }
        : progress._tag === "AwaitingCustomer"
          ? progress.nextAction
          : progress._tag === "Declined"
            ? [progress.declined.code, progress.declined.networkForbids]
            : undefined,
    facts: operation.facts.map(factKey),
    reference: progress._tag === "Succeeded" ? operation.gatewayReference : undefined,
    isCertain: recorded(operation) !== undefined
  }
}

const projection = (payment: Payment) => ({
  operations: payment.operations.map(operationAs),
  reviews: payment.reviews.map((review) => `${review.operation} ${review.reason}`),
  disputes: payment.disputes,
  late: payment.late,
  ended: payment.ended,
  amounts: amounts(payment),
  status: status(payment)
})

const apply = (state: PaymentState, truths: ReadonlyArray<Truth>): PaymentState =>
  truths.reduce((current, { command }) => fold(current, Result.getOrThrow(decide(command, current)), t0 + 10_000), state)

const permutations = <A>(values: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  values.length <= 1
    ? [values]
    : values.flatMap((value, index) =>
        permutations([...values.slice(0, index), ...values.slice(index + 1)]).map((rest) => [value, ...rest])
      )

/** All orders of all choices of up to `size` truths end alike; so do they with one of them told again. */
const commute = (base: PaymentState, pool: ReadonlyArray<Truth>, size: number, seed: number) => {
  const random = randomOf(seed)
  const choose = (from: number, left: number): ReadonlyArray<ReadonlyArray<Truth>> =>
    left === 0 ? [[]] : pool.slice(from).flatMap((one, index) => choose(from + index + 1, left - 1).map((rest) => [one, ...rest]))
  let orders = 0
  for (let count = 2; count <= size; count++) {
    for (const chosen of choose(0, count)) {
      const [first = [], ...others] = permutations(chosen)
      const expected = projection(begun(apply(base, first)))
      for (const order of [first, ...others]) {
        const again = order[random.below(order.length)]
        const repeated = again === undefined ? order : [...order.slice(0, random.below(order.length + 1)), ...order, again]
        for (const told of [order, repeated]) {
          orders++
          assert.deepStrictEqual(projection(begun(apply(base, told))), expected, `${names(told)} differs from ${names(first)}`)
        }
      }
    }
  }
  return orders
}

const names = (truths: ReadonlyArray<Truth>) => truths.map((one) => one.label).join(", ")

const cancel: Command = { _tag: "CancelPayment", purpose: "cancel", terms: terms() }
const capture: Command = { _tag: "CapturePayment", amount: eur(1000n), final: false, terms: terms() }
const refund: Command = { _tag: "RefundPayment", amount: eur(1000n), terms: terms() }

const inDoubt = (number: number): ReadonlyArray<Truth> => [
  truth(number, unknown, "response"),
  truth(number, pending, "poll"),
  truth(number, requiresAction, "webhook", t0 + 11_000),
  truth(number, { ...requiresAction, nextAction: { ...redirect, url: "https://bank.example/again" } } as Outcome, "poll", t0 + 12_000)
]
const outcomes = (number: number, amount = 4990n): ReadonlyArray<Truth> => [
  truth(number, succeeded({ amount, chargedAt: t0 + 20 }), "response"),
  truth(number, succeeded({ amount }), "webhook"),
  truth(number, succeeded({ amount, id: "ch_2", chargedAt: t0 + 10 }), "person"),
  truth(number, succeeded({ amount: amount + 1n, id: "ch_3" }), "reconciliation"),
  truth(number, declined("soft"), "webhook"),
  truth(number, declined("hard", "stolen"), "poll"),
  truth(number, { ...declined("hard", "stolen"), networkForbids: true }, "webhook"),
  truth(number, notSent, "response"),
  truth(number, absent, "recovery")
]

describe("rule 17: order and repetition do not matter", () => {
  it("for a sale whose outcome is awaited", () => {
    const orders = commute(given(starts()).state, [...inDoubt(1), ...outcomes(1)], 3, 1)
    assert.isAbove(orders, 2_500)
  })
  it("for a payment that was ended", () => {
    const ended = given(
      starts(),
      at(200_000, told(1, absent)),
      does((state) => ({ _tag: "EndPayment", after: proofOf(state, 1), as: "failed" }))
    )
    commute(ended.state, [...inDoubt(1), ...outcomes(1)], 3, 2)
  })
  it("for a payment that was ended by a cancel", () => {
    const cancelled = given(
      starts(),
      answered(1, requiresAction),
      does(cancel),
      answered(2, succeeded({ id: "void_1" })),
      does((state) => ({ _tag: "EndPayment", after: proofOf(state, 1), as: "cancelled" }))
    )
    const ofCancel = [truth(2, succeeded({ id: "void_1" }), "poll"), truth(2, succeeded({ id: "void_2" })), truth(2, declined("soft"))]
    commute(cancelled.state, [...ofCancel, ...outcomes(1)], 3, 10)
  })
  it("for two charges, after a failover", () => {
    const two = given(
      starts(),
      answered(1, notSent),
      does((state, now) => ({ _tag: "FailOver", after: proofOf(state, 1), terms: terms({ gateway: "b" }), now, stepUp: false }))
    )
    commute(two.state, [...outcomes(1).slice(0, 6), ...outcomes(2)], 3, 3)
  })
  it("for a cancel of what waits for the customer: named or not, the charge before or after it", () => {
    const cancelling = given(starts(), answered(1, requiresAction), does(cancel)).state
    const ofCancel = [
      truth(2, succeeded({ id: "void_1" }), "response"),
      truth(2, succeeded({ id: "void_1", named: false }), "poll"),
      truth(2, declined("invalid_data"), "webhook"),
      truth(2, absent, "recovery")
    ]
    commute(cancelling, [...ofCancel, ...outcomes(1)], 3, 4)
  })
  it("for a cancel of an authorization", () => {
    const voiding = given(startsManual(), answered(1, succeeded()), does(cancel)).state
    commute(voiding, [...outcomes(2), truth(1, succeeded({ chargedAt: t0 }), "poll"), truth(1, declined("soft"), "webhook")], 3, 5)
  })
  it("for captures and refunds, with failures and disputes that overtake them", () => {
    const capturing = given(startsManual(), answered(1, succeeded()), does(capture)).state
    const disputes = [dispute("dp_1", "open"), dispute("dp_1", "won"), dispute("dp_1", "lost"), dispute("dp_2", "open")]
    commute(capturing, [...outcomes(2, 1000n), failure(2), ...disputes.slice(0, 2)], 3, 6)
    const refunding = given(starts(), answered(1, succeeded()), does(refund)).state
    commute(refunding, [...outcomes(2, 1000n).slice(1, 6), failure(2), ...disputes], 3, 7)
  })
  it("for a confirm and what it continues, but for which of the two holds a success that came without the confirm", () => {
    const confirming = given(starts(), answered(1, requiresAction), does({ _tag: "ConfirmPayment", terms: terms(), now: 0 })).state
    commute(
      confirming,
      [...outcomes(2), truth(1, succeeded({ chargedAt: t0 + 20 })), truth(1, pending, "poll")].filter(isOfTheConfirm),
      3,
      8
    )
    for (const unseen of [notSent, declined("rate_limited"), declined("configuration"), declined("gateway_error")]) {
      for (const order of permutations([truth(2, unseen, "response"), truth(1, succeeded(), "webhook")])) {
        const each = projection(begun(apply(confirming, order)))
        assert.strictEqual(each.status, "succeeded")
        assert.strictEqual(each.amounts.captured, 4990n)
        assert.deepStrictEqual(each.late, [])
      }
    }
  })
  it("learned after the time for completing it: with and without the PSP's own time", () => {
    const late = [
      truth(1, succeeded(), "recovery", t0 + 1_000_000),
      truth(1, succeeded({ chargedAt: t0 + 5 }), "webhook", t0 + 1_000_000),
      truth(1, succeeded({ chargedAt: t0 + 7 }), "poll", t0 + 1_000_000),
      truth(1, declined("soft"), "webhook", t0 + 1_000_000)
    ]
    commute(given(starts(), answered(1, unknown)).state, late, 3, 9)
  })
  it("facts beat decisions and what is in doubt", () => {
    for (const weaker of [...inDoubt(1), truth(1, absent), truth(1, notSent)]) {
      for (const order of permutations([weaker, truth(1, succeeded())])) {
        assert.strictEqual(begun(apply(given(starts()).state, order)).operations[0]?.progress._tag, "Succeeded")
      }
    }
  })
  it("the references of one operation come from one object", () => {
    const state = apply(given(starts()).state, [truth(1, pending)])
    assert.strictEqual(begun(state).operations[0]?.gatewayReference, reference("ch_1"))
    assert.deepStrictEqual(Result.getOrThrow(decide(truth(1, pending).command, state)).map(sentence), [])
  })
})

/** `NotSent` and `Absent` of a confirm leave a success to the first operation; the last case of its test looks at them. */
const isOfTheConfirm = (one: Truth): boolean => !one.label.includes("NotSent") && !one.label.includes("Absent")
