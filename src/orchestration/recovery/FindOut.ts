/**
 * What became of one open operation: it is found out, recorded, and the payment goes on from there.
 *
 * Every question is asked by the PSP's id once any answer gave it, by our reference otherwise; a request is sent again only under a
 * committed permission (rule 12) and only where the gateway recognises the repetition. What nobody can find out goes to a person, what
 * cannot be found out now stays open: a timer never decides (rule 4).
 *
 * **Gotchas**: the first repetition goes out at once, each later one only when everything sent before has settled. A decline
 * answered to it then ends the operation (rule 13); repeated without a pause, every question would move the moment of certainty.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { isCharge, isOpen, tookEffect, type Operation, settledAfter } from "../../domain/operation/Operation.ts"
import { settle, type Settlement } from "../../domain/operation/Settle.ts"
import { decide } from "../../domain/payment/Decide.ts"
import type { PaymentEvent } from "../../domain/payment/Event.ts"
import type { EventContinuityError } from "../../domain/payment/Replay.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import { amountsOf } from "../../domain/payment/Status.ts"
import { statusOfOperation, type OperationStatus } from "../../domain/payment/View.ts"
import * as Presets from "../../domain/Presets.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import type { EventStore, EventStoreError, Fence } from "../../services/EventStore.ts"
import { type Gateway, Gateways, type LookupAnswer } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { type OpenOperation, PaymentRepository } from "../../services/PaymentRepository.ts"
import { Settings } from "../../services/Settings.ts"
import { startedBy } from "../operation/Conclude.ts"
import { drive } from "../operation/Drive.ts"
import * as Journal from "../operation/Journal.ts"
import type { PaymentNotFound } from "../payment/Errors.ts"
import { termsOf } from "../routing/RouteSelection.ts"
import { ask, type Asked, canBeAsked, handIn, objectOf, once } from "./Truths.ts"

/** What became of it. `not_configured`: its account is not configured here. */
export type Found = OperationStatus | "not_configured" | "error"

/** Finds out about an operation, as the holder of the payment's lease. */
export const finish = Effect.fnUntraced(function* (open: OpenOperation, lease: Fence) {
  const found = yield* examine(open)
  if (found._tag === "Nothing") return found.result
  const after = operationOf(yield* isInReview(found.operation) ? lookAgain(found, lease) : findOut(found, lease), open.operation)
  return resultOf(after)
})

const isInReview = ({ progress }: Operation): boolean => progress._tag === "InReview"

/**
 * Asks about an operation that waits for a person: its webhook may be lost, and the customer may pay an object that could not be closed.
 * Only what the gateway names counts, also that it waits for the customer; that it knows of nothing now is no news, and nothing is sent again. It keeps to the schedule whatever
 * is answered: a gateway that can tell nothing may be asked for as long as nobody looks.
 */
const lookAgain = Effect.fnUntraced(function* ({ gateway, operation, payment }: Examined, lease: Fence) {
  const asked = yield* ask(gateway, payment, operation)
  yield* asItWasAsked(payment, operation, asked)
  return asked.answer._tag === "Absent" || asked.answer._tag === "Unknown" ? payment : yield* record(payment, operation, asked, lease)
})

const isNamed = ({ _tag }: LookupAnswer): boolean => _tag === "Succeeded" || _tag === "Declined"

/**
 * Asks about an operation that its writer may still be sending, and records what the gateway has done by name. Sends nothing and ends
 * nothing: only a positive answer counts now.
 */
export const glance = Effect.fnUntraced(function* (open: OpenOperation, lease: Fence) {
  const found = yield* examine(open)
  if (found._tag === "Nothing") return found.result
  const { gateway, operation, payment } = found
  const asked = yield* ask(gateway, payment, operation)
  const isPositive = asked.answer._tag === "Succeeded" || asked.answer._tag === "Pending" || asked.answer._tag === "RequiresAction"
  const after = isPositive ? yield* record(payment, operation, asked, lease) : payment
  return resultOf(operationOf(after, open.operation))
})

/** What the gateway says of an operation now, as far as that is certain. Records nothing. */
export const preview = Effect.fnUntraced(function* (
  open: OpenOperation
): Effect.fn.Return<Found, EventStoreError | EventContinuityError | PaymentNotFound, EventStore | Gateways> {
  const found = yield* examine(open)
  if (found._tag === "Nothing") return found.result
  const { gateway, operation, payment } = found
  const { answer, askedAt } = yield* ask(gateway, payment, operation)
  const settlement = settle(operation, { _tag: "Asked", askedAt, answer })
  if (isInReview(operation) && !isNamed(answer) && !closesReview(payment, operation, settlement, askedAt)) return "needs_review"
  switch (settlement._tag) {
    case "Charged":
      return "succeeded"
    case "NotCharged":
      return settlement.because._tag === "Declined" ? "declined" : "not_charged"
    case "StillOpen":
      return openStatus[settlement.outcome._tag]
  }
})

/** It would go on: what the gateway waits for is what nobody could find out. */
const closesReview = (payment: Payment, { intent }: Operation, settlement: Settlement, observedAt: number): boolean =>
  Result.getOrElse(
    decide({ _tag: "RecordSettlement", operation: intent.number, settlement, source: "recovery", observedAt }, payment),
    () => []
  ).some(({ _tag }) => _tag === "ReviewClosed")

const openStatus = { Pending: "pending", RequiresAction: "requires_action", Unknown: "unknown" } as const

const resultOf = (operation: Operation | undefined): Found => (operation === undefined ? "error" : statusOfOperation(operation))

/** An open operation and the gateway account it went to. */
interface Examined {
  readonly _tag: "Examined"
  readonly payment: Payment
  readonly operation: Operation
  readonly gateway: Gateway
}

/** What there is to find out, or why nothing can be done about it here. */
const examine = Effect.fnUntraced(function* (
  open: OpenOperation
): Effect.fn.Return<Examined | Nothing, EventStoreError | EventContinuityError | PaymentNotFound, EventStore | Gateways> {
  const gateways = yield* Gateways
  const payment = yield* Journal.load({ id: open.payment })
  const operation = operationOf(payment, open.operation)
  if (operation === undefined) return nothing("error")
  if (!isOpen(operation)) return nothing(statusOfOperation(operation))
  const gateway = yield* Effect.option(gateways.get(operation.intent.gateway))
  if (Option.isNone(gateway) || gateway.value.account !== operation.intent.account) return nothing("not_configured")
  return { _tag: "Examined", payment, operation, gateway: gateway.value }
})

interface Nothing {
  readonly _tag: "Nothing"
  readonly result: Found
}

const nothing = (result: Found): Nothing => ({ _tag: "Nothing", result })

/** Asks, and records the answer; where there is none, sends again, cancels, or leaves it to a person, as far as the rules allow. */
const findOut = Effect.fnUntraced(function* ({ gateway, operation, payment: loaded }: Examined, lease: Fence) {
  const asked = yield* ask(gateway, loaded, operation)
  yield* note(loaded, operation, asked)
  yield* CrashPoint.reach("recovery/after-question")
  const payment = asked.answer._tag === "Succeeded" ? loaded : yield* learnTarget(gateway, loaded, operation, lease)
  const moot = payment !== loaded || isMoot(payment, operation)
  const blind = !canBeAsked(gateway, operation)
  const permitted = moot || (!blind && isUnwanted(payment, operation)) ? undefined : yield* permission(payment, operation, asked.askedAt)
  const settled = asked.askedAt > settledAfter(operation)
  if (permitted !== undefined && (blind || asked.answer._tag === "Absent") && (operation.permissions.length === 1 || settled)) {
    return yield* start(payment, permitted, lease)
  }
  const answer: LookupAnswer = blind && isMoot(payment, operation) ? { _tag: "Absent" } : asked.answer
  const after = yield* record(payment, operation, { ...asked, answer }, lease)
  const hopeless = blind && !moot && permitted === undefined && settled
  return hopeless ? yield* lastResort(gateway, after, operation, lease) : after
})

/** Remembers an answer about what waits, which is asked about by a schedule. A question without an answer is asked again by the next run. */
const note = (payment: Payment, operation: Operation, asked: Asked) =>
  asked.answer._tag !== "Unknown" && waiting.has(operation.progress._tag) ? asItWasAsked(payment, operation, asked) : Effect.void

const asItWasAsked = (payment: Payment, { intent }: Operation, { askedAt }: Asked) =>
  PaymentRepository.use((repository) => repository.noteAsked({ payment: payment.id, operation: intent.number, askedAt }))

const waiting: ReadonlySet<Operation["progress"]["_tag"]> = new Set(["AwaitingGateway", "AwaitingCustomer"])

/**
 * What a void was to end may have succeeded first, and then that wins: the gateway refuses the void for ever, and only the look-up
 * of the target tells why. Of a confirm the object is asked for that it continued: what its own reference tells never changes, but the
 * customer may pay an object that was left open after it. Answers the same payment where nothing new was learned.
 */
const learnTarget = Effect.fnUntraced(function* (gateway: Gateway, payment: Payment, operation: Operation, lease: Fence) {
  const { kind, target: number } = operation.intent
  const target = number === undefined ? undefined : operationOf(payment, number)
  if (kind !== "void" || target === undefined || tookEffect(target)) return payment
  const object = objectOf(payment, target)
  if (!canBeAsked(gateway, object)) return payment
  const asked = yield* ask(gateway, payment, object)
  if (asked.answer._tag !== "Succeeded") return payment
  const learned = yield* record(payment, object, asked, lease)
  yield* CrashPoint.reach("recovery/after-target")
  return learned
})

/**
 * A void of what is captured in full cannot take effect any more: it is not sent again, and ends when its absence is certain. Where
 * the gateway cannot be asked about the void, the capture says it: had the void come first, there would be none.
 */
const isMoot = (payment: Payment, { intent }: Operation): boolean => {
  const target = intent.target === undefined ? undefined : operationOf(payment, intent.target)
  if (intent.kind !== "void" || target === undefined || !tookEffect(target)) return false
  const { authorized, captured } = amountsOf(payment, target)
  return captured > 0n && captured >= authorized
}

/** A charge that the host has cancelled meanwhile is not made by being sent again; its absence is waited for. */
const isUnwanted = (payment: Payment, operation: Operation): boolean => payment.cancelRequested && isCharge(operation)

/**
 * The permission to send the same request again, while the rules allow it. Where they do not, `settle` judges the absence.
 */
const permission = Effect.fnUntraced(function* (payment: Payment, operation: Operation, now: number) {
  const settings = yield* Settings
  if (operation.permissions.length > Presets.recovery.maxResends.value) return undefined
  const permitted = decide(
    {
      _tag: "PermitResend",
      operation: operation.intent.number,
      now,
      sendWindowMillis: settings.sendWindowMillis,
      reason: "recovery: no answer of the gateway about the request"
    },
    payment
  )
  return Result.getOrUndefined(permitted)
})

/** Commits a permission or an intent, and sends under it. */
const start = Effect.fnUntraced(function* (payment: Payment, events: ReadonlyArray<PaymentEvent>, lease: Fence) {
  const stamped = yield* Journal.stamp(payment, events)
  const { result, times } = yield* Journal.commit({ payment, events: stamped, lease })
  yield* Metrics.committed(result._tag)
  if (result._tag !== "Committed") return payment
  const started = startedBy({ result, times }, stamped)
  if (started === undefined) return result.payment
  yield* CrashPoint.reach("recovery/after-permission")
  return yield* drive({ payment: result.payment, started, source: "recovery", persist: once, lease })
})

/** Cancelled by our reference where the gateway can do that, otherwise left to a person. */
const lastResort = Effect.fnUntraced(function* (gateway: Gateway, payment: Payment, operation: Operation, lease: Fence) {
  const { sendWindowMillis } = yield* Settings
  const cancel =
    gateway.capabilities.operations[operation.intent.kind].cancelByReference === "none"
      ? undefined
      : Result.getOrUndefined(
          decide({ _tag: "CancelUncertain", operation: operation.intent.number, terms: termsOf(gateway, sendWindowMillis) }, payment)
        )
  return yield* cancel === undefined ? review(payment, operation, lease) : start(payment, cancel, lease)
})

/** A person has to look: the gateway can neither be asked nor recognises the request any more, and everything sent has settled. */
const review = Effect.fnUntraced(function* (payment: Payment, operation: Operation, lease: Fence) {
  const current = operationOf(payment, operation.intent.number)
  if (current === undefined || !isOpen(current) || current.gatewayReference !== undefined) return payment
  const evidence = `no answer, and gateway ${operation.intent.gateway} can neither be asked nor sent the request again`
  yield* CrashPoint.reach("recovery/before-review")
  const events = yield* Effect.fromResult(
    decide({ _tag: "OpenReview", operation: operation.intent.number, reason: "unresolvable", evidence }, payment)
  )
  if (events.length === 0) return payment
  const stamped = yield* Journal.stamp(payment, events)
  const { result } = yield* Journal.commit({ payment, events: stamped, lease })
  yield* Metrics.committed(result._tag)
  return result._tag === "Committed" ? result.payment : payment
})

const record = (payment: Payment, operation: Operation, { answer, askedAt }: Asked, lease: Fence) =>
  handIn({
    payment,
    truth: { operation: operation.intent.number, evidence: { _tag: "Asked", askedAt, answer }, source: "recovery", observedAt: askedAt },
    source: "recovery",
    lease
  })
