/**
 * Decisions about the charge itself: beginning it, the next gateway, the customer's return, sending it again, and ending without money.
 */
import * as Result from "effect/Result"
import * as Enrichment from "../../hooks/Enrichment.ts"
import { safetyOf } from "../../operation/Decline.ts"
import { isCharge, isChargeKind, isOpen } from "../../operation/Operation.ts"
import { type NotCharged, recorded } from "../../operation/Settle.ts"
import { lastCharge, operationOf, type Payment, type PaymentState } from "../State.ts"
import { chargedLate, openOperations, status } from "../Status.ts"
import { isCancelledOnRequest, isLeftOpen } from "./Cancelling.ts"
import { type Case, type Decision, excluding, illegal, intend, refuse, sameAccount, start } from "./Intent.ts"

export const initiate = (command: Case<"InitiatePayment">, state: PaymentState): Decision => {
  if (state._tag !== "New") return refuse(state, command._tag, illegal)
  const { screening } = command
  if (command.details.amount.minor <= 0n) return refuse(state, command._tag, { _tag: "AmountNotPositive" })
  const details = screening === undefined ? command.details : Enrichment.apply(command.details, screening.enriched)
  const intended = intend(
    { id: state.id, details, operations: 0 },
    {
      kind: details.captureMethod === "manual" ? "authorize" : "sale",
      purpose: "charge",
      amount: details.amount,
      terms: command.terms,
      decision: command.decision
    }
  )
  if (screening === undefined)
    return Result.succeed([{ _tag: "PaymentInitiated", details }, { _tag: "PaymentScreened", checks: ["request_valid"] }, intended])
  const { enriched, validations, verdicts } = screening
  return Result.succeed([
    { _tag: "PaymentInitiated", details: command.details },
    { _tag: "PaymentScreened", checks: ["request_valid", ...validations], ...(verdicts.length === 0 ? {} : { verdicts }) },
    ...(enriched.length === 0 ? [] : [{ _tag: "PaymentEnriched", fields: enriched } as const]),
    intended
  ])
}

/**
 * A payment that a hook does not let go on: recorded with why, and failed. The customer is told the code and message of a validation, and
 * of a fraud check only that there was one.
 */
export const block = ({ _tag, block, details }: Case<"BlockPayment">, state: PaymentState): Decision => {
  if (state._tag !== "New") return refuse(state, _tag, illegal)
  if (details.amount.minor <= 0n) return refuse(state, _tag, { _tag: "AmountNotPositive" })
  const { by, check, code, message, verdicts } = block
  return Result.succeed([
    { _tag: "PaymentInitiated", details },
    { _tag: "PaymentBlocked", check, by, code, message, ...(verdicts.length === 0 ? {} : { verdicts }) },
    check === "fraud_check"
      ? { _tag: "PaymentFailed", category: "fraud", code: "blocked_by_fraud_check", message: "a fraud check blocked the payment" }
      : { _tag: "PaymentFailed", category: "invalid_data", code, message }
  ])
}

/** A new charge operation after one that certainly did not take effect: elsewhere, or here after a step-up. */
export const failOver = (command: Case<"FailOver">, payment: Payment): Decision => {
  const failed = operationOf(payment, command.after.operation)
  const proof = failed === undefined ? undefined : recorded(failed)
  if (failed === undefined || proof === undefined || failed !== lastCharge(payment) || payment.ended !== undefined) {
    return refuse(payment, command._tag, illegal)
  }
  if (isCancelledOnRequest(payment, failed) || payment.cancelRequested || payment.reviews.length > 0)
    return refuse(payment, command._tag, illegal)
  const open = openOperations(payment)[0]
  if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
  if (command.now >= payment.completeBefore) return refuse(payment, command._tag, { _tag: "TooLate" })
  if (isLeftOpen(payment, failed) || failed.givenUp || chargedLate(payment) !== undefined) return refuse(payment, command._tag, illegal)
  const isHere = command.terms.gateway === failed.intent.gateway
  if (!isAllowedAfter(proof.because, { isHere, stepUp: command.stepUp })) return refuse(payment, command._tag, illegal)
  if (command.stepUp && !isHere) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  return start(payment, {
    kind: payment.details.captureMethod === "manual" ? "authorize" : "sale",
    purpose: "charge",
    amount: payment.details.amount,
    terms: command.terms,
    stepUp: command.stepUp,
    decision: command.decision
  })
}

/** Rule 5: may another charge follow, at the same gateway (`isHere`) or elsewhere? Whoever advises it. */
const isAllowedAfter = (
  because: NotCharged["because"],
  { isHere, stepUp }: { readonly isHere: boolean; readonly stepUp: boolean }
): boolean => {
  if (stepUp) return because._tag === "Declined" && because.category === "authentication_required"
  if (because._tag !== "Declined") return true
  const { otherGateway, sameGatewayLater } = safetyOf[because.category]
  return otherGateway !== "never" && !(isHere && (sameGatewayLater === "never" || sameGatewayLater === "after_new_input"))
}

export const confirm = (command: Case<"ConfirmPayment">, payment: Payment): Decision => {
  const target = payment.operations.findLast((operation) => operation.progress._tag === "AwaitingCustomer")
  if (target === undefined || status(payment) !== "requires_action" || chargedLate(payment) !== undefined)
    return refuse(payment, command._tag, illegal)
  if (!sameAccount(target, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  if (command.now >= payment.completeBefore) return refuse(payment, command._tag, { _tag: "TooLate" })
  return start(payment, { kind: "confirm", purpose: "continue", amount: target.intent.amount, terms: command.terms, target })
}

/** Rules 3 and 12: a repetition of the same request under the same key, by anyone but the writer of the intent. */
export const permitResend = (command: Case<"PermitResend">, payment: Payment): Decision => {
  const operation = operationOf(payment, command.operation)
  if (operation === undefined || !isOpen(operation) || operation.progress._tag === "InReview") return refuse(payment, command._tag, illegal)
  const no = (why: string): Decision => refuse(payment, command._tag, { _tag: "ResendNotAllowed", why })
  const { replay, replayWindowMillis, settleTimeMillis } = operation.intent.protection
  if (replay === "none") return no("the gateway does not recognise a repeated request")
  const voiding = excluding(payment, operation, ["void"])
  if (voiding !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: voiding.intent.number })
  if (operation.gatewayReference !== undefined) return no("the gateway has given its id: ask by that id")
  if (isCharge(operation) && chargedLate(payment) !== undefined) return no("another charge of the payment came late, and stands")
  if (command.now + command.sendWindowMillis + settleTimeMillis > operation.intendedAt + replayWindowMillis) {
    return no("the gateway's key window would be over before the request has settled")
  }
  if (isChargeKind(operation.intent.kind) && command.now >= payment.completeBefore)
    return refuse(payment, command._tag, { _tag: "TooLate" })
  return Result.succeed([
    {
      _tag: "ResendPermitted",
      operation: command.operation,
      sendWindowMillis: command.sendWindowMillis,
      reason: command.reason.slice(0, 200)
    }
  ])
}

/** Ends a payment without money. Needs the proof, and that nothing is open, also at the gateway (rule 6). */
export const end = (command: Case<"EndPayment">, payment: Payment): Decision => {
  const failed = operationOf(payment, command.after.operation)
  const proof = failed === undefined ? undefined : recorded(failed)
  if (failed === undefined || proof === undefined || !isCharge(failed) || failed !== lastCharge(payment) || payment.ended !== undefined) {
    return refuse(payment, command._tag, illegal)
  }
  const open = openOperations(payment)[0]
  if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
  if (isLeftOpen(payment, failed)) return refuse(payment, command._tag, illegal)
  if (command.as === "cancelled") return Result.succeed([{ _tag: "PaymentCancelled" }])
  if (command.as === "expired") return Result.succeed([{ _tag: "PaymentExpired" }])
  return Result.succeed([{ _tag: "PaymentFailed", ...failureOf(proof.because) }])
}

const failureOf = (because: NonNullable<ReturnType<typeof recorded>>["because"]) => {
  switch (because._tag) {
    case "Declined":
      return { category: because.category, code: because.code, message: because.message }
    case "NotSent":
      return { category: null, code: `not_sent_${because.reason}`, message: because.message }
    case "Absent":
      return { category: null, code: "not_charged", message: "the gateway never carried out the request" }
  }
}
