/**
 * The outbox on Postgres: a row per payment, the range of its undelivered versions and its lease. The payload stays in the event log.
 *
 * A relay takes the payments whose first undelivered event is oldest, and skips rows that another relay is taking at this moment.
 * Tokens come from a sequence, so none is given twice. An acknowledgement or a retry counts only with the token of the lease. A commit
 * that follows moves the end of the range, held or not; so an acknowledgement locks the row before it looks where the range ends.
 * Acknowledgements of concurrent deliveries are made in one statement (see `GroupedStatement.ts`).
 *
 * **Gotchas**: a statement whose answer was lost is repeated. A lease taken by the lost one is free again when its time is over;
 * an acknowledgement that had worked answers false the second time, and then nothing is left to deliver. The same holds for what
 * was given up or replayed.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, type TenantId, uuidOfPayment } from "../../domain/payment/Ids.ts"
import type { StoredEvent } from "../../domain/payment/Event.ts"
import type { EventStoreError } from "../../services/EventStore.ts"
import { Outbox, type OutboxBatch } from "../../services/Outbox.ts"
import { looked } from "./payment/CommitText.ts"
import * as GroupedStatement from "./payment/GroupedStatement.ts"
import { commitColumns, type CommitRow, nowMillis, paymentIdOf, rowWith, storedEventsOf } from "./payment/Rows.ts"
import { repeatable } from "./SqlErrors.ts"

/** The most events of one batch. */
const maxBatchEvents = 100

/** The most acknowledgements of one statement. */
const maxAcknowledged = 500

/** The most dead letters of one page. */
const maxDeadLetters = 1_000

const isRow = "o.bucket = $1::int and o.payment = $2::uuid"

const sameRow = "o.bucket = h.bucket and o.payment = h.payment"

const leaseText = `
  with now as materialized (select ${nowMillis} as at),
  free as materialized (
    select o.bucket, o.payment, o.recorded_at from aegispay.outbox o
    where o.died_at is null and (o.free_at is null or o.free_at <= (select at from now))
    order by o.recorded_at, o.payment limit $2::int
    for update skip locked),
  leased as (
    update aegispay.outbox o set owner = $1::text, token = nextval('aegispay.outbox_tokens'), free_at = now.at + $3::bigint
    from ${looked("(select f.*, row_number() over (order by f.recorded_at, f.payment) as n from free f) free")} h, now where ${sameRow}
    returning o.bucket, o.payment, o.token, o.attempts, o.recorded_at, o.first_version, o.last_version),
  named as materialized (
    select l.*, p.tenant from leased l join aegispay.payments p on p.bucket = l.bucket and p.id = l.payment)
  select l.token, l.attempts, l.tenant, l.first_version, ${commitColumns}
  from named l join aegispay.commits e on e.bucket = l.bucket and e.payment = l.payment
    and e.version between ${rowWith({ bucket: "l.bucket", payment: "l.payment", version: "l.first_version" })}
      and least(l.last_version, l.first_version + ${maxBatchEvents - 1})
  order by l.recorded_at, l.payment, e.version`

const acknowledgeText = `
  with asked as materialized (select * from unnest($1::int[], $2::uuid[], $3::bigint[], $4::int[]) with ordinality
    as asked(bucket, payment, token, up_to, n)),
  held as materialized (select h.n, o.bucket, o.payment, o.last_version, h.up_to
    from (select * from ${looked("asked")} a order by a.payment) h join aegispay.outbox o on ${sameRow} and o.token = h.token
    for update of o),
  delivered as (delete from aegispay.outbox o using ${looked("held")} h where ${sameRow} and h.last_version <= h.up_to),
  rest as (update aegispay.outbox o set first_version = h.up_to + 1, attempts = 0, owner = null, token = null, free_at = null,
      recorded_at = coalesce((select e.recorded_at from aegispay.commits e
        where e.bucket = o.bucket and e.payment = o.payment and e.version <= h.up_to + 1 order by e.version desc limit 1), o.recorded_at)
    from ${looked("held")} h where ${sameRow} and h.last_version > h.up_to)
  select n from held`

const retryText = `
  update aegispay.outbox o set token = null, free_at = ${nowMillis} + $4::bigint, attempts = o.attempts + $5::int
  where ${isRow} and o.token = $3::bigint returning o.bucket`

const deadLetterText = `
  update aegispay.outbox o set token = null, free_at = null, died_at = ${nowMillis}, dead_version = o.last_version, reason = $4::text
  where ${isRow} and o.token = $3::bigint returning o.bucket`

const deadLettersText = `
  select o.bucket, o.payment, o.attempts, o.died_at, o.reason, (o.last_version - o.first_version + 1)::bigint as undelivered
  from aegispay.outbox o where o.died_at is not null order by o.died_at desc limit $1::int`

const replayText = `
  update aegispay.outbox o set attempts = 0, died_at = null, dead_version = null, reason = null
  where ${isRow} and o.died_at is not null returning o.bucket`

const summaryText = `
  select coalesce(sum(o.last_version - coalesce(o.dead_version, o.first_version - 1)), 0)::bigint as undelivered,
    least(min(o.recorded_at) filter (where o.died_at is null), (
      select min(e.recorded_at) from aegispay.outbox d
      join aegispay.commits e on e.bucket = d.bucket and e.payment = d.payment
        and e.version = ${rowWith({ bucket: "d.bucket", payment: "d.payment", version: "d.dead_version + 1" })}
      where d.died_at is not null and d.last_version > d.dead_version)) as oldest,
    count(o.died_at) as dead
  from aegispay.outbox o`

interface LeasedRow extends CommitRow {
  readonly token: bigint
  readonly attempts: number
  readonly tenant: string
  readonly first_version: number
}

interface DeadRow {
  readonly bucket: number
  readonly payment: string
  readonly attempts: number
  readonly died_at: bigint
  readonly reason: string
  readonly undelivered: bigint
}

/** Rows come payment by payment, each in version order. What cannot be read ends its payment's batch, and no other. */
const batchesOf = (rows: ReadonlyArray<LeasedRow>): ReadonlyArray<OutboxBatch> => {
  const batches: Array<OutboxBatch> = []
  let events: Array<StoredEvent> = []
  let first: LeasedRow | undefined
  let payment: PaymentId | undefined
  for (const row of rows) {
    if (payment === undefined || first?.payment !== row.payment || first.bucket !== row.bucket) {
      first = row
      payment = paymentIdOf(row)
      events = []
      batches.push({ payment, tenant: row.tenant as TenantId, token: row.token, attempts: row.attempts, events })
    }
    const batch = batches.at(-1)
    if (batch === undefined || batch.unreadable !== undefined) continue
    const stored = storedEventsOf("Outbox.lease", row, payment)
    if (Result.isFailure(stored)) {
      batches[batches.length - 1] = { ...batch, unreadable: stored.failure.message }
      continue
    }
    // A batch may begin or end within a commit.
    for (const event of stored.success) {
      if (event.version >= row.first_version && event.version < row.first_version + maxBatchEvents) events.push(event)
    }
  }
  return batches
}

interface Acknowledgement {
  readonly payment: PaymentId
  readonly token: bigint
  readonly upToVersion: number
}

/** Frees payments up to a version each, those of concurrent callers together. */
const makeAcknowledge = (
  sql: SqlClient
): Effect.Effect<(one: Acknowledgement) => Effect.Effect<boolean, EventStoreError>, never, Scope.Scope> => {
  const name = "Outbox.acknowledge"
  const { int4, int8, uuid } = PgTypes.OID
  const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))

  const acknowledge = (group: ReadonlyArray<Acknowledgement>) =>
    Effect.map(
      repeatable(
        sql,
        name,
        sql.unsafe<{ readonly n: bigint }>(acknowledgeText, [
          array(
            group.map(({ payment }) => bucketOfPayment(payment)),
            int4
          ),
          array(
            group.map(({ payment }) => uuidOfPayment(payment)),
            uuid
          ),
          array(
            group.map(({ token }) => token),
            int8
          ),
          array(
            group.map(({ upToVersion }) => upToVersion),
            int4
          )
        ])
      ),
      (rows) => {
        const freed = new Set(rows.map(({ n }) => Number(n)))
        return group.map((_, index) => freed.has(index + 1))
      }
    )

  return GroupedStatement.make(sql, { operation: name, keyOf: ({ payment }) => payment, maxGroup: maxAcknowledged, run: acknowledge })
}

const make = (sql: SqlClient, acknowledge: (one: Acknowledgement) => Effect.Effect<boolean, EventStoreError>): Outbox["Service"] => {
  const changed = (operation: string, text: string, payment: PaymentId, values: ReadonlyArray<unknown>) =>
    Effect.map(
      repeatable(sql, operation, sql.unsafe(text, [bucketOfPayment(payment), uuidOfPayment(payment), ...values])),
      (rows) => rows.length > 0
    )
  return Outbox.of({
    lease: Effect.fn("Outbox.lease")(function* (options) {
      const payments = Math.min(1000, Math.max(1, options.payments))
      const statement = sql.unsafe<LeasedRow>(leaseText, [options.owner, payments, String(options.ttlMillis)])
      return batchesOf(yield* repeatable(sql, "Outbox.lease", statement))
    }),
    // Once with every payment: a span would cost more than the rest of it.
    acknowledge,
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
  Effect.gen(function* () {
    const sql = (yield* SqlClient).withoutTransforms()
    return make(sql, yield* makeAcknowledge(sql))
  })
)
