/**
 * Loading a payment and recording events on it: what every program does around the event store.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { NewEvent, PaymentEvent } from "../../domain/payment/Event.ts"
import { EventId, type PaymentId, type TenantId } from "../../domain/payment/Ids.ts"
import { decide } from "../../domain/payment/Decide.ts"
import { type EventContinuityError, replay } from "../../domain/payment/Replay.ts"
import { evolve, type Payment, type PaymentState } from "../../domain/payment/State.ts"
import { type Claim, type CommitResult, EventStore, type EventStoreError, type Fence } from "../../services/EventStore.ts"
import { Ids } from "../../services/Ids.ts"
import * as Metrics from "../../services/Metrics.ts"
import * as Listening from "../hooks/Listening.ts"
import { ActiveHooks } from "../hooks/Registry.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import * as Spans from "../observability/Spans.ts"
import * as OptimisticUpdate from "../resilience/OptimisticUpdate.ts"
import { PaymentNotFound } from "../payment/Errors.ts"

/** When a commit was issued and when it was answered, by both local clocks. */
export interface CommitTimes {
  readonly issuedWallMillis: number
  readonly issuedMonotonicNanos: bigint
  readonly answeredWallMillis: number
  readonly answeredMonotonicNanos: bigint
}

/** Folds the history of a payment. Fails with `PaymentNotFound` where there is none, or where it is another tenant's. */
export const load = Effect.fnUntraced(function* (options: { readonly id: PaymentId; readonly tenant?: TenantId }) {
  const store = yield* EventStore
  const state = yield* store.read(options.id).pipe(
    Effect.flatMap((events) => Effect.fromResult(replay(options.id, events))),
    Effect.tapErrorTag("EventContinuityError", halted)
  )
  if (state._tag === "New" || (options.tenant !== undefined && state.details.tenant !== options.tenant)) {
    return yield* new PaymentNotFound({ id: options.id })
  }
  return state
})

/** Alerts: an event is missing or doubled, so nobody may decide anything about the payment until a person has looked. */
export const halted = (gap: EventContinuityError): Effect.Effect<void> =>
  Effect.andThen(Metrics.eventGap, PaymentLog.about(gap.paymentId)(Effect.logError(`the payment is halted: ${gap.message}`)))

/** Gives events their ids, versions and times. */
export const stamp = (state: PaymentState, events: ReadonlyArray<PaymentEvent>): Effect.Effect<ReadonlyArray<NewEvent>, never, Ids> =>
  Effect.contextWith((context: Context.Context<Ids>) =>
    Effect.map(Context.get(context, Ids).uuids(events.length), (uuids) => {
      const occurredAt = Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
      return events.map((event, index): NewEvent => {
        return { eventId: EventId.make(uuids[index] ?? ""), version: state.version + index + 1, occurredAt, event }
      })
    })
  )

/** The state these events would lead to, with a provisional time: for deciding on, never for showing. */
export const fold = (state: PaymentState, events: ReadonlyArray<PaymentEvent>, recordedAt: number): PaymentState =>
  events.reduce((current, event) => evolve(current, { version: current.version + 1, recordedAt, event }), state)

/** A commit with the times that a permission to send is judged by (rule 12). */
export interface Journaled {
  readonly result: CommitResult
  readonly times: CommitTimes
}

/**
 * Commits stamped events. The times are taken before the commit is issued. Hooks that listen are told of it once it is durable; `quiet`: they
 * are not, because it is not durable yet, and the caller tells them when it is (`publish`).
 *
 * **Gotchas**: the effect may be run again after a failure. Once a run may have written, the times stay those of that run: a
 * permission whose acknowledgement was lost counts from then, not from the repetition that learned of it (rules 9 and 12).
 */
export const commit = (options: {
  readonly payment: PaymentState
  readonly events: ReadonlyArray<NewEvent>
  readonly claim?: Claim
  readonly lease?: Fence
  readonly quiet?: boolean
}): Effect.Effect<Journaled, EventStoreError, EventStore | Ids> => {
  let maybeWrittenSince: Pick<CommitTimes, "issuedWallMillis" | "issuedMonotonicNanos"> | undefined
  return Effect.contextWith((context: Context.Context<EventStore | Ids>) => {
    const clock = Context.get(context, Clock.Clock)
    const issued = maybeWrittenSince ?? {
      issuedWallMillis: clock.currentTimeMillisUnsafe(),
      issuedMonotonicNanos: clock.monotonicTimeNanosUnsafe()
    }
    const committing = Spans.inContext(context, Context.get(context, EventStore).commit(options), {
      name: "EventStore.commit",
      attributes: () => ({ payment: options.payment.id, events: options.events.length })
    })
    return Effect.matchEffect(committing, {
      onFailure: (error) => {
        if (error.isAmbiguous) maybeWrittenSince = issued
        return Effect.fail(error)
      },
      onSuccess: (result) => {
        const times: CommitTimes = {
          issuedWallMillis: issued.issuedWallMillis,
          issuedMonotonicNanos: issued.issuedMonotonicNanos,
          answeredWallMillis: clock.currentTimeMillisUnsafe(),
          answeredMonotonicNanos: clock.monotonicTimeNanosUnsafe()
        }
        const answer = Effect.succeed<Journaled>({ result, times })
        if (result._tag !== "Committed" || options.quiet === true || !Listening.hasListeners(Context.get(context, ActiveHooks)))
          return answer
        return Effect.andThen(publish({ before: options.payment, after: result.payment, events: options.events }), answer)
      }
    })
  })
}

/** Tells hooks that listen what is durable. Waits for none of them, and whatever goes wrong there is no matter of who committed. */
export const publish = (change: Listening.Change): Effect.Effect<void, never, EventStore | Ids> =>
  Effect.contextWith((context: Context.Context<EventStore | Ids>) => {
    const registry = Context.get(context, ActiveHooks)
    if (!Listening.hasListeners(registry)) return Effect.void
    return Effect.catchCause(Listening.publish(registry, change, recordFinding), (cause) =>
      Effect.logError("hooks could not be told of events", cause)
    )
  })

/** Records what a post-validation found. What cannot be recorded is in the log: nothing but the record depends on it. */
const recordFinding: Listening.RecordFinding<EventStore | Ids> = (payment, finding) =>
  Effect.gen(function* () {
    for (let attempt = 0; attempt <= OptimisticUpdate.onConflict.retries; attempt++) {
      if (attempt > 0) yield* OptimisticUpdate.wait(attempt - 1)
      const current = yield* load({ id: payment.id })
      const events = Result.getOrElse(decide({ _tag: "RecordFinding", ...finding }, current), () => [])
      if (events.length === 0) return
      const { result } = yield* commit({ payment: current, events: yield* stamp(current, events) })
      yield* Metrics.committed(result._tag)
      if (result._tag === "Committed") return
    }
    yield* Effect.logError("others changed the payment in every attempt")
  }).pipe(
    Effect.catchCause((cause) => Effect.logError("a finding could not be recorded", cause)),
    PaymentLog.about(payment.id),
    Effect.annotateLogs({ hook: finding.by, code: finding.code })
  )

/** A payment with events has an initiation; anything else is a defect. */
export const existing = (state: PaymentState): Effect.Effect<Payment> =>
  state._tag === "Payment" ? Effect.succeed(state) : Effect.die(new Error(`payment ${state.id} has events but no initiation`))
