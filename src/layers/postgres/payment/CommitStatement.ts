/**
 * Commits as one SQL statement.
 *
 * One statement is one round trip and, outside a host's transaction, one transaction with one fsync, for one payment or for many. It is a
 * chain of common table expressions, each joined to the one before it:
 *
 *     settings -> items -> gate -> claimed -> passed -> head -> events, open operations, outbox
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
 * - Commits come in the order of their payments, so that two statements meet their rows in one order.
 *
 * **Gotchas**: at most one commit per payment and per idempotency key: two would both think that they had won. A transaction has room
 * for 1,048,576 events. The text is always the same, so a connection prepares it once, and keeps a plan that it made while the tables
 * were still small: see `looked`.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Result from "effect/Result"
import * as Event from "../../../domain/payment/Event.ts"
import { bucketOf, bucketOfPayment, uuidOfPayment } from "../../../domain/payment/Ids.ts"
import { replayFrom } from "../../../domain/payment/Replay.ts"
import type { Payment } from "../../../domain/payment/State.ts"
import { openOperations } from "../../../domain/payment/Status.ts"
import { ofPayment, statusOfOperation } from "../../../domain/payment/View.ts"
import type { Commit } from "../../../services/EventStore.ts"
import { nowMillis, storedViewOf } from "./Rows.ts"

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

/** The columns of the statement's arrays, by what a row of them is, with their types. */
const columns = {
  /** A commit. `key` and `lease_key` are null where there is no claim or no lease. */
  items: {
    bucket: "int",
    id: "uuid",
    tenant: "text",
    expected: "int",
    version: "int",
    status: "text",
    view: "text",
    claim_bucket: "int",
    key: "text",
    command: "text",
    operation: "int",
    fingerprint: "text",
    lease_key: "text",
    lease_token: "bigint"
  },
  events: { item: "int", version: "int", event_id: "uuid", type: "text", occurred_at: "bigint", data: "text" },
  /** What became open. `opened_at` is null where its intent is in this commit. */
  opened: { item: "int", operation: "int", gateway: "text", account: "text", kind: "text", status: "text", opened_at: "bigint" },
  moved: { item: "int", operation: "int", status: "text" },
  closed: { item: "int", operation: "int" }
} as const

type Table = keyof typeof columns
type Value = string | number | bigint | null
type RowOf<T extends Table> = { readonly [Column in keyof (typeof columns)[T]]: Value }

const oids = { int: PgTypes.OID.int4, bigint: PgTypes.OID.int8, uuid: PgTypes.OID.uuid, text: PgTypes.OID.text } as const

const tables = Object.keys(columns) as ReadonlyArray<Table>

/** Every array of the statement in the order of its parameters. */
const arrays = tables.flatMap((table) => Object.entries(columns[table]).map(([column, type]) => ({ table, column, type })))

/** The parameters before the arrays. */
const scalars = { lockTimeout: "$1::text", schemaVersion: "$2::int", eventCount: "$3::int" } as const
const scalarCount = 3

/** The place of an array among the parameters, from 0: for those that replace values of a statement. */
export const parameterOf = <T extends Table>(table: T, column: keyof (typeof columns)[T]): number =>
  scalarCount + arrays.findIndex((array) => array.table === table && array.column === column)

const unnest = (table: Table): string => {
  const placeholders = arrays.flatMap((array, index) => (array.table === table ? [`$${scalarCount + index + 1}::${array.type}[]`] : []))
  return `unnest(${placeholders.join(", ")}) with ordinality as ${table}(${Object.keys(columns[table]).join(", ")}, n)`
}

/**
 * A relation that tables are joined to by their key. The planner takes a range of numbers for rare, so it looks each row up in the index.
 * Without it a plan made while a table is small reads the whole table, and is kept while the table grows.
 */
export const looked = (relation: string): string => `(select * from ${relation} where n between 1 and 1000000)`

const sameHead = "p.bucket = i.bucket and p.id = i.id"

const text = `with
settings as materialized (select ${nowMillis} as at, c.appended,
    set_config('aegispay.appended', (c.appended + ${scalars.eventCount})::text, true),
    case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write') then set_config('synchronous_commit', 'on', true) end,
    case when ${scalars.lockTimeout} <> '' then set_config('lock_timeout', ${scalars.lockTimeout}, true) end
  from (select coalesce(nullif(current_setting('aegispay.appended', true), ''), '0')::bigint as appended) c),
items as materialized (select * from ${unnest("items")} where lease_key is null or exists (
    select from aegispay.locks l where l.key = lease_key and l.token = lease_token and l.expires_at > clock_timestamp())),
gate as materialized (select i.n from ${looked("items")} i, aegispay.payments p
  where i.key is not null and i.expected > 0 and ${sameHead} and p.version = i.expected for no key update of p),
absent as materialized (select i.n from ${looked("items")} i
  where i.expected = 0 and not exists (select from aegispay.payments p where ${sameHead})),
claimed as (insert into aegispay.claims as c (bucket, tenant, key, command, operation, fingerprint, payment_bucket, payment, claimed_at)
  select i.claim_bucket, i.tenant, i.key, i.command, i.operation, i.fingerprint, i.bucket, i.id, s.at
  from items i join (select n from gate union all select n from absent) ready on ready.n = i.n, settings s where i.key is not null
  on conflict do nothing returning c.bucket, c.tenant, c.key),
passed as materialized (select i.* from items i left join claimed c on c.bucket = i.claim_bucket and c.tenant = i.tenant and c.key = i.key
  where i.key is null or c.key is not null),
begun as (insert into aegispay.payments (bucket, id, tenant, version, status, view, created_at, updated_at)
  select i.bucket, i.id, i.tenant, i.version, i.status, i.view, s.at, s.at from passed i join absent a on a.n = i.n, settings s
  returning bucket, id, updated_at as at),
advanced as (update aegispay.payments p set version = i.version, status = i.status, view = i.view, updated_at = greatest(p.updated_at, s.at)
  from ${looked("passed")} i, settings s where i.expected > 0 and ${sameHead} and p.version = i.expected
  returning p.bucket, p.id, p.updated_at as at),
head as materialized (select i.n, h.bucket, h.id, h.at from (select * from begun union all select * from advanced) h
  join items i on i.bucket = h.bucket and i.id = h.id),
appended as (insert into aegispay.events
    (bucket, payment, version, event_id, type, schema_version, occurred_at, recorded_at, position, data)
  select h.bucket, h.id, e.version, e.event_id, e.type, ${scalars.schemaVersion}, e.occurred_at, h.at,
    ((pg_current_xact_id()::text::bigint + aegispay.position_base()) << 20) + s.appended + e.n, e.data
  from (select * from ${unnest("events")}) e join head h on h.n = e.item, settings s returning bucket, payment, version, recorded_at),
queued as (insert into aegispay.outbox (bucket, payment, version, recorded_at) select * from appended),
opened as (insert into aegispay.open_operations (bucket, payment, operation, gateway, account, kind, status, opened_at)
  select h.bucket, h.id, o.operation, o.gateway, o.account, o.kind, o.status, coalesce(o.opened_at, h.at)
  from (select * from ${unnest("opened")}) o join head h on h.n = o.item),
moved as (update aegispay.open_operations o set status = m.status
  from ${looked(`(select o.*, h.bucket, h.id from (select * from ${unnest("moved")}) o join head h on h.n = o.item) found`)} m
  where o.bucket = m.bucket and o.payment = m.id and o.operation = m.operation),
closed as (delete from aegispay.open_operations o
  using ${looked(`(select o.*, h.bucket, h.id from (select * from ${unnest("closed")}) o join head h on h.n = o.item) found`)} m
  where o.bucket = m.bucket and o.payment = m.id and o.operation = m.operation)
select n, at as recorded_at from head`

/** A row of a commit's answer. `n` is the commit's place in the list, from 1. */
export interface CommittedRow {
  readonly n: bigint
  readonly recorded_at: bigint
}

/** Commits in the order in which a statement takes them: two statements then meet the same rows in the same order. */
export const inOrder = (left: Commit, right: Commit): number =>
  bucketOfPayment(left.payment.id) - bucketOfPayment(right.payment.id) || (left.payment.id < right.payment.id ? -1 : 1)

/**
 * The statement that commits; a commit that is refused has no row in the answer. `lockTimeoutMillis`: how long it waits for a row that
 * another transaction holds; `undefined` inside a host's transaction, whose own setting counts.
 */
export const commitStatement = (commits: ReadonlyArray<Commit>, options: { readonly lockTimeoutMillis: number | undefined }): Statement => {
  const rows: { readonly [T in Table]: Array<RowOf<T>> } = { items: [], events: [], opened: [], moved: [], closed: [] }
  commits.forEach((commit, index) => {
    // Nothing of the view but its times, which have columns, depends on the time of recording.
    const next = fold(commit, commit.payment._tag === "New" ? 0 : commit.payment.updatedAt)
    rows.items.push(itemOf(commit, next))
    for (const event of commit.events) rows.events.push(eventOf(event, index + 1))
    addOperations(rows, commit, { next, item: index + 1 })
  })
  const timeout = options.lockTimeoutMillis === undefined ? "" : `${options.lockTimeoutMillis}ms`
  const parameters: Array<unknown> = [timeout, Event.schemaVersion, rows.events.length]
  for (const { column, table, type } of arrays) {
    const values = (rows[table] as ReadonlyArray<Readonly<Record<string, Value>>>).map((row) => row[column])
    parameters.push(Result.getOrThrow(PgTypes.array(values, oids[type])))
  }
  return { text, parameters }
}

const itemOf = (commit: Commit, next: Payment): RowOf<"items"> => {
  const { claim, lease, payment } = commit
  const view = ofPayment(next)
  return {
    bucket: bucketOfPayment(payment.id),
    id: uuidOfPayment(payment.id),
    tenant: view.tenant,
    expected: payment.version,
    version: view.version,
    status: view.status,
    view: storedViewOf(view),
    claim_bucket: claim === undefined ? null : bucketOf(claim),
    key: claim?.key ?? null,
    command: claim?.command ?? null,
    operation: claim?.operation ?? null,
    fingerprint: claim?.fingerprint ?? null,
    lease_key: lease?.key ?? null,
    lease_token: lease?.token ?? null
  }
}

const eventOf = ({ event, eventId, occurredAt, version }: Commit["events"][number], item: number): RowOf<"events"> => {
  const { _tag: type, ...data } = Result.getOrThrow(Event.encode(event))
  return { item, version, event_id: eventId, type, occurred_at: BigInt(occurredAt), data: JSON.stringify(data) }
}

/** What became open, what changed its status, and what was settled. */
const addOperations = (
  rows: { readonly [T in "opened" | "moved" | "closed"]: Array<RowOf<T>> },
  { payment: before }: Commit,
  after: { readonly next: Payment; readonly item: number }
): void => {
  const { item, next } = after
  const was = new Map(before._tag === "New" ? [] : openOperations(before).map((operation) => [operation.intent.number, operation]))
  const known = before._tag === "New" ? 0 : before.operations.length
  for (const operation of openOperations(next)) {
    const { account, gateway, kind, number } = operation.intent
    const earlier = was.get(number)
    const status = statusOfOperation(operation)
    was.delete(number)
    if (earlier === undefined) {
      // Its intent is in this commit, unless a contradiction opened it again.
      const openedAt = number > known ? null : BigInt(operation.intendedAt)
      rows.opened.push({ item, operation: number, gateway, account, kind, status, opened_at: openedAt })
    } else if (statusOfOperation(earlier) !== status) rows.moved.push({ item, operation: number, status })
  }
  for (const number of was.keys()) rows.closed.push({ item, operation: number })
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
