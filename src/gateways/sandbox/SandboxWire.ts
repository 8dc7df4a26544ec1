/**
 * The sandbox's wire format: what an intent is as a request, and what an answer means. Pure.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../../domain/Currency.ts"
import * as Money from "../../domain/Money.ts"
import type { DeclineCategory } from "../../domain/operation/Decline.ts"
import type { Intent } from "../../domain/operation/Operation.ts"
import { boundedCode, boundedMessage, type Declined, type Outcome, type Succeeded, type Unknown } from "../../domain/operation/Outcome.ts"
import { GatewayReference, type PaymentId } from "../../domain/payment/Ids.ts"
import type { LookupAnswer } from "../../services/Gateway.ts"
import { type Answer, askedRetryAfterMillis, retryAfterMillis, unknown } from "../HttpGateway.ts"

/** A POST: the path below the account, and the body. */
export interface WireRequest {
  readonly path: string
  readonly body: { readonly [field: string]: unknown }
}

/** The exponents this account uses, by currency. */
export type Exponents = ReadonlyMap<CurrencyCode, number>

const amountOf = (amount: Money.Money, exponents: Exponents): number | undefined => {
  const exponent = exponents.get(amount.currency)
  if (exponent === undefined) return undefined
  const minor = Money.toExponent({ money: amount, exponent })
  return Result.isSuccess(minor) && Number.isSafeInteger(Number(minor.success)) ? Number(minor.success) : undefined
}

/** A text as one part of a path or query. Total: `encodeURIComponent` throws on a surrogate that stands alone. */
export const segment = (text: string): string => encodeURIComponent(text.toWellFormed())

/** The request of an intent, or why it cannot be made: then no byte is sent. */
export const toRequest = (payment: PaymentId, intent: Intent, exponents: Exponents): Result.Result<WireRequest, string> => {
  const { details, requestKey } = intent
  const amount = amountOf(intent.amount, exponents)
  if (amount === undefined) return Result.fail(`this amount of ${intent.amount.currency} cannot be sent to this account`)
  const reference = { reference: requestKey }
  switch (intent.kind) {
    case "sale":
    case "authorize":
      if (details.token === undefined) return Result.fail("the payment method has no reference for this gateway")
      return Result.succeed({
        path: "/v1/charges",
        body: {
          ...reference,
          amount,
          currency: intent.amount.currency,
          token: details.token,
          capture: intent.kind === "sale" ? "automatic" : "manual",
          payment,
          ...(details.returnUrl === undefined ? {} : { return_url: details.returnUrl }),
          ...(details.customerPresent ? {} : { off_session: true }),
          ...(details.stepUp === true ? { step_up: true } : {})
        }
      })
    case "void":
      return details.targetReference === undefined
        ? Result.succeed({ path: "/v1/voids", body: { ...reference, target_reference: details.targetRequestKey } })
        : Result.succeed({ path: `/v1/charges/${segment(details.targetReference)}/void`, body: reference })
    case "confirm":
    case "capture":
    case "refund": {
      if (details.targetReference === undefined) return Result.fail("the gateway's id of the charge is not known")
      const charge = `/v1/charges/${segment(details.targetReference)}`
      if (intent.kind === "confirm") return Result.succeed({ path: `${charge}/confirm`, body: reference })
      if (intent.kind === "refund") return Result.succeed({ path: `${charge}/refunds`, body: { ...reference, amount } })
      return Result.succeed({ path: `${charge}/capture`, body: { ...reference, amount, final: details.final === true } })
    }
  }
}

/** The sandbox's ids. Anything else is unreadable: an id becomes a part of paths, and `..` would be another path. */
const Id = GatewayReference.check(Schema.isPattern(/^[A-Za-z0-9_-]+$/))
const Text = Schema.String.check(Schema.isMaxLength(2048))
/** Where the customer is sent: nothing but the web. */
const WebAddress = Text.check(Schema.isPattern(/^https?:\/\/[^\s]+$/))
const Failure = Schema.Struct({
  type: Text,
  code: Text,
  decline_code: Schema.optionalKey(Text),
  message: Schema.optionalKey(Text)
})
/** A charge. */
export const ChargeBody = Schema.Struct({
  id: Id,
  reference: Text,
  status: Text,
  amount: Schema.Int,
  currency: Text,
  amount_authorized: Schema.Int,
  /** What was not captured is released. */
  released: Schema.optionalKey(Schema.Boolean),
  created: Schema.Int,
  next_action: Schema.optionalKey(Schema.Struct({ type: Schema.Literal("redirect"), url: WebAddress })),
  failure: Schema.optionalKey(Failure)
})
/** A refund. */
export const RefundBody = Schema.Struct({
  id: Id,
  reference: Text,
  status: Text,
  amount: Schema.Int,
  currency: Text,
  created: Schema.Int,
  failure: Schema.optionalKey(Failure)
})
const OperationBody = Schema.Struct({
  id: Id,
  reference: Text,
  kind: Text,
  status: Text,
  amount: Schema.Int,
  currency: Text,
  created: Schema.Int,
  failure: Schema.optionalKey(Failure)
})
/** The answer to every operation, and the data of every webhook. */
export const ResultBody = Schema.Struct({
  operation: OperationBody,
  charge: ChargeBody,
  refund: Schema.optionalKey(RefundBody),
  /** Only in a look-up: how many operations carry the reference. */
  matches: Schema.optionalKey(Schema.Int)
})
const ErrorBody = Schema.Struct({
  error: Failure,
  operation: Schema.optionalKey(OperationBody),
  charge: Schema.optionalKey(ChargeBody)
})

const decodeJson = <S extends Schema.ConstraintDecoder<unknown>>(schema: S) => Schema.decodeUnknownResult(Schema.fromJsonString(schema))
export const decodeResult = decodeJson(ResultBody)
export const decodeCharge = decodeJson(ChargeBody)
export const decodeRefund = decodeJson(RefundBody)
export const decodeError = decodeJson(ErrorBody)

export const unreadable = (answer: Answer): Unknown =>
  unknown("unreadable", `the gateway answered ${answer.status} with a body that cannot be read`)

/** What an answer to a request means for its operation. */
export const toOutcome = (intent: Intent, answer: Answer, exponents: Exponents): Outcome => {
  if (answer.status >= 200 && answer.status < 300) {
    const decoded = decodeResult(answer.text)
    return Result.isSuccess(decoded) ? outcomeOfResult(intent, decoded.success, exponents) : unreadable(answer)
  }
  if (answer.status >= 500) {
    const retryAfter = answer.status === 503 ? askedRetryAfterMillis(answer) : undefined
    const failed = unknown("server_error", `the gateway answered ${answer.status}`)
    return retryAfter === undefined ? failed : { ...failed, retryAfterMillis: retryAfter }
  }
  if (answer.status === 404 || answer.status === 409) {
    return nothingToCancel(intent, answer) ?? unknown("conflict", conflictMessage(answer))
  }
  if (answer.status === 429) {
    const message = "the gateway limits the rate of requests"
    return {
      _tag: "Declined",
      category: "rate_limited",
      code: "rate_limited",
      message,
      retryAfterMillis: retryAfterMillis(answer)
    }
  }
  return refusals.has(answer.status) ? outcomeOfRefusal(intent, answer) : unreadable(answer)
}

/** Statuses that say that nothing was done. Every other one is an unreadable answer. */
const refusals: ReadonlySet<number> = new Set([400, 401, 402, 403, 413])

/** A refusal counts only with the gateway's own body: something between it and us may answer 403 as well. */
const outcomeOfRefusal = (intent: Intent, answer: Answer): Declined | Unknown => {
  const decoded = decodeError(answer.text)
  if (Result.isFailure(decoded)) return unreadable(answer)
  const { charge, error, operation } = decoded.success
  if (operation !== undefined && operation.reference !== intent.requestKey) return contradicting
  const declined = declinedBy(error, answer.status === 402 ? undefined : categoryOfRefusal(answer.status, error))
  return charge === undefined || intent.kind === "capture" || intent.kind === "refund"
    ? declined
    : { ...declined, gatewayReference: charge.id }
}

/** Codes of a 400 that our own request or configuration is to blame for, not the customer's data. */
const ourFault: ReadonlySet<string> = new Set([
  "invalid_json",
  "unknown_field",
  "missing_field",
  "missing_parameter",
  "unsupported_currency"
])

const categoryOfRefusal = (status: number, error: typeof Failure.Type): DeclineCategory =>
  status === 400 && error.type === "invalid_request_error" && !ourFault.has(error.code) ? "invalid_data" : "configuration"

export const contradicting = unknown("unreadable", "the gateway answered about another operation")

/**
 * A void whose target is over without money did what it was sent for. Named where the gateway shows the failed charge; unnamed
 * where it knows no operation with the target's reference, which proves nothing while that may still arrive (rule 13).
 */
const nothingToCancel = (intent: Intent, answer: Answer): Succeeded | undefined => {
  const { targetReference, targetRequestKey } = intent.details
  const decoded = decodeError(answer.text)
  if (intent.kind !== "void" || Result.isFailure(decoded)) return undefined
  const { charge, error } = decoded.success
  const over = { _tag: "Succeeded", amount: intent.amount } as const
  if (answer.status === 409 && error.code === "invalid_state" && charge?.status === "failed") {
    const isTarget = targetReference === undefined ? charge.reference === targetRequestKey : charge.id === targetReference
    return isTarget ? { ...over, gatewayReference: charge.id, named: true } : undefined
  }
  return answer.status === 404 && error.code === "not_found" && targetReference === undefined && targetRequestKey !== undefined
    ? { ...over, gatewayReference: GatewayReference.make(targetRequestKey), named: false }
    : undefined
}

const conflictMessage = (answer: Answer): string => {
  const decoded = decodeError(answer.text)
  return `the gateway answered ${answer.status}${Result.isSuccess(decoded) ? ` (${decoded.success.error.code})` : ""}`
}

/** Categories of the sandbox's decline codes. A code that is not listed is a soft decline: nothing was charged, says the 402. */
const categories: { readonly [code: string]: DeclineCategory } = {
  insufficient_funds: "soft",
  stolen_card: "hard",
  lost_card: "hard",
  expired_card: "hard",
  do_not_try_again: "hard",
  fraudulent: "fraud",
  authentication_required: "authentication_required",
  authentication_failed: "authentication_required",
  invalid_expiry: "invalid_data",
  processor_unavailable: "gateway_error",
  capture_failed: "gateway_error",
  void_failed: "gateway_error",
  refund_failed: "gateway_error",
  refund_refused: "gateway_error"
}

/** Codes after which a network forbids every further attempt with the card. */
const neverAgain: ReadonlySet<string> = new Set(["stolen_card", "lost_card", "do_not_try_again"])

const declinedBy = (failure: typeof Failure.Type, category?: DeclineCategory): Declined => {
  const code = failure.decline_code ?? failure.code
  const listed = Object.hasOwn(categories, code) ? categories[code] : undefined
  return {
    _tag: "Declined",
    category: category ?? listed ?? "soft",
    code: boundedCode(code),
    message: boundedMessage(failure.message ?? "declined by the gateway"),
    ...(neverAgain.has(code) ? { networkForbids: true } : {})
  }
}

/** An amount of the gateway's in our exponents, or `undefined` where it cannot be one. */
export const money = (body: { readonly amount: number; readonly currency: string }, exponents: Exponents): Money.Money | undefined => {
  const currency = Schema.decodeUnknownResult(CurrencyCode)(body.currency)
  if (Result.isFailure(currency)) return undefined
  const exponent = exponents.get(currency.success)
  if (exponent === undefined) return undefined
  const converted = Money.fromExponent({ currency: currency.success, minor: BigInt(body.amount), exponent })
  return Result.isSuccess(converted) ? converted.success : undefined
}

/** What the sandbox calls the operations. */
const kinds: { readonly [Kind in Intent["kind"]]: string } = {
  sale: "charge",
  authorize: "charge",
  confirm: "confirm",
  capture: "capture",
  void: "void",
  refund: "refund"
}

export const outcomeOfResult = (
  intent: Intent,
  result: typeof ResultBody.Type,
  exponents: Exponents
): Exclude<Outcome, { _tag: "NotSent" }> => {
  const { charge, operation, refund } = result
  if (operation.reference !== intent.requestKey || operation.kind !== kinds[intent.kind]) return contradicting
  const gatewayReference =
    intent.kind === "refund" && refund !== undefined ? refund.id : intent.kind === "capture" ? operation.id : charge.id
  switch (operation.status) {
    case "succeeded":
      return succeeded({ ...operation, id: gatewayReference }, exponents, intent.kind === "void" ? intent.amount : undefined)
    case "pending":
      return { _tag: "Pending", gatewayReference }
    case "requires_action":
      return charge.next_action === undefined
        ? unknown("unreadable", "an action is required, but none is named")
        : { _tag: "RequiresAction", gatewayReference, nextAction: charge.next_action }
    case "declined":
    case "failed":
      return { ...declinedBy(operation.failure ?? charge.failure ?? { type: "unknown", code: "declined" }), gatewayReference }
    default:
      return unknown("unreadable", `unknown status of an operation: ${operation.status.slice(0, 64)}`)
  }
}

const succeeded = (
  body: { readonly id: GatewayReference; readonly amount: number; readonly currency: string; readonly created: number },
  exponents: Exponents,
  known?: Money.Money
): Exclude<Outcome, { _tag: "NotSent" }> => {
  const amount = known ?? money(body, exponents)
  if (amount === undefined) return unknown("unreadable", "the answer's amount or currency cannot be read")
  return { _tag: "Succeeded", gatewayReference: body.id, amount, chargedAt: body.created, named: true }
}

/** What a charge, as it is now, says of the operation that made it. */
export const answerOfCharge = (charge: typeof ChargeBody.Type, exponents: Exponents): LookupAnswer => {
  switch (charge.status) {
    case "succeeded":
    case "authorized":
    case "partially_captured":
      return succeeded(charge, exponents)
    case "voided":
      return charge.amount_authorized > 0 ? succeeded(charge, exponents) : { _tag: "Absent" }
    case "pending":
      return { _tag: "Pending", gatewayReference: charge.id }
    case "requires_action":
      return charge.next_action === undefined
        ? unknown("unreadable", "an action is required, but none is named")
        : { _tag: "RequiresAction", gatewayReference: charge.id, nextAction: charge.next_action }
    case "failed":
    case "requires_payment_method":
      return { ...declinedBy(charge.failure ?? { type: "unknown", code: "declined" }), gatewayReference: charge.id }
    default:
      return unknown("unreadable", `unknown status of a charge: ${charge.status.slice(0, 64)}`)
  }
}

/** What a refund, as it is now, says of the operation that made it. */
export const answerOfRefund = (refund: typeof RefundBody.Type, exponents: Exponents): LookupAnswer => {
  switch (refund.status) {
    case "succeeded":
      return succeeded(refund, exponents)
    case "pending":
      return { _tag: "Pending", gatewayReference: refund.id }
    case "failed":
      return { ...declinedBy(refund.failure ?? { type: "unknown", code: "refund_failed" }), gatewayReference: refund.id }
    default:
      return unknown("unreadable", `unknown status of a refund: ${refund.status.slice(0, 64)}`)
  }
}
