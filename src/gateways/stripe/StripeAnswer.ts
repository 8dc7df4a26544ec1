/**
 * What the answer to a request means for its operation. Pure.
 *
 * A refusal counts only with Stripe's own error body: something between it and us may answer 400 or 403 as well, and that says nothing of
 * what Stripe did. Statuses: https://docs.stripe.com/api/errors.
 */
import type { Intent } from "../../domain/operation/Operation.ts"
import { boundedCode, boundedMessage, type Declined, type Outcome, type Unknown } from "../../domain/operation/Outcome.ts"
import type { LookupAnswer } from "../../services/Gateway.ts"
import { type Answer, askedRetryAfterMillis, retryAfterMillis, unknown } from "../HttpGateway.ts"
import { errorIn, type PaymentIntent, paymentIntentIn, refundIn, type StripeError, toPaymentIntent } from "./StripeBodies.ts"
import { categoryOfRefusal, conflicts } from "./StripeDeclines.ts"
import { answerOf, answerOfOurRefund, declinedBy } from "./StripeWire.ts"

/** An answer that is not what this version of the adapter knows. */
export const unreadable = (answer: Answer): Unknown =>
  unknown("unreadable", `Stripe answered ${answer.status} with a body that cannot be read`)

/** A server error: it may have happened, and the same answer is stored under the key. */
export const serverError = (answer: Answer): Unknown => {
  const failed = unknown("server_error", `Stripe answered ${answer.status}`)
  const retryAfter = answer.status === 503 ? askedRetryAfterMillis(answer) : undefined
  return retryAfter === undefined ? failed : { ...failed, retryAfterMillis: retryAfter }
}

/** What an answer to the operation's request means. */
export const toOutcome = (intent: Intent, answer: Answer): Outcome => {
  if (answer.status === 200) return outcomeOfObject(intent, answer)
  // 424: something that Stripe depends on failed, after the request had begun.
  if (answer.status >= 500 || answer.status === 424) return serverError(answer)
  const error = errorIn(answer.text)?.error
  if (error === undefined) return unreadable(answer)
  return answer.status === 429 && error.code !== "lock_timeout" ? rateLimited(answer) : outcomeOfError(intent, answer, error)
}

const outcomeOfObject = (intent: Intent, answer: Answer): Outcome => {
  if (intent.kind === "refund") {
    const refund = refundIn(answer.text)
    return refund === undefined ? unreadable(answer) : asOutcome(answerOfOurRefund(intent, refund))
  }
  const object = paymentIntentIn(answer.text)
  return object === undefined ? unreadable(answer) : asOutcome(answerOf(intent, object))
}

/** An object in a state in which the operation has not taken effect is no answer to its request. */
const asOutcome = (answer: LookupAnswer): Outcome =>
  answer._tag === "Absent" ? unknown("conflict", "Stripe's object is not in a state that the request leads to") : answer

const rateLimited = (answer: Answer): Declined => ({
  _tag: "Declined",
  category: "rate_limited",
  code: "rate_limited",
  message: "Stripe limits the rate of requests",
  retryAfterMillis: retryAfterMillis(answer)
})

const outcomeOfError = (intent: Intent, answer: Answer, error: StripeError): Outcome => {
  const object = toPaymentIntent(error.payment_intent)
  if (error.type === "idempotency_error") return conflict(answer, error)
  if (answer.status === 402) return outcomeOfDecline(intent, error, object)
  if (error.code !== undefined && error.code !== null && conflicts.has(error.code))
    return ofItsState(intent, object) ?? conflict(answer, error)
  if (answer.status === 401) return refused(error, "configuration")
  // The object whose id Stripe gave: a wrong account or mode, or an id of ours that is wrong. A payment method is another matter.
  if (answer.status === 404 && intent.kind !== "sale" && intent.kind !== "authorize") return conflict(answer, error)
  if (answer.status !== 400 && answer.status !== 403 && answer.status !== 404) {
    return answer.status === 409 ? conflict(answer, error) : unreadable(answer)
  }
  if (error.type !== "invalid_request_error" && error.type !== "card_error") return unreadable(answer)
  return error.type === "card_error" ? outcomeOfDecline(intent, error, object) : refused(error, categoryOfRefusal(error), object)
}

/** A 402: nothing was charged. The PaymentIntent is left open, so its id goes with the decline. */
const outcomeOfDecline = (intent: Intent, error: StripeError, object: PaymentIntent | undefined): Outcome => {
  if (object !== undefined) {
    const now = answerOf(intent, object)
    // A success, or something that goes on, beside a decline is a contradiction: the object is asked again.
    if (now._tag === "Succeeded" || now._tag === "Pending" || now._tag === "RequiresAction") {
      return { ...unknown("conflict", "Stripe declined, and shows an object that was not declined"), gatewayReference: object.id }
    }
  }
  return declinedBy(error, intent.kind === "refund" ? undefined : object?.id)
}

const refused = (error: StripeError, category: Declined["category"], object?: PaymentIntent): Declined => ({
  _tag: "Declined",
  category,
  code: boundedCode(error.code ?? error.type),
  message: boundedMessage(error.message ?? "Stripe refused the request"),
  ...(object === undefined ? {} : { gatewayReference: object.id })
})

/** What was asked for may have been done before, by the customer's page or a cancel: the object, as the error shows it, tells. */
const ofItsState = (intent: Intent, object: PaymentIntent | undefined): Outcome | undefined => {
  if (object === undefined || intent.kind === "sale" || intent.kind === "authorize") return undefined
  const now = answerOf(intent, object)
  return now._tag === "Absent" ? undefined : now
}

const conflict = (answer: Answer, error: StripeError): Unknown =>
  unknown("conflict", `Stripe answered ${answer.status} (${error.code ?? error.type}): ${error.message ?? "no message"}`)
