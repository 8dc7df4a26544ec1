/**
 * The signature of the sandbox's webhooks: `Sandbox-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256(secret, "t.rawBody")>`.
 *
 * Pure: time is an argument. The raw body is what was received, byte for byte; parse it only after it was verified.
 */
import * as Redacted from "effect/Redacted"
import { createHmac, timingSafeEqual } from "node:crypto"

/** Name of the header, in lower case. */
export const headerName = "sandbox-signature"

/** Default age of a signature that is still accepted, in seconds; the value Stripe documents. */
export const defaultToleranceSeconds = 300

const digest = (secret: Redacted.Redacted, timeSeconds: number, rawBody: string): Buffer =>
  createHmac("sha256", Redacted.value(secret)).update(`${timeSeconds}.${rawBody}`).digest()

/** The header's value for a body sent at `timeSeconds`. */
export const sign = (options: { readonly secret: Redacted.Redacted; readonly timeSeconds: number; readonly rawBody: string }): string =>
  `t=${options.timeSeconds},v1=${digest(options.secret, options.timeSeconds, options.rawBody).toString("hex")}`

export type Verification = "valid" | "malformed" | "expired" | "wrong"

/** Whether the header signs the body, no more than `toleranceSeconds` away from `nowSeconds`. Compares in constant time. */
export const verify = (options: {
  readonly secret: Redacted.Redacted
  readonly header: string | undefined
  readonly rawBody: string
  readonly nowSeconds: number
  readonly toleranceSeconds?: number
}): Verification => {
  const parts = /^t=(\d{1,12}),v1=([0-9a-f]{64})$/.exec(options.header ?? "")
  const time = parts?.[1]
  const signature = parts?.[2]
  if (time === undefined || signature === undefined) return "malformed"
  const expected = digest(options.secret, Number(time), options.rawBody)
  if (!timingSafeEqual(expected, Buffer.from(signature, "hex"))) return "wrong"
  const tolerance = options.toleranceSeconds ?? defaultToleranceSeconds
  return Math.abs(options.nowSeconds - Number(time)) <= tolerance ? "valid" : "expired"
}
