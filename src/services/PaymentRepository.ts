/**
 * Reads of what the event store keeps in step: the projection, the claims and the open operations; and when each of these was asked about.
 *
 * Every member reads what is committed; a commit that was acknowledged before the call is seen.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { OperationKind } from "../domain/operation/Operation.ts"
import type { GatewayName, IdempotencyKey, OperationNumber, PaymentId, TenantId } from "../domain/payment/Ids.ts"
import type { PaymentStatus } from "../domain/payment/Status.ts"
import type { OperationStatus, PaymentView } from "../domain/payment/View.ts"
import type { EventStoreError, StoredClaim } from "./EventStore.ts"

/** One open operation. Times: database time, epoch milliseconds. */
export interface OpenOperation {
  readonly payment: PaymentId
  readonly operation: OperationNumber
  readonly gateway: GatewayName
  /** The account fingerprint of the intent (rule 14). */
  readonly account: string
  readonly kind: OperationKind
  readonly status: OperationStatus
  readonly openedAt: number
  /** When the gateway last answered a question about it; `undefined`: not yet, or that is forgotten. */
  readonly askedAt?: number
}

/** A payment of which the gateway holds something that is not captured. Times: database time, epoch milliseconds. */
export interface Hold {
  readonly payment: PaymentId
  readonly gateway: GatewayName
  /** When the payment began: the hold is no older. */
  readonly createdAt: number
  /** When the gateway last said that it still holds; `undefined`: it was not asked yet. */
  readonly askedAt?: number
}

/** A page of a listing; `nextCursor` asks for the next one. */
export interface Page<A> {
  readonly data: ReadonlyArray<A>
  readonly nextCursor: string | undefined
}

/** The most rows of one page. */
export const maxPageSize = 200

/** The most payments that `count` counts, and the longest time that it looks back, in milliseconds (7 days). */
export const maxCount = 10_000
export const maxCountMillis = 7 * 24 * 3_600_000

/**
 * Reads of payments.
 *
 * - `get`: the projection of a payment. `tenant` hides other merchants' payments.
 * - `findClaim`: who owns an idempotency key.
 * - `list`: newest first; `from` is the earliest creation time (epoch milliseconds), `limit` 1 to 200. A cursor that was not
 *   made by `list` lists nothing.
 * - `openOperations`: open operations opened before a time, oldest first, after a cursor, at most `limit` (1 to 1,000).
 * - `needingReview`: payments of all merchants that a person has to look at, oldest first, after a cursor; `limit` 1 to 200. Their number in
 *   `reviewCount`.
 * - `holds`: payments of all merchants with a hold at a gateway, that began before a time and were not asked about since another, oldest
 *   first, after a cursor, at most `limit` (1 to 1,000). What is in review or in progress may be left out until that is over.
 * - `noteHold`: remembers when it was asked about, for all instances. Nothing happens where nothing is held any more.
 * - `noteAsked`: remembers when an open operation was asked about, for all instances. No event: what is lost is asked once more. Nothing
 *   happens where it is open no more.
 * - `openSummary`: how many are open, and since when the oldest is; per gateway account.
 * - `count`: how many payments a merchant, or one of its customers, created within the last `withinMillis` (at most 7 days) of the store's
 *   own time; counted no further than `limit` (1 to 10,000), so that a question costs no more than that. A payment counts whatever became of
 *   it: also one that failed, that was cancelled or that a check blocked. What is being created at the same moment is not seen.
 */
export class PaymentRepository extends Context.Service<
  PaymentRepository,
  {
    readonly get: (options: {
      readonly id: PaymentId
      readonly tenant?: TenantId
    }) => Effect.Effect<Option.Option<PaymentView>, EventStoreError>
    readonly findClaim: (options: {
      readonly tenant: TenantId
      readonly key: IdempotencyKey
    }) => Effect.Effect<Option.Option<StoredClaim>, EventStoreError>
    readonly list: (options: {
      readonly tenant: TenantId
      readonly status?: PaymentStatus
      readonly from?: number
      readonly cursor?: string
      readonly limit: number
    }) => Effect.Effect<Page<PaymentView>, EventStoreError>
    readonly needingReview: (options: {
      readonly cursor?: string
      readonly limit: number
    }) => Effect.Effect<Page<PaymentView>, EventStoreError>
    readonly reviewCount: Effect.Effect<number, EventStoreError>
    readonly openOperations: (options: {
      readonly openedBefore: number
      readonly gateway?: GatewayName
      readonly cursor?: string
      readonly limit: number
    }) => Effect.Effect<Page<OpenOperation>, EventStoreError>
    readonly holds: (options: {
      readonly gateway: GatewayName
      readonly createdBefore: number
      readonly askedBefore: number
      readonly cursor?: string
      readonly limit: number
    }) => Effect.Effect<Page<Hold>, EventStoreError>
    readonly noteHold: (options: { readonly payment: PaymentId; readonly askedAt: number }) => Effect.Effect<void, EventStoreError>
    readonly noteAsked: (options: {
      readonly payment: PaymentId
      readonly operation: OperationNumber
      readonly askedAt: number
    }) => Effect.Effect<void, EventStoreError>
    readonly openSummary: Effect.Effect<
      ReadonlyArray<{
        readonly gateway: GatewayName
        readonly account: string
        readonly count: number
        readonly oldestOpenedAt: number
      }>,
      EventStoreError
    >
    readonly count: (options: {
      readonly tenant: TenantId
      /** The id that the host gives its customer. Absent: all payments of the merchant. */
      readonly customer?: string
      readonly withinMillis: number
      readonly limit: number
    }) => Effect.Effect<number, EventStoreError>
  }
>()("aegispay/services/PaymentRepository") {}
