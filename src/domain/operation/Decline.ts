/**
 * Why a gateway certainly did not do what was asked, and what may follow from it.
 *
 * One table decides. `Unknown` is no decline and is not in it: an operation that may have happened is looked up, never failed
 * over (rules 1 and 3).
 */
import * as Schema from "effect/Schema"

/** The decline categories. */
export const DeclineCategory = Schema.Literals([
  "soft",
  "hard",
  "fraud",
  "authentication_required",
  "invalid_data",
  "gateway_error",
  "rate_limited",
  "configuration"
])
export type DeclineCategory = typeof DeclineCategory.Type

/** What a category allows. */
export interface Safety {
  /** May the payment be tried at another gateway? `policy` means that the merchant's routing policy says. */
  readonly otherGateway: "yes" | "policy" | "never"
  /** May a new operation go to the same gateway later? */
  readonly sameGatewayLater: "yes" | "capped" | "never" | "after_new_input"
  /** Does it lower the gateway's health? `flag` alerts a person instead. */
  readonly countsAgainstGateway: "yes" | "mildly" | "flag" | "no"
}

/** The safety table: what each decline category allows (rule 5). */
export const safetyOf: { readonly [Category in DeclineCategory]: Safety } = {
  gateway_error: { otherGateway: "yes", sameGatewayLater: "yes", countsAgainstGateway: "yes" },
  configuration: { otherGateway: "yes", sameGatewayLater: "never", countsAgainstGateway: "flag" },
  rate_limited: { otherGateway: "yes", sameGatewayLater: "yes", countsAgainstGateway: "mildly" },
  soft: { otherGateway: "policy", sameGatewayLater: "capped", countsAgainstGateway: "no" },
  authentication_required: { otherGateway: "never", sameGatewayLater: "yes", countsAgainstGateway: "no" },
  hard: { otherGateway: "never", sameGatewayLater: "never", countsAgainstGateway: "no" },
  fraud: { otherGateway: "never", sameGatewayLater: "never", countsAgainstGateway: "no" },
  invalid_data: { otherGateway: "never", sameGatewayLater: "after_new_input", countsAgainstGateway: "no" }
}

/**
 * Categories that may be answered before the PSP has looked at the request key. On the only send they settle; once another
 * send may have gone out they say nothing about it (rules 1 and 13).
 */
export const mayPrecedeKeyCheck = (category: DeclineCategory): boolean =>
  category === "gateway_error" || category === "rate_limited" || category === "configuration"
