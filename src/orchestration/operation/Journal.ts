/**
 * Loading a payment and recording events on it: what every program does around the event store.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { NewEvent, PaymentEvent } from "../../domain/payment/Event.ts"
import { EventId, type PaymentId, type TenantId } from "../../domain/payment/Ids.ts"
import { type EventContinuityError, replay } from "../../domain/payment/Replay.ts"
import { evolve, type Payment, type PaymentState } from "../../domain/payment/State.ts"
import { type Claim, type CommitResult, EventStore, type Fence } from "../../services/EventStore.ts"
import { Ids } from "../../services/Ids.ts"
import * as Metrics from "../../services/Metrics.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import * as Spans from "../observability/Spans.ts"
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
export const stamp = Effect.fnUntraced(function* (state: PaymentState, events: ReadonlyArray<PaymentEvent>) {
  const ids = yield* Ids
  const uuids = yield* ids.uuids(events.length)
  const occurredAt = yield* Clock.currentTimeMillis
  return events.map((event, index): NewEvent => {
    return { eventId: EventId.make(uuids[index] ?? ""), version: state.version + index + 1, occurredAt, event }
  })
})

/** The state these events would lead to, with a provisional time: for deciding on, never for showing. */
export const fold = (state: PaymentState, events: ReadonlyArray<PaymentEvent>, recordedAt: number): PaymentState =>
  events.reduce((current, event) => evolve(current, { version: current.version + 1, recordedAt, event }), state)

/** A commit with the times that a permission to send is judged by (rule 12). */
export interface Journaled {
  readonly result: CommitResult
  readonly times: CommitTimes
}

/**
 * Commits stamped events. The times are taken before the commit is issued.
 *
 * **Gotchas**: the effect may be run again after a failure. Once a run may have written, the times stay those of that run: a
 * permission whose acknowledgement was lost counts from then, not from the repetition that learned of it (rules 9 and 12).
 */
export const commit = (options: {
  readonly payment: PaymentState
  readonly events: ReadonlyArray<NewEvent>
  readonly claim?: Claim
  readonly lease?: Fence
}) => {
  let maybeWrittenSince: Pick<CommitTimes, "issuedWallMillis" | "issuedMonotonicNanos"> | undefined
  return Effect.gen(function* () {
    const store = yield* EventStore
    const issued = maybeWrittenSince ?? {
      issuedWallMillis: yield* Clock.currentTimeMillis,
      issuedMonotonicNanos: yield* Clock.monotonicTimeNanos
    }
    const committing = Effect.tapError(store.commit(options), (error) =>
      Effect.sync(() => {
        if (error.isAmbiguous) maybeWrittenSince = issued
      })
    )
    const attributes = () => ({ payment: options.payment.id, events: options.events.length })
    const result = yield* Spans.within(committing, "EventStore.commit", { attributes })
    const times: CommitTimes = {
      ...issued,
      answeredWallMillis: yield* Clock.currentTimeMillis,
      answeredMonotonicNanos: yield* Clock.monotonicTimeNanos
    }
    return { result, times } satisfies Journaled
  })
}

/** A payment with events has an initiation; anything else is a defect. */
export const existing = (state: PaymentState): Effect.Effect<Payment> =>
  state._tag === "Payment" ? Effect.succeed(state) : Effect.die(new Error(`payment ${state.id} has events but no initiation`))
