/**
 * A commit as one SQL statement.
 *
 * One statement is one round trip and, outside a host's transaction, one transaction with one fsync. It is a chain of common table
 * expressions, each joined to the one before it:
 *
 *     settings -> gate -> claimed -> head -> events, open operations, outbox
 *
 * The payment's head row is the gate (rule 8). With a claim the gate is `select ... for no key update` at the expected version,
 * and the claim is inserted from it with `on conflict do nothing`; without one the update of the head itself is the gate. A new
 * payment claims first and inserts its head from the claim. Whoever does not get through leaves no row behind, and nothing is
 * raised, so that a host's transaction survives a refusal. The answer is one row with the time of recording, or none.
 *
 * - The time of recording is read once per statement, and is never earlier than the payment's last.
 * - `synchronous_commit` is raised to `on` for this transaction where the server's default is weaker.
 * - A position in the global log is `(transaction id + base) << 20` plus a counter within the transaction: positions have the
 *   order of transaction ids, so a reader can stop at the oldest open transaction without missing what began before.
 *
 * **Gotchas**: a transaction has room for 1,048,576 events. The text depends only on which parts are there, so it is prepared once
 * per shape and connection; a commit of a usual payment meets three shapes.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import * as Event from "../../../domain/payment/Event.ts"
import { bucketOf, bucketOfPayment, uuidOfPayment } from "../../../domain/payment/Ids.ts"
import { replayFrom } from "../../../domain/payment/Replay.ts"
import type { Payment, PaymentState } from "../../../domain/payment/State.ts"
import { openOperations } from "../../../domain/payment/Status.ts"
import { ofPayment, statusOfOperation, type PaymentView } from "../../../domain/payment/View.ts"
import type { Commit } from "../../../services/EventStore.ts"
import { nowMillis, storedViewOf } from "./Rows.ts"

/** A statement and its parameters. */
export interface Statement {
  readonly text: string
  readonly parameters: ReadonlyArray<unknown>
}

/** How long a commit waits for a row that another transaction holds, outside a host's transaction. */
export const lockTimeoutMillis = 2000

/** Folds a commit's events with the time the database gave them. Events that do not follow the state are a defect of the caller. */
export const fold = (commit: Commit, recordedAt: number): Payment => {
  const events = commit.events.map(({ event, version }) => ({ event, version, recordedAt }))
  const state = Result.getOrThrow(replayFrom(commit.payment, events))
  if (state._tag === "New") throw new Error(`a commit of ${state.id} has no events`)
  return state
}

/** Collects parameters; each call answers the placeholder with its type. */
const parameterList = () => {
  const parameters: Array<unknown> = []
  const bind = (value: unknown, type: string) => `$${parameters.push(value)}::${type}`
  const bindMany = (values: ReadonlyArray<unknown>, oid: number, type: string) =>
    `$${parameters.push(Result.getOrThrow(PgTypes.array(values, oid)))}::${type}[]`
  return { parameters, bind, bindMany }
}
type Parameters = ReturnType<typeof parameterList>

/** The statement that commits, or refuses by answering no row. */
export const commitStatement = (commit: Commit, options: { readonly inTransaction: boolean }): Statement => {
  const list = parameterList()
  const id = { bucket: list.bind(bucketOfPayment(commit.payment.id), "int"), uuid: list.bind(uuidOfPayment(commit.payment.id), "uuid") }
  // Nothing of the view but its times, which have columns, depends on the time of recording.
  const next = fold(commit, commit.payment._tag === "New" ? 0 : commit.payment.updatedAt)
  const expected = list.bind(commit.payment.version, "int")
  const lease = leaseCondition(commit, list)
  const parts = [
    settings(commit, options, list),
    ...(commit.payment._tag === "New"
      ? beginning(commit, ofPayment(next), { ...id, lease }, list)
      : continuing(commit, ofPayment(next), { ...id, lease, expected }, list)),
    events(commit, expected, list),
    `queued as (insert into aegispay.outbox (bucket, payment, version, recorded_at)
      select h.bucket, h.id, v, h.at from head h, generate_series(${expected} + 1, ${list.bind(next.version, "int")}) v)`,
    ...operations(commit.payment, next, list)
  ]
  return { text: `with ${parts.join(",\n")}\nselect at as recorded_at from head`, parameters: list.parameters }
}

const settings = (commit: Commit, options: { readonly inTransaction: boolean }, { bind }: Parameters): string =>
  `settings as materialized (select ${nowMillis} as at, c.appended,
    set_config('aegispay.appended', (c.appended + ${bind(commit.events.length, "int")})::text, true),
    case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then set_config('synchronous_commit', 'on', true) end
    ${options.inTransaction ? "" : `, set_config('lock_timeout', '${lockTimeoutMillis}ms', true)`}
    from (select coalesce(nullif(current_setting('aegispay.appended', true), ''), '0')::bigint as appended) c)`

const leaseCondition = (commit: Commit, { bind }: Parameters): string =>
  commit.lease === undefined ? "" : `and ${leaseHolds(bind(commit.lease.key, "text"), bind(commit.lease.token, "bigint"))}`

const leaseHolds = (key: string, token: string) =>
  `exists (select from aegispay.locks l where l.key = ${key} and l.token = ${token} and l.expires_at > clock_timestamp())`

interface Target {
  readonly bucket: string
  readonly uuid: string
  readonly lease: string
}

/** The first commit of a payment: the claim, then the head. */
const beginning = (commit: Commit, view: PaymentView, id: Target, list: Parameters): ReadonlyArray<string> => {
  const { bind } = list
  const columns = `insert into aegispay.payments (bucket, id, tenant, version, status, view, created_at, updated_at)
      select ${id.bucket}, ${id.uuid}, ${bind(view.tenant, "text")}, ${bind(view.version, "int")}, ${bind(view.status, "text")},
        ${bind(storedViewOf(view), "text")}, g.at, g.at from`
  const returning = "returning bucket, id, updated_at as at"
  if (commit.claim === undefined) {
    return [`head as (${columns} settings g where true ${id.lease} on conflict do nothing ${returning})`]
  }
  const absent = `not exists (select from aegispay.payments p where p.bucket = ${id.bucket} and p.id = ${id.uuid})`
  return [claimed(commit, id, `settings g where ${absent} ${id.lease}`, list), `head as (${columns} claimed g ${returning})`]
}

/** A later commit: the head at the expected version, the claim, then the head's new version. */
const continuing = (
  commit: Commit,
  view: PaymentView,
  id: Target & { readonly expected: string },
  list: Parameters
): ReadonlyArray<string> => {
  const { bind } = list
  const matches = `p.bucket = ${id.bucket} and p.id = ${id.uuid} and p.version = ${id.expected}`
  const update = (
    at: string
  ) => `update aegispay.payments p set version = ${bind(view.version, "int")}, status = ${bind(view.status, "text")},
      view = ${bind(storedViewOf(view), "text")}, updated_at = ${at}`
  const returning = "returning p.bucket, p.id, p.updated_at as at"
  if (commit.claim === undefined) {
    return [`head as (${update("greatest(p.updated_at, g.at)")} from settings g where ${matches} ${id.lease} ${returning})`]
  }
  return [
    `gate as materialized (select greatest(p.updated_at, s.at) as at from settings s, aegispay.payments p
      where ${matches} ${id.lease} for no key update of p)`,
    claimed(commit, id, "gate g", list),
    `head as (${update("g.at")} from claimed g where p.bucket = ${id.bucket} and p.id = ${id.uuid} ${returning})`
  ]
}

const claimed = (commit: Commit, id: Target, from: string, { bind }: Parameters): string => {
  const { claim } = commit
  if (claim === undefined) return ""
  return `claimed as (insert into aegispay.claims as c
      (bucket, tenant, key, command, operation, fingerprint, payment_bucket, payment, claimed_at)
      select ${bind(bucketOf(claim), "int")}, ${bind(claim.tenant, "text")}, ${bind(claim.key, "text")}, ${bind(claim.command, "text")},
        ${bind(claim.operation ?? null, "int")}, ${bind(claim.fingerprint, "text")}, ${id.bucket}, ${id.uuid}, g.at from ${from}
      on conflict do nothing returning c.claimed_at as at)`
}

const events = (commit: Commit, expected: string, { bind, bindMany }: Parameters): string => {
  const encoded = commit.events.map(({ event }) => {
    const { _tag: type, ...data } = Result.getOrThrow(Event.encode(event))
    return { type, data: JSON.stringify(data) }
  })
  const rows = [
    bindMany(
      commit.events.map((event) => event.eventId),
      PgTypes.OID.uuid,
      "uuid"
    ),
    bindMany(
      encoded.map((event) => event.type),
      PgTypes.OID.text,
      "text"
    ),
    bindMany(
      commit.events.map((event) => BigInt(event.occurredAt)),
      PgTypes.OID.int8,
      "bigint"
    ),
    bindMany(
      encoded.map((event) => event.data),
      PgTypes.OID.text,
      "text"
    )
  ]
  return `appended as (insert into aegispay.events
      (bucket, payment, version, event_id, type, schema_version, occurred_at, recorded_at, position, data)
      select h.bucket, h.id, ${expected} + e.n, e.event_id, e.type, ${bind(Event.schemaVersion, "int")}, e.occurred_at, h.at,
        ((pg_current_xact_id()::text::bigint + aegispay.position_base()) << 20) + s.appended + e.n, e.data
      from head h, settings s, unnest(${rows.join(", ")}) with ordinality as e(event_id, type, occurred_at, data, n))`
}

/** What became open, what changed its status, and what was settled. */
const operations = (before: PaymentState, after: Payment, { bindMany }: Parameters): ReadonlyArray<string> => {
  const was = new Map(before._tag === "New" ? [] : openOperations(before).map((operation) => [operation.intent.number, operation]))
  const is = openOperations(after)
  const opened = is.filter(({ intent }) => !was.has(intent.number))
  const moved = is.filter((operation) => {
    const earlier = was.get(operation.intent.number)
    return earlier !== undefined && statusOfOperation(earlier) !== statusOfOperation(operation)
  })
  const open = new Set(is.map(({ intent }) => intent.number))
  const closed = [...was.keys()].filter((number) => !open.has(number))
  const known = before._tag === "New" ? 0 : before.operations.length
  const { int4, int8, text } = PgTypes.OID
  const numbers = (values: ReadonlyArray<number>) => bindMany(values, int4, "int")
  const texts = (values: ReadonlyArray<string>) => bindMany(values, text, "text")
  const parts: Array<string> = []
  if (opened.length > 0) {
    const rows = [
      numbers(opened.map(({ intent }) => intent.number)),
      texts(opened.map(({ intent }) => intent.gateway)),
      texts(opened.map(({ intent }) => intent.account)),
      texts(opened.map(({ intent }) => intent.kind)),
      texts(opened.map(statusOfOperation)),
      // Its intent is in this commit, unless a contradiction opened it again.
      bindMany(
        opened.map(({ intent, intendedAt }) => (intent.number > known ? null : BigInt(intendedAt))),
        int8,
        "bigint"
      )
    ]
    parts.push(`opened as (insert into aegispay.open_operations (bucket, payment, operation, gateway, account, kind, status, opened_at)
      select h.bucket, h.id, o.operation, o.gateway, o.account, o.kind, o.status, coalesce(o.opened_at, h.at)
      from head h, unnest(${rows.join(", ")}) as o(operation, gateway, account, kind, status, opened_at))`)
  }
  if (moved.length > 0) {
    parts.push(`moved as (update aegispay.open_operations o set status = m.status
      from head h, unnest(${numbers(moved.map(({ intent }) => intent.number))}, ${texts(moved.map(statusOfOperation))}) as m(operation, status)
      where o.bucket = h.bucket and o.payment = h.id and o.operation = m.operation)`)
  }
  if (closed.length > 0) {
    parts.push(`closed as (delete from aegispay.open_operations o using head h
      where o.bucket = h.bucket and o.payment = h.id and o.operation = any(${numbers(closed)}))`)
  }
  return parts
}

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
  const count = bind(commit.events.length, "int")
  const mine = `select min(e.recorded_at) from aegispay.events e where e.bucket = ${bucket} and e.payment = ${uuid}
      and e.version > ${after} and e.version <= ${after} + ${count} and e.event_id = any(${ids}) having count(*) = ${count}`
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
