/**
 * The outbox on Postgres: a row per undelivered event, whose payload stays in the event log, and a row per leased payment.
 *
 * A relay takes payments by their first undelivered row, oldest first, and skips rows that another relay is taking at this
 * moment; the row of the lease then decides, because a lease that holds is not overwritten. Tokens come from a sequence, so a
 * lease that was deleted and made anew never repeats one. An acknowledgement or a retry counts only with the token of the lease.
 *
 * **Gotchas**: a statement whose answer was lost is repeated. A lease taken by the lost one is free again when its time is over;
 * an acknowledgement that had worked answers false the second time, and then nothing is left to deliver. The same holds for what
 * was given up or replayed.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, type TenantId, uuidOfPayment } from "../../domain/payment/Ids.ts"
import type { StoredEvent } from "../../domain/payment/Event.ts"
import type { EventStoreError } from "../../services/EventStore.ts"
import { Outbox, type OutboxBatch } from "../../services/Outbox.ts"
import { eventColumns, type EventRow, nowMillis, paymentIdOf, readAll, storedEventOf } from "./payment/Rows.ts"
import { repeatable } from "./SqlErrors.ts"

/** The most events of one batch. */
const maxBatchEvents = 100

/** The greatest bigint: later than any time. */
const never = "9223372036854775807::bigint"

/** The most dead letters of one page. */
const maxDeadLetters = 1_000

const leaseText = `
  with now as materialized (select ${nowMillis} as at),
  free as materialized (
    select o.bucket, o.payment, o.recorded_at from aegispay.outbox o
    where not exists (select from aegispay.outbox earlier
        where earlier.bucket = o.bucket and earlier.payment = o.payment and earlier.version < o.version)
      and not exists (select from aegispay.outbox_leases l
        where l.bucket = o.bucket and l.payment = o.payment and greatest(l.held_until, l.not_before) > (select at from now))
    order by o.recorded_at, o.payment limit $2::int
    for update of o skip locked),
  leased as (
    insert into aegispay.outbox_leases as l (bucket, payment, owner, token, held_until, not_before, attempts)
    select f.bucket, f.payment, $1::text, nextval('aegispay.outbox_tokens'), now.at + $3::bigint, 0, 0 from free f, now
    order by f.recorded_at, f.payment
    on conflict (bucket, payment) do update
      set owner = excluded.owner, token = excluded.token, held_until = excluded.held_until
      where greatest(l.held_until, l.not_before) <= (select at from now)
    returning l.bucket, l.payment, l.token, l.attempts)
  select l.token, l.attempts, p.tenant, ${eventColumns}
  from leased l join free f on f.bucket = l.bucket and f.payment = l.payment
  join aegispay.payments p on p.bucket = l.bucket and p.id = l.payment
  cross join lateral (select q.version from aegispay.outbox q where q.bucket = l.bucket and q.payment = l.payment
    order by q.version limit ${maxBatchEvents}) q
  join aegispay.events e on e.bucket = l.bucket and e.payment = l.payment and e.version = q.version
  order by f.recorded_at, l.payment, e.version`

const acknowledgeText = `
  with freed as (delete from aegispay.outbox_leases
    where bucket = $1::int and payment = $2::uuid and token = $3::bigint returning bucket, payment),
  delivered as (delete from aegispay.outbox o using freed f
    where o.bucket = f.bucket and o.payment = f.payment and o.version <= $4::int)
  select bucket from freed`

const retryText = `
  update aegispay.outbox_leases
  set token = null, held_until = 0, not_before = ${nowMillis} + $4::bigint, attempts = attempts + $5::int
  where bucket = $1::int and payment = $2::uuid and token = $3::bigint returning bucket`

// A lease without end keeps everybody away, also from the rows that follow. What is undelivered now moves out of the way of `lease`.
const deadLetterText = `
  with dead as (update aegispay.outbox_leases
    set token = null, held_until = 0, not_before = ${never}, died_at = ${nowMillis}, reason = $4::text
    where bucket = $1::int and payment = $2::uuid and token = $3::bigint returning bucket, payment),
  moved as (delete from aegispay.outbox o using dead d where o.bucket = d.bucket and o.payment = d.payment
    returning o.bucket, o.payment, o.version, o.recorded_at),
  kept as (insert into aegispay.outbox_dead select bucket, payment, version, recorded_at from moved)
  select bucket from dead`

const deadLettersText = `
  select l.bucket, l.payment, l.attempts, l.died_at, l.reason,
    (select count(*) from aegispay.outbox_dead d where d.bucket = l.bucket and d.payment = l.payment)
      + (select count(*) from aegispay.outbox o where o.bucket = l.bucket and o.payment = l.payment) as undelivered
  from aegispay.outbox_leases l where l.died_at is not null order by l.died_at desc limit $1::int`

const replayText = `
  with live as (update aegispay.outbox_leases set not_before = 0, attempts = 0, died_at = null, reason = null
    where bucket = $1::int and payment = $2::uuid and died_at is not null returning bucket, payment),
  moved as (delete from aegispay.outbox_dead d using live l where d.bucket = l.bucket and d.payment = l.payment
    returning d.bucket, d.payment, d.version, d.recorded_at),
  back as (insert into aegispay.outbox (bucket, payment, version, recorded_at) select bucket, payment, version, recorded_at from moved)
  select bucket from live`

const summaryText = `
  select count(*) as undelivered, min(recorded_at) as oldest,
    (select count(*) from aegispay.outbox_leases where died_at is not null) as dead
  from aegispay.outbox`

type LeasedRow = EventRow & { readonly token: bigint; readonly attempts: number; readonly tenant: string }

interface DeadRow {
  readonly bucket: number
  readonly payment: string
  readonly attempts: number
  readonly died_at: bigint
  readonly reason: string
  readonly undelivered: bigint
}

/** Rows come payment by payment, each in version order. */
const batchesOf = Effect.fnUntraced(function* (
  rows: ReadonlyArray<LeasedRow>
): Effect.fn.Return<ReadonlyArray<OutboxBatch>, EventStoreError> {
  const stored = yield* readAll(rows, (row) => storedEventOf("Outbox.lease", row))
  const batches: Array<OutboxBatch & { readonly events: Array<StoredEvent> }> = []
  for (const [index, event] of stored.entries()) {
    const row = rows[index]
    if (row === undefined) break
    const last = batches.at(-1)
    if (last?.payment === event.paymentId) last.events.push(event)
    else {
      const { attempts, tenant, token } = row
      batches.push({ payment: event.paymentId, tenant: tenant as TenantId, token, attempts, events: [event] })
    }
  }
  return batches
})

const make = (sql: SqlClient): Outbox["Service"] => {
  const changed = (operation: string, text: string, payment: PaymentId, values: ReadonlyArray<unknown>) =>
    Effect.map(
      repeatable(sql, operation, sql.unsafe(text, [bucketOfPayment(payment), uuidOfPayment(payment), ...values])),
      (rows) => rows.length > 0
    )
  return Outbox.of({
    lease: Effect.fn("Outbox.lease")(function* (options) {
      const payments = Math.min(1000, Math.max(1, options.payments))
      const statement = sql.unsafe<LeasedRow>(leaseText, [options.owner, payments, String(options.ttlMillis)])
      return yield* batchesOf(yield* repeatable(sql, "Outbox.lease", statement))
    }),
    acknowledge: Effect.fn("Outbox.acknowledge")(({ payment, token, upToVersion }) =>
      changed("Outbox.acknowledge", acknowledgeText, payment, [token, String(upToVersion)])
    ),
    retryLater: Effect.fn("Outbox.retryLater")(({ delayMillis, failed, payment, token }) =>
      changed("Outbox.retryLater", retryText, payment, [token, String(Math.ceil(delayMillis)), failed === false ? 0 : 1])
    ),
    deadLetter: Effect.fn("Outbox.deadLetter")(({ payment, reason, token }) =>
      changed("Outbox.deadLetter", deadLetterText, payment, [token, storable(reason)])
    ),
    deadLetters: Effect.fn("Outbox.deadLetters")(({ limit }) =>
      Effect.map(
        repeatable(sql, "Outbox.deadLetters", sql.unsafe<DeadRow>(deadLettersText, [Math.min(maxDeadLetters, Math.max(1, limit))])),
        (rows) =>
          rows.map((row) => ({
            payment: paymentIdOf(row),
            attempts: row.attempts,
            diedAt: Number(row.died_at),
            reason: row.reason,
            undelivered: Number(row.undelivered)
          }))
      )
    ),
    replay: Effect.fn("Outbox.replay")((payment) => changed("Outbox.replay", replayText, payment, [])),
    summary: repeatable(
      sql,
      "Outbox.summary",
      sql.unsafe<{ readonly undelivered: bigint; readonly oldest: bigint | null; readonly dead: bigint }>(summaryText)
    ).pipe(
      Effect.map(([row]) => ({
        undelivered: Number(row?.undelivered ?? 0n),
        oldestRecordedAt: typeof row?.oldest === "bigint" ? Number(row.oldest) : undefined,
        dead: Number(row?.dead ?? 0n)
      }))
    )
  })
}

/** A text that the database takes: no NUL, whole characters, at most 1,000 of them. */
const storable = (text: string): string => text.slice(0, 1000).toWellFormed().replaceAll("\u0000", "")

/** The outbox on the database of the `SqlClient`. Needs the schema (`Migrations`), and no right to change it. */
export const layer: Layer.Layer<Outbox, never, SqlClient> = Layer.effect(
  Outbox,
  Effect.map(SqlClient, (client) => make(client.withoutTransforms()))
)
