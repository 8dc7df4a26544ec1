/**
 * The event store in memory.
 *
 * A commit reads and writes the tables without giving way in between, so it is atomic and of two commits from one version one
 * wins. It decides in the same order as a database would: the payment's head first (a commit that finds its own events there
 * has been committed before), then the claim, then the lease.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { NewEvent, StoredEvent } from "../../domain/payment/Event.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import { EventContinuityError, replayFrom } from "../../domain/payment/Replay.ts"
import type { Payment } from "../../domain/payment/State.ts"
import { openOperations } from "../../domain/payment/Status.ts"
import * as View from "../../domain/payment/View.ts"
import { EventStore, type Commit, type CommitResult } from "../../services/EventStore.ts"
import type { OpenOperation } from "../../services/PaymentRepository.ts"
import { Leases } from "./Leases.ts"
import { claimId, customerId, decodeRows, encodeRow, MemoryStore, type EventRow, type PaymentRow } from "./MemoryStore.ts"

/** The most events of one `readAll`. */
const maxEventsOfAll = 10_000

const make = Effect.gen(function* () {
  const tables = yield* MemoryStore
  const leases = yield* Leases

  /** Synchronous, so that no other fiber runs between what is checked and what is written. */
  const commitAt = (wanted: Commit, now: number): CommitResult => {
    const head = tables.payments.get(wanted.payment.id)
    if ((head?.version ?? 0) !== wanted.payment.version) {
      const own = head === undefined ? undefined : ownRows(head, wanted.events)
      return own === undefined
        ? { _tag: "VersionConflict", actualVersion: head?.version ?? 0 }
        : { _tag: "Committed", payment: folded(wanted, (index) => own[index]?.recordedAt ?? now) }
    }
    const taken = wanted.claim === undefined ? undefined : tables.claims.get(claimId(wanted.claim))
    if (taken !== undefined) return { _tag: "KeyTaken", claim: taken }
    if (wanted.lease !== undefined && !leases.holds(wanted.lease, now)) return { _tag: "LeaseLost" }
    const payment = folded(wanted, () => now)
    const rows = wanted.events.map((event) => encodeRow({ ...event, paymentId: payment.id, recordedAt: now }))
    write(tables, { payment, rows, claim: wanted.claim, now })
    return { _tag: "Committed", payment }
  }

  const commit = (wanted: Commit) => Clock.clockWith((clock) => Effect.sync(() => commitAt(wanted, clock.currentTimeMillisUnsafe())))

  const read = Effect.fnUntraced(function* (payment: PaymentId, options?: { readonly fromVersion?: number }) {
    const first = Math.max(1, options?.fromVersion ?? 1)
    const rows = (tables.payments.get(payment)?.events ?? []).filter((row) => row.version >= first)
    const broken = rows.findIndex((row, index) => row.version !== first + index)
    const found = rows[broken]
    if (found !== undefined) {
      return yield* new EventContinuityError({ paymentId: payment, expectedVersion: first + broken, actualVersion: found.version })
    }
    return yield* Effect.fromResult(decodeRows("EventStore.read", rows))
  })

  const readAll = Effect.fn("EventStore.readAll")(function* (options: { readonly after: bigint; readonly limit: number }) {
    const start = Math.max(0, Number(options.after))
    const rows = tables.log.slice(start, start + Math.min(options.limit, maxEventsOfAll))
    const events: ReadonlyArray<StoredEvent> = yield* Effect.fromResult(decodeRows("EventStore.readAll", rows))
    return events.map((event, index) => ({ position: BigInt(start + index + 1), event }))
  })

  return EventStore.of({ commit, read, readAll, now: Clock.currentTimeMillis })
})

/** The event store over the process' tables, with its leases as fences. */
export const layer: Layer.Layer<EventStore, never, MemoryStore | Leases> = Layer.effect(EventStore, make)

/** The stored rows of these events, if they are all there: then this commit was made before (rule 9). */
const ownRows = (head: PaymentRow, events: ReadonlyArray<NewEvent>): ReadonlyArray<EventRow> | undefined => {
  const rows = events.flatMap((event) => head.events.filter((row) => row.version === event.version && row.eventId === event.eventId))
  return rows.length > 0 && rows.length === events.length ? rows : undefined
}

/** The state after the events. Events that do not follow the state are a defect of the caller: this throws, and the fiber dies. */
const folded = (wanted: Commit, recordedAt: (index: number) => number): Payment => {
  const recorded = wanted.events.map((event, index) => ({ ...event, recordedAt: recordedAt(index) }))
  const state = Result.getOrThrow(replayFrom(wanted.payment, recorded))
  if (state._tag === "New" || recorded.length === 0) throw new Error(`a commit on ${wanted.payment.id} has no events`)
  return state
}

interface Write {
  readonly payment: Payment
  readonly rows: ReadonlyArray<EventRow>
  readonly claim: Commit["claim"]
  readonly now: number
}

/** Everything a commit changes. Synchronous, and nothing in it can fail. */
const write = (tables: (typeof MemoryStore)["Service"], { claim, now, payment, rows }: Write): void => {
  const view = View.ofPayment(payment)
  const known = tables.payments.get(payment.id)
  if (known === undefined) {
    const siblings = tables.tenants.get(payment.details.tenant) ?? []
    tables.payments.set(payment.id, { version: payment.version, events: [...rows], view, ordinal: siblings.length })
    siblings.push(payment.id)
    tables.tenants.set(payment.details.tenant, siblings)
    noteCustomer(tables, payment)
  } else {
    known.version = payment.version
    known.events.push(...rows)
    known.view = view
  }
  if (claim !== undefined) tables.claims.set(claimId(claim), { ...claim, payment: payment.id, claimedAt: now })
  const open = openOperationsOf(payment, tables.open.get(payment.id))
  if (open.length === 0) tables.open.delete(payment.id)
  else tables.open.set(payment.id, open)
  noteListed(tables, view)
  const waiting = rows.map((event, index) => ({ position: tables.log.length + index + 1, event }))
  tables.log.push(...rows)
  const undelivered = tables.outbox.get(payment.id)
  if (undelivered === undefined) tables.outbox.set(payment.id, { rows: waiting, lease: undefined, attempts: 0, retryAt: 0 })
  else undelivered.rows = [...undelivered.rows, ...waiting]
}

const noteCustomer = (tables: (typeof MemoryStore)["Service"], { details, id }: Payment): void => {
  const customer = details.customer?.id
  if (customer === undefined) return
  const key = customerId({ tenant: details.tenant, customer })
  const siblings = tables.customers.get(key)
  if (siblings === undefined) tables.customers.set(key, [id])
  else siblings.push(id)
}

/** Keeps the payments in review, and those with a hold, in step with what is shown. */
export const noteListed = (tables: (typeof MemoryStore)["Service"], view: View.PaymentView): void => {
  const { createdAt, gateway, id, status } = view
  if (status === "needs_review") tables.reviews.add(id)
  else tables.reviews.delete(id)
  if (gateway === undefined || !View.isHeld(view)) tables.holds.delete(id)
  else if (tables.holds.get(id)?.gateway !== gateway) tables.holds.set(id, { payment: id, gateway, createdAt })
}

/** The open operations of a payment, as they are listed; each was asked about when it was before. */
export const openOperationsOf = (payment: Payment, before: ReadonlyArray<OpenOperation> = []): ReadonlyArray<OpenOperation> =>
  openOperations(payment).map((operation) => {
    const row = openOperation(payment.id, operation)
    const askedAt = before.find((one) => one.operation === row.operation)?.askedAt
    return askedAt === undefined ? row : { ...row, askedAt }
  })

const openOperation = (payment: PaymentId, operation: Payment["operations"][number]): OpenOperation => ({
  payment,
  operation: operation.intent.number,
  gateway: operation.intent.gateway,
  account: operation.intent.account,
  kind: operation.intent.kind,
  status: View.statusOfOperation(operation),
  openedAt: operation.intendedAt
})
