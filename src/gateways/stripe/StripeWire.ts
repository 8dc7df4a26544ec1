/**
 * What Stripe's objects mean for an operation. Pure.
 *
 * A PaymentIntent is one object for several operations: the charge that made it, its confirm, capture and void. Each of them reads its own
 * part. An object that carries another payment's name answers nothing.
 */
import type { Intent } from "../../domain/operation/Operation.ts"
import {
  boundedCode,
  boundedMessage,
  type Declined,
  type NextAction,
  type Succeeded,
  type Unknown
} from "../../domain/operation/Outcome.ts"
import { type GatewayReference, operationOfRequestKey } from "../../domain/payment/Ids.ts"
import type { HoldAnswer, LookupAnswer } from "../../services/Gateway.ts"
import { unknown } from "../HttpGateway.ts"
import type { PaymentIntent, Refund } from "./StripeBodies.ts"
import { fromStripe } from "./StripeCurrencies.ts"
import { categoryOfDecline, categoryOfRefund, isForbidden, type StripeFailure } from "./StripeDeclines.ts"
import { metadata } from "./StripeRequest.ts"

/** Our reference that an object carries, or "" where it carries none. */
export const referenceOf = (
  object: { readonly metadata?: { readonly [name: string]: string } | null },
  name: string = metadata.reference
): string => object.metadata?.[name] ?? ""

/** An object of the operation's payment: made by the operation itself, or by one before it. */
const isOurs = (intent: Intent, reference: string): boolean =>
  intent.kind === "sale" || intent.kind === "authorize" || intent.kind === "refund"
    ? reference === intent.requestKey
    : operationOfRequestKey(reference)?.payment === operationOfRequestKey(intent.requestKey)?.payment

const contradicting = unknown("unreadable", "Stripe answered about another payment")

const doubtAbout = (id: GatewayReference, message: string): Unknown => ({ ...unknown("unreadable", message), gatewayReference: id })

/** A decline as Stripe explains it. */
export const declinedBy = (failure: StripeFailure & { readonly message?: string | null | undefined }, id?: GatewayReference): Declined => ({
  _tag: "Declined",
  category: categoryOfDecline(failure),
  code: boundedCode(failure.decline_code ?? failure.code ?? "declined"),
  message: boundedMessage(failure.message ?? "declined, without a reason"),
  ...(isForbidden(failure) ? { networkForbids: true as const } : {}),
  ...(id === undefined ? {} : { gatewayReference: id })
})

const succeeded = (
  id: GatewayReference,
  body: { readonly amount: number; readonly currency: string },
  chargedAt?: number
): Succeeded | Unknown => {
  const amount = fromStripe(body)
  if (amount === undefined) return doubtAbout(id, "the amount or currency of Stripe's answer cannot be read")
  return { _tag: "Succeeded", gatewayReference: id, amount, named: true, ...(chargedAt === undefined ? {} : { chargedAt }) }
}

const chargeOf = ({ latest_charge: charge }: PaymentIntent) => (typeof charge === "object" && charge !== null ? charge : undefined)

/** When it was charged, by Stripe's clock in whole seconds; known only where the charge came with its PaymentIntent. */
const chargedAtOf = (object: PaymentIntent): number | undefined => {
  const created = chargeOf(object)?.created
  return created === undefined ? undefined : created * 1000
}

/** What a PaymentIntent, as it is now, says of an operation of its payment. `Absent`: the operation has not taken effect. */
export const answerOf = (intent: Intent, object: PaymentIntent): LookupAnswer => {
  if (!isOurs(intent, referenceOf(object))) return contradicting
  switch (intent.kind) {
    case "sale":
    case "authorize":
    case "confirm":
      if (intent.kind !== "confirm" && (intent.kind === "authorize") !== (object.capture_method === "manual")) return contradicting
      return answerOfCharge(object)
    case "capture":
      return answerOfCapture(intent, object)
    case "void":
      // What was cancelled had the intent's amount.
      if (object.status === "canceled") return { _tag: "Succeeded", gatewayReference: object.id, amount: intent.amount, named: true }
      return isStatus(object.status) ? { _tag: "Absent" } : strange(object)
    case "refund":
      return contradicting
  }
}

const statuses = [
  "requires_payment_method",
  "requires_confirmation",
  "requires_action",
  "processing",
  "requires_capture",
  "canceled",
  "succeeded"
] as const
const isStatus = (status: string): status is (typeof statuses)[number] => (statuses as ReadonlyArray<string>).includes(status)
const strange = ({ id, status }: PaymentIntent): Unknown => doubtAbout(id, `unknown status of a PaymentIntent: ${status.slice(0, 64)}`)

/** What a PaymentIntent says of the charge that it stands for. */
export const answerOfCharge = (object: PaymentIntent): LookupAnswer => {
  const { id, status } = object
  if (!isStatus(status)) return strange(object)
  const isManual = object.capture_method === "manual"
  switch (status) {
    case "succeeded": {
      // Of a manual one this is what was authorized, whatever was captured of it since.
      const amount = isManual ? object.amount : object.amount_received
      if (amount === undefined) return doubtAbout(id, "Stripe does not say what it received")
      return succeeded(id, { amount, currency: object.currency }, chargedAtOf(object))
    }
    case "requires_capture": {
      if (!isManual || object.amount_capturable === undefined) return doubtAbout(id, "a capture is awaited that nobody asked for")
      return succeeded(id, { amount: object.amount_capturable, currency: object.currency }, chargedAtOf(object))
    }
    case "processing":
      return { _tag: "Pending", gatewayReference: id }
    case "requires_action": {
      const nextAction = nextActionOf(object)
      return nextAction === undefined
        ? doubtAbout(id, "an action is required that the customer cannot be sent to")
        : { _tag: "RequiresAction", gatewayReference: id, nextAction }
    }
    case "requires_payment_method": {
      const failure = object.last_payment_error
      return failure === null || failure === undefined
        ? doubtAbout(id, "the PaymentIntent waits for a payment method, and no attempt is known")
        : declinedBy(failure, id)
    }
    case "requires_confirmation":
      return doubtAbout(id, "the PaymentIntent was made and not confirmed")
    case "canceled": {
      const charge = chargeOf(object)
      if (isManual && charge?.status === "succeeded")
        return succeeded(id, { amount: charge.amount, currency: charge.currency }, chargedAtOf(object))
      const failure = object.last_payment_error
      return failure === null || failure === undefined ? { _tag: "Absent" } : declinedBy(failure, id)
    }
  }
}

/** What is left of the authorization that a PaymentIntent is. What Stripe expires is cancelled by it, so it answers as if we had. */
export const holdOf = (intent: Intent, object: PaymentIntent): HoldAnswer => {
  if (!isOurs(intent, referenceOf(object))) return contradicting
  if (object.capture_method !== "manual") return doubtAbout(object.id, "the PaymentIntent is no authorization")
  if (object.status === "canceled") return { _tag: "Released" }
  const isStanding = object.status === "requires_capture" || object.status === "processing" || object.status === "succeeded"
  return isStanding ? { _tag: "Held" } : doubtAbout(object.id, `a hold is in status ${object.status.slice(0, 64)}`)
}

const answerOfCapture = (intent: Intent, object: PaymentIntent): LookupAnswer => {
  if (!isStatus(object.status)) return strange(object)
  const isThis = referenceOf(object, metadata.capture) === intent.requestKey
  if (isThis && object.status === "succeeded") {
    return object.amount_received === undefined
      ? doubtAbout(object.id, "Stripe does not say what it captured")
      : succeeded(object.id, { amount: object.amount_received, currency: object.currency })
  }
  // A PaymentIntent is captured once: what is captured without this operation's name was captured by another.
  return isThis && object.status === "processing" ? { _tag: "Pending", gatewayReference: object.id } : { _tag: "Absent" }
}

/** Where the customer is sent: the one address that the action names, whatever the kind of action. Over https only: it tells who pays what. */
const nextActionOf = ({ next_action: action }: PaymentIntent): NextAction | undefined => {
  const type = action?.["type"]
  if (typeof type !== "string") return undefined
  const details = action?.[type]
  if (typeof details !== "object" || details === null) return undefined
  const values = details as { readonly [name: string]: unknown }
  const url = values["url"] ?? values["hosted_instructions_url"] ?? values["hosted_voucher_url"]
  return typeof url === "string" && /^https:\/\/[^\s]{1,2000}$/.test(url) ? { type: "redirect", url } : undefined
}

/** What a refund, as it is now, says of the operation that made it. */
export const answerOfRefund = (refund: Refund): LookupAnswer => {
  const { id, status } = refund
  switch (status) {
    case "succeeded":
      return succeeded(id, refund, refund.created * 1000)
    case "pending":
    case "requires_action":
      return { _tag: "Pending", gatewayReference: id }
    case "failed":
    case "canceled": {
      const code = refund.failure_reason ?? `refund_${status}`
      return {
        _tag: "Declined",
        category: categoryOfRefund(refund.failure_reason),
        code: boundedCode(code),
        message: boundedMessage(`the refund ${status}: ${code}`),
        gatewayReference: id
      }
    }
    default:
      return doubtAbout(id, `unknown status of a refund: ${String(status).slice(0, 64)}`)
  }
}

/** The refund of an operation, as it is now. */
export const answerOfOurRefund = (intent: Intent, refund: Refund): LookupAnswer =>
  isOurs(intent, referenceOf(refund)) ? answerOfRefund(refund) : contradicting
