/**
 * What Stripe's error codes and decline codes mean: one table for each, with a default that never charges twice.
 *
 * Sources: https://docs.stripe.com/declines/codes (decline codes), https://docs.stripe.com/error-codes (codes), and the types of the official
 * SDK, version 23.1.0. A decline that is not in the table is `soft` (the 402 says that nothing was charged); a refused request that is not in
 * the table is `invalid_data`, which goes to no other gateway.
 *
 * **Gotchas**: `duplicate_transaction` is `hard`. The issuer has just seen the same amount on the same card: another gateway could charge it
 * a second time.
 */
import type { DeclineCategory } from "../../domain/operation/Decline.ts"

const table = (rows: { readonly [Category in DeclineCategory]?: string }): ReadonlyMap<string, DeclineCategory> =>
  new Map(Object.entries(rows).flatMap(([category, codes]) => codes.split(" ").map((code) => [code, category as DeclineCategory] as const)))

/** Decline codes of issuers and of Radar. */
const declineCodes = table({
  soft: [
    "approve_with_id call_issuer card_velocity_exceeded do_not_honor generic_decline insufficient_funds no_action_taken not_permitted",
    "reenter_transaction service_not_allowed transaction_not_allowed try_again_later withdrawal_count_limit_exceeded",
    "card_not_supported currency_not_supported testmode_decline processing_error issuer_not_available"
  ].join(" "),
  hard: [
    "do_not_try_again duplicate_transaction expired_card invalid_account lost_card new_account_information_available pickup_card",
    "pin_try_exceeded restricted_card revocation_of_all_authorizations revocation_of_authorization stolen_card stop_payment_order"
  ].join(" "),
  fraud: "fraudulent highest_risk_level elevated_risk_level merchant_blacklist rule security_violation",
  authentication_required:
    "authentication_required mobile_device_authentication_required offline_pin_required online_or_offline_pin_required authentication_not_handled",
  invalid_data: [
    "incorrect_number incorrect_cvc incorrect_pin incorrect_address incorrect_zip incorrect_postal_code invalid_amount invalid_cvc",
    "invalid_expiry_month invalid_expiry_year invalid_number invalid_pin"
  ].join(" ")
})

/** Codes of errors. Those of a card error count where its decline code says nothing. */
const errorCodes = table({
  soft: [
    "card_declined insufficient_funds payment_method_customer_decline payment_method_provider_decline bank_account_declined",
    "payment_intent_payment_attempt_failed payment_intent_payment_attempt_expired payment_method_microdeposit_failed",
    "charge_exceeds_source_limit charge_exceeds_transaction_limit refer_to_customer processing_error payment_method_currency_mismatch"
  ].join(" "),
  hard: [
    "expired_card expired_payment_method account_closed debit_not_authorized india_recurring_payment_mandate_canceled no_account",
    "payment_method_bank_account_blocked payment_intent_mandate_invalid bank_account_restricted bank_account_unusable",
    "capture_charge_authorization_expired charge_expired_for_capture charge_disputed charge_not_refundable refund_disputed_payment"
  ].join(" "),
  fraud: "anomalous_money_movement_request card_decline_rate_limit_exceeded request_blocked",
  authentication_required:
    "authentication_required authentication_failure payment_intent_authentication_failure payment_intent_action_required approval_required",
  gateway_error: "payment_method_provider_timeout payment_method_not_available",
  rate_limited: "rate_limit payment_intent_rate_limit_exceeded",
  configuration: [
    "account_invalid action_blocked api_key_expired application_fees_not_allowed capability_not_active livemode_mismatch",
    "not_allowed_on_standard_account parameter_invalid_empty parameter_invalid_string_blank parameter_invalid_string_empty parameter_missing",
    "parameter_unknown parameters_exclusive payment_method_unactivated payment_method_unsupported_type",
    "payment_method_configuration_failures platform_account_required platform_api_key_expired secret_key_required testmode_charges_only",
    "tls_version_unsupported url_invalid country_unsupported balance_insufficient more_permissions_required"
  ].join(" "),
  invalid_data: [
    "amount_too_large amount_too_small email_invalid incorrect_address incorrect_cvc incorrect_number incorrect_postal_code incorrect_zip",
    "invalid_card_type invalid_characters invalid_charge_amount invalid_cvc invalid_expiry_month invalid_expiry_year invalid_number",
    "invalid_source_usage missing parameter_invalid_integer payment_intent_incompatible_payment_method payment_intent_invalid_parameter",
    "payment_method_invalid_parameter payment_method_invalid_parameter_testmode payment_method_billing_details_address_missing",
    "payment_method_restricted payment_method_unexpected_state postal_code_invalid resource_missing shipping_address_invalid",
    "sepa_unsupported_account token_already_used token_in_use charge_already_refunded"
  ].join(" ")
})

/** Codes that say nothing of whether it happened: the object is busy, in another state, or the key was used before. */
export const conflicts: ReadonlySet<string> = new Set([
  "idempotency_key_in_use",
  "lock_timeout",
  "intent_invalid_state",
  "payment_intent_unexpected_state",
  "charge_already_captured",
  "resource_already_exists"
])

/** Parameters that our request or the account's settings are to blame for, whatever the code says. */
const ofTheAccount: ReadonlySet<string> = new Set([
  "currency",
  "payment_method_types",
  "automatic_payment_methods",
  "payment_method_options",
  "capture_method",
  "on_behalf_of"
])

/** What an error carries for the tables. */
export interface StripeFailure {
  readonly code?: string | null | undefined
  readonly decline_code?: string | null | undefined
  readonly advice_code?: string | null | undefined
  readonly network_advice_code?: string | null | undefined
  readonly param?: string | null | undefined
}

const known = (codes: ReadonlyMap<string, DeclineCategory>, code: string | null | undefined): DeclineCategory | undefined =>
  code === null || code === undefined ? undefined : codes.get(code)

/** The category of a decline: by its decline code, then by its code. "Do not try again" makes a soft decline a hard one. */
export const categoryOfDecline = (failure: StripeFailure): DeclineCategory => {
  const category = known(declineCodes, failure.decline_code) ?? known(errorCodes, failure.code) ?? "soft"
  return category === "soft" && failure.advice_code === "do_not_try_again" ? "hard" : category
}

/**
 * Decline codes by which a network forbids every further attempt with the card: those of Visa's category 1 (pick up 04 and 07, lost 41,
 * stolen 43, stop payment R0, revocations R1 and R3) that Stripe tells by a code of their own. An expired, restricted or locked card is none
 * of them: the customer or the issuer can put that right.
 */
const neverAgain: ReadonlySet<string> = new Set([
  "do_not_try_again",
  "lost_card",
  "pickup_card",
  "revocation_of_all_authorizations",
  "revocation_of_authorization",
  "stolen_card",
  "stop_payment_order"
])

/** Mastercard's merchant advice codes: 03 do not try again, 21 the customer has cancelled. */
const neverAgainAdvice: ReadonlySet<string> = new Set(["03", "21"])

/** Does the network forbid every further attempt with this card? By its own advice, by Stripe's, or by the decline code. */
export const isForbidden = ({ advice_code, decline_code, network_advice_code }: StripeFailure): boolean =>
  advice_code === "do_not_try_again" || neverAgain.has(decline_code ?? "") || neverAgainAdvice.has(network_advice_code ?? "")

/** The category of a refused request (400, 403, 404): nothing was executed. Without any code it is our request or our account. */
export const categoryOfRefusal = (failure: StripeFailure): DeclineCategory => {
  if (failure.param !== null && failure.param !== undefined && ofTheAccount.has(failure.param.split("[")[0] ?? "")) return "configuration"
  return known(errorCodes, failure.code) ?? (failure.code === null || failure.code === undefined ? "configuration" : "invalid_data")
}

/** The category of a refund that failed; Stripe's reasons are in the reference of the refund object. */
export const categoryOfRefund = (reason: string | null | undefined): DeclineCategory =>
  reason === "insufficient_funds" || reason === "declined" || reason === "unknown" ? "soft" : "hard"
