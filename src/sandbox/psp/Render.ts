/**
 * The JSON of the wire: snake_case, integer minor units, epoch milliseconds. Pure.
 */
import type { Distortion, Failure } from "../MagicTokens.ts"
import type { Charge, LedgerEntry, Operation, Refund } from "./PspState.ts"

export type Json = Readonly<Record<string, unknown>>

export const failureJson = (failure: Failure): Json => ({
  type: failure.type,
  code: failure.code,
  ...(failure.declineCode === undefined ? {} : { decline_code: failure.declineCode }),
  message: failure.message
})

export const chargeJson = (charge: Charge): Json => ({
  object: "charge",
  id: charge.id,
  status: charge.status,
  amount: charge.amount,
  currency: charge.currency,
  capture: charge.capture,
  reference: charge.reference,
  payment: charge.payment,
  amount_authorized: charge.authorized,
  amount_captured: charge.captured,
  amount_capturable: charge.closed ? 0 : charge.authorized - charge.captured,
  amount_refunded: charge.refunded,
  ...(charge.released === true ? { released: true } : {}),
  fee: charge.fee,
  created: charge.created,
  updated: charge.updated,
  ...(charge.actionUrl !== undefined && charge.status === "requires_action"
    ? { next_action: { type: "redirect", url: charge.actionUrl } }
    : {}),
  ...(charge.failure === undefined ? {} : { failure: failureJson(charge.failure) }),
  metadata: charge.metadata
})

export const refundJson = (refund: Refund): Json => ({
  object: "refund",
  id: refund.id,
  charge_id: refund.chargeId,
  status: refund.status,
  amount: refund.amount,
  currency: refund.currency,
  reference: refund.reference,
  payment: refund.payment,
  created: refund.created,
  updated: refund.updated,
  ...(refund.failure === undefined ? {} : { failure: failureJson(refund.failure) })
})

export const operationJson = (operation: Operation): Json => ({
  object: "operation",
  id: operation.id,
  reference: operation.reference,
  kind: operation.kind,
  charge_id: operation.chargeId,
  ...(operation.refundId === undefined ? {} : { refund_id: operation.refundId }),
  amount: operation.amount,
  currency: operation.currency,
  status: operation.status,
  created: operation.created,
  updated: operation.updated,
  ...(operation.failure === undefined ? {} : { failure: failureJson(operation.failure) })
})

export const entryJson = (entry: LedgerEntry): Json => ({
  seq: entry.seq,
  at: entry.at,
  kind: entry.kind,
  charge_id: entry.chargeId,
  reference: entry.reference,
  payment: entry.payment,
  amount: entry.amount,
  currency: entry.currency
})

export interface Result {
  readonly operation: Operation
  readonly charge: Charge
  readonly refund?: Refund | undefined
}

/** The answer to every operation, and the data of every webhook: operation and charge (and refund) as they are now. */
export const resultJson = ({ charge, operation, refund }: Result): Json => ({
  object: "result",
  operation: operationJson(operation),
  charge: chargeJson(charge),
  ...(refund === undefined ? {} : { refund: refundJson(refund) })
})

/** What is wrong in the answer of `tok_wrong_amount` and `tok_wrong_currency`. */
export const distort = (result: Result, distortion: Distortion | undefined): Result => {
  if (distortion === undefined) return result
  const { charge, operation } = result
  if (distortion === "wrong_currency") {
    const currency = charge.currency === "USD" ? "EUR" : "USD"
    return { operation: { ...operation, currency }, charge: { ...charge, currency } }
  }
  return {
    operation: { ...operation, amount: operation.amount + 1 },
    charge: {
      ...charge,
      amount: charge.amount + 1,
      authorized: charge.authorized + 1,
      captured: charge.captured === 0 ? 0 : charge.captured + 1
    }
  }
}

/** An error body. `param` names the field of the request that is wrong. */
export const errorJson = (
  error: Failure & { readonly param?: string },
  about?: { readonly operation?: Operation; readonly charge?: Charge }
): Json => ({
  error: { ...failureJson(error), ...(error.param === undefined ? {} : { param: error.param }) },
  ...(about?.operation === undefined ? {} : { operation: operationJson(about.operation) }),
  ...(about?.charge === undefined ? {} : { charge: chargeJson(about.charge) })
})
