/**
 * What an answer leads to: the settled outcome and the step that follows from it, in one commit.
 *
 * Every truth about an operation comes through here, whatever its source. It is judged against the payment as it is; after a
 * version conflict it is judged again (rule 10), so a fact is merged and a decision that no longer holds is not taken.
 *
 * **Gotchas**: whoever lost its lease hands in facts all the same, and starts nothing. What follows from the fact is durable with it, so
 * that it cannot be forgotten: an intent that is written so stays open until recovery sends it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Planned } from "../../domain/hooks/Advice.ts"
import type { Operation } from "../../domain/operation/Operation.ts"
import { type Evidence, settle } from "../../domain/operation/Settle.ts"
import type { Command, GatewayTerms } from "../../domain/payment/Command.ts"
import { decide } from "../../domain/payment/Decide.ts"
import type { NewEvent, PaymentEvent, Source } from "../../domain/payment/Event.ts"
import type { OperationNumber } from "../../domain/payment/Ids.ts"
import { type NextStep, nextStep } from "../../domain/payment/NextStep.ts"
import { answering } from "../../domain/payment/Record.ts"
import { lastCharge, operationOf, type Payment } from "../../domain/payment/State.ts"
import type * as Failover from "../../domain/routing/plan/Failover.ts"
import { type CommitResult, EventStoreError, type Fence } from "../../services/EventStore.ts"
import * as Metrics from "../../services/Metrics.ts"
import { Settings } from "../../services/Settings.ts"
import * as Advising from "../hooks/Advising.ts"
import { ActiveHooks, type Registry } from "../hooks/Registry.ts"
import type { HeldPermission } from "./GatewayCall.ts"
import * as Conflicts from "../observability/Conflicts.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import * as Journal from "./Journal.ts"
import * as OptimisticUpdate from "../resilience/OptimisticUpdate.ts"
import * as CardCaps from "../routing/CardCaps.ts"
import * as RouteSelection from "../routing/RouteSelection.ts"

/** An operation this process has just been permitted to send. */
export interface Started {
  readonly operation: OperationNumber
  readonly permission: HeldPermission
}

/** The payment after the conclusion, and the operation that was started with it, if any. */
export interface Conclusion {
  readonly payment: Payment
  readonly started: Started | undefined
}

/** A truth about an operation. `observedAt`: database time when it was asked or answered. */
export interface Truth {
  readonly operation: OperationNumber
  readonly evidence: Evidence
  readonly source: Source
  readonly observedAt: number
}

/** A later failure of a capture or refund, a dispute, something that a person has to look at, or a person's word: the decider judges it. `observedAt`: database time. */
export interface Report {
  readonly command: Extract<Command, { _tag: "OpenReview" | "ReportFailure" | "ReportDispute" | "ResolveByPerson" }>
  readonly observedAt: number
}

/**
 * How a commit is carried out when the store is in trouble. The same stamped events are passed again, so that a repetition is
 * recognised (rule 9).
 */
export type Persist = <A, R>(commit: Effect.Effect<A, EventStoreError, R>) => Effect.Effect<A, EventStoreError, R>

/** Records a truth and takes the next step. */
export const conclude = Effect.fnUntraced(function* (options: {
  readonly payment: Payment
  readonly truth: Truth | Report
  readonly persist: Persist
  readonly lease?: Fence
}) {
  const { truth } = options
  let conflicts: Conflicts.Conflicts | undefined
  const asked: Asked = { of: undefined, given: undefined }
  let payment = options.payment
  for (let conflict = 0; ; conflict++) {
    const events = yield* eventsOf(payment, truth, asked)
    if (events.length === 0) return { payment, started: undefined } satisfies Conclusion
    const stamped = yield* Journal.stamp(payment, events)
    const fenced = yield* commit(options, payment, stamped, options.lease)
    const isStale = fenced.result._tag === "LeaseLost"
    const { result, times } = isStale && isFact(events) ? yield* commit(options, payment, stamped, undefined) : fenced
    if (result._tag === "Committed") {
      if (conflicts !== undefined) yield* conflicts.written
      yield* Metrics.recorded({ before: payment, after: result.payment, events })
      yield* CardCaps.remember(result.payment, events, truth.observedAt)
      return { payment: result.payment, started: isStale ? undefined : startedBy({ result, times }, stamped) } satisfies Conclusion
    }
    if (result._tag === "LeaseLost") return { payment, started: undefined } satisfies Conclusion
    const exhausted = conflict >= maxConflicts
    conflicts ??= Conflicts.of("payment")
    yield* conflicts.met({ exhausted })
    if (exhausted) return yield* tooManyConflicts(payment)
    // The first one is judged again at once: whoever was faster is mostly done. Against several the pauses spread the writers.
    if (conflict > 0) yield* OptimisticUpdate.wait(conflict - 1)
    payment = yield* options.persist(
      Journal.load({ id: payment.id }).pipe(
        Effect.catchTag("PaymentNotFound", (error) => Effect.die(error)),
        Effect.catchTag("EventContinuityError", (error) => Effect.die(error))
      )
    )
  }
})

/** How often a truth is judged again: about ten seconds. */
const maxConflicts = 16

/** Nothing of it is recorded. Its operation stays open where it was open, so that recovery asks again; who told it by webhook tells it again. */
const tooManyConflicts = (payment: Payment) =>
  new EventStoreError({
    operation: "Conclude.conclude",
    reason: { _tag: "Unavailable", detail: `payment ${payment.id} was changed by others in each of ${maxConflicts + 1} attempts` }
  })

const commit = (options: { readonly persist: Persist }, payment: Payment, events: ReadonlyArray<NewEvent>, lease: Fence | undefined) =>
  Effect.tap(options.persist(Journal.commit(lease === undefined ? { payment, events } : { payment, events, lease })), ({ result }) =>
    Metrics.committed(result._tag)
  )

/** Facts pass every fence: charged, refunded and cancelled by name (rule 10). */
const isFact = (events: ReadonlyArray<PaymentEvent>): boolean => events.some((event) => event._tag === "OperationSucceeded")

const eventsOf = (payment: Payment, truth: Truth | Report, asked: Asked) =>
  Effect.contextWith((context: Context.Context<never>): Effect.Effect<ReadonlyArray<PaymentEvent>, never, OfSteps> => {
    const recorded = "command" in truth ? decided(payment, truth.command) : settled(payment, truth)
    if (recorded === undefined) return Effect.succeed([])
    const { policy } = Context.get(context, Settings)
    const after = Journal.fold(payment, recorded, truth.observedAt)
    if (after._tag === "New") return Effect.as(Journal.existing(after), [])
    const step = nextStep(after, { policy, now: truth.observedAt })
    if (step._tag === "Rest") return Effect.succeed(recorded)
    const registry = Context.get(context, ActiveHooks)
    const following =
      registry === undefined || registry.lists.error_handler.length === 0
        ? eventsOfStep(after, step, truth.observedAt)
        : Effect.flatMap(advised(registry, after, step, asked), (step) => eventsOfStep(after, step, truth.observedAt))
    return Effect.map(following, (events) => [...recorded, ...events])
  })

/** What the events of a step may have to be made with. */
type OfSteps = Effect.Services<ReturnType<typeof advised> | ReturnType<typeof eventsOfStep>>

/** What error handlers were asked for and said, once for each charge that did not happen: after a conflict it is only bounded again. */
interface Asked {
  of: OperationNumber | undefined
  given: Advising.Given
}

/** The step after the advice of error handlers. Only where a charge certainly did not happen is there anything to advise. */
const advised = Effect.fnUntraced(function* (registry: Registry, payment: Payment, step: Step, asked: Asked) {
  if (step._tag !== "FailOver" && step._tag !== "StepUp" && !(step._tag === "End" && step.as === "failed")) return step
  const at = operationOf(payment, step.after.operation)?.intent.gateway
  if (at === undefined) return step
  const planned: Planned =
    step._tag === "FailOver"
      ? { _tag: "fail_over", remaining: yield* RouteSelection.remaining(payment, step.tried) }
      : { _tag: step._tag === "StepUp" ? "step_up" : "fail" }
  const question: Advising.Question = { payment, after: step.after, at, planned }
  if (asked.of !== step.after.operation) {
    asked.of = step.after.operation
    asked.given = yield* Advising.ask(registry, question)
  }
  if (asked.given === undefined) return step
  const { advice, entry } = asked.given
  const bounded = yield* Advising.follow(registry, asked.given, question)
  if (bounded._tag === "fail") return { _tag: "End", after: step.after, as: "failed" } satisfies Step
  if (bounded._tag !== "go_to" || step._tag !== "FailOver") return step
  return { ...step, advised: { gateway: bounded.gateway, hook: entry.name, reason: advice.reason ?? "" } } satisfies Step
})

/** A step with what an error handler advises for it. */
type Step =
  | Exclude<NextStep, { _tag: "Rest" | "FailOver" }>
  | (Extract<NextStep, { _tag: "FailOver" }> & { readonly advised?: Failover.Advised })

/** The events of a truth as it is judged now; `undefined` for an operation that the payment does not have. */
const settled = (payment: Payment, truth: Truth): ReadonlyArray<PaymentEvent> | undefined => {
  // What was asked is about the PSP's object, so it is judged by the operation that has the object now.
  const operation = truth.evidence._tag === "Asked" ? answering(payment, truth.operation) : operationOf(payment, truth.operation)
  if (operation === undefined) return undefined
  return decided(payment, {
    _tag: "RecordSettlement",
    operation: operation.intent.number,
    settlement: settle(operation, truth.evidence),
    source: truth.source,
    observedAt: truth.observedAt
  })
}

const decided = (payment: Payment, command: Command): ReadonlyArray<PaymentEvent> => Result.getOrElse(decide(command, payment), () => [])

/**
 * The events of a step. One that cannot be started, because its gateway or account is not configured any more, goes to a person:
 * nothing of the payment is open then, so no recovery would come back to it.
 */
const eventsOfStep = Effect.fnUntraced(function* (payment: Payment, step: Step, now: number) {
  switch (step._tag) {
    case "End":
      return decided(payment, { _tag: "EndPayment", after: step.after, as: step.as })
    case "Review":
      return decided(payment, { _tag: "OpenReview", operation: step.operation, reason: "unresolvable", evidence: step.evidence })
    case "FailOver": {
      const next = yield* RouteSelection.next(payment, step, now)
      if (next === undefined) return decided(payment, { _tag: "EndPayment", after: step.after, as: "failed" })
      return decided(payment, { _tag: "FailOver", after: step.after, ...next, now, stepUp: false })
    }
    case "StepUp": {
      const again = yield* RouteSelection.stepUp(payment, step, now)
      const started = again === undefined ? [] : decided(payment, { _tag: "FailOver", after: step.after, ...again, now, stepUp: true })
      return started.length > 0 ? started : decided(payment, { _tag: "EndPayment", after: step.after, as: "failed" })
    }
    case "Close":
    case "Cancel":
    case "Reverse": {
      const terms = yield* RouteSelection.termsFor(step.gateway)
      const started = terms === undefined ? undefined : decide(commandOf(step, terms), payment)
      if (started !== undefined && Result.isSuccess(started) && started.success.length > 0) return started.success
      // What is under way comes first: its outcome leads here again.
      if (started !== undefined && Result.isFailure(started) && started.failure.reason._tag === "OperationInProgress") return []
      const operation = step._tag === "Cancel" ? lastCharge(payment)?.intent.number : step.operation
      if (operation === undefined) return []
      const evidence = `${step._tag.toLowerCase()} could not be started: the account of gateway ${step.gateway} is not configured`
      yield* PaymentLog.about(payment.id, step.gateway)(Effect.logError(evidence))
      return decided(payment, { _tag: "OpenReview", operation, reason: "unresolvable", evidence })
    }
  }
})

const commandOf = (step: Extract<NextStep, { _tag: "Close" | "Cancel" | "Reverse" }>, terms: GatewayTerms): Command => {
  switch (step._tag) {
    case "Close":
      return { _tag: "CloseDeclined", operation: step.operation, terms }
    case "Cancel":
      return { _tag: "CancelPayment", purpose: "cancel", terms }
    case "Reverse":
      return { _tag: "ReverseLate", operation: step.operation, terms }
  }
}

/** The permission that a commit granted to this process, if it did. */
export const startedBy = (
  journaled: { readonly result: Extract<CommitResult, { _tag: "Committed" }>; readonly times: Journal.CommitTimes },
  events: ReadonlyArray<NewEvent>
): Started | undefined => {
  const granting = events.findLast(({ event }) => event._tag === "OperationIntended" || event._tag === "ResendPermitted")?.event
  if (granting?._tag !== "OperationIntended" && granting?._tag !== "ResendPermitted") return undefined
  const number = granting._tag === "OperationIntended" ? granting.intent.number : granting.operation
  const sendWindowMillis = granting._tag === "OperationIntended" ? granting.intent.protection.sendWindowMillis : granting.sendWindowMillis
  const operation = operationOf(journaled.result.payment, number)
  if (operation === undefined) return undefined
  const index = operation.permissions.length - 1
  const recordedAt = (operation.permissions[index]?.sendBefore ?? 0) - sendWindowMillis
  return {
    operation: number,
    permission: {
      index,
      recordedAt,
      sendWindowMillis: Math.min(sendWindowMillis, keyHoldsFor(operation, recordedAt)),
      times: journaled.times
    }
  }
}

/**
 * How long after its permission a request may be sent for the gateway's key window to hold its late arrival (rule 12). The permission
 * was judged before it was committed; a commit that took long leaves less of it.
 */
const keyHoldsFor = (operation: Operation, recordedAt: number): number => {
  const { replayWindowMillis, settleTimeMillis } = operation.intent.protection
  return operation.permissions.length === 1
    ? Number.POSITIVE_INFINITY
    : Math.max(0, operation.intendedAt + replayWindowMillis - settleTimeMillis - recordedAt)
}
