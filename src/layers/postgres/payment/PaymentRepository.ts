/**
 * Reads of the projection, the claims and the open operations on Postgres.
 *
 * A cursor is where the last row of a page stood: its time and its identifiers. Pages are read by comparing with it, never by
 * skipping rows, so the hundredth page costs what the first one does.
 *
 * **Gotchas**: the status of a payment is volatile and has no index. Listing by a rare status reads the tenant's newest payments
 * until the page is full; `from` bounds that.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import type { OperationKind } from "../../../domain/operation/Operation.ts"
import { bucketOfPayment, type GatewayName, type OperationNumber, uuidOfPayment } from "../../../domain/payment/Ids.ts"
import type { OperationStatus } from "../../../domain/payment/View.ts"
import { maxPageSize, PaymentRepository, type Hold, type OpenOperation, type Page } from "../../../services/PaymentRepository.ts"
import * as ClaimLookup from "./ClaimLookup.ts"
import * as PaymentCount from "./PaymentCount.ts"
import { joinBegun, paymentColumns, paymentIdOf, type PaymentRow, readAll, viewOf } from "./Rows.ts"
import { repeatable } from "../SqlErrors.ts"

/** The most open operations of one page. */
const maxOpenPageSize = 1000

const uuid = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
const paymentCursor = new RegExp(`^([0-9]{1,15})_(${uuid})$`)
const reviewCursor = new RegExp(`^${uuid}$`)
const operationCursor = new RegExp(`^([0-9]{1,15})_(${uuid})_([0-9]{1,4})$`)

/** Cuts a result of `limit + 1` rows to a page; the surplus row says that there is more. */
const pageOf = <Row, A>(rows: ReadonlyArray<Row>, limit: number, values: ReadonlyArray<A>, cursorOf: (row: Row) => string): Page<A> => {
  const last = rows.length > limit ? rows[limit - 1] : undefined
  return { data: values.slice(0, limit), nextCursor: last === undefined ? undefined : cursorOf(last) }
}

const bounded = (limit: number, maximum: number) => Math.min(maximum, Math.max(1, limit))

/** Collects conditions with their parameters. */
const conditions = () => {
  const parameters: Array<unknown> = []
  const texts: Array<string> = []
  const bind = (value: unknown, type: string) => `$${parameters.push(value)}::${type}`
  return { parameters, bind, add: (text: string) => texts.push(text), where: () => texts.join(" and ") }
}

interface OpenRow {
  readonly bucket: number
  readonly payment: string
  readonly operation: number
  readonly gateway: string
  readonly account: string
  readonly kind: string
  readonly status: string
  readonly opened_at: bigint
  readonly asked_at: bigint | null
}

interface HoldRow {
  readonly bucket: number
  readonly payment: string
  readonly gateway: string
  readonly created_at: bigint
  readonly asked_at: bigint | null
}

const holdOf = (row: HoldRow): Hold => ({
  payment: paymentIdOf(row),
  gateway: row.gateway as GatewayName,
  createdAt: Number(row.created_at),
  ...(row.asked_at === null ? {} : { askedAt: Number(row.asked_at) })
})

/** The values were checked when they were written. */
const openOperationOf = (row: OpenRow): OpenOperation => ({
  payment: paymentIdOf(row),
  operation: row.operation as OperationNumber,
  gateway: row.gateway as GatewayName,
  account: row.account,
  kind: row.kind as OperationKind,
  status: row.status as OperationStatus,
  openedAt: Number(row.opened_at),
  ...(row.asked_at === null ? {} : { askedAt: Number(row.asked_at) })
})

type Service = PaymentRepository["Service"]

/** Reads of payments. */
const payments = (sql: SqlClient) =>
  ({
    get: Effect.fn("PaymentRepository.get")(function* ({ id, tenant }) {
      const name = "PaymentRepository.get"
      const rows = yield* repeatable(
        sql,
        name,
        sql.unsafe<PaymentRow>(
          `select ${paymentColumns} from aegispay.payments p ${joinBegun}
           where p.bucket = $1::int and p.id = $2::uuid and ($3::text is null or p.tenant = $3::text)`,
          [bucketOfPayment(id), uuidOfPayment(id), tenant ?? null]
        )
      )
      const views = yield* readAll(rows, (row) => viewOf(name, row))
      return Option.fromUndefinedOr(views[0])
    }),

    list: Effect.fn("PaymentRepository.list")(function* (options) {
      const name = "PaymentRepository.list"
      const limit = bounded(options.limit, maxPageSize)
      const { add, bind, parameters, where } = conditions()
      add(`p.tenant = ${bind(options.tenant, "text")}`)
      if (options.cursor !== undefined) {
        const [, time, id] = paymentCursor.exec(options.cursor) ?? []
        if (time === undefined || id === undefined) return { data: [], nextCursor: undefined }
        add(`(p.created_at, p.id) < (${bind(time, "bigint")}, ${bind(id, "uuid")})`)
      }
      if (options.from !== undefined) add(`p.created_at >= ${bind(String(Math.ceil(options.from)), "bigint")}`)
      if (options.status !== undefined) add(`p.status = ${bind(options.status, "text")}`)
      const text = `select ${paymentColumns} from aegispay.payments p ${joinBegun} where ${where()}
        order by p.created_at desc, p.id desc limit ${bind(limit + 1, "int")}`
      const rows = yield* repeatable(sql, name, sql.unsafe<PaymentRow>(text, parameters))
      const views = yield* readAll(rows, (row) => viewOf(name, row))
      return pageOf(rows, limit, views, (row) => `${row.created_at}_${row.payment}`)
    }),

    needingReview: Effect.fn("PaymentRepository.needingReview")(function* (options) {
      const name = "PaymentRepository.needingReview"
      const limit = bounded(options.limit, maxPageSize)
      const after = options.cursor === undefined ? "00000000-0000-0000-0000-000000000000" : reviewCursor.exec(options.cursor)?.[0]
      if (after === undefined) return { data: [], nextCursor: undefined }
      const text = `select ${paymentColumns} from aegispay.reviews r
        join aegispay.payments p on p.id = r.payment and p.bucket = r.bucket ${joinBegun}
        where r.payment > $1::uuid order by r.payment limit $2::int`
      const rows = yield* repeatable(sql, name, sql.unsafe<PaymentRow>(text, [after, limit + 1]))
      const views = yield* readAll(rows, (row) => viewOf(name, row))
      return pageOf(rows, limit, views, (row) => row.payment)
    }),

    reviewCount: repeatable(
      sql,
      "PaymentRepository.reviewCount",
      sql.unsafe<{ readonly count: bigint }>("select count(*) as count from aegispay.reviews")
    ).pipe(Effect.map((rows) => Number(rows[0]?.count ?? 0)))
  }) satisfies Partial<Service>

/** What is open and what is held. */
const unsettled = (sql: SqlClient) =>
  ({
    openOperations: Effect.fn("PaymentRepository.openOperations")(function* (options) {
      const limit = bounded(options.limit, maxOpenPageSize)
      const { add, bind, parameters, where } = conditions()
      add(`o.opened_at < ${bind(String(Math.ceil(options.openedBefore)), "bigint")}`)
      if (options.cursor !== undefined) {
        const [, time, payment, operation] = operationCursor.exec(options.cursor) ?? []
        if (time === undefined || payment === undefined || operation === undefined) return { data: [], nextCursor: undefined }
        const at = bind(time, "bigint")
        add(`o.opened_at >= ${at}`)
        add(`(o.opened_at, o.payment, o.operation) > (${at}, ${bind(payment, "uuid")}, ${bind(operation, "int")})`)
      }
      if (options.gateway !== undefined) add(`o.gateway = ${bind(options.gateway, "text")}`)
      const text = `select o.bucket, o.payment, o.operation, o.gateway, o.account, o.kind, o.status, o.opened_at, o.asked_at
        from aegispay.open_operations o where ${where()}
        order by o.opened_at, o.payment, o.operation limit ${bind(limit + 1, "int")}`
      const rows = yield* repeatable(sql, "PaymentRepository.openOperations", sql.unsafe<OpenRow>(text, parameters))
      return pageOf(rows, limit, rows.map(openOperationOf), (row) => `${row.opened_at}_${row.payment}_${row.operation}`)
    }),

    holds: Effect.fn("PaymentRepository.holds")(function* (options) {
      const limit = bounded(options.limit, maxOpenPageSize)
      const { add, bind, parameters, where } = conditions()
      add(`h.gateway = ${bind(options.gateway, "text")}`)
      add(`h.created_at < ${bind(String(Math.ceil(options.createdBefore)), "bigint")}`)
      add(`(h.asked_at is null or h.asked_at < ${bind(String(Math.ceil(options.askedBefore)), "bigint")})`)
      if (options.cursor !== undefined) {
        const [, time, payment] = paymentCursor.exec(options.cursor) ?? []
        if (time === undefined || payment === undefined) return { data: [], nextCursor: undefined }
        add(`(h.created_at, h.payment) > (${bind(time, "bigint")}, ${bind(payment, "uuid")})`)
      }
      const text = `select h.bucket, h.payment, h.gateway, h.created_at, h.asked_at from aegispay.holds h where ${where()}
        order by h.created_at, h.payment limit ${bind(limit + 1, "int")}`
      const rows = yield* repeatable(sql, "PaymentRepository.holds", sql.unsafe<HoldRow>(text, parameters))
      return pageOf(rows, limit, rows.map(holdOf), (row) => `${row.created_at}_${row.payment}`)
    }),

    noteHold: ({ askedAt, payment }) =>
      Effect.asVoid(
        repeatable(
          sql,
          "PaymentRepository.noteHold",
          sql.unsafe(`update aegispay.holds set asked_at = $3::bigint where payment = $1::uuid and bucket = $2::int`, [
            uuidOfPayment(payment),
            bucketOfPayment(payment),
            String(askedAt)
          ])
        )
      ),

    noteAsked: ({ askedAt, operation, payment }) =>
      Effect.asVoid(
        repeatable(
          sql,
          "PaymentRepository.noteAsked",
          sql.unsafe(
            `update aegispay.open_operations set asked_at = $4::bigint where bucket = $1::int and payment = $2::uuid and operation = $3::int`,
            [bucketOfPayment(payment), uuidOfPayment(payment), operation, String(askedAt)]
          )
        )
      ),

    openSummary: repeatable(
      sql,
      "PaymentRepository.openSummary",
      sql.unsafe<{ readonly gateway: string; readonly account: string; readonly count: bigint; readonly oldest: bigint }>(
        `select gateway, account, count(*) as count, min(opened_at) as oldest from aegispay.open_operations
         group by gateway, account order by gateway, account`
      )
    ).pipe(
      Effect.map((rows) =>
        rows.map((row) => ({
          gateway: row.gateway as GatewayName,
          account: row.account,
          count: Number(row.count),
          oldestOpenedAt: Number(row.oldest)
        }))
      )
    )
  }) satisfies Partial<Service>

/** The payment repository on the database of the `SqlClient`. Needs the schema (`Migrations`), and no right to change it. */
export const layer: Layer.Layer<PaymentRepository, never, SqlClient> = Layer.effect(
  PaymentRepository,
  Effect.gen(function* () {
    const sql = (yield* SqlClient).withoutTransforms()
    const findClaim = yield* ClaimLookup.make(sql)
    const count = yield* PaymentCount.make(sql)
    return PaymentRepository.of({ ...payments(sql), ...unsettled(sql), findClaim, count })
  })
)
