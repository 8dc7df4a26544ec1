/**
 * Decisions that take something back: cancelling, closing what a decline left open, reversing what came too late.
 */
import * as Result from "effect/Result"
import { isCharge, isOpen, type Operation } from "../../operation/Operation.ts"
import type { Declined } from "../../operation/Outcome.ts"
import type { PaymentEvent } from "../Event.ts"
import { operationOf, type Payment } from "../State.ts"
import { amountsOf, cancellable, isReleasable, openOperations } from "../Status.ts"
import { type Case, type Decision, excluding, illegal, refuse, sameAccount, start } from "./Intent.ts"

/** How often the wish to cancel is recorded, each time with its own key. */
const maxCancelRequests = 10

/**
 * Voids an authorization or an object that waits for the customer or the gateway. While the outcome of the charge is awaited
 * the wish is recorded and carried out on the outcome.
 */
export const cancel = (command: Case<"CancelPayment">, payment: Payment): Decision => {
  const charge = cancellable(payment)
  const expiresLate = command.purpose === "expire" && charge !== undefined && payment.late.includes(charge.intent.number)
  if (charge === undefined || expiresLate) return refuse(payment, command._tag, illegal)
  const busy = openOperations(payment).find((open) => open.intent.kind === "capture" || open.intent.kind === "void")
  if (busy !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: busy.intent.number })
  const awaiting = charge.progress._tag === "AwaitingCustomer" || charge.progress._tag === "AwaitingGateway"
  if (awaiting || isReleasable(payment, charge)) {
    if (!sameAccount(charge, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
    const target = charge
    const wish: ReadonlyArray<PaymentEvent> =
      command.purpose === "cancel" && awaiting && !payment.cancelRequested ? [{ _tag: "CancelRequested" }] : []
    return Result.map(
      start(payment, { kind: "void", purpose: command.purpose, amount: target.intent.amount, terms: command.terms, target }),
      (events) => [...wish, ...events]
    )
  }
  if (isOpen(charge) && command.purpose === "cancel") {
    // Said again it is recorded again: every command claims its key, and the claim needs a commit (rule 11). What is said more often
    // claims nothing and is told to wait, so that no caller can make a history as long as it likes.
    return payment.cancelRequests < maxCancelRequests
      ? Result.succeed([{ _tag: "CancelRequested" }])
      : refuse(payment, command._tag, { _tag: "OperationInProgress", operation: charge.intent.number })
  }
  return refuse(payment, command._tag, illegal)
}

export const closeDeclined = (command: Case<"CloseDeclined">, payment: Payment): Decision => {
  const target = operationOf(payment, command.operation)
  if (target === undefined || !isLeftOpen(payment, target)) return refuse(payment, command._tag, illegal)
  if (!sameAccount(target, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const open = openOperations(payment)[0]
  if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
  return start(payment, { kind: "void", purpose: "close", amount: target.intent.amount, terms: command.terms, target })
}

/** Once per charge: what a cancel by reference does not end is for a person. */
export const cancelUncertain = (command: Case<"CancelUncertain">, payment: Payment): Decision => {
  const target = operationOf(payment, command.operation)
  const uncertain = target?.progress._tag === "Intended" || target?.progress._tag === "Uncertain"
  if (target === undefined || !uncertain || target.intent.purpose !== "charge" || target.gatewayReference !== undefined) {
    return refuse(payment, command._tag, illegal)
  }
  if (!sameAccount(target, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const tried = payment.operations.some(
    ({ intent, progress }) => intent.purpose === "recover" && intent.target === command.operation && progress._tag !== "NotSent"
  )
  return tried
    ? refuse(payment, command._tag, illegal)
    : start(payment, { kind: "void", purpose: "recover", amount: target.intent.amount, terms: command.terms, target })
}

export const reverseLate = (command: Case<"ReverseLate">, payment: Payment): Decision => {
  const target = operationOf(payment, command.operation)
  if (target === undefined || !payment.late.includes(command.operation)) return refuse(payment, command._tag, illegal)
  if (!sameAccount(target, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const open = excluding(payment, target, ["void", "refund"])
  if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
  const total = amountsOf(payment, target)
  const rest = total.captured - total.refunded
  if (total.captured > 0n && rest > 0n) {
    const amount = { currency: target.intent.amount.currency, minor: rest }
    return start(payment, { kind: "refund", purpose: "reverse", amount, terms: command.terms, target })
  }
  if (total.captured === 0n && total.authorized > 0n) {
    return start(payment, { kind: "void", purpose: "reverse", amount: target.intent.amount, terms: command.terms, target })
  }
  return refuse(payment, command._tag, illegal)
}

/**
 * An operation that did not take effect, whose object may be open for the customer's page, and which no cancel has closed yet (rule 6):
 * one that the gateway leaves open after a decline, and one that only a person says was not charged, once the gateway has named an object
 * of it. A refusal at the gateway's door (rate limit, configuration) that named no object made none; closing it would meet the same refusal.
 */
export const isLeftOpen = (payment: Payment, operation: Operation): boolean =>
  (operation.progress._tag === "Declined"
    ? operation.intent.protection.leavesOpenAfterDecline &&
      !(isRefusedAtTheDoor(operation.progress.declined) && operation.gatewayReference === undefined)
    : operation.progress._tag === "Absent" && operation.givenUp && isCharge(operation) && operation.gatewayReference !== undefined) &&
  !payment.operations.some(
    (other) => other.intent.kind === "void" && other.intent.target === operation.intent.number && other.progress._tag === "Succeeded"
  )

const isRefusedAtTheDoor = (declined: Declined): boolean => declined.category === "rate_limited" || declined.category === "configuration"

/** Ended by a cancel that somebody wanted: not by one that only found out, or made sure, that nothing was charged. */
export const isCancelledOnRequest = (payment: Payment, { progress }: Operation): boolean => {
  const purpose = progress._tag === "Cancelled" ? operationOf(payment, progress.by)?.intent.purpose : undefined
  return purpose !== undefined && purpose !== "recover" && purpose !== "close"
}
