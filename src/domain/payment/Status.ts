/**
 * What the operations add up to: amounts, reservations, and the status shown.
 *
 * Laws, for every history: captured + open captures <= authorized, and refunded + open refunds <= captured. Open and unknown
 * operations reserve what they might move.
 */
import * as Schema from "effect/Schema"
import { isCharge, isOpen, tookEffect, type Operation } from "../operation/Operation.ts"
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

const isVoided = (operation: Operation): boolean => operation.progress._tag === "Succeeded" && operation.progress.voided

/** A charge that is only authorized: `authorize`, or `confirm` of a manually captured payment. */
const isAuthorization = (payment: Payment, charge: Operation): boolean =>
  charge.intent.kind === "authorize" || (charge.intent.kind === "confirm" && payment.details.captureMethod === "manual")

type Totals = { -readonly [Name in keyof Amounts]: Amounts[Name] }

const nothing = (): Totals => ({ authorized: 0n, captured: 0n, refunded: 0n, disputed: 0n, reservedForCapture: 0n, reservedForRefund: 0n })

/**
 * Adds one charge that took effect. A charge is released when no further capture of it is possible: it was voided, or its final capture
 * took effect. One pass over the operations: every commit and every answer comes through here.
 */
const addCharge = (total: Totals, payment: Payment, charge: Operation): void => {
  const isHold = isAuthorization(payment, charge)
  const voided = isVoided(charge)
  let released = voided
  let captured = isHold || voided ? 0n : charge.intent.amount.minor
  let openCaptures = 0n
  for (const operation of payment.operations) {
    const { amount, details, kind, target } = operation.intent
    if (target !== charge.intent.number || (kind !== "capture" && kind !== "refund")) continue
    if (tookEffect(operation)) {
      if (kind === "refund") total.refunded += amount.minor
      else {
        if (isHold) captured += amount.minor
        released ||= details.final === true
      }
    } else if (isOpen(operation)) {
      if (kind === "refund") total.reservedForRefund += amount.minor
      else openCaptures += amount.minor
    }
  }
  total.authorized += released ? captured + openCaptures : charge.intent.amount.minor
  total.captured += captured
  total.reservedForCapture += openCaptures
}

/** Amounts of one charge that took effect. */
export const amountsOf = (payment: Payment, charge: Operation): Amounts => {
  const total = nothing()
  addCharge(total, payment, charge)
  return total
}

const isEffective = (operation: Operation): boolean => isCharge(operation) && tookEffect(operation)

/** The charges that took effect. More than one only after a late success. */
export const charges = (payment: Payment): ReadonlyArray<Operation> => payment.operations.filter(isEffective)

/** The charge a refund is taken from. A late one is reversed by an operation of its own; it is refunded only where it is all there is. */
export const refundable = (payment: Payment): Operation | undefined => {
  const captured = charges(payment).filter((charge) => amountsOf(payment, charge).captured > 0n)
  return captured.find((charge) => !payment.late.includes(charge.intent.number)) ?? captured[0]
}

/**
 * A charge that came late, took effect and was not taken back: kept, or not reversed yet. With it the payment is charged: what was tried
 * elsewhere meanwhile is not tried again, and nothing else is.
 */
export const chargedLate = (payment: Payment): Operation | undefined =>
  payment.late.length === 0
    ? undefined
    : charges(payment).find(
        (charge) =>
          payment.late.includes(charge.intent.number) &&
          !isVoided(charge) &&
          !payment.operations.some(
            (other) => other.intent.purpose === "reverse" && other.intent.target === charge.intent.number && tookEffect(other)
          )
      )

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

/**
 * Is it a second charge for the same payment: one that came too late, beside one that came in time and stands? Its money is not the
 * payment's, reversed or kept. Where nothing else stands, a late charge is all there is.
 */
const isDouble = (payment: Payment, charge: Operation): boolean =>
  payment.late.includes(charge.intent.number) &&
  payment.operations.some(
    (other) => isEffective(other) && !payment.late.includes(other.intent.number) && amountsOf(payment, other).authorized > 0n
  )

/** The charge that stands for the payment: the last that took effect, but no second one beside it. */
export const standing = (payment: Payment): Operation | undefined =>
  payment.operations.findLast((operation) => isEffective(operation) && !isDouble(payment, operation))

/** The amounts of a payment, without those of a second charge beside the good one. */
export const amounts = (payment: Payment): Amounts => {
  const total = nothing()
  for (const operation of payment.operations) {
    if (isEffective(operation) && !isDouble(payment, operation)) addCharge(total, payment, operation)
  }
  const { currency } = payment.details.amount
  for (const { amount, status } of payment.disputes) {
    // One in another currency is in review, and adds to nothing.
    if (status !== "won" && amount.currency === currency) total.disputed += amount.minor
  }
  return total
}

/** The amounts of second charges beside the good one; `undefined` where there is none. */
export const doubled = (payment: Payment): Amounts | undefined => {
  if (payment.late.length === 0) return undefined
  const total = nothing()
  for (const operation of payment.operations) {
    if (isEffective(operation) && isDouble(payment, operation)) addCharge(total, payment, operation)
  }
  return total.authorized > 0n || total.captured > 0n ? total : undefined
}

/** Operations that are open, in the order they were started. */
export const openOperations = (payment: Payment): ReadonlyArray<Operation> => payment.operations.filter(isOpen)

/** The status shown. `total`: the payment's amounts, where they are known already. */
export const status = (state: PaymentState, total?: Amounts): PaymentStatus => {
  if (state._tag === "New") return "initiated"
  if (state.reviews.length > 0) return "needs_review"
  return statusOfOpen(state) ?? statusOfAmounts(state, total ?? amounts(state)) ?? statusAtRest(state)
}

/** A refund in progress does not change what happened to the charge; everything else in progress does, a reversal included (rule 6). */
const statusOfOpen = (payment: Payment): PaymentStatus | undefined => {
  let isInProgress = false
  let isInDoubt = false
  let waitsForCustomer = true
  for (const operation of payment.operations) {
    if (!isOpen(operation)) continue
    const { kind, purpose } = operation.intent
    if (kind === "void" || purpose === "reverse") return "processing"
    if (kind === "refund") continue
    const { _tag } = operation.progress
    isInProgress = true
    isInDoubt ||= _tag === "Uncertain" || _tag === "InReview"
    waitsForCustomer &&= _tag === "AwaitingCustomer"
  }
  if (!isInProgress) return undefined
  if (isInDoubt) return "in_doubt"
  return waitsForCustomer ? "requires_action" : "processing"
}

const statusOfAmounts = (payment: Payment, total: Amounts): PaymentStatus | undefined => {
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
