/**
 * What the fake Stripe does with a payment method: Stripe's own test methods where it has one, and `pm_fault_<operation>_<fault>` for what goes
 * wrong between it and us.
 */

/** A declined charge as Stripe explains it. */
export interface Decline {
  readonly code: string
  readonly decline_code?: string
  readonly advice_code?: string
  readonly message: string
}

const declined = (decline_code: string, code = "card_declined"): Decline => ({ code, decline_code, message: "Your card was declined." })

/** https://docs.stripe.com/testing#declined-payments */
const declines: { readonly [method: string]: Decline } = {
  pm_card_chargeDeclined: declined("generic_decline"),
  pm_card_chargeDeclinedInsufficientFunds: declined("insufficient_funds"),
  pm_card_chargeDeclinedLostCard: declined("lost_card"),
  pm_card_chargeDeclinedStolenCard: declined("stolen_card"),
  pm_card_chargeDeclinedFraudulent: declined("fraudulent"),
  pm_card_chargeDeclinedExpiredCard: { code: "expired_card", message: "Your card has expired." },
  pm_card_chargeDeclinedIncorrectCvc: { code: "incorrect_cvc", message: "Your card's security code is incorrect." },
  pm_card_chargeDeclinedProcessingError: { code: "processing_error", message: "An error occurred while processing your card." },
  pm_doNotTryAgain: { ...declined("do_not_honor"), advice_code: "do_not_try_again" },
  pm_brandNewCode: declined("a_code_of_next_year"),
  pm_providerTimeout: { code: "payment_method_provider_timeout", message: "The provider did not answer." }
}

/** Refused before anything is executed, and stored under no key. */
export interface Refusal {
  readonly status: number
  readonly body: { readonly [field: string]: unknown }
  readonly headers?: { readonly [name: string]: string }
}

const invalidRequest = (fields: { readonly [field: string]: unknown }, status = 400): Refusal => ({
  status,
  body: { error: { type: "invalid_request_error", ...fields } }
})

const refusals: { readonly [method: string]: Refusal } = {
  pm_unknown: invalidRequest({ code: "resource_missing", param: "payment_method", message: "No such PaymentMethod: 'pm_unknown'" }),
  pm_typeNotActivated: invalidRequest({
    param: "payment_method_types",
    message: "The payment method type provided is invalid. Activate it in your dashboard."
  }),
  pm_rateLimited: { ...invalidRequest({ code: "rate_limit", message: "Too many requests." }, 429), headers: { "retry-after": "3" } },
  pm_conflict: invalidRequest({ type: "idempotency_error", code: "idempotency_key_in_use", message: "The key is in use." }, 409)
}

/** What a charge comes to. */
export type Verdict = "succeeds" | "needs_action" | "pending_success" | "pending_failure" | Decline | Refusal

/** What a payment method comes to. */
export const verdictOf = (method: string): Verdict => {
  if (method === "pm_card_threeDSecure2Required" || method === "pm_actionFails" || faultOf(method, "confirm") !== undefined)
    return "needs_action"
  if (method === "pm_pendingSuccess") return "pending_success"
  if (method === "pm_pendingFailure") return "pending_failure"
  return declines[method] ?? refusals[method] ?? "succeeds"
}

/** What goes wrong on the way. `before`: never executed, `after`: executed, `once`: the first time only. */
export type Fault =
  | `${"timeout" | "reset" | "5xx"}_${"before" | "after"}`
  | `${"timeout" | "reset"}_before_once`
  | "garbage"
  | "html"
  | "huge"
  | "redirect"
  | "slow"
  | "late"
  | "declined"
  | "pending"
  | "pending_failure"
  | "action"
  | "fails_later"

/** The fault of a method in an operation, if it has one. */
export const faultOf = (method: string, operation: string): Fault | undefined => {
  const fault = new RegExp(`^pm_fault_${operation}_(\\w+)$`).exec(method)?.[1]
  return fault as Fault | undefined
}
