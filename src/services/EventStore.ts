/**
 * The event store: the source of truth of every payment, and the one place that writes.
 *
 * `commit` is the only write. In one transaction it appends the events, moves the payment's head row to the new version, claims
 * the idempotency key, keeps the open-operation rows, the projection and the outbox in step; all of them follow purely from
 * the events.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { NewEvent, StoredEvent } from "../domain/payment/Event.ts"
import type { IdempotencyKey, OperationNumber, PaymentId, TenantId } from "../domain/payment/Ids.ts"
import type { EventContinuityError } from "../domain/payment/Replay.ts"
import type { Payment, PaymentState } from "../domain/payment/State.ts"

/** The money commands that claim an idempotency key. */
export const CommandName = Schema.Literals(["charge", "confirm", "capture", "cancel", "refund"])
export type CommandName = typeof CommandName.Type

/** A key to be claimed: (tenant, key) belongs to this command for ever. */
export interface Claim {
  readonly tenant: TenantId
  readonly key: IdempotencyKey
  readonly command: CommandName
  /** The operation the command started; `undefined` for a cancel that is only recorded. */
  readonly operation: OperationNumber | undefined
  /** HMAC of the canonical request, hexadecimal. */
  readonly fingerprint: string
}

/** A claimed key. `claimedAt`: database time, epoch milliseconds. */
export interface StoredClaim extends Claim {
  readonly payment: PaymentId
  readonly claimedAt: number
}

/** A fencing token of a lease: the commit is refused when the lease has a newer holder or has expired. */
export interface Fence {
  readonly key: string
  readonly token: bigint
}

/** What to commit. */
export interface Commit {
  /** The state the events were decided from; its version is the expected version. */
  readonly payment: PaymentState
  /** At least one, with versions following the payment's. */
  readonly events: ReadonlyArray<NewEvent>
  readonly claim?: Claim
  /** For decisions of a lease holder. Facts are committed without: fences refuse decisions, never facts. */
  readonly lease?: Fence
}

/** How a commit ended. All but `Committed` have written nothing. */
export type CommitResult =
  /** Durable. `payment` is the state after the events, with the database's times. */
  | { readonly _tag: "Committed"; readonly payment: Payment }
  /** The idempotency key belongs to another command or another run of this one. */
  | { readonly _tag: "KeyTaken"; readonly claim: StoredClaim }
  /** Somebody else committed first: load, decide again. */
  | { readonly _tag: "VersionConflict"; readonly actualVersion: number }
  | { readonly _tag: "LeaseLost" }

/**
 * Why the store could not answer.
 *
 * - `Unavailable`: nothing was written, or only something was to be read. Retry.
 * - `OutcomeUnknown`: a commit was sent and its acknowledgement lost, and asking again failed too. It may be durable.
 * - `Corrupt`: stored data could not be read back.
 * - `TransactionFailed`: the caller's own transaction is broken; it has to roll back.
 */
export const EventStoreReason = Schema.Union([
  Schema.TaggedStruct("Unavailable", { detail: Schema.String }),
  Schema.TaggedStruct("OutcomeUnknown", { detail: Schema.String }),
  Schema.TaggedStruct("Corrupt", { detail: Schema.String }),
  Schema.TaggedStruct("TransactionFailed", { detail: Schema.String })
])

/** A failure of the store. `isRetryable` and `isAmbiguous` say what a caller may do. */
export class EventStoreError extends Schema.TaggedError<EventStoreError>()("EventStoreError", {
  operation: Schema.String,
  reason: EventStoreReason,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `${this.operation}: ${this.reason._tag}: ${this.reason.detail}`
  }
  /** Doing it again may work and cannot do harm. */
  get isRetryable(): boolean {
    return this.reason._tag === "Unavailable" || this.reason._tag === "OutcomeUnknown"
  }
  /** It may have been written. */
  get isAmbiguous(): boolean {
    return this.reason._tag === "OutcomeUnknown"
  }
}

/**
 * The event store.
 *
 * - `commit`: atomic; the payment's version is the gate (rule 8), of two commits from one version one wins. Idempotent by event
 *   id: repeating a commit whose acknowledgement was lost answers `Committed` (rule 9); the layer does so itself before it
 *   answers `OutcomeUnknown`. Inside a host's transaction it joins that transaction, and a broken connection is
 *   `TransactionFailed`. Events are durable when it answers `Committed` outside a transaction.
 * - `read`: the events of a payment in version order, from a version on (default 1); empty when there is none. Fails with
 *   `EventContinuityError` when versions are missing or doubled.
 * - `readAll`: events of all payments by global position, after a position, at most `limit` (1 to 10,000). It stops before the
 *   oldest transaction that is still open, so that no event appears later at a position already passed.
 * - `now`: database time in epoch milliseconds.
 */
export class EventStore extends Context.Service<
  EventStore,
  {
    readonly commit: (commit: Commit) => Effect.Effect<CommitResult, EventStoreError>
    readonly read: (
      payment: PaymentId,
      options?: { readonly fromVersion?: number }
    ) => Effect.Effect<ReadonlyArray<StoredEvent>, EventStoreError | EventContinuityError>
    readonly readAll: (options: {
      readonly after: bigint
      readonly limit: number
    }) => Effect.Effect<ReadonlyArray<{ readonly position: bigint; readonly event: StoredEvent }>, EventStoreError>
    readonly now: Effect.Effect<number, EventStoreError>
  }
>()("aegispay/services/EventStore") {}
