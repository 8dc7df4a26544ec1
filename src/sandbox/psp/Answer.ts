/**
 * What a transition answers, and the answers that several of them share. Pure.
 */
import type { Failure } from "../MagicTokens.ts"
import type { Change, Charge, Operation } from "./PspState.ts"
import { errorJson, type Json } from "./Render.ts"

export interface Answer {
  readonly status: number
  readonly body: Json
}

/** An answer, and the change that it reports; no change when the command was refused. */
export interface Decision {
  readonly answer: Answer
  readonly change?: Change
}

export const refuse = (
  status: number,
  error: Failure & { readonly param?: string },
  about?: { readonly operation?: Operation; readonly charge?: Charge }
): Decision => ({ answer: { status, body: errorJson(error, about) } })

export const invalid = (param: string, code: string, message: string): Decision =>
  refuse(400, { type: "invalid_request_error", code, message, param })

export const notFound = (what: string): Decision =>
  refuse(404, { type: "invalid_request_error", code: "not_found", message: `No such ${what}.` })

export const invalidState = (charge: Charge, message: string): Decision =>
  refuse(409, { type: "invalid_request_error", code: "invalid_state", message }, { charge })

export const capacity = (message: string): Decision => refuse(503, { type: "api_error", code: "capacity", message })
