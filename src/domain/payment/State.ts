/**
 * The state of a payment, folded from its events: operations by number, and what they add up to.
 *
 * `evolve` is total and never rejects: history already happened. It is written so that the same truths in any order and any
 * number of times end in the same operations (rule 17): facts of an operation are a sorted set, and what is in progress only
 * moves forward.
 */
import * as Enrichment from "../hooks/Enrichment.ts"
import type { HookName } from "../hooks/HookKind.ts"
import { combine, type FraudSummary, type RecordedVerdict } from "../hooks/Verdict.ts"
import { advance, counted, decided, failed, intended, learn, withFact } from "../operation/Advance.ts"
import { type Fact, isCharge, isOpen, type Operation } from "../operation/Operation.ts"
import type { OperationNumber, PaymentId } from "./Ids.ts"
import type { PaymentDetails, PaymentEvent, ReviewReason, Source } from "./Event.ts"
import { type DeclineCategory, mayPrecedeKeyCheck } from "../operation/Decline.ts"
import type { Money } from "../Money.ts"

/** Nothing is recorded yet. */
export interface NewPayment {
  readonly _tag: "New"
  readonly id: PaymentId
  readonly version: 0
}

/** How a payment ended without money. */
export type Ended =
  | { readonly as: "failed"; readonly category: DeclineCategory | null; readonly code: string; readonly message: string }
  | { readonly as: "cancelled" | "expired" }

/** Something a person has to look at. */
export interface Review {
  readonly operation: OperationNumber
  readonly reason: ReviewReason
  readonly evidence: string
}

/** A dispute the gateway told of. */
export interface Dispute {
  readonly disputeId: string
  readonly amount: Money
  readonly status: "open" | "won" | "lost"
  /** The gateway's time of the status, where it told one. */
  readonly at?: number
}

/** A payment. Times are database time in epoch milliseconds. */
export interface Payment {
  readonly _tag: "Payment"
  readonly id: PaymentId
  readonly version: number
  readonly details: PaymentDetails
  readonly createdAt: number
  readonly updatedAt: number
  /** After it no failover and no first send of the charge (rule 12). */
  readonly completeBefore: number
  readonly screened: boolean
  /** What the fraud checks said together; absent where there were none. */
  readonly fraud?: FraudSummary
  readonly operations: ReadonlyArray<Operation>
  readonly cancelRequested: boolean
  /** How often a cancel was recorded. */
  readonly cancelRequests: number
  readonly ended: Ended | undefined
  readonly late: ReadonlyArray<OperationNumber>
  readonly reviews: ReadonlyArray<Review>
  /** What reviews were opened for, where it has a name; absent where they were opened for nothing that has one. */
  readonly reviewed?: ReadonlyArray<string>
  readonly disputes: ReadonlyArray<Dispute>
  /** What hooks found wrong after it came to rest; absent where they found nothing. */
  readonly findings?: ReadonlyArray<{ readonly by: HookName; readonly code: string }>
}

export type PaymentState = NewPayment | Payment

/** An event as `evolve` needs it: the event, its version, and its time in the database. */
export interface Recorded {
  readonly version: number
  readonly recordedAt: number
  readonly event: PaymentEvent
}

/** The state before the first event. */
export const initial = (id: PaymentId): NewPayment => ({ _tag: "New", id, version: 0 })

/** The operation with that number. */
export const operationOf = (payment: Payment, number: OperationNumber): Operation | undefined => payment.operations[number - 1]

/** The charge operation that decides: the one started last, but not a `confirm` that never reached the gateway. */
export const lastCharge = (payment: Payment): Operation | undefined =>
  payment.operations.findLast((operation) => isCharge(operation) && !isConfirmWithoutEffect(operation))

/**
 * A `confirm` that was not sent, never arrived, or was refused before the gateway looked at the object: what it should have continued stands
 * as before, and the customer may complete it still.
 */
export const isConfirmWithoutEffect = (operation: Operation): boolean =>
  operation.intent.kind === "confirm" &&
  (operation.progress._tag === "NotSent" || operation.progress._tag === "Absent" || isRefusedUnseen(operation))

const isRefusedUnseen = ({ facts, gatewayReference, progress }: Operation): boolean =>
  progress._tag === "Declined" &&
  gatewayReference === undefined &&
  facts.every((fact) => fact._tag === "Declined" && mayPrecedeKeyCheck(fact.category))

/** Folds one event into the state. */
export const evolve = (state: PaymentState, recorded: Recorded): PaymentState => {
  const { event, recordedAt, version } = recorded
  if (event._tag === "PaymentInitiated") {
    return {
      _tag: "Payment",
      id: state.id,
      version,
      details: event.details,
      createdAt: recordedAt,
      updatedAt: recordedAt,
      completeBefore: recordedAt + event.details.completeWithinMillis,
      screened: false,
      operations: [],
      cancelRequested: false,
      cancelRequests: 0,
      ended: undefined,
      late: [],
      reviews: [],
      disputes: []
    }
  }
  if (state._tag === "New") return state
  return moved(state, apply(state, event, recordedAt), recorded)
}

/** What `apply` has made is nobody else's yet, so its head is set in place; a state that it hands back unchanged is copied. */
const moved = (before: Payment, after: Payment, { recordedAt, version }: Recorded): Payment => {
  if (after === before) return { ...before, version, updatedAt: recordedAt }
  const mine: { -readonly [Field in keyof Payment]: Payment[Field] } = after
  mine.version = version
  mine.updatedAt = recordedAt
  return mine
}

type Later = Exclude<PaymentEvent, { _tag: "PaymentInitiated" }>

const apply = (payment: Payment, event: Later, recordedAt: number): Payment => {
  switch (event._tag) {
    case "OperationIntended":
      return { ...payment, operations: [...payment.operations, intended(event.intent, { others: payment.operations, recordedAt })] }
    case "ResendPermitted":
      return change(payment, event.operation, (operation) => ({
        ...operation,
        permissions: [...operation.permissions, { sendBefore: recordedAt + event.sendWindowMillis }]
      }))
    case "OperationSucceeded":
      return succeeded(payment, event)
    case "OperationDeclined": {
      const { operation: number, source, ...declined } = event
      return endContinued(
        change(payment, number, (operation) =>
          withFact(learn(said(operation, source), declined.gatewayReference), { ...declined, _tag: "Declined" })
        ),
        number
      )
    }
    case "OperationNotSent":
      return change(payment, event.operation, (operation) =>
        decided(operation, { _tag: "NotSent", reason: event.reason, message: event.message })
      )
    case "OperationAbsent":
      return change(payment, event.operation, (operation) => decided(said(operation, event.source), { _tag: "Absent" }))
    case "OperationUncertain":
      return change(payment, event.operation, (operation) =>
        advance(counted(learn(operation, event.gatewayReference), event), {
          _tag: "Uncertain",
          reason: event.reason,
          message: event.message
        })
      )
    case "OperationPending":
      return change(payment, event.operation, (operation) =>
        advance(counted(learn(operation, event.gatewayReference), event), { _tag: "AwaitingGateway" })
      )
    case "ActionRequired":
      return change(payment, event.operation, (operation) =>
        advance(counted(learn(operation, event.gatewayReference), event), {
          _tag: "AwaitingCustomer",
          nextAction: event.nextAction,
          observedAt: event.observedAt
        })
      )
    default:
      return applyToPayment(payment, event)
  }
}

/** What a person says did not happen is given up, whatever else is told of it. */
const said = (operation: Operation, source: Source): Operation =>
  source === "person" && !operation.givenUp ? { ...operation, givenUp: true } : operation

type OfOperation =
  | "OperationIntended"
  | "ResendPermitted"
  | "OperationSucceeded"
  | "OperationDeclined"
  | "OperationNotSent"
  | "OperationAbsent"
  | "OperationUncertain"
  | "OperationPending"
  | "ActionRequired"

/** What is told of the payment, or of an operation after its outcome. */
const applyToPayment = (payment: Payment, event: Exclude<Later, { _tag: OfOperation }>): Payment => {
  switch (event._tag) {
    case "PaymentScreened":
      return withFraud({ ...payment, screened: true }, event.verdicts)
    case "PaymentBlocked":
      return withFraud(payment, event.verdicts, event.check === "fraud_check")
    case "PaymentEnriched":
      return { ...payment, details: Enrichment.apply(payment.details, event.fields) }
    case "PostValidationFailed":
      return { ...payment, findings: [...(payment.findings ?? []), { by: event.by, code: event.code }] }
    case "CancelRequested":
      return { ...payment, cancelRequested: true, cancelRequests: payment.cancelRequests + 1 }
    case "PaymentFailed":
      return { ...payment, ended: { as: "failed", category: event.category, code: event.code, message: event.message } }
    case "PaymentCancelled":
      return { ...payment, ended: { as: "cancelled" } }
    case "PaymentExpired":
      return { ...payment, ended: { as: "expired" } }
    case "LateSuccess":
      return { ...payment, late: [...payment.late.filter((number) => number !== event.operation), event.operation].sort((a, b) => a - b) }
    case "CaptureFailed":
    case "RefundFailed":
      return change(payment, event.operation, failed)
    case "DisputeOpened":
      return disputed(payment, disputeOf(event, "open"))
    case "DisputeWon":
      return disputed(payment, disputeOf(event, "won"))
    case "DisputeLost":
      return disputed(payment, disputeOf(event, "lost"))
    case "ReviewOpened":
      return opened(
        withReviewed(payment, event.about),
        { operation: event.operation, reason: event.reason, evidence: event.evidence },
        event.about
      )
    case "ReviewClosed":
      return closed(payment, event)
  }
}

/** `blocked`: they did, by their scores too. */
const withFraud = (payment: Payment, verdicts: ReadonlyArray<RecordedVerdict> | undefined, blocked = false): Payment => {
  if (verdicts === undefined || verdicts.length === 0) return payment
  const { action, score } = combine(verdicts)
  return { ...payment, fraud: { action: blocked ? "block" : action, ...(score === undefined ? {} : { score }) } }
}

const change = (payment: Payment, number: OperationNumber, f: (operation: Operation) => Operation): Payment => ({
  ...payment,
  operations: payment.operations.map((operation) => (operation.intent.number === number ? f(operation) : operation))
})

const succeeded = (payment: Payment, event: Extract<PaymentEvent, { _tag: "OperationSucceeded" }>): Payment => {
  const { endsTarget, operation: number } = event
  const next = endContinued(
    change(payment, number, (operation) =>
      withFact(isChargedAfterCancel(payment, operation) ? { ...operation, chargedAfterCancel: true } : operation, factOf(event))
    ),
    number
  )
  const operation = operationOf(next, number)
  const target = operation?.intent.target
  if (operation?.intent.kind !== "void" || !endsTarget || target === undefined) return next
  if (operation.intent.purpose === "close" && !isAuthorization(next, target)) return next
  const after = change(next, target, (voided) => ({
    ...decided(voided, { _tag: "Cancelled", by: number }),
    cancelled: true,
    ...(voided.progress._tag === "Succeeded" ? { progress: { ...voided.progress, voided: !voided.chargedAfterCancel } } : {})
  }))
  return endContinued(after, target)
}

const factOf = ({ amount, chargedAt, gatewayReference, named }: Extract<PaymentEvent, { _tag: "OperationSucceeded" }>): Fact =>
  chargedAt === undefined
    ? { _tag: "Succeeded", gatewayReference, amount, named }
    : { _tag: "Succeeded", gatewayReference, amount, chargedAt, named }

/**
 * The host was told that nothing is charged, or another charge was made, because a cancel of this sale was confirmed; and now it is told as
 * succeeded. One of the two answers is wrong, and which one cannot be told from here. So it counts as charged: a refund of nothing
 * is refused by the gateway, money that nobody knows of is lost. A hold takes nothing and ends by itself: an authorization stays released.
 */
const isChargedAfterCancel = (payment: Payment, operation: Operation): boolean =>
  operation.cancelled &&
  !operation.facts.some(({ _tag }) => _tag === "Succeeded") &&
  !isAuthorization(payment, operation.intent.number) &&
  (payment.ended !== undefined || lastCharge(payment)?.intent.number !== operation.intent.number)

/**
 * What a close releases where the customer authorized the open object before it. A sale that the customer completed cannot be
 * voided, so a success that is told of one is money.
 */
const isAuthorization = (payment: Payment, number: OperationNumber): boolean => {
  const kind = operationOf(payment, number)?.intent.kind
  return kind === "authorize" || (kind === "confirm" && payment.details.captureMethod === "manual")
}

/** A confirm that was answered takes over from the operation it continues, and from what that one continued. */
const endContinued = (payment: Payment, number: OperationNumber): Payment => {
  const operation = operationOf(payment, number)
  if (operation?.intent.kind !== "confirm" || operation.intent.target === undefined) return payment
  if ((isOpen(operation) && operation.facts.length === 0) || isConfirmWithoutEffect(operation)) return payment
  const next = change(payment, operation.intent.target, (continued) => decided(continued, { _tag: "Continued", by: number }))
  return endContinued(next, operation.intent.target)
}

/**
 * Does this tell more of a dispute than is known? What came later by the gateway's time: one that was lost may be appealed and won. Where no
 * time tells, a lost one may have been won before, never the other way round.
 */
export const isNewsOfDispute = (payment: Payment, dispute: Dispute): boolean => {
  const order = ["open", "won", "lost"]
  const known = payment.disputes.find((other) => other.disputeId === dispute.disputeId)
  if (known === undefined) return true
  if (known.status === dispute.status) return false
  return known.at === undefined || dispute.at === undefined || known.at === dispute.at
    ? order.indexOf(dispute.status) > order.indexOf(known.status)
    : dispute.at > known.at
}

const disputeOf = (
  { amount, at, disputeId }: { readonly disputeId: string; readonly amount: Money; readonly at?: number },
  status: Dispute["status"]
): Dispute => ({ disputeId, amount, status, ...(at === undefined ? {} : { at }) })

const disputed = (payment: Payment, dispute: Dispute): Payment => {
  if (!isNewsOfDispute(payment, dispute)) return payment
  const disputes = [...payment.disputes.filter((other) => other.disputeId !== dispute.disputeId), dispute]
  return { ...payment, disputes: disputes.sort((left, right) => (left.disputeId < right.disputeId ? -1 : 1)) }
}

/** The most things with a name that a payment remembers of its reviews. */
export const maxReviewed = 100

/** Was a review opened for it before, be it open or closed now? */
export const isReviewed = ({ reviewed = [] }: Payment, about: string): boolean => reviewed.includes(about.slice(0, 255))

const withReviewed = (payment: Payment, about: string | undefined): Payment =>
  about === undefined || isReviewed(payment, about) ? payment : { ...payment, reviewed: [...(payment.reviewed ?? []), about].sort() }

/** A second thing with a name stands beside the first in one review. */
const opened = (payment: Payment, review: Review, about?: string): Payment => {
  const isSame = (known: Review): boolean => known.operation === review.operation && known.reason === review.reason
  if (payment.reviews.some(isSame)) {
    return about === undefined
      ? payment
      : {
          ...payment,
          reviews: payment.reviews.map((known) => (isSame(known) ? { ...known, evidence: both(known.evidence, review.evidence) } : known))
        }
  }
  const reviews = [...payment.reviews, review].sort(
    (left, right) => left.operation - right.operation || (left.reason < right.reason ? -1 : 1)
  )
  const next = { ...payment, reviews }
  return review.reason === "unresolvable" ? settleOpenToReview(next, review.operation) : next
}

/** What is not known in spite of it is in doubt as before the review. */
const closed = (payment: Payment, { operation: number, reason }: Extract<PaymentEvent, { _tag: "ReviewClosed" }>): Payment => {
  const next = { ...payment, reviews: payment.reviews.filter((review) => review.operation !== number || review.reason !== reason) }
  return reason === "unresolvable"
    ? change(next, number, (operation) =>
        operation.progress._tag === "InReview" && operation.facts.length === 0
          ? { ...operation, progress: { _tag: "Uncertain", reason: "inconclusive", message: "the review was closed" } }
          : operation
      )
    : next
}

/** Both, as a sorted set of sentences. Nothing is cut off here: what is left would depend on what was told first (rule 17). */
const both = (known: string, more: string): string => [...new Set([...known.split("; "), ...more.split("; ")])].sort().join("; ")

const settleOpenToReview = (payment: Payment, number: OperationNumber): Payment =>
  change(payment, number, (operation) => (isOpen(operation) ? { ...operation, progress: { _tag: "InReview" } } : operation))
