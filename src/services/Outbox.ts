/**
 * The transactional outbox: every event leaves a row in the transaction that stores it, and relays deliver the rows.
 *
 * Relays lease payments, not rows: all undelivered rows of a payment belong to one relay at a time, so that deliveries of a
 * payment are in version order (rule 19). A payment whose delivery fails holds back only itself. One that is given up becomes a
 * dead letter: its events, and those that follow, wait until it is replayed.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { StoredEvent } from "../domain/payment/Event.ts"
import type { PaymentId, TenantId } from "../domain/payment/Ids.ts"
import type { EventStoreError } from "./EventStore.ts"

/** The undelivered events of one payment, leased, in version order (at most 100). */
export interface OutboxBatch {
  readonly payment: PaymentId
  readonly tenant: TenantId
  readonly token: bigint
  /** How often delivering this payment's first row has failed. */
  readonly attempts: number
  readonly events: ReadonlyArray<StoredEvent>
  /** Why the event that follows these cannot be read, where it cannot: it holds back its own payment. */
  readonly unreadable?: string
}

/** A payment whose delivery was given up. `undelivered`: its events that wait. `diedAt`: database time, epoch milliseconds. */
export interface DeadLetter {
  readonly payment: PaymentId
  readonly attempts: number
  readonly diedAt: number
  readonly reason: string
  readonly undelivered: number
}

/**
 * The outbox.
 *
 * - `lease`: takes up to `payments` (1 to 1,000) payments with undelivered rows that nobody holds and whose retry time has
 *   come, oldest first, for `ttlMillis`.
 * - `acknowledge`: deletes the rows up to a version and frees the payment. False when the lease had been lost: the rows stay
 *   and will be delivered again (at least once).
 * - `retryLater`: frees the payment, to be delivered again after `delayMillis`; counts an attempt unless `failed` is false (it was
 *   not tried). False when the lease had been lost.
 * - `deadLetter`: gives the payment up, for a reason of at most 1,000 characters without secrets: it is leased to nobody until it is
 *   replayed. False when the lease had been lost.
 * - `deadLetters`: the newest first, at most `limit` (1 to 1,000).
 * - `replay`: a dead letter is delivered again from its first undelivered event, with no attempts counted. False when there is none.
 * - `summary`: undelivered rows and the time of the oldest, and how many payments are dead letters. The rows that were undelivered
 *   when a payment was given up are not among the undelivered ones; rows that follow are.
 */
export class Outbox extends Context.Service<
  Outbox,
  {
    readonly lease: (options: {
      readonly owner: string
      readonly payments: number
      readonly ttlMillis: number
    }) => Effect.Effect<ReadonlyArray<OutboxBatch>, EventStoreError>
    readonly acknowledge: (options: {
      readonly payment: PaymentId
      readonly token: bigint
      readonly upToVersion: number
    }) => Effect.Effect<boolean, EventStoreError>
    readonly retryLater: (options: {
      readonly payment: PaymentId
      readonly token: bigint
      readonly delayMillis: number
      readonly failed?: boolean
    }) => Effect.Effect<boolean, EventStoreError>
    readonly deadLetter: (options: {
      readonly payment: PaymentId
      readonly token: bigint
      readonly reason: string
    }) => Effect.Effect<boolean, EventStoreError>
    readonly deadLetters: (options: { readonly limit: number }) => Effect.Effect<ReadonlyArray<DeadLetter>, EventStoreError>
    readonly replay: (payment: PaymentId) => Effect.Effect<boolean, EventStoreError>
    readonly summary: Effect.Effect<
      { readonly undelivered: number; readonly oldestRecordedAt: number | undefined; readonly dead: number },
      EventStoreError
    >
  }
>()("aegispay/services/Outbox") {}
