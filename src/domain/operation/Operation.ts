/**
 * An operation: one money command at one gateway account, from its durable intent to its settled outcome.
 *
 * The intent holds everything the request is built from, so the request is a pure function of it (rule 14), and everything
 * that judging an answer needs (settle time, replay), so that history can be judged without today's configuration.
 *
 * An operation is *open* while its progress is `Intended`, `Uncertain`, `AwaitingCustomer`, `AwaitingGateway` or `InReview`.
 */
import * as Schema from "effect/Schema"
import { Money } from "../Money.ts"
import { AccountFingerprint, GatewayName, GatewayReference, OperationNumber, RequestKey } from "../payment/Ids.ts"
import { Token } from "../payment/PaymentMethod.ts"
import { StoredDecision } from "../routing/StoredDecision.ts"
import { Replay } from "./Capabilities.ts"
import type { Declined, NextAction, NotSentReason, Succeeded, UnknownReason } from "./Outcome.ts"

/** The money commands a gateway knows. `confirm` continues a payment after the customer's action. */
export const OperationKind = Schema.Literals(["authorize", "sale", "confirm", "capture", "void", "refund"])
export type OperationKind = typeof OperationKind.Type

/**
 * Why the operation was started. `close` cancels an object that a decline left open (rule 6), `reverse` undoes a charge that
 * came too late, `expire` asks the gateway to cancel what the customer never finished, `recover` cancels by our reference what can neither be asked nor sent again.
 */
export const Purpose = Schema.Literals(["charge", "continue", "capture", "cancel", "close", "expire", "recover", "reverse", "refund"])
export type Purpose = typeof Purpose.Type

const Millis = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Url = Schema.String.check(Schema.isMaxLength(2048))

/** What protects the operation from happening twice, as the gateway declared it when the intent was written. */
export const Protection = Schema.Struct({
  /** `sendBefore` of the first permission is the intent's time in the database plus this. */
  sendWindowMillis: Millis,
  settleTimeMillis: Millis,
  replay: Replay,
  replayWindowMillis: Millis,
  leavesOpenAfterDecline: Schema.Boolean
})
export type Protection = typeof Protection.Type

/** What the request is built from, beside kind and amount. */
export const RequestDetails = Schema.Struct({
  token: Schema.optionalKey(Token),
  methodType: Schema.optionalKey(Schema.String),
  returnUrl: Schema.optionalKey(Url),
  customerPresent: Schema.Boolean,
  /** The PSP's id of the object to confirm, capture, void or refund, where it is known. */
  targetReference: Schema.optionalKey(GatewayReference),
  /** The request key under which the target was created: how to find it where its id is not known. */
  targetRequestKey: Schema.optionalKey(RequestKey),
  /** Ask for the customer's authentication (3-D Secure). */
  stepUp: Schema.optionalKey(Schema.Boolean),
  /** No further capture will follow: the gateway may release the rest. */
  final: Schema.optionalKey(Schema.Boolean)
})
export type RequestDetails = typeof RequestDetails.Type

/** The durable record that an operation may be sent. */
export const Intent = Schema.Struct({
  number: OperationNumber,
  kind: OperationKind,
  purpose: Purpose,
  gateway: GatewayName,
  account: AccountFingerprint,
  adapterVersion: Schema.String,
  apiVersion: Schema.String,
  requestKey: RequestKey,
  amount: Money,
  /** The operation this one confirms, captures, voids or refunds. */
  target: Schema.optionalKey(OperationNumber),
  details: RequestDetails,
  protection: Protection,
  decision: Schema.optionalKey(StoredDecision)
})
export type Intent = typeof Intent.Type

/** A permission to send, in database time (epoch milliseconds). */
export interface Permission {
  readonly sendBefore: number
}

/** What a gateway asserted by name. Facts are kept for ever, whatever order they come in. */
export type Fact = Succeeded | Declined

/** Where an operation stands. */
export type Progress =
  | { readonly _tag: "Intended" }
  | { readonly _tag: "Uncertain"; readonly reason: UnknownReason; readonly message: string }
  | { readonly _tag: "AwaitingCustomer"; readonly nextAction: NextAction; readonly observedAt: number }
  | { readonly _tag: "AwaitingGateway" }
  | { readonly _tag: "InReview" }
  | { readonly _tag: "Succeeded"; readonly chargedAt: number | undefined; readonly failedLater: boolean; readonly voided: boolean }
  | { readonly _tag: "Declined"; readonly declined: Declined }
  | { readonly _tag: "NotSent"; readonly reason: NotSentReason; readonly message: string }
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Cancelled"; readonly by: OperationNumber }
  | { readonly _tag: "Continued"; readonly by: OperationNumber }

/** An operation as folded from the events. Times are database time in epoch milliseconds. */
export interface Operation {
  readonly intent: Intent
  readonly intendedAt: number
  readonly permissions: ReadonlyArray<Permission>
  /** How many sends the only holder of a permission reported; `undefined` while that is not known. */
  readonly sends: number | undefined
  readonly gatewayReference: GatewayReference | undefined
  readonly facts: ReadonlyArray<Fact>
  /** A gateway told that it failed after it had succeeded; it may tell so before it tells of the success. */
  readonly failureReported: boolean
  /** When it was intended, nothing of what it acts on could arrive any more: a cancel of it cannot come too early (rule 13). */
  readonly targetSettled: boolean
  /** A cancel of it took effect, whatever else is told of it, and in whatever order. */
  readonly cancelled: boolean
  /** Told as succeeded although a cancel of it took effect, when its payment had ended or gone on: it counts as charged (rule 12). */
  readonly chargedAfterCancel: boolean
  /** A person has said that it did not take effect: nothing is tried elsewhere after it, and an object that it left is closed first (rule 6). */
  readonly givenUp: boolean
  readonly progress: Progress
}

/** Open: an intent without a settled outcome. */
export const isOpen = (operation: Operation): boolean => {
  switch (operation.progress._tag) {
    case "Intended":
    case "Uncertain":
    case "AwaitingCustomer":
    case "AwaitingGateway":
    case "InReview":
      return true
    case "Succeeded":
    case "Declined":
    case "NotSent":
    case "Absent":
    case "Cancelled":
    case "Continued":
      return false
  }
}

/** The operation creates or continues the charge itself. */
export const isCharge = (operation: Operation): boolean => isChargeKind(operation.intent.kind)

/** The kinds that create or continue the charge itself. */
export const isChargeKind = (kind: OperationKind): boolean => kind === "authorize" || kind === "sale" || kind === "confirm"

/** It took effect, and no later fact took that back. */
export const tookEffect = (operation: Operation): boolean => operation.progress._tag === "Succeeded" && !operation.progress.failedLater

/** After this moment (database time) a request that was permitted can no longer take effect unseen (rule 13). */
export const settledAfter = (operation: Operation): number =>
  operation.permissions.reduce((latest, permission) => Math.max(latest, permission.sendBefore), 0) +
  operation.intent.protection.settleTimeMillis

/** Two facts are the same when they assert the same thing. */
export const factKey = (fact: Fact): string =>
  fact._tag === "Succeeded"
    ? `succeeded ${fact.gatewayReference} ${fact.amount.minor} ${fact.amount.currency}`
    : `declined ${fact.category} ${fact.code}`
