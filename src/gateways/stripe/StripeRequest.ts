/**
 * An intent as a request to Stripe: path and form. Pure, and a function of the intent alone (rule 14).
 *
 * Every object made here carries our names in its metadata: `aegispay_payment`, `aegispay_operation` and `aegispay_reference`, the request
 * key, by which recovery finds it; a capture adds `aegispay_capture` to the PaymentIntent that it captures.
 */
import * as Result from "effect/Result"
import type { Intent } from "../../domain/operation/Operation.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import { toStripe } from "./StripeCurrencies.ts"

/** The version that every request asks for; the official SDK 23.1.0 speaks it too. */
export const apiVersion = "2026-10-28.endive"

/** Names in the metadata. */
export const metadata = {
  payment: "aegispay_payment",
  operation: "aegispay_operation",
  reference: "aegispay_reference",
  capture: "aegispay_capture"
} as const

/** The names and values of a form, in this order. */
export type Form = ReadonlyArray<readonly [name: string, value: string]>

/** A POST: the path below the base URL, and the form. */
export interface StripeRequest {
  readonly path: string
  readonly form: Form
}

const token = /^(?:(cus_[A-Za-z0-9]{1,100})\/)?((?:pm|card|src|ba)_[A-Za-z0-9_]{1,150})$/

/** The form of a body. */
export const encode = (form: Form): string =>
  form.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value.toWellFormed())}`).join("&")

/** The request of an intent, or why it cannot be made: then no byte is sent. A void needs the id of what it ends. */
export const toRequest = (
  payment: PaymentId,
  intent: Intent,
  target = intent.details.targetReference
): Result.Result<StripeRequest, string> => {
  if (intent.kind === "sale" || intent.kind === "authorize") return toCreate(payment, intent)
  if (target === undefined || !/^pi_[A-Za-z0-9_]+$/.test(target)) return Result.fail("the id of the PaymentIntent is not known")
  const path = `/v1/payment_intents/${target}`
  const expand = ["expand[]", "latest_charge"] as const
  switch (intent.kind) {
    case "confirm": {
      const { returnUrl } = intent.details
      return Result.succeed({
        path: `${path}/confirm`,
        form: [expand, ...(returnUrl === undefined ? [] : [["return_url", returnUrl] as const])]
      })
    }
    case "void": {
      const reason = intent.purpose === "cancel" ? "requested_by_customer" : "abandoned"
      return Result.succeed({ path: `${path}/cancel`, form: [["cancellation_reason", reason], expand] })
    }
    case "capture":
      return Result.map(toStripe(intent.amount), (amount) => ({
        path: `${path}/capture`,
        form: [["amount_to_capture", amount], [`metadata[${metadata.capture}]`, intent.requestKey], expand]
      }))
    case "refund":
      return Result.map(toStripe(intent.amount), (amount) => ({
        path: "/v1/refunds",
        form: [["payment_intent", target], ["amount", amount], ...ours(payment, intent)]
      }))
  }
}

const ours = (payment: PaymentId, intent: Intent): Form => [
  [`metadata[${metadata.payment}]`, payment],
  [`metadata[${metadata.operation}]`, String(intent.number)],
  [`metadata[${metadata.reference}]`, intent.requestKey]
]

/**
 * A PaymentIntent that is confirmed at once. Where the customer cannot be sent anywhere (no return address, or not present), nothing that
 * needs them is begun: Stripe then declines with `authentication_required` and the PaymentIntent waits for nobody.
 */
const toCreate = (payment: PaymentId, intent: Intent): Result.Result<StripeRequest, string> => {
  const { details } = intent
  const [, customer, method] = token.exec(details.token ?? "") ?? []
  if (method === undefined) {
    return Result.fail(
      "the payment method has no reference that Stripe knows: pm_..., or cus_.../pm_... for one that is saved with a customer"
    )
  }
  const canAct = details.customerPresent && details.returnUrl !== undefined
  return Result.map(toStripe(intent.amount), (amount) => ({
    path: "/v1/payment_intents",
    form: [
      ["amount", amount],
      ["currency", intent.amount.currency.toLowerCase()],
      ["payment_method", method],
      ...(customer === undefined ? [] : [["customer", customer] as const]),
      ["confirm", "true"],
      ["capture_method", intent.kind === "sale" ? "automatic" : "manual"],
      ["automatic_payment_methods[enabled]", "true"],
      ...(canAct ? [] : [["automatic_payment_methods[allow_redirects]", "never"] as const]),
      ...(canAct && details.returnUrl !== undefined ? [["return_url", details.returnUrl] as const] : []),
      ...(details.customerPresent ? [] : [["off_session", "true"] as const]),
      ...(details.customerPresent && !canAct ? [["error_on_requires_action", "true"] as const] : []),
      ...(details.stepUp === true ? [["payment_method_options[card][request_three_d_secure]", "any"] as const] : []),
      ...ours(payment, intent),
      ["expand[]", "latest_charge"]
    ]
  }))
}
