/**
 * The one reducer of truths (rule 17): response, webhook, poll, recovery, a person and reconciliation all end here as a
 * settlement of an operation, and become events only where they add something.
 *
 * Facts (succeeded, declined) are always recorded once; a contradiction keeps both and opens a review. Decisions (absent, not
 * sent) end an open operation and are overruled by facts. What is in doubt only moves forward. A proof that nothing was charged
 * holds for the operation it was made for, never for a `confirm` that continues it.
 */
import { maxHooksPerKind } from "../hooks/Records.ts"
import { matches } from "../operation/Advance.ts"
import { format } from "../Money.ts"
import { mayPrecedeKeyCheck } from "../operation/Decline.ts"
import { factKey, isCharge, isOpen, type Fact, type Operation } from "../operation/Operation.ts"
import type { NextAction } from "../operation/Outcome.ts"
import { settle, type Settlement } from "../operation/Settle.ts"
import type { Command } from "./Command.ts"
import type { PaymentEvent, Source } from "./Event.ts"
import type { OperationNumber } from "./Ids.ts"
import { amountsOf } from "./Status.ts"
import { evolve, isConfirmWithoutEffect, isNewsOfDispute, isReviewed, lastCharge, maxReviewed, operationOf, type Payment } from "./State.ts"

type Case<Tag extends Command["_tag"]> = Extract<Command, { _tag: Tag }>

/** The events a settlement adds to a payment; none when it is known already. */
export const recordSettlement = (command: Case<"RecordSettlement">, payment: Payment): ReadonlyArray<PaymentEvent> => {
  const { settlement, source } = command
  const operation = settlement._tag === "Charged" ? answering(payment, command.operation) : operationOf(payment, command.operation)
  if (operation === undefined) return []
  switch (settlement._tag) {
    case "Charged":
      return recordFact(payment, operation, settlement.outcome, command)
    case "NotCharged":
      if (settlement.operation !== operation.intent.number) return []
      switch (settlement.because._tag) {
        case "Declined":
          return recordFact(payment, operation, settlement.because, command)
        case "NotSent":
          return recordDecision(payment, operation, source, {
            _tag: "OperationNotSent",
            operation: operation.intent.number,
            reason: settlement.because.reason,
            message: settlement.because.message
          })
        case "Absent":
          return recordDecision(payment, operation, source, { _tag: "OperationAbsent", operation: operation.intent.number, source })
      }
    // falls through is impossible: every case above returns
    case "StillOpen":
      return recordProgress(payment, operation, settlement, source, command.observedAt)
  }
}

/** A decision moves an operation forward or adds nothing; facts stand against it. */
const recordDecision = (payment: Payment, operation: Operation, source: Source, event: PaymentEvent): ReadonlyArray<PaymentEvent> =>
  afterwards(payment, operation, event)?.progress === operation.progress ? [] : [event, ...closeReviews(payment, operation, source, event)]

/** The operation as it would be with one more event. */
const afterwards = (payment: Payment, operation: Operation, event: PaymentEvent): Operation | undefined => {
  const after = evolve(payment, { version: payment.version + 1, recordedAt: payment.updatedAt, event })
  return after._tag === "Payment" ? operationOf(after, operation.intent.number) : undefined
}

/** A later failure of a capture or a refund: a fact, not a contradiction. It may arrive before the news of the success. */
export const recordFailure = (command: Case<"ReportFailure">, payment: Payment): ReadonlyArray<PaymentEvent> => {
  const operation = operationOf(payment, command.operation)
  if (operation === undefined || operation.failureReported) return []
  const { kind, number } = operation.intent
  if (kind !== "capture" && kind !== "refund") return []
  const failure: PaymentEvent = {
    _tag: kind === "capture" ? "CaptureFailed" : "RefundFailed",
    operation: number,
    source: command.source,
    message: command.message.slice(0, 1000)
  }
  const evidence = excessOf(payment, operation, failure)
  const isKnown = payment.reviews.some((review) => review.operation === number && review.reason === "contradiction")
  return evidence === undefined || isKnown
    ? [failure]
    : [failure, { _tag: "ReviewOpened", operation: number, reason: "contradiction", evidence }]
}

/**
 * A person's word: the truth as any other's (rule 17), and the reviews it settles closed with the person's reason. A second success of
 * another object, and a capture or refund that makes too much, are reviewed all the same. "Not charged" is a
 * decision (rule 10): it adds nothing while a request may still arrive, and never overrules what the gateway asserted by name.
 */
export const recordWord = (command: Case<"ResolveByPerson">, payment: Payment): ReadonlyArray<PaymentEvent> => {
  const operation = operationOf(payment, command.operation)
  if (operation === undefined) return []
  const { note, saidAt, word } = command
  const settlement = settle(operation, { _tag: "Asked", askedAt: saidAt, answer: word })
  const { number } = operation.intent
  const truth = recordSettlement({ _tag: "RecordSettlement", operation: number, settlement, source: "person", observedAt: saidAt }, payment)
  const after = truth.reduce((state, event, index) => {
    const next = evolve(state, { version: payment.version + index + 1, recordedAt: payment.updatedAt, event })
    return next._tag === "Payment" ? next : state
  }, payment)
  const told = word._tag === "Succeeded" ? answering(after, number) : operationOf(after, number)
  const holds = told !== undefined && (word._tag === "Succeeded" ? told.progress._tag === "Succeeded" : isNotCharged(told))
  if (!holds) return []
  const undoesTarget = (operation.intent.kind === "void" || operation.intent.purpose === "reverse") && word._tag === "Succeeded"
  const settled = [number, undoesTarget ? operation.intent.target : undefined]
  const closed = payment.reviews
    .filter((review) => settled.includes(review.operation))
    .map(({ operation: of, reason }): PaymentEvent => ({
      _tag: "ReviewClosed",
      operation: of,
      reason,
      by: "person",
      note: note.slice(0, 1000)
    }))
  const another = told.facts.filter((fact) => fact._tag === "Succeeded" && matches(told, fact.amount)).length > 1
  const isTooMuch = truth.some((event) => excessOf(payment, told, event) !== undefined)
  const isReview = (event: PaymentEvent) =>
    (event._tag === "ReviewClosed" || (event._tag === "ReviewOpened" && !another && !isTooMuch)) && settled.includes(event.operation)
  return [...truth.filter((event) => !isReview(event)), ...closed]
}

const isNotCharged = ({ progress }: Operation): boolean =>
  progress._tag === "Declined" || progress._tag === "NotSent" || progress._tag === "Absent" || progress._tag === "Cancelled"

const disputeTags = { open: "DisputeOpened", won: "DisputeWon", lost: "DisputeLost" } as const

/** Opened, won or lost, each once, unless a later one came between. One in another currency than the payment's is a matter for a person too. */
export const recordDispute = (command: Case<"ReportDispute">, payment: Payment): ReadonlyArray<PaymentEvent> => {
  const { _tag: _, status, ...dispute } = command
  if (!isNewsOfDispute(payment, { ...dispute, status })) return []
  const told: PaymentEvent = { _tag: disputeTags[status], ...dispute }
  const operation = lastCharge(payment)?.intent.number
  const { currency } = payment.details.amount
  const isKnown = payment.reviews.some((review) => review.operation === operation && review.reason === "amount_mismatch")
  if (dispute.amount.currency === currency || operation === undefined || isKnown) return [told]
  const evidence = `dispute ${dispute.disputeId} is over ${format(dispute.amount)}, the payment in ${currency}`
  return [told, { _tag: "ReviewOpened", operation, reason: "amount_mismatch", evidence }]
}

/** A review is opened once for an operation and a reason; what has a name is told a person once each, whether a review is open or was closed. */
export const openReview = (command: Case<"OpenReview">, payment: Payment): ReadonlyArray<PaymentEvent> => {
  const { about, evidence, operation, reason } = command
  const opened: PaymentEvent = { _tag: "ReviewOpened", operation, reason, evidence: evidence.slice(0, 1000) }
  const isOpened = payment.reviews.some((review) => review.operation === operation && review.reason === reason)
  if (about === undefined || (payment.reviewed ?? []).length >= maxReviewed) return isOpened ? [] : [opened]
  return isReviewed(payment, about) ? [] : [{ ...opened, about: about.slice(0, 255) }]
}

/** What a hook found, each thing once, and of one payment at most as much as there may be hooks. */
export const recordFinding = ({ by, code, message }: Case<"RecordFinding">, payment: Payment): ReadonlyArray<PaymentEvent> => {
  const known = payment.findings ?? []
  const isKnown = known.some((finding) => finding.by === by && finding.code === code)
  return isKnown || known.length >= maxHooksPerKind ? [] : [{ _tag: "PostValidationFailed", by, code, message }]
}

/**
 * The operation that a success speaks about. A success of the PSP's object of an operation that waits for the customer belongs
 * to the `confirm` that continues the same object, once there is one that may have been sent.
 */
export const answering = (payment: Payment, number: OperationNumber): Operation | undefined => {
  const operation = operationOf(payment, number)
  const confirm = payment.operations.findLast(
    (other) => other.intent.kind === "confirm" && other.intent.target === number && !isConfirmWithoutEffect(other)
  )
  return confirm === undefined ? operation : answering(payment, confirm.intent.number)
}

const eventOf = (operation: Operation, fact: Fact, { source }: { readonly source: Source }): PaymentEvent => {
  const { number } = operation.intent
  if (fact._tag === "Declined") return { ...fact, _tag: "OperationDeclined", operation: number, source }
  const { amount, chargedAt, gatewayReference, named } = fact
  const ends = endsTarget(operation, fact)
  return chargedAt === undefined
    ? { _tag: "OperationSucceeded", operation: number, source, gatewayReference, amount, named, endsTarget: ends }
    : { _tag: "OperationSucceeded", operation: number, source, gatewayReference, amount, chargedAt, named, endsTarget: ends }
}

/** Rule 13: a cancel counts when it named what it cancelled, or when its target had settled before the cancel was asked for. */
const endsTarget = (operation: Operation, fact: Fact): boolean =>
  operation.intent.kind === "void" && fact._tag === "Succeeded" && (fact.named || operation.targetSettled)

/** A cancel that is told again, this time in a way that ends its target. */
const endsMore = (payment: Payment, operation: Operation, event: PaymentEvent): boolean => {
  const target = operation.intent.target === undefined ? undefined : operationOf(payment, operation.intent.target)
  const ends = event._tag === "OperationSucceeded" && event.endsTarget && operation.intent.purpose !== "close"
  return ends && target !== undefined && !target.cancelled
}

/** The same success with an earlier time of the PSP's own. */
const tellsTime = (known: Fact, fact: Fact): boolean =>
  known._tag === "Succeeded" &&
  fact._tag === "Succeeded" &&
  fact.chargedAt !== undefined &&
  (known.chargedAt === undefined || fact.chargedAt < known.chargedAt)

/** The same decline, and now that its network forbids every further attempt. */
const tellsForbidden = (known: Fact, fact: Fact): boolean =>
  known._tag === "Declined" && fact._tag === "Declined" && fact.networkForbids === true && known.networkForbids !== true

const recordFact = (
  payment: Payment,
  operation: Operation,
  fact: Fact,
  command: { readonly source: Source; readonly observedAt: number }
): ReadonlyArray<PaymentEvent> => {
  const number = operation.intent.number
  const event = eventOf(operation, fact, command)
  const known = operation.facts.find((other) => factKey(other) === factKey(fact))
  if (known !== undefined) {
    if (!tellsTime(known, fact) && !tellsForbidden(known, fact) && !endsMore(payment, operation, event)) return []
    return [event, ...lateSuccess(payment, operation, event, command), ...closeReviews(payment, operation, command.source, event)]
  }
  const reviews: Array<PaymentEvent> = []
  if (fact._tag === "Succeeded" && !matches(operation, fact.amount)) {
    reviews.push({ _tag: "ReviewOpened", operation: number, reason: "amount_mismatch", evidence: describe(fact) })
  }
  const excess = excessOf(payment, operation, event)
  if (contradicts(operation, fact)) {
    const evidence = [...operation.facts, fact].map(describe).sort().join("; ").slice(0, 1000)
    reviews.push({ _tag: "ReviewOpened", operation: number, reason: "contradiction", evidence })
  } else if (excess !== undefined) {
    reviews.push({ _tag: "ReviewOpened", operation: number, reason: "contradiction", evidence: excess })
  }
  const fresh = reviews.filter(
    (review) =>
      review._tag !== "ReviewOpened" || !payment.reviews.some((known) => known.operation === number && known.reason === review.reason)
  )
  return [event, ...lateSuccess(payment, operation, event, command), ...fresh, ...closeReviews(payment, operation, command.source, event)]
}

/**
 * What one capture or refund more makes too much: one that was taken for not done shows up, and another was made in its place. And what one
 * capture less does, where it was given back already.
 */
const excessOf = (payment: Payment, { intent }: Operation, event: PaymentEvent): string | undefined => {
  const kind = event._tag === "CaptureFailed" ? "refund" : intent.kind
  const isOfAmounts = event._tag === "CaptureFailed" || event._tag === "OperationSucceeded"
  if (!isOfAmounts || (kind !== "capture" && kind !== "refund")) return undefined
  const after = evolve(payment, { version: payment.version + 1, recordedAt: payment.updatedAt, event })
  const charge = after._tag === "Payment" && intent.target !== undefined ? operationOf(after, intent.target) : undefined
  if (charge === undefined || after._tag === "New") return undefined
  const { captured, refunded } = amountsOf(after, charge)
  const most = kind === "capture" ? charge.intent.amount.minor : captured
  const sum = kind === "capture" ? captured : refunded
  return sum > most ? `${kind}s of operation ${charge.intent.number} come to ${sum}, more than ${most} (minor units)` : undefined
}

/**
 * Two successes, or a success and a decline, stand against each other; two declines say the same in other words. The customer may pay an
 * object that a decline left open, until it is closed (rule 6): that success does not contradict the decline. Nor does the one of an object
 * whose confirm was refused before the gateway looked at it, whichever is told first.
 */
const contradicts = ({ facts, intent }: Operation, fact: Fact): boolean => {
  const told = [...facts, fact].filter((one) => intent.kind !== "confirm" || !saysNothingOfObject(one))
  const successes = told.filter(({ _tag }) => _tag === "Succeeded").length
  return successes > 1 || (successes === 1 && told.length > 1 && !intent.protection.leavesOpenAfterDecline)
}

const saysNothingOfObject = (fact: Fact): boolean =>
  fact._tag === "Declined" && fact.gatewayReference === undefined && mayPrecedeKeyCheck(fact.category)

/**
 * A charge that took effect after the host was told otherwise, after another operation took over, or, by the PSP's own time,
 * after `completeBefore`. One that is learned after `completeBefore` from a PSP without a time is kept and looked at (rule 12).
 */
const lateSuccess = (
  payment: Payment,
  operation: Operation,
  event: PaymentEvent,
  command: { readonly observedAt: number }
): ReadonlyArray<PaymentEvent> => {
  const { number } = operation.intent
  const progress = afterwards(payment, operation, event)?.progress
  if (event._tag !== "OperationSucceeded" || !isCharge(operation) || progress?._tag !== "Succeeded") return []
  if (payment.late.includes(number)) return []
  const superseded = lastCharge(payment)?.intent.number !== number
  const { chargedAt } = progress
  if (payment.ended !== undefined || superseded || (chargedAt !== undefined && chargedAt > payment.completeBefore)) {
    return [{ _tag: "LateSuccess", operation: number }]
  }
  return chargedAt === undefined && command.observedAt > payment.completeBefore
    ? [{ _tag: "ReviewOpened", operation: number, reason: "late_without_time", evidence: "learned after the time for completing it" }]
    : []
}

/** A settled truth clears the reviews that were opened because it could not be found out whether, or when, it happened. */
const closeReviews = (payment: Payment, operation: Operation, source: Source, event: PaymentEvent): ReadonlyArray<PaymentEvent> => {
  const succeeded = event._tag === "OperationSucceeded" ? event : undefined
  const settled = [operation.intent.number, succeeded?.endsTarget === true ? operation.intent.target : undefined]
  return payment.reviews
    .filter((review) =>
      review.reason === "late_without_time"
        ? review.operation === operation.intent.number && succeeded?.chargedAt !== undefined
        : review.reason === "unresolvable" && settled.includes(review.operation)
    )
    .map((review) => ({
      _tag: "ReviewClosed",
      operation: review.operation,
      reason: review.reason,
      by: source,
      note: "the outcome became known"
    }))
}

const recordProgress = (
  payment: Payment,
  operation: Operation,
  settlement: Extract<Settlement, { _tag: "StillOpen" }>,
  source: Source,
  observedAt: number
): ReadonlyArray<PaymentEvent> => {
  if (!isOpen(operation) || asksAgain(operation, settlement.outcome)) return []
  const base = { operation: operation.intent.number, source, sends: settlement.sends }
  const { outcome } = settlement
  const event: PaymentEvent =
    outcome._tag === "Pending"
      ? { ...base, _tag: "OperationPending", gatewayReference: outcome.gatewayReference }
      : outcome._tag === "RequiresAction"
        ? { ...base, _tag: "ActionRequired", gatewayReference: outcome.gatewayReference, nextAction: outcome.nextAction, observedAt }
        : {
            ...base,
            _tag: "OperationUncertain",
            reason: outcome.reason,
            message: outcome.message,
            ...(outcome.gatewayReference === undefined ? {} : { gatewayReference: outcome.gatewayReference })
          }
  if (event._tag !== "OperationUncertain" && goesOn(payment, operation)) return [...closeUnresolvable(operation, source), event]
  const next = afterwards(payment, operation, event)
  const moved = next !== undefined && (next.progress !== operation.progress || next.gatewayReference !== operation.gatewayReference)
  return moved ? [event] : []
}

/**
 * In review since nobody could find out what became of it, and nothing else was found out or tried since: what the gateway says that it waits
 * for is what was missing. A cancel of ours that failed is a matter for a person still: that it waits is no news then.
 */
const goesOn = (payment: Payment, { facts, givenUp, intent, progress }: Operation): boolean =>
  progress._tag === "InReview" &&
  facts.length === 0 &&
  !givenUp &&
  payment.reviews.every((review) => review.operation !== intent.number || review.reason === "unresolvable") &&
  payment.operations.every((other) => other.intent.kind !== "void" || other.intent.target !== intent.number)

const closeUnresolvable = ({ intent }: Operation, by: Source): ReadonlyArray<PaymentEvent> => [
  { _tag: "ReviewClosed", operation: intent.number, reason: "unresolvable", by, note: "it became known what the gateway waits for" }
]

/** The action that the customer is known to have to take: whoever polls hears it again and again, and it is no news. */
const asksAgain = ({ gatewayReference, progress }: Operation, outcome: Extract<Settlement, { _tag: "StillOpen" }>["outcome"]): boolean =>
  outcome._tag === "RequiresAction" &&
  progress._tag === "AwaitingCustomer" &&
  gatewayReference !== undefined &&
  isSameAction(progress.nextAction, outcome.nextAction)

const isSameAction = (left: NextAction, right: NextAction): boolean =>
  left.type === "redirect"
    ? right.type === "redirect" && left.url === right.url
    : right.type === left.type && left.message === right.message

const describe = (fact: Fact): string =>
  fact._tag === "Succeeded"
    ? `succeeded: ${fact.amount.minor} ${fact.amount.currency}, gateway id ${fact.gatewayReference}`
    : `declined: ${fact.category} ${fact.code}`
