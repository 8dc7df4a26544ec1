/**
 * What a call's outcome says about the gateway: to its availability, and to its approval rate.
 *
 * One table, from the decline categories' own (`safetyOf`): an issuer's decline is no fault of the gateway, nor is what we did not
 * send. `configuration` is flagged to a person instead of lowering the health; but while it lasts nothing is approved there, so it
 * counts as declined: routing must not keep offering payments to an account that cannot take them.
 */
import { type DeclineCategory, safetyOf } from "../operation/Decline.ts"
import { type Intent, isChargeKind, type OperationKind } from "../operation/Operation.ts"
import type { NotSentReason, UnknownReason } from "../operation/Outcome.ts"

/** `limited` counts mildly against the gateway; `ignored` is no call at all. */
export type Verdict = "healthy" | "failed" | "limited" | "ignored"

/** `ignored`: it says nothing of what the gateway approves. */
export type Approval = "approved" | "declined" | "ignored"

/** What of an outcome matters; an `Outcome` is one. */
export type Answered =
  | { readonly _tag: "Succeeded" | "Pending" | "RequiresAction" }
  | { readonly _tag: "Declined"; readonly category: DeclineCategory }
  | { readonly _tag: "NotSent"; readonly reason: NotSentReason }
  | { readonly _tag: "Unknown"; readonly reason: UnknownReason }

/** Did the gateway do its work? */
export const verdictOf = (outcome: Answered): Verdict => {
  switch (outcome._tag) {
    case "Succeeded":
    case "Pending":
    case "RequiresAction":
      return "healthy"
    case "Declined":
      return verdictOfDecline[safetyOf[outcome.category].countsAgainstGateway]
    case "NotSent":
      return outcome.reason === "name_not_resolved" || outcome.reason === "connection_refused" || outcome.reason === "connection_not_made"
        ? "failed"
        : "ignored"
    case "Unknown":
      return outcome.reason === "interrupted" || outcome.reason === "conflict" ? "ignored" : "failed"
  }
}

const verdictOfDecline = { yes: "failed", mildly: "limited", flag: "healthy", no: "healthy" } as const

/** What of an operation matters to approvals. */
export interface Asked {
  readonly kind: OperationKind
  /** Is it the payment's first charge, or what continued that at the same gateway? */
  readonly isFirst: boolean
}

const first = 1

/** What an intent asks for. A customer's confirmation, and a repetition with their authentication, belong to the charge before. */
export const askedOf = ({ decision, details, kind, number, target }: Intent): Asked => ({
  kind,
  isFirst: number === first || target === first || (details.stepUp === true && decision?.after === first)
})

/**
 * Was the payment approved? Only a first charge tells: what comes to a gateway by failover was declined elsewhere before, so whoever is often
 * second would look worse than it is. Of the declines only those count that another gateway might have approved and that are not counted as its
 * unavailability already: soft ones and wrong configurations. Only charges are approved or declined.
 */
export const approvalOf = ({ isFirst, kind }: Asked, outcome: Answered): Approval => {
  if (!isFirst || !isChargeKind(kind)) return "ignored"
  if (outcome._tag === "Succeeded") return "approved"
  if (outcome._tag !== "Declined") return "ignored"
  const { countsAgainstGateway, otherGateway } = safetyOf[outcome.category]
  return otherGateway !== "never" && (countsAgainstGateway === "no" || countsAgainstGateway === "flag") ? "declined" : "ignored"
}
