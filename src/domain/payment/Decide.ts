/**
 * The decider: `decide(command, state)` answers the events a command causes, or refuses it. Pure.
 *
 * What starts an operation is here; what records the outcome of one is in `Record.ts`.
 */
import * as Result from "effect/Result"
import { type Money } from "../Money.ts"
import { effectiveReplay } from "../operation/Capabilities.ts"
import { safetyOf } from "../operation/Decline.ts"
import { isCharge, isChargeKind, isOpen, type Intent, type Operation, type OperationKind, type Purpose } from "../operation/Operation.ts"
import type { Declined } from "../operation/Outcome.ts"
import { recorded } from "../operation/Settle.ts"
import type { RoutingDecision } from "../routing/Decision.ts"
import { CommandRefused, type Command, type GatewayTerms, type RefusalReason } from "./Command.ts"
import type { PaymentEvent } from "./Event.ts"
import { OperationNumber, requestKeyOf } from "./Ids.ts"
import { referenceFor } from "./PaymentMethod.ts"
import { recordDispute, recordFailure, recordSettlement, recordWord } from "./Record.ts"
import { lastCharge, operationOf, type Payment, type PaymentState } from "./State.ts"
import { amountsOf, charges, openOperations, refundable, status } from "./Status.ts"
import * as Option from "effect/Option"

type Decision = Result.Result<ReadonlyArray<PaymentEvent>, CommandRefused>

/** The most operations of one payment. */
export const maxOperations = 1000

const refuse = (state: PaymentState, command: Command["_tag"], reason: RefusalReason): Decision =>
  Result.fail(new CommandRefused({ command, status: status(state), reason }))

const illegal: RefusalReason = { _tag: "IllegalInStatus" }

/** The events a command causes in a state, or why it is refused. */
export const decide = (command: Command, state: PaymentState): Decision => {
  if (command._tag === "InitiatePayment") return initiate(command, state)
  if (state._tag === "New") return refuse(state, command._tag, illegal)
  if (state.operations.length >= maxOperations && startsOperation(command)) {
    return refuse(state, command._tag, { _tag: "TooManyOperations" })
  }
  switch (command._tag) {
    case "FailOver":
      return failOver(command, state)
    case "ConfirmPayment":
      return confirm(command, state)
    case "CapturePayment":
      return capture(command, state)
    case "RefundPayment":
      return refund(command, state)
    case "CancelPayment":
      return cancel(command, state)
    case "CloseDeclined":
      return closeDeclined(command, state)
    case "CancelUncertain":
      return cancelUncertain(command, state)
    case "ReverseLate":
      return reverseLate(command, state)
    case "PermitResend":
      return permitResend(command, state)
    case "EndPayment":
      return end(command, state)
    case "RecordSettlement":
      return Result.succeed(recordSettlement(command, state))
    case "ReportFailure":
      return Result.succeed(recordFailure(command, state))
    case "ReportDispute":
      return Result.succeed(recordDispute(command, state))
    case "ResolveByPerson":
      return Result.succeed(recordWord(command, state))
    case "OpenReview":
      return state.reviews.some((review) => review.operation === command.operation && review.reason === command.reason)
        ? Result.succeed([])
        : Result.succeed([
            { _tag: "ReviewOpened", operation: command.operation, reason: command.reason, evidence: command.evidence.slice(0, 1000) }
          ])
  }
}

const startsOperation = (command: Command): boolean =>
  command._tag === "FailOver" ||
  command._tag === "ConfirmPayment" ||
  command._tag === "CapturePayment" ||
  command._tag === "RefundPayment" ||
  command._tag === "CancelPayment" ||
  command._tag === "CloseDeclined" ||
  command._tag === "CancelUncertain" ||
  command._tag === "ReverseLate"

interface IntentSpec {
  readonly kind: OperationKind
  readonly purpose: Purpose
  readonly amount: Money
  readonly terms: GatewayTerms
  readonly target?: Operation
  readonly final?: boolean
  readonly stepUp?: boolean
  readonly decision?: RoutingDecision | undefined
}

/** Builds the intent: everything the request will be made from (rule 14). */
const intend = (
  base: { readonly id: Payment["id"]; readonly details: Payment["details"]; readonly operations: number },
  spec: IntentSpec
): PaymentEvent => {
  const number = OperationNumber.make(base.operations + 1)
  const capabilities = spec.terms.capabilitiesOf(spec.kind)
  const windowHolds = spec.terms.sendWindowMillis + capabilities.settleTimeMillis <= capabilities.replayWindowMillis
  const token = Option.getOrUndefined(referenceFor(base.details.method, spec.terms.gateway))
  const targetReference = spec.target?.gatewayReference
  const needsMethod = spec.kind === "authorize" || spec.kind === "sale"
  const intent: Intent = {
    number,
    kind: spec.kind,
    purpose: spec.purpose,
    gateway: spec.terms.gateway,
    account: spec.terms.account,
    adapterVersion: spec.terms.adapterVersion,
    apiVersion: spec.terms.apiVersion,
    requestKey: requestKeyOf({ payment: base.id, operation: number }),
    amount: spec.amount,
    ...(spec.target === undefined ? {} : { target: spec.target.intent.number }),
    details: {
      customerPresent: base.details.customerPresent,
      ...(needsMethod && token !== undefined ? { token, methodType: base.details.method.type } : {}),
      ...(base.details.returnUrl === undefined ? {} : { returnUrl: base.details.returnUrl }),
      ...(targetReference === undefined ? {} : { targetReference }),
      ...(spec.target === undefined ? {} : { targetRequestKey: spec.target.intent.requestKey }),
      ...(spec.final === undefined ? {} : { final: spec.final }),
      ...(spec.stepUp === true ? { stepUp: true } : {})
    },
    protection: {
      sendWindowMillis: spec.terms.sendWindowMillis,
      settleTimeMillis: capabilities.settleTimeMillis,
      replay: windowHolds ? effectiveReplay(capabilities) : "none",
      replayWindowMillis: capabilities.replayWindowMillis,
      leavesOpenAfterDecline: capabilities.leavesOpenAfterDecline
    },
    ...(spec.decision === undefined ? {} : { decision: spec.decision })
  }
  return { _tag: "OperationIntended", intent }
}

const start = (payment: Payment, spec: IntentSpec): Decision =>
  Result.succeed([intend({ id: payment.id, details: payment.details, operations: payment.operations.length }, spec)])

type Case<Tag extends Command["_tag"]> = Extract<Command, { _tag: Tag }>

const initiate = (command: Case<"InitiatePayment">, state: PaymentState): Decision => {
  if (state._tag !== "New") return refuse(state, command._tag, illegal)
  const { details } = command
  if (details.amount.minor <= 0n) return refuse(state, command._tag, { _tag: "AmountNotPositive" })
  const intended = intend(
    { id: state.id, details, operations: 0 },
    {
      kind: details.captureMethod === "manual" ? "authorize" : "sale",
      purpose: "charge",
      amount: details.amount,
      terms: command.terms,
      decision: command.decision
    }
  )
  return Result.succeed([{ _tag: "PaymentInitiated", details }, { _tag: "PaymentScreened", checks: ["request_valid"] }, intended])
}

/** A new charge operation after one that certainly did not take effect: elsewhere, or here after a step-up. */
const failOver = (command: Case<"FailOver">, payment: Payment): Decision => {
  const failed = operationOf(payment, command.after.operation)
  const proof = failed === undefined ? undefined : recorded(failed)
  if (failed === undefined || proof === undefined || failed !== lastCharge(payment) || payment.ended !== undefined) {
    return refuse(payment, command._tag, illegal)
  }
  if (isCancelledOnRequest(payment, failed) || payment.cancelRequested || payment.reviews.length > 0)
    return refuse(payment, command._tag, illegal)
  const open = openOperations(payment)[0]
  if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
  if (command.now >= payment.completeBefore) return refuse(payment, command._tag, { _tag: "TooLate" })
  if (isLeftOpen(payment, failed)) return refuse(payment, command._tag, illegal)
  const category = proof.because._tag === "Declined" ? proof.because.category : undefined
  const allowed = command.stepUp
    ? category === "authentication_required"
    : category === undefined || safetyOf[category].otherGateway !== "never"
  if (!allowed) return refuse(payment, command._tag, illegal)
  if (command.stepUp && command.terms.gateway !== failed.intent.gateway) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  return start(payment, {
    kind: payment.details.captureMethod === "manual" ? "authorize" : "sale",
    purpose: "charge",
    amount: payment.details.amount,
    terms: command.terms,
    stepUp: command.stepUp,
    decision: command.decision
  })
}

/**
 * A declined operation whose object the gateway left open, and which no cancel has closed yet (rule 6). A refusal at the gateway's
 * door (rate limit, configuration) that named no object made none; closing it would meet the same refusal.
 */
export const isLeftOpen = (payment: Payment, operation: Operation): boolean =>
  operation.progress._tag === "Declined" &&
  operation.intent.protection.leavesOpenAfterDecline &&
  !(isRefusedAtTheDoor(operation.progress.declined) && operation.gatewayReference === undefined) &&
  !payment.operations.some(
    (other) => other.intent.kind === "void" && other.intent.target === operation.intent.number && other.progress._tag === "Succeeded"
  )

const isRefusedAtTheDoor = (declined: Declined): boolean => declined.category === "rate_limited" || declined.category === "configuration"

const sameAccount = (operation: Operation, terms: GatewayTerms): boolean =>
  operation.intent.gateway === terms.gateway && operation.intent.account === terms.account

const confirm = (command: Case<"ConfirmPayment">, payment: Payment): Decision => {
  const target = payment.operations.findLast((operation) => operation.progress._tag === "AwaitingCustomer")
  if (target === undefined || status(payment) !== "requires_action") return refuse(payment, command._tag, illegal)
  if (!sameAccount(target, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  if (command.now >= payment.completeBefore) return refuse(payment, command._tag, { _tag: "TooLate" })
  return start(payment, { kind: "confirm", purpose: "continue", amount: target.intent.amount, terms: command.terms, target })
}

const excluding = (payment: Payment, target: Operation, kinds: ReadonlyArray<OperationKind>): Operation | undefined =>
  openOperations(payment).find((open) => kinds.includes(open.intent.kind) && open.intent.target === target.intent.number)

const capture = (command: Case<"CapturePayment">, payment: Payment): Decision => {
  const charge = charges(payment)[0]
  if (charge === undefined || payment.reviews.length > 0 || payment.late.length > 0) return refuse(payment, command._tag, illegal)
  if (!sameAccount(charge, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const voiding = excluding(payment, charge, ["void"])
  if (voiding !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: voiding.intent.number })
  const total = amountsOf(payment, charge)
  const available = total.authorized - total.captured - total.reservedForCapture
  const single = command.terms.captures === "single"
  if (single) {
    const open = excluding(payment, charge, ["capture"])
    if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
    if (total.captured > 0n) return refuse(payment, command._tag, { _tag: "AlreadyCaptured" })
  }
  if (charge.intent.kind === "sale" || payment.details.captureMethod === "automatic") return refuse(payment, command._tag, illegal)
  const amount = command.amount ?? { currency: payment.details.amount.currency, minor: available }
  const wrong = wrongAmount(payment, amount, available)
  if (wrong !== undefined) return refuse(payment, command._tag, wrong)
  return start(payment, {
    kind: "capture",
    purpose: "capture",
    amount,
    terms: command.terms,
    target: charge,
    final: command.final || single || amount.minor === available
  })
}

const wrongAmount = (payment: Payment, amount: Money, available: bigint): RefusalReason | undefined => {
  const currency = payment.details.amount.currency
  if (amount.currency !== currency) return { _tag: "CurrencyMismatch", expected: currency, actual: amount.currency }
  if (available <= 0n) return amount.minor <= 0n ? illegal : { _tag: "AmountExceeded", requested: amount.minor, available: 0n }
  if (amount.minor <= 0n) return { _tag: "AmountNotPositive" }
  return amount.minor > available ? { _tag: "AmountExceeded", requested: amount.minor, available } : undefined
}

const refund = (command: Case<"RefundPayment">, payment: Payment): Decision => {
  const charge = refundable(payment)
  if (charge === undefined) return refuse(payment, command._tag, illegal)
  if (!sameAccount(charge, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const voiding = excluding(payment, charge, ["void"])
  if (voiding !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: voiding.intent.number })
  const total = amountsOf(payment, charge)
  const available = total.captured - total.refunded - total.reservedForRefund
  const amount = command.amount ?? { currency: payment.details.amount.currency, minor: available }
  const wrong = wrongAmount(payment, amount, available)
  if (wrong !== undefined) return refuse(payment, command._tag, wrong)
  return start(payment, { kind: "refund", purpose: "refund", amount, terms: command.terms, target: charge })
}

/**
 * Voids an authorization or an object that waits for the customer or the gateway. While the outcome of the charge is awaited
 * the wish is recorded and carried out on the outcome.
 */
const cancel = (command: Case<"CancelPayment">, payment: Payment): Decision => {
  const charge = lastCharge(payment)
  if (charge === undefined || payment.ended !== undefined || payment.late.length > 0) return refuse(payment, command._tag, illegal)
  const busy = openOperations(payment).find((open) => open.intent.kind === "capture" || open.intent.kind === "void")
  if (busy !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: busy.intent.number })
  const awaiting = charge.progress._tag === "AwaitingCustomer" || charge.progress._tag === "AwaitingGateway"
  const total = amountsOf(payment, charge)
  const authorized = charge.progress._tag === "Succeeded" && total.authorized > total.captured
  if (awaiting || authorized) {
    if (!sameAccount(charge, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
    const target = charge
    const wish: ReadonlyArray<PaymentEvent> =
      command.purpose === "cancel" && awaiting && !payment.cancelRequested ? [{ _tag: "CancelRequested" }] : []
    return Result.map(
      start(payment, { kind: "void", purpose: command.purpose, amount: target.intent.amount, terms: command.terms, target }),
      (events) => [...wish, ...events]
    )
  }
  if (isOpen(charge) && command.purpose === "cancel") {
    // Said again it is recorded again: every command claims its key, and the claim needs a commit (rule 11).
    return Result.succeed([{ _tag: "CancelRequested" }])
  }
  return refuse(payment, command._tag, illegal)
}

const closeDeclined = (command: Case<"CloseDeclined">, payment: Payment): Decision => {
  const target = operationOf(payment, command.operation)
  if (target === undefined || !isLeftOpen(payment, target)) return refuse(payment, command._tag, illegal)
  if (!sameAccount(target, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const open = openOperations(payment)[0]
  if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
  return start(payment, { kind: "void", purpose: "close", amount: target.intent.amount, terms: command.terms, target })
}

/** Ended by a cancel that somebody wanted: not by one that only found out that nothing was charged. */
export const isCancelledOnRequest = (payment: Payment, { progress }: Operation): boolean =>
  progress._tag === "Cancelled" && operationOf(payment, progress.by)?.intent.purpose !== "recover"

/** Once per charge: what a cancel by reference does not end is for a person. */
const cancelUncertain = (command: Case<"CancelUncertain">, payment: Payment): Decision => {
  const target = operationOf(payment, command.operation)
  const uncertain = target?.progress._tag === "Intended" || target?.progress._tag === "Uncertain"
  if (target === undefined || !uncertain || target.intent.purpose !== "charge" || target.gatewayReference !== undefined) {
    return refuse(payment, command._tag, illegal)
  }
  if (!sameAccount(target, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const tried = payment.operations.some(
    ({ intent, progress }) => intent.purpose === "recover" && intent.target === command.operation && progress._tag !== "NotSent"
  )
  return tried
    ? refuse(payment, command._tag, illegal)
    : start(payment, { kind: "void", purpose: "recover", amount: target.intent.amount, terms: command.terms, target })
}

const reverseLate = (command: Case<"ReverseLate">, payment: Payment): Decision => {
  const target = operationOf(payment, command.operation)
  if (target === undefined || !payment.late.includes(command.operation)) return refuse(payment, command._tag, illegal)
  if (!sameAccount(target, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const open = excluding(payment, target, ["void", "refund"])
  if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
  const total = amountsOf(payment, target)
  const rest = total.captured - total.refunded
  if (total.captured > 0n && rest > 0n) {
    const amount = { currency: target.intent.amount.currency, minor: rest }
    return start(payment, { kind: "refund", purpose: "reverse", amount, terms: command.terms, target })
  }
  if (total.captured === 0n && total.authorized > 0n) {
    return start(payment, { kind: "void", purpose: "reverse", amount: target.intent.amount, terms: command.terms, target })
  }
  return refuse(payment, command._tag, illegal)
}

/** Rules 3 and 12: a repetition of the same request under the same key, by anyone but the writer of the intent. */
const permitResend = (command: Case<"PermitResend">, payment: Payment): Decision => {
  const operation = operationOf(payment, command.operation)
  if (operation === undefined || !isOpen(operation) || operation.progress._tag === "InReview") return refuse(payment, command._tag, illegal)
  const no = (why: string): Decision => refuse(payment, command._tag, { _tag: "ResendNotAllowed", why })
  const { replay, replayWindowMillis, settleTimeMillis } = operation.intent.protection
  if (replay === "none") return no("the gateway does not recognise a repeated request")
  const voiding = excluding(payment, operation, ["void"])
  if (voiding !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: voiding.intent.number })
  if (operation.gatewayReference !== undefined) return no("the gateway has given its id: ask by that id")
  if (command.now + command.sendWindowMillis + settleTimeMillis > operation.intendedAt + replayWindowMillis) {
    return no("the gateway's key window would be over before the request has settled")
  }
  if (isChargeKind(operation.intent.kind) && command.now >= payment.completeBefore)
    return refuse(payment, command._tag, { _tag: "TooLate" })
  return Result.succeed([
    {
      _tag: "ResendPermitted",
      operation: command.operation,
      sendWindowMillis: command.sendWindowMillis,
      reason: command.reason.slice(0, 200)
    }
  ])
}

/** Ends a payment without money. Needs the proof, and that nothing is open, also at the gateway (rule 6). */
const end = (command: Case<"EndPayment">, payment: Payment): Decision => {
  const failed = operationOf(payment, command.after.operation)
  const proof = failed === undefined ? undefined : recorded(failed)
  if (failed === undefined || proof === undefined || !isCharge(failed) || failed !== lastCharge(payment) || payment.ended !== undefined) {
    return refuse(payment, command._tag, illegal)
  }
  const open = openOperations(payment)[0]
  if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
  if (isLeftOpen(payment, failed)) return refuse(payment, command._tag, illegal)
  if (command.as === "cancelled") return Result.succeed([{ _tag: "PaymentCancelled" }])
  if (command.as === "expired") return Result.succeed([{ _tag: "PaymentExpired" }])
  return Result.succeed([{ _tag: "PaymentFailed", ...failureOf(proof.because) }])
}

const failureOf = (because: NonNullable<ReturnType<typeof recorded>>["because"]) => {
  switch (because._tag) {
    case "Declined":
      return { category: because.category, code: because.code, message: because.message }
    case "NotSent":
      return { category: null, code: `not_sent_${because.reason}`, message: because.message }
    case "Absent":
      return { category: null, code: "not_charged", message: "the gateway never carried out the request" }
  }
}
