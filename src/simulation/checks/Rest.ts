/**
 * What is left of a payment when nothing changes any more: nothing is in flight but what waits for the customer, and what waits for a
 * person has a reason.
 */
import { lastCharge, type Payment } from "../../domain/payment/State.ts"
import { openOperations, status } from "../../domain/payment/Status.ts"
import type { PaymentPlan } from "../Plan.ts"
import type { Told } from "../world/Postman.ts"
import type { Account } from "../world/Psp.ts"
import type { Violation } from "./Invariants.ts"

export interface RestOptions {
  readonly plan: PaymentPlan | undefined
  readonly accounts: ReadonlyArray<Account>
  /** What the accounts told by webhooks that they repeat until they are acknowledged. */
  readonly told: ReadonlyArray<Told>
  /** What began to wait for its customer before then has to have expired. */
  readonly expiredBefore: number
}

/** What is in flight or in review and should not be. */
export const ofPayment = (payment: Payment, options: RestOptions): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const wrong = (detail: string) => void found.push({ invariant: "quiescence", payment: payment.id, detail })
  for (const review of payment.reviews) {
    if (!isExplained(payment, review, options)) wrong(`in review without a cause: ${review.reason}: ${review.evidence}`)
  }
  if (payment.reviews.length > 0) return found
  for (const operation of openOperations(payment)) {
    const { kind, number } = operation.intent
    if (operation.progress._tag === "AwaitingCustomer") {
      if (operation.intendedAt < options.expiredBefore && operation === lastCharge(payment))
        wrong(`operation ${number} (${kind}) waits for its customer for ever`)
      continue
    }
    wrong(`operation ${number} (${kind}) is ${operation.progress._tag} for ever`)
  }
  const shown = status(payment)
  if (openOperations(payment).length === 0 && (shown === "processing" || shown === "initiated" || shown === "screened"))
    wrong(`nothing is open, and it is ${shown} for ever`)
  return found
}

/** Types of event that say for certain what became of what was asked for. */
const final = /^(charge\.(succeeded|authorized|captured|voided)|refund\.(succeeded|failed))$/

/** The answer differed from what was asked for, or the gateway could not be asked and told nothing, or refuses for ever. */
const isExplained = (payment: Payment, review: Payment["reviews"][number], { accounts, plan, told }: RestOptions): boolean => {
  const isGiven = (prefix: string) => Object.values(plan?.references ?? {}).some((token) => token.startsWith(prefix))
  if (review.reason === "amount_mismatch") return true
  const operation = payment.operations[review.operation - 1]
  // What such a token's answer says differs from what its webhooks say; a refund that succeeded and failed says both.
  if (review.reason === "contradiction") return isGiven("tok_wrong") || operation?.failureReported === true
  if (review.reason !== "unresolvable") return false
  if (isGiven("tok_void")) return true
  const gateway = operation?.intent.gateway
  if (told.some((one) => one.reference === operation?.intent.requestKey && one.account === gateway && final.test(one.type))) return false
  return accounts.some(({ declares }) => declares !== "all")
}
