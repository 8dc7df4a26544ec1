/**
 * What the operations add up to: amounts, reservations, and the status shown.
 *
 * Laws, for every history: captured + open captures <= authorized, and refunded + open refunds <= captured. Open and unknown
 * operations reserve what they might move.
 */
import * as Schema from "effect/Schema"
import { isCharge, isOpen, tookEffect, type Operation } from "../operation/Operation.ts"
import type { OperationNumber } from "./Ids.ts"
import { lastCharge, type Payment, type PaymentState } from "./State.ts"

/** The statuses of a payment; the last three are views of the amounts of a charged one. */
export const PaymentStatus = Schema.Literals([
  "initiated",
  "screened",
  "processing",
  "requires_action",
  "in_doubt",
  "authorized",
  "partially_captured",
  "succeeded",
  "failed",
  "cancelled",
  "expired",
  "needs_review",
  "partially_refunded",
  "refunded",
  "disputed"
])
export type PaymentStatus = typeof PaymentStatus.Type

/** Amounts in minor units of the payment's currency. */
export interface Amounts {
  readonly authorized: bigint
  readonly captured: bigint
  readonly refunded: bigint
  readonly disputed: bigint
  /** What open captures may still capture. */
  readonly reservedForCapture: bigint
  /** What open refunds may still refund. */
  readonly reservedForRefund: bigint
}

const sum = (operations: ReadonlyArray<Operation>): bigint =>
  operations.reduce((total, operation) => total + operation.intent.amount.minor, 0n)

const targeting = (payment: Payment, target: OperationNumber, kind: "capture" | "refund" | "void") =>
  payment.operations.filter((operation) => operation.intent.kind === kind && operation.intent.target === target)

const isVoided = (operation: Operation): boolean => operation.progress._tag === "Succeeded" && operation.progress.voided

/** A charge that is only authorized: `authorize`, or `confirm` of a manually captured payment. */
const isAuthorization = (payment: Payment, charge: Operation): boolean =>
  charge.intent.kind === "authorize" || (charge.intent.kind === "confirm" && payment.details.captureMethod === "manual")

const capturedOf = (payment: Payment, charge: Operation): bigint => {
  if (isAuthorization(payment, charge)) return sum(targeting(payment, charge.intent.number, "capture").filter(tookEffect))
  return isVoided(charge) ? 0n : charge.intent.amount.minor
}

/** No further capture of this charge is possible: it was voided, or its final capture took effect. */
const isReleased = (payment: Payment, charge: Operation): boolean =>
  isVoided(charge) ||
  targeting(payment, charge.intent.number, "capture").some((capture) => tookEffect(capture) && capture.intent.details.final === true)

/** Amounts of one charge that took effect. */
export const amountsOf = (payment: Payment, charge: Operation): Amounts => {
  const number = charge.intent.number
  const captured = capturedOf(payment, charge)
  const openCaptures = sum(targeting(payment, number, "capture").filter(isOpen))
  return {
    authorized: isReleased(payment, charge) ? captured + openCaptures : charge.intent.amount.minor,
    captured,
    refunded: sum(targeting(payment, number, "refund").filter(tookEffect)),
    disputed: 0n,
    reservedForCapture: openCaptures,
    reservedForRefund: sum(targeting(payment, number, "refund").filter(isOpen))
  }
}

/** The charges that took effect. More than one only after a late success. */
export const charges = (payment: Payment): ReadonlyArray<Operation> =>
  payment.operations.filter((operation) => isCharge(operation) && tookEffect(operation))

/** The charge a refund is taken from. A late one is reversed by an operation of its own; it is refunded only where it is all there is. */
export const refundable = (payment: Payment): Operation | undefined => {
  const captured = charges(payment).filter((charge) => amountsOf(payment, charge).captured > 0n)
  return captured.find((charge) => !payment.late.includes(charge.intent.number)) ?? captured[0]
}

/**
 * The charge a capture is taken from. A late authorization that was kept is captured only where nothing else stands: beside a good charge
 * it would charge twice.
 */
export const capturable = (payment: Payment): Operation | undefined => {
  const standing = charges(payment).filter((charge) => amountsOf(payment, charge).authorized > 0n)
  return standing.find((charge) => !payment.late.includes(charge.intent.number)) ?? standing[0] ?? charges(payment)[0]
}

/** The charge a cancel is about: the one that decides while it can be cancelled, then a late authorization that was kept. */
export const cancellable = (payment: Payment): Operation | undefined => {
  const decides = payment.ended === undefined ? lastCharge(payment) : undefined
  if (decides !== undefined && (isOpen(decides) || isReleasable(payment, decides))) return decides
  return charges(payment).find((charge) => payment.late.includes(charge.intent.number) && isReleasable(payment, charge)) ?? decides
}

/** Something of it is authorized and not captured. */
export const isReleasable = (payment: Payment, charge: Operation): boolean => {
  if (charge.progress._tag !== "Succeeded") return false
  const { authorized, captured } = amountsOf(payment, charge)
  return authorized > captured
}

/** The amounts of a payment. */
export const amounts = (payment: Payment): Amounts =>
  charges(payment)
    .map((charge) => amountsOf(payment, charge))
    .reduce<Amounts>(
      (total, one) => ({
        ...total,
        authorized: total.authorized + one.authorized,
        captured: total.captured + one.captured,
        refunded: total.refunded + one.refunded,
        reservedForCapture: total.reservedForCapture + one.reservedForCapture,
        reservedForRefund: total.reservedForRefund + one.reservedForRefund
      }),
      {
        authorized: 0n,
        captured: 0n,
        refunded: 0n,
        disputed: payment.disputes
          .filter((dispute) => dispute.status !== "won")
          .reduce((total, dispute) => total + dispute.amount.minor, 0n),
        reservedForCapture: 0n,
        reservedForRefund: 0n
      }
    )

/** Operations that are open, in the order they were started. */
export const openOperations = (payment: Payment): ReadonlyArray<Operation> => payment.operations.filter(isOpen)

/** The status shown. */
export const status = (state: PaymentState): PaymentStatus => {
  if (state._tag === "New") return "initiated"
  if (state.reviews.length > 0) return "needs_review"
  return statusOfOpen(state) ?? statusOfAmounts(state) ?? statusAtRest(state)
}

/** A refund in progress does not change what happened to the charge; everything else in progress does, a reversal included (rule 6). */
const statusOfOpen = (payment: Payment): PaymentStatus | undefined => {
  const reverses = (operation: Operation) => operation.intent.kind === "void" || operation.intent.purpose === "reverse"
  const open = openOperations(payment).filter((operation) => operation.intent.kind !== "refund" || reverses(operation))
  if (open.length === 0) return undefined
  if (open.some(reverses)) return "processing"
  if (open.some((operation) => operation.progress._tag === "Uncertain" || operation.progress._tag === "InReview")) return "in_doubt"
  return open.every((operation) => operation.progress._tag === "AwaitingCustomer") ? "requires_action" : "processing"
}

const statusOfAmounts = (payment: Payment): PaymentStatus | undefined => {
  const total = amounts(payment)
  if (total.captured > 0n) {
    if (payment.disputes.some((dispute) => dispute.status !== "won")) return "disputed"
    if (total.refunded >= total.captured) return payment.late.length > 0 && payment.ended !== undefined ? payment.ended.as : "refunded"
    if (total.refunded > 0n) return "partially_refunded"
    return total.captured < total.authorized ? "partially_captured" : "succeeded"
  }
  return total.authorized > 0n ? "authorized" : undefined
}

const statusAtRest = (payment: Payment): PaymentStatus => {
  if (payment.ended !== undefined) return payment.ended.as
  if (charges(payment).some(isVoided)) return "cancelled"
  if (payment.operations.length > 0) return "processing"
  return payment.screened ? "screened" : "initiated"
}
