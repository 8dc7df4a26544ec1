/**
 * What a caller makes of an answer, whichever way it came: how a charge went, and whether the request is to be repeated under its key.
 */
import type { DeclineCategory } from "../../operation/Decline.ts"
import { safetyOf } from "../../operation/Decline.ts"
import type { PaymentView } from "../../payment/View.ts"
import * as Presets from "../../Presets.ts"
import type { Answer, End } from "./Recorder.ts"

/** The part of a payment that tells how it went. */
export type Shown = Pick<PaymentView, "status"> & {
  readonly failure?: { readonly category: DeclineCategory | null; readonly code: string } | undefined
}

/** How a charge went, and why it did not go well. */
export interface Judged {
  readonly answer: Answer
  readonly error: string | undefined
}

const good: ReadonlySet<string> = new Set([
  "authorized",
  "partially_captured",
  "succeeded",
  "partially_refunded",
  "refunded",
  "disputed"
] satisfies ReadonlyArray<PaymentView["status"]>)

/** Of a payment that was answered. */
export const ofPayment = ({ failure, status }: Shown): Judged => {
  if (good.has(status)) return { answer: "succeeded", error: undefined }
  switch (status) {
    case "failed":
      return isBanks(failure?.category)
        ? { answer: "declined", error: undefined }
        : { answer: "failed", error: failure?.category ?? failure?.code ?? "failed" }
    case "cancelled":
    case "expired":
      return { answer: "failed", error: status }
    default:
      return { answer: "in_doubt", error: status }
  }
}

/** A decline that says nothing about the gateway: the customer's bank refused. */
const isBanks = (category: DeclineCategory | null | undefined): boolean =>
  category !== null && category !== undefined && safetyOf[category].countsAgainstGateway === "no"

/** What has become of a charge when nothing goes on any more. `answer`: what its caller was told. `undefined`: no such payment was made. */
export const endOf = (shown: Shown | undefined, answer: Answer | undefined): End => {
  if (shown === undefined) return "failed"
  // The caller has cancelled what it had got.
  if (shown.status === "cancelled" && answer === "succeeded") return "succeeded"
  const judged = ofPayment(shown)
  return judged.answer === "in_doubt" ? "unsettled" : judged.answer
}

/** Codes of errors after which the same request may be repeated with the same key; those of the HTTP interface. */
const repeatable: ReadonlySet<string> = new Set([
  "request_in_progress",
  "operation_in_progress",
  "not_accepting",
  "database_unavailable",
  "outcome_unknown",
  "too_many_conflicts",
  "rate_limited",
  "rate_limits_unavailable",
  "connection_lost"
])

/** Codes that leave open whether the request took effect. */
const ambiguous: ReadonlySet<string> = new Set(["request_in_progress", "outcome_unknown", "connection_lost", "internal_error"])

/** How long a caller waits before it repeats a request that met this error for the n-th time, from 1; `undefined`: it does not. */
export const waitBeforeRepeating = (code: string, times: number): number | undefined =>
  repeatable.has(code) && times <= Presets.experiment.callerRetries.value
    ? Presets.experiment.callerRetryMillis.value * 2 ** (times - 1)
    : undefined

/** Of a request that was not answered with a payment in the end. */
export const ofError = (code: string): Judged => ({ answer: ambiguous.has(code) ? "in_doubt" : "failed", error: code })
