/**
 * What can be asked of a payment, and how a request is refused.
 *
 * Commands carry what they need: the terms of the gateway, the time, the proof. `FailOver` and `EndPayment` take a
 * `NotCharged`, which only `settle` makes: failing over after an unknown outcome does not compile.
 */
import * as Schema from "effect/Schema"
import type { HookName } from "../hooks/HookKind.ts"
import type { EnrichedField } from "../hooks/Records.ts"
import type { RecordedVerdict } from "../hooks/Verdict.ts"
import type { Money } from "../Money.ts"
import type { OperationCapabilities } from "../operation/Capabilities.ts"
import type { OperationKind } from "../operation/Operation.ts"
import type { Declined, Succeeded } from "../operation/Outcome.ts"
import type { Absent, NotCharged, Settlement } from "../operation/Settle.ts"
import type { RoutingDecision } from "../routing/Decision.ts"
import { OperationNumber } from "./Ids.ts"
import type { AccountFingerprint, GatewayName } from "./Ids.ts"
import type { PaymentDetails, ReviewReason, Source } from "./Event.ts"
import { PaymentStatus } from "./Status.ts"

/** What an intent takes from the gateway it goes to. */
export interface GatewayTerms {
  readonly gateway: GatewayName
  readonly account: AccountFingerprint
  readonly adapterVersion: string
  readonly apiVersion: string
  readonly captures: "single" | "multiple"
  readonly capabilitiesOf: (kind: OperationKind) => OperationCapabilities
  /** How long the writer of an intent may send it, in milliseconds. */
  readonly sendWindowMillis: number
}

/** What hooks said of a payment that may go on, and what they added to it. */
export interface Screening {
  /** The names of the validations it passed. */
  readonly validations: ReadonlyArray<HookName>
  readonly verdicts: ReadonlyArray<RecordedVerdict>
  readonly enriched: ReadonlyArray<EnrichedField>
}

/** Why a payment may not go on. `verdicts`: of the fraud checks, if it came to them. */
export interface Block {
  readonly check: "pre_validation" | "fraud_check"
  readonly by: HookName
  readonly code: string
  readonly message: string
  readonly verdicts: ReadonlyArray<RecordedVerdict>
}

export type Command =
  | {
      readonly _tag: "InitiatePayment"
      /** As it was asked for. */
      readonly details: PaymentDetails
      /** What hooks said and added; absent where none had a part in it. */
      readonly screening?: Screening | undefined
      readonly terms: GatewayTerms
      readonly decision: RoutingDecision
    }
  /** A hook ends the payment before anything is sent. */
  | { readonly _tag: "BlockPayment"; readonly details: PaymentDetails; readonly block: Block }
  | {
      readonly _tag: "FailOver"
      readonly after: NotCharged
      readonly terms: GatewayTerms
      readonly now: number
      /** The same gateway again, asking for the customer's authentication. */
      readonly stepUp: boolean
      /** Why it goes there; stored with the intent. */
      readonly decision?: RoutingDecision | undefined
    }
  /** `now`: database time. */
  | { readonly _tag: "ConfirmPayment"; readonly terms: GatewayTerms; readonly now: number }
  | { readonly _tag: "CapturePayment"; readonly amount: Money | undefined; readonly final: boolean; readonly terms: GatewayTerms }
  | { readonly _tag: "RefundPayment"; readonly amount: Money | undefined; readonly terms: GatewayTerms }
  /** Cancels at the gateway what can be cancelled now, or records the wish where the outcome is still awaited. */
  | { readonly _tag: "CancelPayment"; readonly purpose: "cancel" | "expire"; readonly terms: GatewayTerms }
  /** Closes an object that a decline left open (rule 6). */
  | { readonly _tag: "CloseDeclined"; readonly operation: OperationNumber; readonly terms: GatewayTerms }
  /** Cancels by our reference a charge whose outcome nobody can find out (recovery). */
  | { readonly _tag: "CancelUncertain"; readonly operation: OperationNumber; readonly terms: GatewayTerms }
  /** Undoes a charge that came too late: a void where it is only authorized, a refund where it is captured. */
  | { readonly _tag: "ReverseLate"; readonly operation: OperationNumber; readonly terms: GatewayTerms }
  | {
      readonly _tag: "PermitResend"
      readonly operation: OperationNumber
      readonly now: number
      readonly sendWindowMillis: number
      readonly reason: string
    }
  | {
      readonly _tag: "RecordSettlement"
      readonly operation: OperationNumber
      readonly settlement: Settlement
      readonly source: Source
      /** Database time when it was asked or answered. */
      readonly observedAt: number
    }
  | { readonly _tag: "EndPayment"; readonly after: NotCharged; readonly as: "failed" | "cancelled" | "expired" }
  /** `about`: what it is opened for, where that has a name: a person hears of each once. */
  | {
      readonly _tag: "OpenReview"
      readonly operation: OperationNumber
      readonly reason: ReviewReason
      readonly evidence: string
      readonly about?: string
    }
  | { readonly _tag: "ReportFailure"; readonly operation: OperationNumber; readonly source: Source; readonly message: string }
  /** A person's word on an operation that needs review, or is in doubt. It closes the reviews of the operation. */
  | {
      readonly _tag: "ResolveByPerson"
      readonly operation: OperationNumber
      /** `Declined`: what the gateway answered when it was asked, and the person says as well. */
      readonly word: Succeeded | Declined | Absent
      /** Why, in the person's words; at most 1,000 characters are kept. */
      readonly note: string
      /** Database time when the person said so. */
      readonly saidAt: number
    }
  /** What a hook found wrong with a payment that came to rest. Nothing follows from it. */
  | { readonly _tag: "RecordFinding"; readonly by: HookName; readonly code: string; readonly message: string }
  | {
      readonly _tag: "ReportDispute"
      readonly disputeId: string
      readonly amount: Money
      readonly status: "open" | "won" | "lost"
      /** When the gateway says it came to this, where it does. */
      readonly at?: number
    }

/** Why a command was refused. */
export const RefusalReason = Schema.Union([
  /** The payment's status does not allow this command. */
  Schema.TaggedStruct("IllegalInStatus", {}),
  /** Another operation that excludes this one is open: try again when it has ended. */
  Schema.TaggedStruct("OperationInProgress", { operation: OperationNumber }),
  /** More than is left. Amounts in minor units. */
  Schema.TaggedStruct("AmountExceeded", { requested: Schema.BigInt, available: Schema.BigInt }),
  Schema.TaggedStruct("CurrencyMismatch", { expected: Schema.String, actual: Schema.String }),
  /** The amount is zero or negative. */
  Schema.TaggedStruct("AmountNotPositive", {}),
  /** The gateway accepts one capture only, and there was one. */
  Schema.TaggedStruct("AlreadyCaptured", {}),
  /** Rules 3, 12 and 14: the request may not be sent again. */
  Schema.TaggedStruct("ResendNotAllowed", { why: Schema.String }),
  /** The time for completing the payment is over (rule 12). */
  Schema.TaggedStruct("TooLate", {}),
  /** The gateway or its account is not the one the operation went to (rule 14). */
  Schema.TaggedStruct("OtherAccount", {}),
  /** A payment may have at most 1,000 operations. */
  Schema.TaggedStruct("TooManyOperations", {})
])
export type RefusalReason = typeof RefusalReason.Type

/** A command that the payment's state does not allow. Nothing was changed. */
export class CommandRefused extends Schema.TaggedError<CommandRefused>()("CommandRefused", {
  command: Schema.String,
  status: PaymentStatus,
  reason: RefusalReason
}) {
  override get message(): string {
    return `${this.command} refused while the payment is ${this.status}: ${explain(this.reason)}`
  }
}

const explain = (reason: RefusalReason): string => {
  switch (reason._tag) {
    case "IllegalInStatus":
      return "this status does not allow it"
    case "OperationInProgress":
      return `operation ${reason.operation} is still open; wait for its outcome`
    case "AmountExceeded":
      return `${reason.requested} requested, ${reason.available} available (minor units)`
    case "CurrencyMismatch":
      return `the payment is in ${reason.expected}, not ${reason.actual}`
    case "AmountNotPositive":
      return "the amount must be greater than zero"
    case "AlreadyCaptured":
      return "the gateway accepts a single capture and there was one"
    case "ResendNotAllowed":
      return reason.why
    case "TooLate":
      return "the time for completing the payment is over"
    case "OtherAccount":
      return "the operation belongs to another gateway account"
    case "TooManyOperations":
      return "the payment has the most operations it may have (1,000)"
  }
}
