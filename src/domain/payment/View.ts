/**
 * A payment as it is shown: the projection that the store keeps and the body that the HTTP interface answers.
 *
 * Amounts are integers in minor units. Nothing here is secret: no token, no request detail.
 */
import * as Schema from "effect/Schema"
import { CurrencyCode } from "../Currency.ts"
import { FraudSummary } from "../hooks/Verdict.ts"
import { DeclineCategory } from "../operation/Decline.ts"
import { OperationKind, Purpose, type Operation } from "../operation/Operation.ts"
import { NextAction } from "../operation/Outcome.ts"
import { CaptureMethod, Metadata, ReviewReason } from "./Event.ts"
import { GatewayName, OperationNumber, PaymentId, TenantId } from "./Ids.ts"
import type { Payment } from "./State.ts"
import { type Amounts, amounts, doubled, PaymentStatus, standing, status } from "./Status.ts"

/** Where an operation stands, for people and programs. */
export const OperationStatus = Schema.Literals([
  "processing",
  "unknown",
  "requires_action",
  "pending",
  "needs_review",
  "succeeded",
  "failed_later",
  "declined",
  "not_sent",
  "not_charged",
  "cancelled",
  "continued"
])
export type OperationStatus = typeof OperationStatus.Type

/** Minor units as a JSON integer, within +-(2^53-1). */
const Minor = Schema.Int

export const OperationView = Schema.Struct({
  number: OperationNumber,
  kind: OperationKind,
  purpose: Purpose,
  gateway: GatewayName,
  status: OperationStatus,
  amount: Minor
})
export type OperationView = typeof OperationView.Type

export const Failure = Schema.Struct({ category: Schema.NullOr(DeclineCategory), code: Schema.String, message: Schema.String })

export const PaymentView = Schema.Struct({
  id: PaymentId,
  tenant: TenantId,
  status: PaymentStatus,
  amount: Minor,
  currency: CurrencyCode,
  amountAuthorized: Minor,
  amountCaptured: Minor,
  amountRefunded: Minor,
  amountDisputed: Minor,
  /** A second charge for the same payment, which came too late: what it holds, what it took, and what was given back. In no other amount. */
  doubleCharge: Schema.optionalKey(Schema.Struct({ amountAuthorized: Minor, amountCaptured: Minor, amountRefunded: Minor })),
  gateway: Schema.optionalKey(GatewayName),
  captureMethod: CaptureMethod,
  failure: Schema.optionalKey(Failure),
  /** What the host's fraud checks said; absent where there were none. */
  fraud: Schema.optionalKey(FraudSummary),
  nextAction: Schema.optionalKey(NextAction),
  cancelRequested: Schema.Boolean,
  reviews: Schema.Array(Schema.Struct({ operation: OperationNumber, reason: ReviewReason, evidence: Schema.String })),
  operations: Schema.Array(OperationView),
  version: Schema.Int,
  /** Epoch milliseconds, database time. */
  createdAt: Schema.Int,
  updatedAt: Schema.Int,
  metadata: Metadata
})
export type PaymentView = typeof PaymentView.Type

/** Shows a payment. What it does not have is left out: fields are added in place, since every spread would copy it once more. */
export const ofPayment = (payment: Payment): PaymentView => {
  const total = amounts(payment)
  const shown = status(payment, total)
  const { details, ended } = payment
  const view: { -readonly [Field in keyof PaymentView]: PaymentView[Field] } = {
    id: payment.id,
    tenant: details.tenant,
    status: shown,
    amount: Number(details.amount.minor),
    currency: details.amount.currency,
    amountAuthorized: Number(total.authorized),
    amountCaptured: Number(total.captured),
    amountRefunded: Number(total.refunded),
    amountDisputed: Number(total.disputed),
    captureMethod: details.captureMethod,
    cancelRequested: payment.cancelRequested,
    reviews: reviewsOf(payment),
    operations: payment.operations.map(viewOfOperation),
    version: payment.version,
    createdAt: payment.createdAt,
    updatedAt: payment.updatedAt,
    metadata: details.metadata
  }
  const gateway = (standing(payment) ?? payment.operations.findLast((operation) => operation.intent.purpose === "charge"))?.intent.gateway
  if (gateway !== undefined) view.gateway = gateway
  const double = doubled(payment)
  if (double !== undefined) view.doubleCharge = doubleChargeOf(double)
  if (ended?.as === "failed") view.failure = { category: ended.category, code: ended.code, message: ended.message }
  if (payment.fraud !== undefined) view.fraud = payment.fraud
  const action = shown === "requires_action" ? awaitedAction(payment) : undefined
  if (action !== undefined) view.nextAction = action
  return view
}

const reviewsOf = ({ reviews }: Payment): PaymentView["reviews"] =>
  reviews.some(({ evidence }) => evidence.length > maxEvidence)
    ? reviews.map((review) => ({ ...review, evidence: review.evidence.slice(0, maxEvidence) }))
    : reviews

const awaitedAction = ({ operations }: Payment): NextAction | undefined => {
  const progress = operations.findLast((operation) => operation.progress._tag === "AwaitingCustomer")?.progress
  return progress?._tag === "AwaitingCustomer" ? progress.nextAction : undefined
}

/** The most characters of a review's evidence that are shown. */
const maxEvidence = 1_000

/** Where something may be held at the gateway, and nothing is in progress or for a person to look at. */
const holding: ReadonlySet<PaymentStatus> = new Set<PaymentStatus>([
  "authorized",
  "partially_captured",
  "partially_refunded",
  "refunded",
  "disputed"
])

/** Does a gateway hold something of it that is not captured? */
export const isHeld = ({ amountAuthorized, amountCaptured, status }: PaymentView): boolean =>
  holding.has(status) && amountAuthorized > amountCaptured

const doubleChargeOf = (total: Amounts) => ({
  amountAuthorized: Number(total.authorized),
  amountCaptured: Number(total.captured),
  amountRefunded: Number(total.refunded)
})

const viewOfOperation = (operation: Operation): OperationView => ({
  number: operation.intent.number,
  kind: operation.intent.kind,
  purpose: operation.intent.purpose,
  gateway: operation.intent.gateway,
  status: statusOfOperation(operation),
  amount: Number(operation.intent.amount.minor)
})

/** The status of an operation, as shown. */
export const statusOfOperation = (operation: Operation): OperationStatus => {
  const progress = operation.progress
  switch (progress._tag) {
    case "Intended":
      return "processing"
    case "Uncertain":
      return "unknown"
    case "AwaitingCustomer":
      return "requires_action"
    case "AwaitingGateway":
      return "pending"
    case "InReview":
      return "needs_review"
    case "Succeeded":
      return progress.failedLater ? "failed_later" : "succeeded"
    case "Declined":
      return "declined"
    case "NotSent":
      return "not_sent"
    case "Absent":
      return "not_charged"
    case "Cancelled":
      return "cancelled"
    case "Continued":
      return "continued"
  }
}
