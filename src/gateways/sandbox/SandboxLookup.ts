/**
 * Questions to the sandbox in its wire format: where they are asked, and what an answer means. Pure.
 */
import * as Result from "effect/Result"
import type { Intent } from "../../domain/operation/Operation.ts"
import type { GatewayReference } from "../../domain/payment/Ids.ts"
import type { HoldAnswer, LookupAnswer } from "../../services/Gateway.ts"
import { type Answer, unknown } from "../HttpGateway.ts"
import * as Wire from "./SandboxWire.ts"

/** Where a look-up asks: by the PSP's id where it names a charge or a refund, by our reference otherwise. */
export const lookupPath = (intent: Intent, reference: GatewayReference | undefined): string => {
  if (reference !== undefined && intent.kind === "refund") return `/v1/refunds/${Wire.segment(reference)}`
  if (reference !== undefined && (intent.kind === "sale" || intent.kind === "authorize")) {
    return `/v1/charges/${Wire.segment(reference)}`
  }
  return `/v1/operations?reference=${Wire.segment(intent.requestKey)}`
}

/**
 * What the answer to a look-up means. Absent is only what the gateway itself does not find under our reference: a 404 of anything
 * else (a wrong address, a proxy) says nothing, and neither does one for an id that the gateway gave.
 */
export const toLookupAnswer = (intent: Intent, path: string, answer: Answer, exponents: Wire.Exponents): LookupAnswer => {
  if (answer.status === 404) return outcomeOfNotFound(path, answer)
  if (answer.status !== 200)
    return unknown(answer.status >= 500 ? "server_error" : "unreadable", `the look-up was answered ${answer.status}`)
  if (path.startsWith("/v1/charges/")) {
    const decoded = Wire.decodeCharge(answer.text)
    return Result.isSuccess(decoded) ? outcomeOfCharge(intent, decoded.success, exponents) : Wire.unreadable(answer)
  }
  if (path.startsWith("/v1/refunds/")) {
    const decoded = Wire.decodeRefund(answer.text)
    return Result.isSuccess(decoded) ? outcomeOfRefund(intent, decoded.success, exponents) : Wire.unreadable(answer)
  }
  const decoded = Wire.decodeResult(answer.text)
  if (Result.isFailure(decoded)) return Wire.unreadable(answer)
  if ((decoded.success.matches ?? 1) > 1) {
    return unknown("conflict", `${decoded.success.matches} operations at the gateway carry this reference; a person has to look`)
  }
  // The object was cancelled before anything was charged.
  return decoded.success.operation.status === "cancelled" ? { _tag: "Absent" } : Wire.outcomeOfResult(intent, decoded.success, exponents)
}

const outcomeOfNotFound = (path: string, answer: Answer): LookupAnswer => {
  const decoded = Wire.decodeError(answer.text)
  if (Result.isFailure(decoded) || decoded.success.error.code !== "not_found") return Wire.unreadable(answer)
  return path.startsWith("/v1/operations?")
    ? { _tag: "Absent" }
    : unknown("conflict", "the gateway does not find the object whose id it gave")
}

const outcomeOfCharge = (intent: Intent, charge: typeof Wire.ChargeBody.Type, exponents: Wire.Exponents): LookupAnswer =>
  charge.reference === intent.requestKey ? Wire.answerOfCharge(charge, exponents) : Wire.contradicting

/** What is left of an authorization: the answer to a look-up of its charge by id. */
export const toHoldAnswer = (intent: Intent, path: string, answer: Answer): HoldAnswer => {
  const decoded = answer.status === 200 ? Wire.decodeCharge(answer.text) : undefined
  if (decoded === undefined || Result.isFailure(decoded)) {
    const missing = answer.status === 404 ? outcomeOfNotFound(path, answer) : undefined
    return missing?._tag === "Unknown" ? missing : Wire.unreadable(answer)
  }
  const { reference, released, status } = decoded.success
  if (reference !== intent.requestKey) return Wire.contradicting
  if (status === "voided" || released === true) return { _tag: "Released" }
  const isStanding = status === "authorized" || status === "partially_captured" || status === "succeeded"
  return isStanding ? { _tag: "Held" } : unknown("unreadable", `a hold is in status ${status.slice(0, 64)}`)
}

const outcomeOfRefund = (intent: Intent, refund: typeof Wire.RefundBody.Type, exponents: Wire.Exponents): LookupAnswer =>
  refund.reference === intent.requestKey ? Wire.answerOfRefund(refund, exponents) : Wire.contradicting
