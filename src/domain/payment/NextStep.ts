/**
 * Where a payment goes from here, once the outcome of an operation is known. Pure: the orchestration carries it out, and the
 * intent it leads to is committed together with the outcome it follows from.
 */
import { safetyOf } from "../operation/Decline.ts"
import { isOpen, type Operation } from "../operation/Operation.ts"
import { recorded, type NotCharged } from "../operation/Settle.ts"
import type { GatewayName, OperationNumber } from "./Ids.ts"
import { isCancelledOnRequest, isLeftOpen } from "./decisions/Cancelling.ts"
import { lastCharge, operationOf, type Payment } from "./State.ts"
import { amountsOf, chargedLate, openOperations } from "./Status.ts"

/** What to do next. */
export type NextStep =
  /** Nothing to start: the payment is done, or waits for somebody. */
  | { readonly _tag: "Rest" }
  /** Cancel the object that a decline left open, before anything else (rule 6). */
  | { readonly _tag: "Close"; readonly operation: OperationNumber; readonly gateway: GatewayName }
  /** Try the next gateway of the plan that is not among `tried`; where there is none, end as failed. */
  | { readonly _tag: "FailOver"; readonly after: NotCharged; readonly tried: ReadonlyArray<GatewayName> }
  /** Ask the customer's bank for authentication, at the same gateway. */
  | { readonly _tag: "StepUp"; readonly after: NotCharged; readonly gateway: GatewayName }
  | { readonly _tag: "End"; readonly after: NotCharged; readonly as: "failed" | "cancelled" | "expired" }
  /** Carry out a cancel that was recorded while the outcome was awaited. */
  | { readonly _tag: "Cancel"; readonly gateway: GatewayName }
  /** Undo a charge that came too late. */
  | { readonly _tag: "Reverse"; readonly operation: OperationNumber; readonly gateway: GatewayName }
  /** A person has to look: the object that a decline left open cannot be closed. */
  | { readonly _tag: "Review"; readonly operation: OperationNumber; readonly evidence: string }

/** What the merchant's policy decides. */
export interface NextStepPolicy {
  /** The most charge operations of one payment, 1 to 10. */
  readonly maxCharges: number
  /** Does a soft decline go to another gateway? */
  readonly failoverOnSoftDecline: boolean
  /** What happens to a charge that shows up after the host was told otherwise. */
  readonly lateSuccess: "reverse" | "keep"
}

const rest: NextStep = { _tag: "Rest" }

/** How often closing an object or reversing a charge is tried before a person has to look, and how often an unsent cancel is. */
const maxCancels = 3

/** The next step at a moment in database time. */
export const nextStep = (payment: Payment, options: { readonly policy: NextStepPolicy; readonly now: number }): NextStep => {
  if (payment.reviews.length > 0) return rest
  const open = openOperations(payment).filter((operation) => operation.intent.kind !== "refund" || operation.intent.purpose === "reverse")
  if (open.length > 0) return whileOpen(payment, open)
  const late = options.policy.lateSuccess === "reverse" ? unreversed(payment) : undefined
  if (late !== undefined) {
    const tries = payment.operations.filter(
      (other) => other.intent.purpose === "reverse" && other.intent.target === late.intent.number
    ).length
    return tries >= maxCancels
      ? { _tag: "Review", operation: late.intent.number, evidence: `reversing the late charge failed ${tries} times` }
      : { _tag: "Reverse", operation: late.intent.number, gateway: late.intent.gateway }
  }
  const charge = lastCharge(payment)
  if (charge === undefined || payment.ended !== undefined) return rest
  if (charge.progress._tag === "Succeeded") return afterSuccess(payment, charge)
  return isOpen(charge) ? rest : afterFailure(payment, charge, options)
}

/** A cancel recorded while the outcome was awaited is carried out once the gateway waits for the customer or for itself. */
const whileOpen = (payment: Payment, open: ReadonlyArray<Operation>): NextStep => {
  const waits = open.every((operation) => operation.progress._tag === "AwaitingCustomer" || operation.progress._tag === "AwaitingGateway")
  const gateway = lastCharge(payment)?.intent.gateway
  return waits && gateway !== undefined && payment.cancelRequested && !wasCancelled(payment) ? { _tag: "Cancel", gateway } : rest
}

/** The gateway was asked to cancel, or could not be reached often enough. What is open is cancelled when it expires, if it was refused. */
const wasCancelled = (payment: Payment): boolean => {
  const cancels = payment.operations.filter((operation) => operation.intent.purpose === "cancel")
  return cancels.length >= maxCancels || cancels.some(({ progress }) => progress._tag !== "NotSent" && progress._tag !== "Absent")
}

/** A late charge that holds money, unless the host has captured it since: then it was kept. */
const unreversed = (payment: Payment): Operation | undefined =>
  payment.late
    .map((number) => operationOf(payment, number))
    .find((operation) => {
      if (operation === undefined || operation.progress._tag !== "Succeeded" || isCaptured(payment, operation)) return false
      const total = amountsOf(payment, operation)
      return total.captured > 0n ? total.refunded + total.reservedForRefund < total.captured : total.authorized > 0n
    })

const isCaptured = (payment: Payment, { intent: { number } }: Operation): boolean =>
  payment.operations.some(({ intent, progress }) => intent.kind === "capture" && intent.target === number && progress._tag === "Succeeded")

const afterSuccess = (payment: Payment, charge: Operation): NextStep => {
  const total = amountsOf(payment, charge)
  if (!payment.cancelRequested || total.captured > 0n || total.authorized === 0n) return rest
  const cancels = payment.operations.filter(({ intent }) => intent.purpose === "cancel")
  if (!cancels.every(wasRefused)) return rest
  return cancels.length < maxCancels
    ? { _tag: "Cancel", gateway: charge.intent.gateway }
    : {
        _tag: "Review",
        operation: charge.intent.number,
        evidence: `the cancel that was asked for failed ${cancels.length} times; the money is still reserved`
      }
}

const wasRefused = ({ progress }: Operation): boolean =>
  progress._tag === "Declined" || progress._tag === "NotSent" || progress._tag === "Absent"

const afterFailure = (
  payment: Payment,
  charge: Operation,
  options: { readonly policy: NextStepPolicy; readonly now: number }
): NextStep => {
  if (isLeftOpen(payment, charge)) return close(payment, charge)
  const kept = chargedLate(payment)
  if (kept !== undefined) return afterSuccess(payment, kept)
  const after = recorded(charge)
  if (after === undefined) return rest
  if (charge.progress._tag === "Cancelled" && isCancelledOnRequest(payment, charge)) {
    const purpose = operationOf(payment, charge.progress.by)?.intent.purpose
    return { _tag: "End", after, as: purpose === "expire" ? "expired" : "cancelled" }
  }
  if (payment.cancelRequested) return { _tag: "End", after, as: "cancelled" }
  // A person's word may be wrong, and then another charge would be a second one: the payment ends with it.
  if (charge.givenUp) return { _tag: "End", after, as: "failed" }
  const chargesMade = payment.operations.filter((operation) => operation.intent.purpose === "charge")
  if (chargesMade.length >= options.policy.maxCharges || options.now >= payment.completeBefore) return { _tag: "End", after, as: "failed" }
  const because = after.because
  if (because._tag === "Declined") {
    if (because.category === "authentication_required") {
      const possible = payment.details.customerPresent && charge.intent.details.stepUp !== true && charge.intent.kind !== "confirm"
      return possible ? { _tag: "StepUp", after, gateway: charge.intent.gateway } : { _tag: "End", after, as: "failed" }
    }
    const other = safetyOf[because.category].otherGateway
    const allowed = other === "yes" || (other === "policy" && options.policy.failoverOnSoftDecline)
    if (!allowed) return { _tag: "End", after, as: "failed" }
  }
  return { _tag: "FailOver", after, tried: chargesMade.filter(wasTried).map((operation) => operation.intent.gateway) }
}

/** A gateway whose permission lapsed before a byte was written, by our own slowness, was not tried. */
const wasTried = ({ progress }: Operation): boolean => !(progress._tag === "NotSent" && progress.reason === "permission_lapsed")

const close = (payment: Payment, charge: Operation): NextStep => {
  const number = charge.intent.number
  const tries = payment.operations.filter((other) => other.intent.purpose === "close" && other.intent.target === number).length
  return tries >= maxCancels
    ? {
        _tag: "Review",
        operation: number,
        evidence: `closing the object that was left open failed ${tries} times; the customer's page may still pay it`
      }
    : { _tag: "Close", operation: number, gateway: charge.intent.gateway }
}
