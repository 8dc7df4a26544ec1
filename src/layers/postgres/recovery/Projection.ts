/**
 * The projection on Postgres, held against the events.
 *
 * Reading takes two statements: the events with the version of the head, then the projection only where the head still has that
 * version; each reads the payments of concurrent callers together. Writing is one statement whose gate is the head row at that version (rule 8), as a commit's is: a commit that came first
 * leaves it without a row, one that comes later waits for it and finds its own version unchanged. The open operations are those of
 * the gate's version for the same reason.
 *
 * **Gotchas**: where the head row itself is gone it is made anew at the version of the last event; a tail of the history that is
 * missing as well cannot be noticed then. By whom a payment is counted (`customer`) is written with the rest and not compared: payments of
 * before the column have none.
 */
import * as PgTypes from "@effect/sql-pg/PgTypes"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import { bucketOfPayment, type PaymentId, uuidOfPayment } from "../../../domain/payment/Ids.ts"
import { EventContinuityError, replay } from "../../../domain/payment/Replay.ts"
import type { Payment } from "../../../domain/payment/State.ts"
import { openOperations } from "../../../domain/payment/Status.ts"
import { ofPayment, statusOfOperation } from "../../../domain/payment/View.ts"
import { EventStoreError } from "../../../services/EventStore.ts"
import { maxProjectionPage, Projection, type ProjectionPart } from "../../../services/Projection.ts"
import { looked } from "../payment/CommitText.ts"
import * as GroupedStatement from "../payment/GroupedStatement.ts"
import { commitColumns, type CommitRow, customerKeyOf, paymentIdOf, readAll, storedEventsOf, storedViewOf } from "../payment/Rows.ts"
import { repeatable } from "../SqlErrors.ts"

/** How often a payment that is committed to meanwhile is folded again. */
const maxFolds = 20

const placeOf = /^([0-9]{1,5})_([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/

interface Place {
  readonly bucket: number
  readonly payment: string
}

/** Each side stops at the limit, in the order of its primary key; commits are read from the index alone. */
const pageText = `
  (select p.bucket, p.id as payment from aegispay.payments p where (p.id, p.bucket) > ($2::uuid, $1::int) order by p.id, p.bucket limit $3::int)
  union
  (select distinct e.bucket, e.payment from aegispay.commits e where (e.payment, e.bucket) > ($2::uuid, $1::int)
   order by e.payment, e.bucket limit $3::int)
  order by payment, bucket limit $3::int`

const makePayments = (sql: SqlClient): Projection["Service"]["payments"] =>
  Effect.fn("Projection.payments")(function* (options) {
    const limit = Math.min(maxProjectionPage, Math.max(1, options.limit))
    const [, bucket = "-1", uuid = "00000000-0000-0000-0000-000000000000"] =
      options.cursor === undefined ? [] : (placeOf.exec(options.cursor) ?? [undefined, "65536", "ffffffff-ffff-ffff-ffff-ffffffffffff"])
    const rows = yield* repeatable(sql, "Projection.payments", sql.unsafe<Place>(pageText, [Number(bucket), uuid, limit + 1]))
    const last = rows.length > limit ? rows[limit - 1] : undefined
    return {
      data: rows.slice(0, limit).map(paymentIdOf),
      nextCursor: last === undefined ? undefined : `${last.bucket}_${last.payment}`
    }
  })

type HeadAndCommit = { readonly n: bigint; readonly head: number | null } & (CommitRow | { readonly version: null })

const hasEvents = (row: HeadAndCommit): row is HeadAndCommit & CommitRow => row.version !== null

interface Folded {
  readonly payment: Payment
  readonly hasHead: boolean
  /** It has one commit: then its view may be left to its events. */
  readonly isBegun: boolean
}

interface StoredRow {
  readonly n: bigint
  readonly tenant: string
  readonly status: string
  readonly view: string | null
  readonly created_at: bigint
  readonly updated_at: bigint
  readonly open: string
}

/** The payments asked about, each with its place `n`. */
const asked = looked("unnest($1::int[], $2::uuid[], $3::int[]) with ordinality as asked(bucket, payment, version, n)")

const historyText = `
  select a.n, p.version as head, ${commitColumns} from ${asked} a
  left join aegispay.payments p on p.bucket = a.bucket and p.id = a.payment
  left join aegispay.commits e on e.bucket = a.bucket and e.payment = a.payment
  order by a.n, e.version`

/** The projections, of those heads that still have the version that was folded. */
const storedText = `
  select a.n, p.tenant, p.status, p.view, p.created_at, p.updated_at,
    (select coalesce(json_agg(json_build_array(o.operation, o.gateway, o.account, o.kind, o.status, o.opened_at) order by o.operation), '[]')::text
     from aegispay.open_operations o where o.bucket = p.bucket and o.payment = p.id) as open
  from ${asked} a
  join aegispay.payments p on p.bucket = a.bucket and p.id = a.payment and p.version = a.version`

/** The most payments that one statement reads. */
const maxRead = 100

/** Reads histories and projections, those of concurrent callers together. */
const makeReader = Effect.fnUntraced(function* (sql: SqlClient) {
  const { int4, uuid } = PgTypes.OID
  const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))
  const parametersOf = (ids: ReadonlyArray<PaymentId>, versions: ReadonlyArray<number>) => [
    array(ids.map(bucketOfPayment), int4),
    array(ids.map(uuidOfPayment), uuid),
    array(versions, int4)
  ]
  const history = yield* GroupedStatement.make<PaymentId, ReadonlyArray<HeadAndCommit>>(sql, {
    operation: "Projection.fold",
    keyOf: (id) => id,
    maxGroup: maxRead,
    run: (ids) =>
      Effect.map(repeatable(sql, "Projection.fold", sql.unsafe<HeadAndCommit>(historyText, parametersOf(ids, []))), (rows) => {
        const histories = ids.map((): Array<HeadAndCommit> => [])
        for (const row of rows) histories[Number(row.n) - 1]?.push(row)
        return histories
      })
  })
  const stored = yield* GroupedStatement.make<Payment, StoredRow | undefined>(sql, {
    operation: "Projection.compare",
    keyOf: ({ id }) => id,
    maxGroup: maxRead,
    run: (payments) => {
      const parameters = parametersOf(
        payments.map(({ id }) => id),
        payments.map(({ version }) => version)
      )
      return Effect.map(repeatable(sql, "Projection.compare", sql.unsafe<StoredRow>(storedText, parameters)), (rows) => {
        const found = new Map(rows.map((row) => [Number(row.n), row]))
        return payments.map((_, index) => found.get(index + 1))
      })
    }
  })
  return { history, stored }
})

type Reader = Effect.Success<ReturnType<typeof makeReader>>

/** The payment as its events say. Its head has the version of its last event, or is gone. */
const fold = Effect.fnUntraced(function* (reader: Reader, id: PaymentId) {
  const rows = yield* reader.history(id)
  const commits = yield* readAll(rows.filter(hasEvents), (row) => storedEventsOf("Projection.fold", row))
  const payment = yield* Effect.fromResult(replay(id, commits.flat()))
  const head = rows[0]?.head ?? undefined
  if (payment._tag === "New" || (head !== undefined && head !== payment.version)) {
    return yield* new EventContinuityError({ paymentId: id, expectedVersion: payment.version, actualVersion: head ?? 0 })
  }
  return { payment, hasHead: head !== undefined, isBegun: commits.length === 1 } satisfies Folded
})

const openOf = (payment: Payment) =>
  openOperations(payment).map((operation) => {
    const { account, gateway, kind, number } = operation.intent
    return [number, gateway, account, kind, statusOfOperation(operation), operation.intendedAt] as const
  })

/** The parts that differ; `undefined`: a commit came in between. */
const differences = Effect.fnUntraced(function* (reader: Reader, { hasHead, isBegun, payment }: Folded) {
  if (!hasHead) return ["payment"] satisfies ReadonlyArray<ProjectionPart>
  const row = yield* reader.stored(payment)
  if (row === undefined) return undefined
  const view = ofPayment(payment)
  const parts: ReadonlyArray<readonly [ProjectionPart, boolean]> = [
    ["tenant", row.tenant === view.tenant],
    ["status", row.status === view.status],
    ["view", row.view === null ? isBegun : row.view === storedViewOf(view)],
    ["createdAt", row.created_at === BigInt(view.createdAt)],
    ["updatedAt", row.updated_at === BigInt(view.updatedAt)],
    ["openOperations", JSON.stringify(JSON.parse(row.open)) === JSON.stringify(openOf(payment))]
  ]
  return parts.flatMap(([part, same]) => (same ? [] : [part]))
})

/** The statement that writes a projection; it answers one row, or none where the head has moved on. */
const rewrite = ({ hasHead, payment }: Folded) => {
  const parameters: Array<unknown> = []
  const bind = (value: unknown, type: string) => `$${parameters.push(value)}::${type}`
  const bindMany = (values: ReadonlyArray<unknown>, oid: number, type: string) =>
    `$${parameters.push(Result.getOrThrow(PgTypes.array(values, oid)))}::${type}[]`
  const view = ofPayment(payment)
  const bucket = bind(bucketOfPayment(payment.id), "int")
  const uuid = bind(uuidOfPayment(payment.id), "uuid")
  const version = bind(payment.version, "int")
  const values = {
    tenant: bind(view.tenant, "text"),
    status: bind(view.status, "text"),
    view: bind(storedViewOf(view), "text"),
    created_at: bind(BigInt(view.createdAt), "bigint"),
    updated_at: bind(BigInt(view.updatedAt), "bigint"),
    customer: bind(customerKeyOf(payment.details), "bigint")
  }
  const gate = hasHead
    ? `update aegispay.payments p set ${Object.entries(values)
        .map(([column, value]) => `${column} = ${value}`)
        .join(", ")}
       where p.bucket = ${bucket} and p.id = ${uuid} and p.version = ${version} returning p.bucket, p.id`
    : `insert into aegispay.payments (bucket, id, version, ${Object.keys(values).join(", ")})
       values (${bucket}, ${uuid}, ${version}, ${Object.values(values).join(", ")}) on conflict do nothing returning bucket, id`
  const open = openOf(payment)
  const { int4, int8, text } = PgTypes.OID
  const numbers = bindMany(
    open.map(([number]) => number),
    int4,
    "int"
  )
  const texts = ([1, 2, 3, 4] as const).map((column) =>
    bindMany(
      open.map((row) => row[column]),
      text,
      "text"
    )
  )
  const openedAt = bindMany(
    open.map((row) => BigInt(row[5])),
    int8,
    "bigint"
  )
  const columns = "gateway, account, kind, status, opened_at"
  return {
    parameters,
    text: `with gate as (${gate}),
      gone as (delete from aegispay.open_operations o using gate g
        where o.bucket = g.bucket and o.payment = g.id and o.operation <> all(${numbers})),
      written as (insert into aegispay.open_operations (bucket, payment, operation, ${columns})
        select g.bucket, g.id, o.operation, o.gateway, o.account, o.kind, o.status, o.opened_at
        from gate g, unnest(${numbers}, ${texts.join(", ")}, ${openedAt}) as o(operation, ${columns})
        on conflict (bucket, payment, operation) do update set gateway = excluded.gateway, account = excluded.account,
          kind = excluded.kind, status = excluded.status, opened_at = excluded.opened_at)
      select id from gate`
  }
}

/** Folds again until nothing was committed in between. `undefined` from `attempt`: something was. */
const settled = <A, E>(id: PaymentId, attempt: Effect.Effect<A | undefined, E>): Effect.Effect<A, E | EventStoreError> =>
  Effect.gen(function* () {
    for (let folds = 0; folds < maxFolds; folds++) {
      const result = yield* attempt
      if (result !== undefined) return result
    }
    return yield* new EventStoreError({
      operation: "Projection",
      reason: { _tag: "Unavailable", detail: `payment ${id} was committed to all the time; try again` }
    })
  })

/** The projection on the database of the `SqlClient`. Needs the schema (`Migrations`), and no right to change it. */
export const layer: Layer.Layer<Projection, never, SqlClient> = Layer.effect(
  Projection,
  Effect.gen(function* () {
    const sql = (yield* SqlClient).withoutTransforms()
    const reader = yield* makeReader(sql)
    const compare = Effect.fn("Projection.compare")((id: PaymentId) =>
      settled(
        id,
        Effect.flatMap(fold(reader, id), (folded) => differences(reader, folded))
      )
    )
    const rebuildOnce = Effect.fnUntraced(function* (id: PaymentId) {
      const folded = yield* fold(reader, id)
      const parts = yield* differences(reader, folded)
      if (parts === undefined || parts.length === 0) return parts
      const { parameters, text } = rewrite(folded)
      const written = yield* repeatable(sql, "Projection.rebuild", sql.unsafe(text, parameters))
      return written.length === 0 ? undefined : parts
    })
    return Projection.of({
      payments: makePayments(sql),
      compare,
      rebuild: Effect.fn("Projection.rebuild")((id: PaymentId) => settled(id, rebuildOnce(id)))
    })
  })
)
