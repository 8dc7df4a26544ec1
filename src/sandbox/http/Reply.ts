/**
 * Requests and replies of the sandbox without a transport, and the replies that do not come from the core. Pure.
 */
import { type Answer, refuse } from "../psp/Answer.ts"

/** A request as the sandbox sees it; header names are lower case, `path` is without the query. */
export interface WireRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

export interface Response {
  readonly _tag: "Response"
  readonly status: number
  readonly contentType: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** An HTTP response, or a connection that is destroyed without one. */
export type Reply = Response | { readonly _tag: "Reset" }

export const reset: Reply = { _tag: "Reset" }

export const text = (
  status: number,
  body: string,
  options?: { readonly contentType?: string; readonly headers?: Readonly<Record<string, string>> }
): Response => ({
  _tag: "Response",
  status,
  contentType: options?.contentType ?? "application/json",
  headers: options?.headers ?? {},
  body
})

export const json = (answer: Answer, headers?: Readonly<Record<string, string>>): Response =>
  text(answer.status, JSON.stringify(answer.body), headers === undefined ? {} : { headers })

export const error = (status: number, type: string, code: string, message: string): Response =>
  json(refuse(status, { type, code, message }).answer)

/** The answer of an injected server error, also the one that is stored under the key. */
export const serverError: Answer = refuse(500, {
  type: "api_error",
  code: "internal_error",
  message: "An internal error occurred."
}).answer

export const unavailable = error(503, "api_error", "service_unavailable", "The service is temporarily unavailable.")

export const rateLimited = json(refuse(429, { type: "rate_limit_error", code: "rate_limited", message: "Too many requests." }).answer, {
  "retry-after": "1"
})

export const notAllowed = error(403, "account_error", "account_not_allowed", "The account may not do this.")

export const unauthorized = error(401, "authentication_error", "invalid_api_key", "The API key is missing or wrong.")

export const noRoute = error(404, "invalid_request_error", "unknown_path", "There is nothing at this path.")

export const tooLarge = error(413, "invalid_request_error", "body_too_large", "The body has more than 64 KiB.")

export const broken = error(500, "api_error", "storage_failed", "The sandbox cannot write its journal.")
