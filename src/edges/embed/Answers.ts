/**
 * What the facade answers: the payment as it is now, with an `outcome` to switch on. Every case says what the host has to do.
 *
 * ```ts
 * const answer = await aegis.charge(request)
 * switch (answer.outcome) {
 *   case "charged": return ship(order)
 *   case "declined": return askForAnotherCard(answer.failure)
 *   case "in_doubt": return tellThatItIsBeingChecked(order)   // never charge again under another key
 *   ...
 * }
 * ```
 */
import type { Answer } from "../../orchestration/payment/Idempotency.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import * as PaymentJson from "../http/PaymentJson.ts"

/** A payment in plain data, as the HTTP interface shows it. */
export type Payment = PaymentJson.Payment

interface Answered {
  readonly payment: Payment
  /** The key was used before: this is the first request's payment as it is now. */
  readonly replayed: boolean
}

/** The money was taken; `payment` says how much of it was captured, and whether some was refunded or disputed since. */
export interface Charged extends Answered {
  readonly outcome: "charged"
}
/** The amount is held at the customer's bank. Capture or cancel it. */
export interface Authorized extends Answered {
  readonly outcome: "authorized"
}
/** Not charged, for certain. Another attempt is a new payment with a new key. */
export interface Declined extends Answered {
  readonly outcome: "declined"
  readonly failure: NonNullable<Payment["failure"]>
}
/** Not charged, for certain: it was cancelled, or its time ran out. */
export interface Ended extends Answered {
  readonly outcome: "cancelled" | "expired"
}
/** The customer has to do `nextAction`; then `confirm`. */
export interface RequiresAction extends Answered {
  readonly outcome: "requires_action"
  readonly nextAction: NonNullable<Payment["nextAction"]>
}
/** The gateway works on it, or this process does. Wait: `onEvent`, `get`, or the same command again with the same key. */
export interface Pending extends Answered {
  readonly outcome: "pending"
}
/**
 * The gateway may have charged the customer and its answer was lost. Do not ship, do not charge again under another key, do not tell the customer
 * that it failed. Recovery asks the gateway; the end comes by `onEvent`, `get`, or the same command again with the same key.
 */
export interface InDoubt extends Answered {
  readonly outcome: "in_doubt"
}
/** What was found out contradicts itself, or nobody could find out: a person has to look (`aegispay payment events`, `resolve`). As `in_doubt` until then. */
export interface NeedsReview extends Answered {
  readonly outcome: "needs_review"
}

/** The answer to `charge`, `confirm` and `prepare`. */
export type ChargeAnswer = Charged | Authorized | Declined | Ended | RequiresAction | Pending | InDoubt | NeedsReview

/**
 * The answer to `capture`, `cancel` and `refund`: what became of that operation.
 *
 * - `done`: it took effect. - `refused`: the gateway did not do it, for certain; `operation.status` says why.
 * - `pending`: not known yet; also a cancel that waits for the outcome of what it cancels.
 * - `in_doubt`, `needs_review`: as for a charge. The amount stays reserved, so it cannot be captured or refunded twice.
 */
export interface OperationAnswer extends Answered {
  readonly outcome: "done" | "refused" | "pending" | "in_doubt" | "needs_review"
  /** The operation; none where nothing was sent to a gateway. */
  readonly operation: Payment["operations"][number] | undefined
}

const outcomes = {
  initiated: "pending",
  screened: "pending",
  processing: "pending",
  requires_action: "requires_action",
  in_doubt: "in_doubt",
  authorized: "authorized",
  partially_captured: "charged",
  succeeded: "charged",
  failed: "declined",
  cancelled: "cancelled",
  expired: "expired",
  needs_review: "needs_review",
  partially_refunded: "charged",
  refunded: "charged",
  disputed: "charged"
} as const satisfies { readonly [Status in PaymentView["status"]]: ChargeAnswer["outcome"] }

/** The answer to a charge. */
export const ofCharge = ({ payment: view, replayed }: Answer): ChargeAnswer => {
  const payment = PaymentJson.ofView(view)
  const outcome = outcomes[payment.status]
  switch (outcome) {
    case "requires_action":
      return payment.nextAction === undefined
        ? { outcome: "pending", payment, replayed }
        : { outcome, nextAction: payment.nextAction, payment, replayed }
    case "declined":
      return { outcome, failure: payment.failure ?? { category: null, code: "unknown", message: "not charged" }, payment, replayed }
    default:
      return { outcome, payment, replayed }
  }
}

const operationOutcomes = {
  processing: "pending",
  unknown: "in_doubt",
  requires_action: "pending",
  pending: "pending",
  needs_review: "needs_review",
  succeeded: "done",
  failed_later: "refused",
  declined: "refused",
  not_sent: "refused",
  not_charged: "refused",
  cancelled: "refused",
  continued: "done"
} as const satisfies { readonly [Status in PaymentView["operations"][number]["status"]]: OperationAnswer["outcome"] }

/** The answer to a command on a payment. */
export const ofOperation = ({ operation: number, payment: view, replayed }: Answer): OperationAnswer => {
  const payment = PaymentJson.ofView(view)
  const operation = payment.operations.find((candidate) => candidate.number === number)
  if (operation !== undefined) return { outcome: operationOutcomes[operation.status], operation, payment, replayed }
  // Only a cancel starts no operation: there is nothing to cancel at a gateway, or not yet.
  return { outcome: payment.status === "cancelled" ? "done" : "pending", operation, payment, replayed }
}
