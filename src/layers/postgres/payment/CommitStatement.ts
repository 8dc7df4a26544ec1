/**
 * Commits as one SQL statement.
 *
 * One statement is one round trip and, outside a host's transaction, one transaction with one fsync, for one payment or for many. Its text
 * is in `CommitText.ts`.
 *
 * The payment's head row is the gate (rule 8). A commit with a claim on a payment that is there locks its head at the expected version
 * and inserts the claim with `on conflict do nothing`; without a claim the update of the head itself is the gate. A new payment claims
 * first and inserts its head then. Whoever does not get through leaves no row behind, and nothing is raised, so that neither a
 * host's transaction nor the other payments of the statement suffer from a refusal. The answer is one row for each commit that
 * got through, with the time of recording.
 *
 * - The time of recording is read once per statement, and is never earlier than the payment's last.
 * - `synchronous_commit` is raised to `on` for this transaction where the server's default is weaker.
 * - A position in the global log is `(transaction id + base) << 20` plus a counter within the transaction: positions have the
 *   order of transaction ids, so a reader can stop at the oldest open transaction without missing what began before.
 * - Commits come in the order of their payments, heads are locked before claims and claims in the order of their keys, so that two
 *   statements meet their rows in one order.
 * - A payment has one row in the outbox, the range of its undelivered versions; a commit makes it or moves its end.
 *
 * **Gotchas**: at most one commit per payment and per idempotency key: two would both think that they had won. A transaction has room
 * for 1,048,576 events.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import { isOpen } from "../../../domain/operation/Operation.ts"
import * as Event from "../../../domain/payment/Event.ts"
import { bucketOf, bucketOfPayment, uuidOfPayment } from "../../../domain/payment/Ids.ts"
import { replayFrom } from "../../../domain/payment/Replay.ts"
import { operationOf, type Payment } from "../../../domain/payment/State.ts"
import { openOperations, status } from "../../../domain/payment/Status.ts"
import { ofPayment, statusOfOperation } from "../../../domain/payment/View.ts"
import type { Commit } from "../../../services/EventStore.ts"
import { arrays, type columns, type Form, scalarCount, type Table, texts } from "./CommitText.ts"
import { customerKeyOf, storedViewOf } from "./Rows.ts"

/** A statement and its parameters. */
export interface Statement {
  readonly text: string
  readonly parameters: ReadonlyArray<unknown>
}

/** Folds a commit's events with the time the database gave them. Events that do not follow the state are a defect of the caller. */
export const fold = (commit: Commit, recordedAt: number): Payment => {
  const events = commit.events.map(({ event, version }) => ({ event, version, recordedAt }))
  const state = Result.getOrThrow(replayFrom(commit.payment, events))
  if (state._tag === "New") throw new Error(`a commit of ${state.id} has no events`)
  return state
}

type Value = string | number | bigint | null

/** What is written, by table and column: as the statement takes it. */
type Columns = { readonly [T in Table]: { readonly [Column in keyof (typeof columns)[T]]: Array<Value> } }

const noRows = (): Columns => ({
  items: { bucket: [], id: [], tenant: [], expected: [], version: [], status: [], view: [], last: [], data: [] },
  claims: { claim_bucket: [], key: [], command: [], operation: [], fingerprint: [], customer: [] },
  opened: { item: [], operation: [], gateway: [], account: [], kind: [], status: [], opened_at: [] },
  closed: { item: [], operation: [] },
  moved: { item: [], operation: [], status: [] },
  leases: { lease_key: [], lease_token: [] }
})

const oids = { int: PgTypes.OID.int4, bigint: PgTypes.OID.int8, uuid: PgTypes.OID.uuid, text: PgTypes.OID.text } as const

/** The place of the ids of all events among the parameters, from 0. */
export const eventIdsParameter = 2

/** The place of an array among the parameters, from 0, where a statement has it: for those that replace values of a statement. */
export const parameterOf = <T extends "items" | "claims">(table: T, column: keyof (typeof columns)[T]): number =>
  scalarCount + arrays.begin.findIndex((array) => array.table === table && array.column === column)

/** A row of a commit's answer. `n` is the commit's place in the list, from 1. */
export interface CommittedRow {
  readonly n: bigint
  readonly recorded_at: bigint
}

/** Where the UUID of a payment id begins. */
const uuidStart = 8

/**
 * Commits in the order in which a statement takes them: two statements then meet the same rows in the same order. It is that of the
 * tables' keys, so that new rows come to lie side by side.
 */
export const inOrder = (left: Commit, right: Commit): number =>
  left.payment.id.slice(uuidStart) < right.payment.id.slice(uuidStart) ? -1 : 1

/**
 * The statement that commits; a commit that is refused has no row in the answer. `lockTimeoutMillis`: how long it waits for a row that
 * another transaction holds; `undefined` inside a host's transaction, whose own setting counts.
 */
export const commitStatement = (commits: ReadonlyArray<Commit>, options: { readonly lockTimeoutMillis: number | undefined }): Statement => {
  const rows = noRows()
  const eventIds: Array<string> = []
  for (const [index, commit] of commits.entries()) {
    // Nothing of the view but its times, which have columns, depends on the time of recording.
    const next = fold(commit, commit.payment._tag === "New" ? 0 : commit.payment.updatedAt)
    const item = index + 1
    for (const { eventId } of commit.events) eventIds.push(eventId)
    addItem(rows.items, commit, { next, last: eventIds.length })
    addClaim(rows.claims, commit, next)
    rows.leases.lease_key.push(commit.lease?.key ?? null)
    rows.leases.lease_token.push(commit.lease?.token ?? null)
    addOperations(rows, commit, { next, item })
  }
  const form = formOf(commits, rows)
  const timeout = options.lockTimeoutMillis === undefined ? "" : `${options.lockTimeoutMillis}ms`
  const parameters: Array<unknown> = [timeout, Event.schemaVersion, Result.getOrThrow(PgTypes.array(eventIds, PgTypes.OID.uuid))]
  for (const { column, table, type } of arrays[form]) {
    const values = (rows[table] as Readonly<Record<string, ReadonlyArray<Value>>>)[column] ?? []
    parameters.push(Result.getOrThrow(PgTypes.array(values, oids[type])))
  }
  return { text: texts[form], parameters }
}

/** The smallest form that can write these commits. */
const formOf = (commits: ReadonlyArray<Commit>, rows: Columns): Form => {
  let begins = false
  let continues = rows.closed.item.length > 0
  for (const { claim, lease, payment } of commits) {
    const isNew = payment.version === 0
    if (lease !== undefined || isNew !== (claim !== undefined)) return "all"
    if (isNew) begins = true
    else continues = true
  }
  if (rows.moved.item.length > 0) return "all"
  if (!continues) return "begin"
  return begins || rows.opened.item.length > 0 ? "mixed" : "settle"
}

/**
 * The status of a payment that begins with an intent. Its next commit follows in a moment and writes the view; until then what it would say is
 * read from its events (`viewOf`).
 */
const begun = "processing"

const addItem = (
  items: Columns["items"],
  { events, payment }: Commit,
  { last, next }: { readonly next: Payment; readonly last: number }
): void => {
  const view = payment._tag === "New" && status(next) === begun ? undefined : ofPayment(next)
  items.bucket.push(bucketOfPayment(payment.id))
  items.id.push(uuidOfPayment(payment.id))
  items.tenant.push(next.details.tenant)
  items.expected.push(payment.version)
  items.version.push(next.version)
  items.status.push(view === undefined ? begun : view.status)
  items.view.push(view === undefined ? null : storedViewOf(view))
  items.last.push(last)
  items.data.push(storedEventsText(events))
}

const addClaim = (claims: Columns["claims"], { claim, payment }: Commit, next: Payment): void => {
  claims.claim_bucket.push(claim === undefined ? null : bucketOf(claim))
  claims.key.push(claim?.key ?? null)
  claims.command.push(claim?.command ?? null)
  claims.operation.push(claim?.operation ?? null)
  claims.fingerprint.push(claim?.fingerprint ?? null)
  claims.customer.push(payment._tag === "New" ? customerKeyOf(next.details) : null)
}

/** The events of a commit as they are stored: `storedEventsOf` reads them. */
const storedEventsText = (events: Commit["events"]): string =>
  JSON.stringify(
    events.map(({ event, occurredAt }) => {
      if (!Number.isSafeInteger(occurredAt)) throw new Error(`an event occurred at ${occurredAt}, which is no time in milliseconds`)
      return [event._tag, occurredAt, Result.getOrThrow(Event.toData(event))]
    })
  )

/** What became open, what changed its status, and what was settled. */
const addOperations = (rows: Columns, { payment: before }: Commit, after: { readonly next: Payment; readonly item: number }): void => {
  const { item, next } = after
  for (const operation of openOperations(next)) {
    const { account, gateway, kind, number } = operation.intent
    const earlier = before._tag === "New" ? undefined : operationOf(before, number)
    const status = statusOfOperation(operation)
    if (earlier === undefined || !isOpen(earlier)) {
      rows.opened.item.push(item)
      rows.opened.operation.push(number)
      rows.opened.gateway.push(gateway)
      rows.opened.account.push(account)
      rows.opened.kind.push(kind)
      rows.opened.status.push(status)
      // Its intent is in this commit, unless a contradiction opened it again.
      rows.opened.opened_at.push(earlier === undefined ? null : BigInt(operation.intendedAt))
    } else if (statusOfOperation(earlier) !== status) {
      rows.moved.item.push(item)
      rows.moved.operation.push(number)
      rows.moved.status.push(status)
    }
  }
  if (before._tag === "New") return
  for (const { intent } of openOperations(before)) {
    const operation = operationOf(next, intent.number)
    if (operation !== undefined && isOpen(operation)) continue
    rows.closed.item.push(item)
    rows.closed.operation.push(intent.number)
  }
}

/** Collects parameters; each call answers the placeholder with its type. */
const parameterList = () => {
  const parameters: Array<unknown> = []
  const bind = (value: unknown, type: string) => `$${parameters.push(value)}::${type}`
  const bindMany = (values: ReadonlyArray<unknown>, oid: number, type: string) =>
    `$${parameters.push(Result.getOrThrow(PgTypes.array(values, oid)))}::${type}[]`
  return { parameters, bind, bindMany }
}

const leaseHolds = (key: string, token: string) =>
  `exists (select from aegispay.locks l where l.key = ${key} and l.token = ${token} and l.expires_at > clock_timestamp())`

/** Asks why a commit answered no row. One row: `mine` is the time of recording where these very events are stored. */
export const refusalStatement = (commit: Commit): Statement => {
  const { bind, bindMany, parameters } = parameterList()
  const bucket = bind(bucketOfPayment(commit.payment.id), "int")
  const uuid = bind(uuidOfPayment(commit.payment.id), "uuid")
  const ids = bindMany(
    commit.events.map((event) => event.eventId),
    PgTypes.OID.uuid,
    "uuid"
  )
  const { claim, lease } = commit
  const after = bind(commit.payment.version, "int")
  const mine = `select e.recorded_at from aegispay.commits e where e.bucket = ${bucket} and e.payment = ${uuid}
      and e.version = ${after} + 1 and e.event_ids = ${ids}`
  const claimRow =
    claim === undefined
      ? ""
      : `left join aegispay.claims c on c.bucket = ${bind(bucketOf(claim), "int")} and c.tenant = ${bind(claim.tenant, "text")}
      and c.key = ${bind(claim.key, "text")}`
  const text = `select (select p.version from aegispay.payments p where p.bucket = ${bucket} and p.id = ${uuid}) as version,
    (${mine}) as mine,
    ${lease === undefined ? "true" : leaseHolds(bind(lease.key, "text"), bind(lease.token, "bigint"))} as leased
    ${claim === undefined ? "" : ", c.tenant, c.key, c.command, c.operation, c.fingerprint, c.payment_bucket, c.payment, c.claimed_at"}
    from (select) one ${claimRow}`
  return { text, parameters }
}
