/**
 * Bugs at the event store: what is written, when, and what is read back.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { NewEvent } from "../../domain/payment/Event.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import { replay } from "../../domain/payment/Replay.ts"
import { evolve, type Payment, type PaymentState } from "../../domain/payment/State.ts"
import { type Commit, type CommitResult, EventStore, EventStoreError } from "../../services/EventStore.ts"
import type { Bug } from "./Bug.ts"

type Store = EventStore["Service"]

/** Another event store over the real one; one per instance. */
const storing = (name: string, breaks: string, store: (real: Store) => Partial<Store>): Bug => ({
  name,
  breaks,
  stores: (stores) => {
    const real = Context.get(stores, EventStore)
    return Context.add(stores, EventStore, EventStore.of({ ...real, ...store(real) }))
  }
})

const fold = (state: PaymentState, events: ReadonlyArray<NewEvent>, at: number): Payment =>
  events.reduce<PaymentState>((current, { event, version }) => evolve(current, { event, version, recordedAt: at }), state) as Payment

const has = (commit: Commit, tag: NewEvent["event"]["_tag"]): boolean => commit.events.some(({ event }) => event._tag === tag)

/** Says that it is durable, and it is not. */
const pretended = (commit: Commit, at: number): CommitResult => ({ _tag: "Committed", payment: fold(commit.payment, commit.events, at) })

export const noIntent = storing("no-intent", "the call precedes its intent, which is written with the outcome", (real) => {
  const held = new Map<PaymentId, Commit>()
  return {
    commit: (commit) =>
      Effect.gen(function* () {
        const first = held.get(commit.payment.id)
        const whole: Commit = first === undefined ? commit : { ...first, events: [...first.events, ...commit.events] }
        if (first === undefined && has(commit, "OperationIntended")) {
          held.set(commit.payment.id, commit)
          return pretended(commit, yield* real.now)
        }
        held.delete(commit.payment.id)
        return yield* real.commit(whole)
      })
  }
})

export const noVersionCheck = storing("no-version-check", "a stale decision is appended to whatever came first", (real) => ({
  commit: (commit) =>
    Effect.gen(function* () {
      const result = yield* real.commit(commit)
      if (result._tag !== "VersionConflict") return result
      const events = yield* Effect.option(real.read(commit.payment.id))
      const state = replay(
        commit.payment.id,
        Option.getOrElse(events, () => [])
      )
      if (Result.isFailure(state)) return result
      const renumbered = commit.events.map((event, index) => ({ ...event, version: state.success.version + index + 1 }))
      return yield* real.commit({ ...commit, payment: state.success, events: renumbered })
    })
}))

export const ownCommitAsConflict = storing(
  "own-commit-as-conflict",
  "a repeated commit that finds its own events is a conflict",
  (real) => ({
    commit: (commit) =>
      Effect.gen(function* () {
        const known = Option.getOrElse(yield* Effect.option(real.read(commit.payment.id)), () => [])
        const own = known.some(({ eventId }) => commit.events.some((event) => event.eventId === eventId))
        return own ? ({ _tag: "VersionConflict", actualVersion: known.length } satisfies CommitResult) : yield* real.commit(commit)
      })
  })
)

export const unstoredOutcome = storing(
  "acknowledged-before-durable",
  "an outcome that could not be stored is answered as if it were",
  (real) => ({
    commit: (commit) =>
      real.commit(commit).pipe(
        Effect.catchIf(
          (error) => error instanceof EventStoreError && has(commit, "OperationSucceeded"),
          () => Effect.map(real.now, (at) => pretended(commit, at))
        )
      )
  })
)

export const resendWithoutPermission = storing(
  "resend-without-permission",
  "a request is sent again without a durable permission",
  (real) => ({
    commit: (commit) => (has(commit, "ResendPermitted") ? Effect.map(real.now, (at) => pretended(commit, at)) : real.commit(commit))
  })
)

export const refundWithoutClaim = storing("refund-without-claim", "a refund does not claim its key", (real) => ({
  commit: (commit) => {
    if (commit.claim?.command !== "refund") return real.commit(commit)
    const { claim: _, ...unclaimed } = commit
    return real.commit(unclaimed)
  }
}))

export const noSettleTime = storing(
  "no-settle-time",
  "a decline or an absence counts although a request may still be on its way",
  (real) => ({
    read: (payment, options) =>
      Effect.map(real.read(payment, options), (events) =>
        events.map((stored) => {
          if (stored.event._tag !== "OperationIntended") return stored
          const { intent } = stored.event
          const protection = { ...intent.protection, sendWindowMillis: 0, settleTimeMillis: 0 }
          return { ...stored, event: { ...stored.event, intent: { ...intent, protection } } }
        })
      )
  })
)
