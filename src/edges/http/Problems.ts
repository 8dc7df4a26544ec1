/**
 * Every error of the HTTP interface: RFC 9457 problem details with a stable `code`.
 *
 * `problems` is the table of codes, with status and title; docs/errors.md explains each. `ofEngineError` is the one place where an
 * error of the engine becomes a problem. A problem never repeats a secret, a card number or a value that was sent.
 *
 * Gotcha: codes are promises to programs. Add, never rename.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { CommandRefused, RefusalReason } from "../../domain/payment/Command.ts"
import type { EventContinuityError } from "../../domain/payment/Replay.ts"
import type { ModifyError } from "../../orchestration/payment/Payments.ts"
import type { NoUsableGateway } from "../../orchestration/payment/Errors.ts"
import type { EventStoreError } from "../../services/EventStore.ts"
import type { Problem as FieldProblem } from "../config/Issues.ts"

/** Code, HTTP status and title of every problem. */
export const problems = {
  malformed_json: { status: 400, title: "The body is not valid JSON" },
  invalid_request: { status: 400, title: "The request is not as described" },
  card_number_refused: { status: 400, title: "The request holds a card number" },
  idempotency_key_missing: { status: 400, title: "An Idempotency-Key header is required" },
  idempotency_key_invalid: { status: 400, title: "The Idempotency-Key header is not valid" },
  unauthorized: { status: 401, title: "A valid API key is required" },
  webhook_not_verified: { status: 401, title: "The signature of the webhook does not hold" },
  scope_missing: { status: 403, title: "The API key may not do this" },
  not_found: { status: 404, title: "There is nothing at this address" },
  payment_not_found: { status: 404, title: "There is no such payment" },
  breaker_not_found: { status: 404, title: "There is no such circuit breaker" },
  method_not_allowed: { status: 405, title: "This address does not take this method" },
  request_timeout: { status: 408, title: "The request took too long to arrive" },
  request_in_progress: { status: 409, title: "The first request with this key is in progress" },
  operation_in_progress: { status: 409, title: "Another operation of the payment is in progress" },
  illegal_in_status: { status: 409, title: "The payment's status does not allow this" },
  already_captured: { status: 409, title: "The payment can be captured only once" },
  too_late: { status: 409, title: "The time for this is over" },
  too_many_operations: { status: 409, title: "The payment has the most operations it may have" },
  operation_refused: { status: 409, title: "The operation is not possible" },
  too_many_conflicts: { status: 409, title: "The payment kept changing" },
  body_too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "The body must be JSON" },
  idempotency_key_reused: { status: 422, title: "The key was used for another request" },
  amount_exceeded: { status: 422, title: "The amount is more than is left" },
  amount_not_positive: { status: 422, title: "The amount must be greater than zero" },
  currency_mismatch: { status: 422, title: "The payment is in another currency" },
  no_usable_gateway: { status: 422, title: "No gateway can take this payment" },
  rate_limited: { status: 429, title: "Too many requests" },
  headers_too_large: { status: 431, title: "The headers are too large" },
  body_already_read: { status: 500, title: "The body was read before this interface could" },
  internal_error: { status: 500, title: "Something went wrong" },
  payment_halted: { status: 500, title: "The payment's history cannot be read" },
  not_accepting: { status: 503, title: "No new operations are accepted at the moment" },
  database_unavailable: { status: 503, title: "The database cannot be reached" },
  outcome_unknown: { status: 503, title: "It is not known whether the request took effect" },
  gateway_not_configured: { status: 503, title: "The payment's gateway is not configured" },
  rate_limits_unavailable: { status: 503, title: "The rate limits cannot be checked" }
} as const

export type ProblemCode = keyof typeof problems

/** A problem on its way to the caller. `detail` is for people and must hold nothing secret. */
export class Problem extends Data.TaggedError("Problem")<{
  readonly code: ProblemCode
  readonly detail: string
  /** What is wrong with which field. */
  readonly errors?: ReadonlyArray<FieldProblem>
  readonly retryAfterSeconds?: number
  readonly headers?: Readonly<Record<string, string>>
}> {}

/** The correlation id of the request in hand. */
export const CorrelationId = Context.Reference<string>("aegispay/edges/http/CorrelationId", { defaultValue: () => "" })

/** The media type of every error. */
export const contentType = "application/problem+json"

/** The body of a problem. `type` names the code; there is nothing to fetch there. */
export const bodyOf = (problem: Problem, correlationId: string) => ({
  type: `urn:aegispay:problem:${problem.code}`,
  title: problems[problem.code].title,
  status: problems[problem.code].status,
  detail: problem.detail,
  code: problem.code,
  ...(problem.errors === undefined ? {} : { errors: problem.errors }),
  ...(correlationId === "" ? {} : { correlationId })
})

/** The answer to a problem. */
export const toResponse = (problem: Problem): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.map(CorrelationId, (correlationId) =>
    HttpServerResponse.jsonUnsafe(bodyOf(problem, correlationId), {
      status: problems[problem.code].status,
      contentType,
      headers: {
        ...problem.headers,
        ...(problem.retryAfterSeconds === undefined ? {} : { "retry-after": String(problem.retryAfterSeconds) })
      }
    })
  )

/** What the programs may fail with. */
export type EngineError = ModifyError | NoUsableGateway

/** An error of the engine as a problem. */
export const ofEngineError = (error: EngineError): Problem => {
  switch (error._tag) {
    case "IdempotencyKeyReused":
      return new Problem({
        code: "idempotency_key_reused",
        detail: "This Idempotency-Key was used before with another request; use a new key for a new request."
      })
    case "RequestInProgress":
      return new Problem({
        code: "request_in_progress",
        detail: "The first request with this Idempotency-Key is still in progress; repeat it with the same key.",
        retryAfterSeconds: Math.max(1, Math.ceil(error.retryAfterMillis / 1000))
      })
    case "PaymentNotFound":
      return paymentNotFound
    case "CommandRefused":
      return ofRefusal(error)
    case "NoUsableGateway":
      return new Problem({
        code: "no_usable_gateway",
        detail: "No configured gateway can take this payment; errors says why for each.",
        errors: error.excluded.map(({ gateway, message }) => ({ path: gateway, message }))
      })
    case "NotAccepting":
      return new Problem({
        code: "not_accepting",
        detail: "Outcomes wait for the database; nothing was started. Retry with the same Idempotency-Key.",
        retryAfterSeconds: 5
      })
    case "TooManyConflicts":
      return new Problem({
        code: "too_many_conflicts",
        detail: "The payment changed each time this was decided; nothing was started. Retry with the same Idempotency-Key.",
        retryAfterSeconds: 1
      })
    case "GatewayNotConfigured":
      return new Problem({ code: "gateway_not_configured", detail: "The gateway that holds this payment is not configured here." })
    case "EventStoreError":
      return ofStoreError(error)
    case "EventContinuityError":
      return ofBrokenHistory(error)
  }
}

/** Also what another merchant's payment answers, and an id that cannot be one. */
export const paymentNotFound = new Problem({ code: "payment_not_found", detail: "This merchant has no payment with this id." })

/** No more is said of what nobody foresaw. */
export const internalError = new Problem({
  code: "internal_error",
  detail: "The request failed unexpectedly. A money command may be repeated with the same Idempotency-Key."
})

const ofStoreError = (error: EventStoreError): Problem => {
  if (error.isAmbiguous) {
    return new Problem({
      code: "outcome_unknown",
      detail: "The database did not confirm the request, which may have taken effect. Retry with the same Idempotency-Key.",
      retryAfterSeconds: 1
    })
  }
  return error.isRetryable
    ? new Problem({
        code: "database_unavailable",
        detail: "The database cannot be reached; nothing was started. Retry with the same Idempotency-Key.",
        retryAfterSeconds: 1
      })
    : internalError
}

const ofBrokenHistory = (_error: EventContinuityError): Problem =>
  new Problem({ code: "payment_halted", detail: "The history of this payment has a gap; it is halted until somebody has looked at it." })

const codeOfRefusal: { readonly [Tag in RefusalReason["_tag"]]: ProblemCode } = {
  IllegalInStatus: "illegal_in_status",
  OperationInProgress: "operation_in_progress",
  AmountExceeded: "amount_exceeded",
  CurrencyMismatch: "currency_mismatch",
  AmountNotPositive: "amount_not_positive",
  AlreadyCaptured: "already_captured",
  ResendNotAllowed: "operation_refused",
  TooLate: "too_late",
  OtherAccount: "operation_refused",
  TooManyOperations: "too_many_operations"
}

const ofRefusal = (refused: CommandRefused): Problem => {
  const code = codeOfRefusal[refused.reason._tag]
  return new Problem({ code, detail: refused.message, ...(code === "operation_in_progress" ? { retryAfterSeconds: 1 } : {}) })
}
