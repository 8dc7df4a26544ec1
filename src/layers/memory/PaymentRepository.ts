/**
 * Reads of payments from the process' tables.
 *
 * Cursors are base64url: of the last payment's id in a listing of payments, of `openedAt:payment:operation` in one of open
 * operations. Both name a place in an order that later commits do not change, so pages neither repeat nor skip.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { type PaymentId, uuidOfPayment } from "../../domain/payment/Ids.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import {
  maxCount,
  maxCountMillis,
  maxPageSize,
  type Hold,
  type OpenOperation,
  type Page,
  PaymentRepository
} from "../../services/PaymentRepository.ts"
import { claimId, customerId, MemoryStore } from "./MemoryStore.ts"

/** The most rows of one page of open operations. */
const maxOpenOperations = 1_000

type Service = (typeof PaymentRepository)["Service"]
type Options<Member extends "list" | "openOperations" | "count"> = Parameters<Service[Member]>[0]
type Tables = (typeof MemoryStore)["Service"]

/** The reads over the process' tables. */
export const layer: Layer.Layer<PaymentRepository, never, MemoryStore> = Layer.effect(
  PaymentRepository,
  Effect.map(MemoryStore, (tables) =>
    PaymentRepository.of({
      get: ({ id, tenant }) =>
        Effect.sync(() => {
          const view = tables.payments.get(id)?.view
          return view === undefined || (tenant !== undefined && view.tenant !== tenant) ? Option.none() : Option.some(view)
        }),
      findClaim: (claim) => Effect.sync(() => Option.fromUndefinedOr(tables.claims.get(claimId(claim)))),
      list: (options) => Effect.sync(() => list(tables, options)),
      needingReview: (options) => Effect.sync(() => needingReview(tables, options)),
      reviewCount: Effect.sync(() => tables.reviews.size),
      openOperations: (options) => Effect.sync(() => openOperations(tables, options)),
      holds: (options) => Effect.sync(() => holds(tables, options)),
      noteHold: ({ askedAt, payment }) =>
        Effect.sync(() => {
          const hold = tables.holds.get(payment)
          if (hold !== undefined) tables.holds.set(payment, { ...hold, askedAt })
        }),
      noteAsked: ({ askedAt, operation, payment }) =>
        Effect.sync(() => {
          const open = tables.open.get(payment)
          const noted = open?.map((row) => (row.operation === operation ? { ...row, askedAt } : row))
          if (noted !== undefined) tables.open.set(payment, noted)
        }),
      openSummary: Effect.sync(() => openSummary(tables)),
      count: (options) => Effect.map(Clock.currentTimeMillis, (now) => count(tables, options, now))
    })
  )
)

/** One row more than asked for tells whether there is a next page. */
const pageOf = <A>(rows: ReadonlyArray<A>, limit: number, cursorOf: (row: A) => string): Page<A> => {
  const data = rows.slice(0, limit)
  const last = data.at(-1)
  return { data, nextCursor: rows.length > limit && last !== undefined ? Base64Url.encode(cursorOf(last)) : undefined }
}

const emptyPage = { data: [], nextCursor: undefined }

const decodeCursor = (cursor: string): string => Result.getOrElse(Base64Url.decodeString(cursor), () => "")

const list = (tables: Tables, options: Options<"list">): Page<PaymentView> => {
  const ids = tables.tenants.get(options.tenant) ?? []
  const limit = Math.min(options.limit, maxPageSize)
  let next = ids.length - 1
  if (options.cursor !== undefined) {
    const last = tables.payments.get(decodeCursor(options.cursor) as PaymentId)
    if (last === undefined || last.view.tenant !== options.tenant) return emptyPage
    next = last.ordinal - 1
  }
  const rows: Array<PaymentView> = []
  for (; next >= 0 && rows.length <= limit; next--) {
    const view = tables.payments.get(ids[next] as PaymentId)?.view
    if (view === undefined || (options.status !== undefined && view.status !== options.status)) continue
    if (options.from === undefined || view.createdAt >= options.from) rows.push(view)
  }
  return pageOf(rows, limit, (view) => view.id)
}

const count = (tables: Tables, { customer, limit, tenant, withinMillis }: Options<"count">, now: number): number => {
  const ids = (customer === undefined ? tables.tenants.get(tenant) : tables.customers.get(customerId({ tenant, customer }))) ?? []
  const since = now - Math.min(withinMillis, maxCountMillis)
  const most = Math.min(Math.max(1, limit), maxCount)
  let counted = 0
  for (let next = ids.length - 1; next >= 0 && counted < most; next--) {
    if ((tables.payments.get(ids[next] as PaymentId)?.view.createdAt ?? 0) <= since) break
    counted += 1
  }
  return counted
}

const needingReview = (tables: Tables, { cursor, limit }: Parameters<Service["needingReview"]>[0]): Page<PaymentView> => {
  const after = cursor === undefined ? "" : decodeCursor(cursor)
  if (cursor !== undefined && !/^[0-9a-f-]{36}$/.test(after)) return emptyPage
  const views = [...tables.reviews]
    .filter((id) => uuidOfPayment(id) > after)
    .sort((left, right) => (uuidOfPayment(left) < uuidOfPayment(right) ? -1 : 1))
    .flatMap((id) => tables.payments.get(id)?.view ?? [])
  return pageOf(views, Math.min(limit, maxPageSize), (view) => uuidOfPayment(view.id))
}

type Place = Pick<OpenOperation, "openedAt" | "payment" | "operation">

const oldestFirst = (left: Place, right: Place): number =>
  left.openedAt - right.openedAt ||
  (left.payment === right.payment ? left.operation - right.operation : left.payment < right.payment ? -1 : 1)

const placeOf = (cursor: string): Place | undefined => {
  const match = /^(\d{1,16}):(pay_[0-9a-f]{36}):(\d{1,4})$/.exec(decodeCursor(cursor))
  return match === null
    ? undefined
    : { openedAt: Number(match[1]), payment: match[2] as PaymentId, operation: Number(match[3]) as Place["operation"] }
}

const openOperations = (tables: Tables, options: Options<"openOperations">): Page<OpenOperation> => {
  const after = options.cursor === undefined ? undefined : placeOf(options.cursor)
  if (options.cursor !== undefined && after === undefined) return emptyPage
  const rows = [...tables.open.values()]
    .flat()
    .filter(
      (row) =>
        row.openedAt < options.openedBefore &&
        (options.gateway === undefined || row.gateway === options.gateway) &&
        (after === undefined || oldestFirst(after, row) < 0)
    )
    .sort(oldestFirst)
  return pageOf(rows, Math.min(options.limit, maxOpenOperations), (row) => `${row.openedAt}:${row.payment}:${row.operation}`)
}

const holds = (tables: Tables, options: Parameters<Service["holds"]>[0]): Page<Hold> => {
  const [, time = "", id = ""] =
    options.cursor === undefined ? [] : (/^(\d{1,16}):(pay_[0-9a-f]{36})$/.exec(decodeCursor(options.cursor)) ?? [])
  if (options.cursor !== undefined && id === "") return emptyPage
  const rows = [...tables.holds.values()]
    .filter(
      ({ askedAt = -Infinity, createdAt, gateway, payment }) =>
        gateway === options.gateway &&
        createdAt < options.createdBefore &&
        askedAt < options.askedBefore &&
        (id === "" || createdAt > Number(time) || (createdAt === Number(time) && payment > id))
    )
    .sort((left, right) => left.createdAt - right.createdAt || (left.payment < right.payment ? -1 : 1))
  return pageOf(rows, Math.min(options.limit, maxOpenOperations), (row) => `${row.createdAt}:${row.payment}`)
}

const openSummary = (tables: Tables): Effect.Success<Service["openSummary"]> => {
  const accounts = Map.groupBy([...tables.open.values()].flat(), (row) => `${row.gateway} ${row.account}`)
  return [...accounts.values()].flatMap((rows) => {
    const [first] = rows
    return first === undefined
      ? []
      : [
          {
            gateway: first.gateway,
            account: first.account,
            count: rows.length,
            oldestOpenedAt: rows.reduce((oldest, row) => Math.min(oldest, row.openedAt), first.openedAt)
          }
        ]
  })
}
