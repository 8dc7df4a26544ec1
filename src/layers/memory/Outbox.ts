/**
 * The outbox in memory: which payments have undelivered events, and which relay holds them.
 *
 * Tokens come from one counter for all payments, so a payment whose rows are all delivered is forgotten and its next token is
 * still greater. A lease ends by being answered or taken over; a holder that is late but whom nobody followed still counts.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type { StoredEvent } from "../../domain/payment/Event.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import { Outbox, type OutboxBatch } from "../../services/Outbox.ts"
import { decodeRows, MemoryStore, type OutboxRow } from "./MemoryStore.ts"

/** The most events of one batch. */
const maxEvents = 100
/** The most payments of one lease. */
const maxPayments = 1_000

type Service = (typeof Outbox)["Service"]
type LeaseOptions = Parameters<Service["lease"]>[0]

const make = Effect.gen(function* () {
  const { outbox, payments } = yield* MemoryStore
  let lastToken = 0n

  /** Synchronous, so that no other relay runs between the choice and the lease. */
  const leaseAt = (options: LeaseOptions, now: number): ReadonlyArray<OutboxBatch> => {
    const due = [...outbox]
      .filter(([, row]) => row.dead === undefined && row.retryAt <= now && (row.lease === undefined || row.lease.expiresAt <= now))
      .sort(([, left], [, right]) => firstPosition(left) - firstPosition(right))
      .slice(0, Math.min(options.payments, maxPayments))
    const read: Array<readonly [OutboxRow, Omit<OutboxBatch, "token" | "attempts">]> = []
    for (const [payment, row] of due) {
      const tenant = payments.get(payment)?.view.tenant
      if (tenant !== undefined) read.push([row, { payment, tenant, ...readable(row.rows.slice(0, maxEvents)) }])
    }
    return read.map(([row, batch]) => {
      lastToken += 1n
      row.lease = { token: lastToken, expiresAt: now + options.ttlMillis }
      return { ...batch, token: lastToken, attempts: row.attempts }
    })
  }

  const lease = Effect.fn("Outbox.lease")((options: LeaseOptions) =>
    Clock.clockWith((clock) => Effect.sync(() => leaseAt(options, clock.currentTimeMillisUnsafe())))
  )

  /** The row that this token holds. */
  const held = (options: { readonly payment: PaymentId; readonly token: bigint }): OutboxRow | undefined => {
    const row = outbox.get(options.payment)
    return row?.lease?.token === options.token ? row : undefined
  }

  const acknowledge: Service["acknowledge"] = (options) =>
    Effect.sync(() => {
      const row = held(options)
      if (row === undefined) return false
      const rest = row.rows.filter(({ event }) => event.version > options.upToVersion)
      if (rest.length === 0) outbox.delete(options.payment)
      row.attempts = rest.length === row.rows.length ? row.attempts : 0
      row.rows = rest
      row.lease = undefined
      return true
    })

  const retryLater = Effect.fnUntraced(function* (options: Parameters<Service["retryLater"]>[0]) {
    const now = yield* Clock.currentTimeMillis
    const row = held(options)
    if (row === undefined) return false
    if (options.failed !== false) row.attempts += 1
    row.retryAt = now + options.delayMillis
    row.lease = undefined
    return true
  })

  const deadLetter = Effect.fnUntraced(function* (options: Parameters<Service["deadLetter"]>[0]) {
    const now = yield* Clock.currentTimeMillis
    const row = held(options)
    if (row === undefined) return false
    row.dead = { diedAt: now, reason: options.reason.slice(0, 1000), rows: row.rows }
    row.rows = []
    row.lease = undefined
    return true
  })

  const deadLetters: Service["deadLetters"] = ({ limit }) =>
    Effect.sync(() =>
      [...outbox]
        .flatMap(([payment, { attempts, dead, rows }]) =>
          dead === undefined
            ? []
            : [{ payment, attempts, diedAt: dead.diedAt, reason: dead.reason, undelivered: dead.rows.length + rows.length }]
        )
        .sort((left, right) => right.diedAt - left.diedAt)
        .slice(0, Math.min(maxPayments, Math.max(1, limit)))
    )

  const replay: Service["replay"] = (payment) =>
    Effect.sync(() => {
      const row = outbox.get(payment)
      if (row?.dead === undefined) return false
      row.rows = [...row.dead.rows, ...row.rows]
      row.dead = undefined
      row.attempts = 0
      row.retryAt = 0
      return true
    })

  const summary = Effect.sync(() => {
    let undelivered = 0
    let dead = 0
    let oldestRecordedAt: number | undefined
    for (const { dead: died, rows } of outbox.values()) {
      if (died !== undefined) dead += 1
      undelivered += rows.length
      const recordedAt = rows[0]?.event.recordedAt
      if (recordedAt !== undefined) oldestRecordedAt = Math.min(oldestRecordedAt ?? recordedAt, recordedAt)
    }
    return { undelivered, oldestRecordedAt, dead }
  })

  return Outbox.of({ lease, acknowledge, retryLater, deadLetter, deadLetters, replay, summary })
})

/** The events up to the first that cannot be read. */
const readable = (rows: OutboxRow["rows"]): Pick<OutboxBatch, "events" | "unreadable"> => {
  const events: Array<StoredEvent> = []
  for (const { event } of rows) {
    const read = decodeRows("Outbox.lease", [event])
    if (Result.isFailure(read)) return { events, unreadable: read.failure.message }
    events.push(...read.success)
  }
  return { events }
}

const firstPosition = (row: OutboxRow): number => row.rows[0]?.position ?? 0

/** The outbox over the process' tables. */
export const layer: Layer.Layer<Outbox, never, MemoryStore> = Layer.effect(Outbox, make)
