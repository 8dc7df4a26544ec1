/**
 * Bugs to plant, to show that the simulation finds them. Each one breaks a rule at a boundary of the engine (its stores, its gateways,
 * the host's transaction); the engine itself has no switch for any of them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Declined, Outcome } from "../domain/operation/Outcome.ts"
import type { NewEvent } from "../domain/payment/Event.ts"
import { type PaymentId, RequestKey } from "../domain/payment/Ids.ts"
import { replay } from "../domain/payment/Replay.ts"
import { evolve, type Payment, type PaymentState } from "../domain/payment/State.ts"
import { type Commit, type CommitResult, EventStore, EventStoreError } from "../services/EventStore.ts"
import type { MemoryStore } from "../layers/memory/MemoryStore.ts"
import { Outbox } from "../services/Outbox.ts"
import type { Gateway } from "../services/Gateway.ts"
import type { HostTransaction } from "../services/HostTransaction.ts"
import type { Tables } from "./world/Database.ts"

/** A broken variant of what an instance is built from. */
export interface Bug {
  readonly name: string
  /** What it breaks, in words. */
  readonly breaks: string
  readonly gateway?: (gateway: Gateway) => Gateway
  readonly stores?: (stores: Tables, memory: (typeof MemoryStore)["Service"]) => Tables
  readonly hostTransaction?: HostTransaction["Service"]
}

type Store = EventStore["Service"]

const declined = (code: string): Declined => ({ _tag: "Declined", category: "gateway_error", code, message: "planted" })

/** Another meaning for some answers of a gateway. */
const answering = (name: string, breaks: string, meaning: (outcome: Outcome) => Outcome): Bug => ({
  name,
  breaks,
  gateway: (gateway) => ({ ...gateway, send: (request) => Effect.map(gateway.send(request), meaning) })
})

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

const noIntent = storing("no-intent", "the call precedes its intent, which is written with the outcome", (real) => {
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

const noVersionCheck = storing("no-version-check", "a stale decision is appended to whatever came first", (real) => ({
  commit: (commit) =>
    Effect.gen(function* () {
      const result = yield* real.commit(commit)
      if (result._tag !== "VersionConflict") return result
      const events = yield* Effect.orDie(real.read(commit.payment.id))
      const state = replay(commit.payment.id, events)
      if (Result.isFailure(state)) return result
      const renumbered = commit.events.map((event, index) => ({ ...event, version: state.success.version + index + 1 }))
      return yield* real.commit({ ...commit, payment: state.success, events: renumbered })
    })
}))

const ownCommitAsConflict = storing("own-commit-as-conflict", "a repeated commit that finds its own events is a conflict", (real) => ({
  commit: (commit) =>
    Effect.gen(function* () {
      const known = yield* Effect.orDie(real.read(commit.payment.id))
      const own = known.some(({ eventId }) => commit.events.some((event) => event.eventId === eventId))
      return own ? ({ _tag: "VersionConflict", actualVersion: known.length } satisfies CommitResult) : yield* real.commit(commit)
    })
}))

const unstoredOutcome = storing("acknowledged-before-durable", "an outcome that could not be stored is answered as if it were", (real) => ({
  commit: (commit) =>
    real.commit(commit).pipe(
      Effect.catchIf(
        (error) => error instanceof EventStoreError && has(commit, "OperationSucceeded"),
        () => Effect.map(Effect.orDie(real.now), (at) => pretended(commit, at))
      )
    )
}))

const resendWithoutPermission = storing("resend-without-permission", "a request is sent again without a durable permission", (real) => ({
  commit: (commit) => (has(commit, "ResendPermitted") ? Effect.map(real.now, (at) => pretended(commit, at)) : real.commit(commit))
}))

const refundWithoutClaim = storing("refund-without-claim", "a refund does not claim its key", (real) => ({
  commit: (commit) => {
    if (commit.claim?.command !== "refund") return real.commit(commit)
    const { claim: _, ...unclaimed } = commit
    return real.commit(unclaimed)
  }
}))

const noSettleTime = storing("no-settle-time", "a decline or an absence counts although a request may still be on its way", (real) => ({
  read: (payment, options) =>
    Effect.map(real.read(payment, options), (events) =>
      events.map((stored) => {
        if (stored.event._tag !== "OperationIntended") return stored
        const { intent } = stored.event
        const protection = { ...intent.protection, sendWindowMillis: 0, settleTimeMillis: 0 }
        return { ...stored, event: { ...stored.event, intent: { ...intent, protection } } }
      })
    )
}))

/** The engine's own limit is longer: what this bug answers comes first. */
const impatienceMillis = 10_000

const timeoutAsDeclined: Bug = {
  name: "timeout-as-declined",
  breaks: "a request without an answer is taken for declined",
  gateway: (gateway) => ({
    ...gateway,
    send: (request) =>
      gateway
        .send(request)
        .pipe(Effect.timeoutOrElse({ duration: impatienceMillis, orElse: () => Effect.succeed<Outcome>(declined("timeout")) }))
  })
}

const hiddenRetry: Bug = {
  name: "last-attempt-decides",
  breaks: "after a lost answer the outcome is that of the next attempt alone",
  gateway: (gateway) => ({
    ...gateway,
    send: (request) =>
      Effect.flatMap(gateway.send(request), (outcome) => (outcome._tag === "Unknown" ? gateway.send(request) : Effect.succeed(outcome)))
  })
}

const newKeyOnRetry: Bug = {
  name: "new-key-on-retry",
  breaks: "a repeated request has a key of its own",
  gateway: (gateway) => {
    const sent = new Map<string, number>()
    return {
      ...gateway,
      send: (request) =>
        Effect.suspend(() => {
          const key = request.intent.requestKey
          const times = (sent.get(key) ?? 0) + 1
          sent.set(key, times)
          return times === 1
            ? gateway.send(request)
            : gateway.send({
                ...request,
                intent: { ...request.intent, requestKey: RequestKey.make(`${key}-${"r".repeat(Math.min(times, 12))}`) }
              })
        })
    }
  }
}

const absentAsFailed: Bug = {
  name: "not-found-as-failed",
  breaks: "what a look-up does not find is taken for declined",
  gateway: (gateway) => ({
    ...gateway,
    lookup: (request) =>
      Effect.map(gateway.lookup(request), (answer) =>
        answer._tag === "Absent" ? { ...declined("not_found"), category: "soft" as const } : answer
      )
  })
}

const openObjectIgnored: Bug = {
  name: "open-object-ignored",
  breaks: "an object that a decline left open is not closed before the next gateway",
  gateway: (gateway) => {
    const { operations } = gateway.capabilities
    const closed = Object.fromEntries(Object.entries(operations).map(([kind, one]) => [kind, { ...one, leavesOpenAfterDecline: false }]))
    return { ...gateway, capabilities: { ...gateway.capabilities, operations: closed as typeof operations } }
  }
}

const acknowledgedBeforeDelivery: Bug = {
  name: "acknowledged-before-delivery",
  breaks: "the relay acknowledges what it has leased before it delivers it",
  stores: (stores) => {
    const real = Context.get(stores, Outbox)
    const lease: typeof real.lease = (wanted) =>
      Effect.tap(real.lease(wanted), (batches) =>
        Effect.forEach(batches, ({ events, payment, token }) =>
          Effect.ignore(real.acknowledge({ payment, token, upToVersion: events.at(-1)?.version ?? 0 }))
        )
      )
    return Context.add(
      stores,
      Outbox,
      Outbox.of({ ...real, lease, acknowledge: () => Effect.succeed(true), retryLater: () => Effect.succeed(true) })
    )
  }
}

const outboxOutsideTransaction: Bug = {
  name: "outbox-outside-transaction",
  breaks: "the rows of the outbox are written after the commit, not with it",
  stores: (stores, { outbox }) => {
    const real = Context.get(stores, EventStore)
    const commit: Store["commit"] = (wanted) =>
      Effect.gen(function* () {
        const result = yield* real.commit(wanted)
        const row = outbox.get(wanted.payment.id)
        if (result._tag !== "Committed" || row === undefined) return result
        const isMine = ({ event }: (typeof row.rows)[number]) => wanted.events.some(({ version }) => version === event.version)
        const mine = row.rows.filter(isMine)
        const others = row.rows.filter((one) => !isMine(one))
        if (others.length === 0) outbox.delete(wanted.payment.id)
        else row.rows = others
        yield* Effect.sleep(50)
        const now = outbox.get(wanted.payment.id)
        if (now === undefined) outbox.set(wanted.payment.id, { ...row, rows: mine, lease: undefined })
        else now.rows = [...now.rows, ...mine].sort((left, right) => left.position - right.position)
        return result
      })
    return Context.add(stores, EventStore, EventStore.of({ ...real, commit }))
  }
}

const callInTransaction: Bug = {
  name: "call-in-host-transaction",
  breaks: "the call starts inside the host's transaction, which may roll back",
  hostTransaction: { isOpen: Effect.succeed(false), outside: (effect) => effect, afterCommit: (effect) => effect }
}

/** Every bug that can be planted. */
export const all: ReadonlyArray<Bug> = [
  noIntent,
  answering("failover-after-unknown", "an unknown outcome is taken for a technical refusal", (outcome) =>
    outcome._tag === "Unknown" ? declined("unknown") : outcome
  ),
  timeoutAsDeclined,
  answering("conflict-as-declined", "a 409 is taken for declined", (outcome) =>
    outcome._tag === "Unknown" && outcome.reason === "conflict" ? declined("conflict") : outcome
  ),
  hiddenRetry,
  newKeyOnRetry,
  absentAsFailed,
  noSettleTime,
  openObjectIgnored,
  noVersionCheck,
  ownCommitAsConflict,
  unstoredOutcome,
  resendWithoutPermission,
  refundWithoutClaim,
  acknowledgedBeforeDelivery,
  outboxOutsideTransaction,
  callInTransaction
]
