/**
 * The tables of one process: plain maps that the memory event store writes and that repository and outbox read.
 *
 * Events are kept as JSON text, so that what is read has been through the same encoding as in a database. A commit changes all
 * maps in one synchronous block; nobody sees half of it.
 *
 * Gotcha: everything that is to see the same payments must be given the same build of this layer; provide it once, below them.
 * Events and projections are kept for as long as the layer lives: this is for tests and for hosts that accept losing payments.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Event from "../../domain/payment/Event.ts"
import type { EventId, IdempotencyKey, PaymentId, TenantId } from "../../domain/payment/Ids.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import { EventStoreError, type StoredClaim } from "../../services/EventStore.ts"
import type { Hold, OpenOperation } from "../../services/PaymentRepository.ts"

/** One stored event. `data`: JSON text. Times in epoch milliseconds. */
export interface EventRow {
  readonly paymentId: PaymentId
  readonly version: number
  readonly eventId: EventId
  readonly type: string
  readonly schemaVersion: number
  readonly occurredAt: number
  readonly recordedAt: number
  readonly data: string
}

/** A payment: its head, its history, its projection. */
export interface PaymentRow {
  version: number
  readonly events: Array<EventRow>
  view: PaymentView
  /** Its place among the payments of its tenant, from 0 in the order of creation. */
  readonly ordinal: number
}

/** An undelivered event. */
export interface OutboxEntry {
  readonly position: number
  readonly event: EventRow
}

/** The undelivered events of a payment; never empty, but for a dead letter. Times in epoch milliseconds. */
export interface OutboxRow {
  rows: ReadonlyArray<OutboxEntry>
  lease: { readonly token: bigint; readonly expiresAt: number } | undefined
  attempts: number
  retryAt: number
  /** Given up: with the events that were undelivered then. Those in `rows` came later. */
  dead?: { readonly diedAt: number; readonly reason: string; readonly rows: ReadonlyArray<OutboxEntry> } | undefined
}

/** The tables. */
export class MemoryStore extends Context.Service<
  MemoryStore,
  {
    readonly payments: Map<PaymentId, PaymentRow>
    /** Payments of each tenant in the order of creation. */
    readonly tenants: Map<TenantId, Array<PaymentId>>
    /** Payments of each customer that has an id, by `customerId`, in the order of creation. */
    readonly customers: Map<string, Array<PaymentId>>
    /** By `claimId`. */
    readonly claims: Map<string, StoredClaim>
    /** Open operations of the payments that have any. */
    readonly open: Map<PaymentId, ReadonlyArray<OpenOperation>>
    /** Payments that a person has to look at. */
    readonly reviews: Set<PaymentId>
    /** Payments of which a gateway holds something that is not captured. */
    readonly holds: Map<PaymentId, Hold>
    /** Payments with undelivered events. */
    readonly outbox: Map<PaymentId, OutboxRow>
    /** All events; the position of one is its index plus one. */
    readonly log: Array<EventRow>
  }
>()("aegispay/layers/memory/MemoryStore") {}

/** Empty tables. */
export const layer: Layer.Layer<MemoryStore> = Layer.effect(
  MemoryStore,
  Effect.sync(() =>
    MemoryStore.of({
      payments: new Map(),
      tenants: new Map(),
      customers: new Map(),
      claims: new Map(),
      open: new Map(),
      reviews: new Set(),
      holds: new Map(),
      outbox: new Map(),
      log: []
    })
  )
)

/** The key of a claim; a tenant's name has no blank. */
export const claimId = (options: { readonly tenant: TenantId; readonly key: IdempotencyKey }): string => `${options.tenant} ${options.key}`

/** The key of a merchant's customer; a tenant's name has no blank. */
export const customerId = (options: { readonly tenant: TenantId; readonly customer: string }): string =>
  `${options.tenant} ${options.customer}`

/** Writes an event down. Throws where it is none: a defect of whoever made it. */
export const encodeRow = (stored: Event.StoredEvent): EventRow => ({
  paymentId: stored.paymentId,
  version: stored.version,
  eventId: stored.eventId,
  type: stored.event._tag,
  schemaVersion: Event.schemaVersion,
  occurredAt: stored.occurredAt,
  recordedAt: stored.recordedAt,
  data: JSON.stringify(Result.getOrThrow(Event.toData(stored.event)))
})

/** What rows say, read once: neither a row nor an event ever changes. */
const read = new WeakMap<EventRow, Event.StoredEvent>()

/** Reads events back; `Corrupt` where one cannot be read. */
export const decodeRows = (
  operation: string,
  rows: ReadonlyArray<EventRow>
): Result.Result<ReadonlyArray<Event.StoredEvent>, EventStoreError> => {
  const events: Array<Event.StoredEvent> = []
  for (const stored of rows) {
    const known = read.get(stored)
    if (known !== undefined) {
      events.push(known)
      continue
    }
    const { data, schemaVersion, type, ...row } = stored
    const decoded = Event.decode({ type, schemaVersion, data: JSON.parse(data) })
    if (Result.isFailure(decoded)) {
      const detail = `event ${row.eventId} of ${row.paymentId} (version ${row.version}, ${type}) cannot be read`
      return Result.fail(new EventStoreError({ operation, reason: { _tag: "Corrupt", detail }, cause: decoded.failure }))
    }
    const event = { ...row, event: decoded.success }
    read.set(stored, event)
    events.push(event)
  }
  return Result.succeed(events)
}
