/**
 * Rows of the database as the domain's values.
 *
 * int4 arrives as number, int8 as bigint, text and uuid as string. What does not decode is `Corrupt`: stored data is never
 * guessed at.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { hash } from "node:crypto"
import * as Event from "../../../domain/payment/Event.ts"
import {
  EventId,
  type IdempotencyKey,
  makePaymentId,
  type OperationNumber,
  type PaymentId,
  type TenantId
} from "../../../domain/payment/Ids.ts"
import { replay } from "../../../domain/payment/Replay.ts"
import { ofPayment, PaymentView } from "../../../domain/payment/View.ts"
import type { CommandName, EventStoreError, StoredClaim } from "../../../services/EventStore.ts"
import { corrupt } from "../SqlErrors.ts"

/** The server's time in epoch milliseconds, as `bigint`: an expression. */
export const nowMillis = "floor(extract(epoch from clock_timestamp()) * 1000)::bigint"

/** A row of `commits`: the events of one. `version` is that of the first. */
export interface CommitRow {
  readonly bucket: number
  readonly payment: string
  readonly version: number
  readonly event_ids: ReadonlyArray<string>
  readonly schema_version: number
  readonly recorded_at: bigint
  readonly data: string
}

/** The columns of a `CommitRow`, of a table or alias `e`. */
export const commitColumns = "e.bucket, e.payment, e.version, e.event_ids, e.schema_version, e.recorded_at, e.data"

/**
 * The version of the row that has an event, of a payment's rows: an expression. Rows from it on are those of all events from this one on.
 * It reads one entry of an index.
 */
export const rowWith = (event: { readonly bucket: string; readonly payment: string; readonly version: string }): string =>
  `(select max(b.version) from aegispay.commits b
    where b.bucket = ${event.bucket} and b.payment = ${event.payment} and b.version <= ${event.version})`

/** Reads JSON that this layer wrote. */
export const parseJson = (operation: string, text: string): Result.Result<unknown, EventStoreError> =>
  Result.try({ try: (): unknown => JSON.parse(text), catch: (cause) => corrupt(operation, "stored JSON is not readable", cause) })

/** The payment id of a bucket and a UUID. */
export const paymentIdOf = (row: { readonly bucket: number; readonly payment: string }): PaymentId =>
  makePaymentId({ bucket: row.bucket, uuid: row.payment })

/** Type, time at which it occurred and what it says: an event in the list of its commit. */
type EventData = readonly [type: string, occurredAt: number, data: unknown]

const isEventData = (value: unknown): value is EventData =>
  Array.isArray(value) && value.length === 3 && typeof value[0] === "string" && typeof value[1] === "number"

/** Reads the events of a commit, of any schema version. `paymentId`: that of the row, where it is known already. */
export const storedEventsOf = (
  operation: string,
  row: CommitRow,
  paymentId: PaymentId = paymentIdOf(row)
): Result.Result<ReadonlyArray<Event.StoredEvent>, EventStoreError> => {
  const parsed = parseJson(operation, row.data)
  if (Result.isFailure(parsed)) return Result.fail(parsed.failure)
  const { success: list } = parsed
  if (!Array.isArray(list) || list.length !== row.event_ids.length) {
    return Result.fail(corrupt(operation, `the events from ${row.version} on of ${paymentId} are not as many as their ids`))
  }
  const recordedAt = Number(row.recorded_at)
  const events: Array<Event.StoredEvent> = []
  for (const [index, eventId] of row.event_ids.entries()) {
    const version = row.version + index
    const stored: unknown = list[index]
    if (!isEventData(stored)) return Result.fail(corrupt(operation, `event ${version} of ${paymentId} is not readable`))
    const [type, occurredAt, data] = stored
    const event = Event.decode({ type, schemaVersion: row.schema_version, data })
    if (Result.isFailure(event)) return Result.fail(corrupt(operation, `event ${version} of ${paymentId} is not readable`, event.failure))
    events.push({ eventId: EventId.make(eventId), version, occurredAt, event: event.success, paymentId, recordedAt })
  }
  return Result.succeed(events)
}

/** A row of `payments`, without what nobody is shown. */
export interface PaymentRow {
  readonly bucket: number
  readonly payment: string
  readonly tenant: string
  readonly version: number
  readonly status: string
  readonly view: string | null
  readonly created_at: bigint
  readonly updated_at: bigint
  /** The first commit of a payment without a view, which has no other. */
  readonly event_ids: ReadonlyArray<string> | null
  readonly schema_version: number | null
  readonly data: string | null
}

/** The columns of a `PaymentRow`, of a table or alias `p` that is joined with `joinBegun`. */
export const paymentColumns =
  "p.bucket, p.id as payment, p.tenant, p.version, p.status, p.view, p.created_at, p.updated_at, b.event_ids, b.schema_version, b.data"

/** The events of payments that have no view yet. */
export const joinBegun = `left join lateral (select e.event_ids, e.schema_version, e.data from aegispay.commits e
    where p.view is null and e.bucket = p.bucket and e.payment = p.id and e.version = 1) b on true`

const decodeView = Schema.decodeUnknownResult(PaymentView)

/** The view of a payment that has only begun, from the events of its first commit. */
const viewOfBegun = (operation: string, row: PaymentRow, id: PaymentId): Result.Result<PaymentView, EventStoreError> => {
  const { data, event_ids, schema_version } = row
  if (data === null || event_ids === null || schema_version === null) {
    return Result.fail(corrupt(operation, `${id} has neither a view nor a first commit`))
  }
  const commit = { ...row, version: 1, event_ids, schema_version, recorded_at: row.created_at, data }
  return Result.flatMap(storedEventsOf(operation, commit, id), (events) => {
    const payment = replay(id, events)
    return Result.isSuccess(payment) && payment.success._tag === "Payment" && payment.success.version === row.version
      ? Result.succeed(ofPayment(payment.success))
      : Result.fail(corrupt(operation, `${id} has no view, and its first commit does not lead to its version`))
  })
}

/** Reads the projection of a payment: the stored view and the columns it leaves out. */
export const viewOf = (operation: string, row: PaymentRow): Result.Result<PaymentView, EventStoreError> => {
  const id = paymentIdOf(row)
  if (row.view === null) return viewOfBegun(operation, row, id)
  return Result.flatMap(parseJson(operation, row.view), (view) =>
    Result.mapError(
      decodeView({
        ...(view as object),
        id,
        tenant: row.tenant,
        version: row.version,
        status: row.status,
        createdAt: Number(row.created_at),
        updatedAt: Number(row.updated_at)
      }),
      (cause) => corrupt(operation, `the projection of ${id} is not readable`, cause)
    )
  )
}

/**
 * What the payments of a merchant's customer are counted by: the first eight bytes of the SHA-256 of merchant and customer, so that an index
 * shows no customer. Null where the host named none. As text and not as a buffer, which takes node twice as long.
 */
export const customerKeyOf = ({ customer, tenant }: Pick<Event.PaymentDetails, "customer" | "tenant">): bigint | null =>
  customer?.id === undefined ? null : BigInt.asIntN(64, BigInt(`0x${hash("sha256", `${tenant} ${customer.id}`).slice(0, 16)}`))

/** What of a view has a column of its own. */
type InColumns = "id" | "tenant" | "status" | "version" | "createdAt" | "updatedAt"

/** The view as it is stored: without what has a column of its own. Nothing in it depends on the time of recording. */
export const storedViewOf = (view: PaymentView): string =>
  JSON.stringify({
    amount: view.amount,
    currency: view.currency,
    amountAuthorized: view.amountAuthorized,
    amountCaptured: view.amountCaptured,
    amountRefunded: view.amountRefunded,
    amountDisputed: view.amountDisputed,
    doubleCharge: view.doubleCharge,
    gateway: view.gateway,
    captureMethod: view.captureMethod,
    failure: view.failure,
    fraud: view.fraud,
    nextAction: view.nextAction,
    cancelRequested: view.cancelRequested,
    reviews: view.reviews,
    operations: view.operations,
    metadata: view.metadata
  } satisfies { readonly [Field in Exclude<keyof PaymentView, InColumns>]-?: PaymentView[Field] | undefined })

/** A row of `claims`. */
export interface ClaimRow {
  readonly tenant: string
  readonly key: string
  readonly command: string
  readonly operation: number | null
  readonly fingerprint: string
  readonly payment_bucket: number
  readonly payment: string
  readonly claimed_at: bigint
}

/** The columns of a `ClaimRow`, of a table or alias `c`. */
export const claimColumns = "c.tenant, c.key, c.command, c.operation, c.fingerprint, c.payment_bucket, c.payment, c.claimed_at"

/** Reads a claim. The values were checked when they were written, by the types of `Claim`. */
export const claimOf = (row: ClaimRow): StoredClaim => ({
  tenant: row.tenant as TenantId,
  key: row.key as IdempotencyKey,
  command: row.command as CommandName,
  operation: row.operation === null ? undefined : (row.operation as OperationNumber),
  fingerprint: row.fingerprint,
  payment: makePaymentId({ bucket: row.payment_bucket, uuid: row.payment }),
  claimedAt: Number(row.claimed_at)
})

/** Reads every row, or fails with the first that is not readable. */
export const readAll = <Row, A, E>(rows: ReadonlyArray<Row>, read: (row: Row) => Result.Result<A, E>): Effect.Effect<ReadonlyArray<A>, E> =>
  Effect.suspend(() => {
    const values: Array<A> = []
    for (const row of rows) {
      const value = read(row)
      if (Result.isFailure(value)) return Effect.fail(value.failure)
      values.push(value.success)
    }
    return Effect.succeed(values)
  })
