/**
 * What reconciliation may find, and when a gateway's record says the same as we do.
 */
import type { OperationStatus } from "../../domain/payment/View.ts"
import { type Operation, tookEffect } from "../../domain/operation/Operation.ts"
import type { GatewayReference, OperationNumber, PaymentId } from "../../domain/payment/Ids.ts"
import { matches } from "../../domain/operation/Advance.ts"
import type { GatewayRecord, LookupAnswer } from "../../services/Gateway.ts"

/** What a record says of its operation. */
export type TheirStatus = "succeeded" | "declined" | "pending" | "requires_action" | "not_charged" | "unknown"

/**
 * - `Orphan`: the gateway has it and we do not. `live`: money is reserved or taken.
 * - `Double`: two charges of the gateway hold money for one payment.
 * - `Difference`: both have it and say different things of it. `resolved`: the gateway's truth was recorded, and now both say the same.
 * - `Missing`: we say that it succeeded, the gateway's list does not have it, and a look-up did not confirm it. Where the look-up says for
 *   certain that there is nothing, the payment goes to a person.
 *
 * Amounts in minor units.
 */
export type Finding =
  | {
      readonly _tag: "Orphan"
      readonly kind: GatewayRecord["kind"]
      readonly gatewayReference: GatewayReference
      readonly reference: string
      readonly theirs: TheirStatus
      readonly live: boolean
      readonly createdAt: number
      readonly why: "not_our_reference" | "unknown_payment" | "unknown_operation" | "other_gateway" | "damaged_history"
    }
  | {
      readonly _tag: "Double"
      readonly payment: PaymentId
      readonly operation: OperationNumber
      readonly gatewayReference: GatewayReference
      readonly why: "same_reference" | "other_operation"
    }
  | {
      readonly _tag: "Difference"
      readonly payment: PaymentId
      readonly operation: OperationNumber
      readonly gatewayReference: GatewayReference
      readonly field: "status" | "amount" | "captured" | "refunded"
      readonly ours: OperationStatus | bigint
      readonly theirs: TheirStatus | bigint
      readonly resolved: boolean
    }
  | {
      readonly _tag: "Missing"
      readonly payment: PaymentId
      readonly operation: OperationNumber
      readonly gatewayReference: GatewayReference | undefined
      readonly theirs: TheirStatus
    }

const statuses: { readonly [Tag in LookupAnswer["_tag"]]: TheirStatus } = {
  Succeeded: "succeeded",
  Declined: "declined",
  Pending: "pending",
  RequiresAction: "requires_action",
  Absent: "not_charged",
  Unknown: "unknown"
}

/** What an answer says, in one word. */
export const theirStatus = (answer: LookupAnswer): TheirStatus => statuses[answer._tag]

/** A charge that holds money now, reserved or taken. */
export const isLive = (record: GatewayRecord): boolean =>
  record.kind === "charge" &&
  record.answer._tag === "Succeeded" &&
  (record.totals === undefined ||
    record.totals.captured > record.totals.refunded ||
    (record.totals.captured === 0n && record.totals.authorized > 0n))

/** An answer that ends an operation; the others only say that it is not over. */
export const isFinal = (answer: LookupAnswer): boolean =>
  answer._tag === "Succeeded" || answer._tag === "Declined" || answer._tag === "Absent"

/** Does the answer say the same as the operation that has the gateway's object? */
export const agrees = (operation: Operation, answer: LookupAnswer): boolean => {
  const { progress } = operation
  switch (answer._tag) {
    case "Succeeded":
      return tookEffect(operation) && matches(operation, answer.amount)
    case "Declined":
    case "Absent":
      return progress._tag === "Succeeded" ? progress.failedLater || (progress.voided && answer._tag === "Absent") : isOver(operation)
    case "Pending":
      return progress._tag === "AwaitingGateway"
    case "RequiresAction":
      return progress._tag === "AwaitingCustomer"
    case "Unknown":
      return false
  }
}

const isOver = ({ progress }: Operation): boolean =>
  progress._tag === "Declined" || progress._tag === "NotSent" || progress._tag === "Absent" || progress._tag === "Cancelled"
