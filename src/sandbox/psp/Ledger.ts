/**
 * Reads of an account: the ledger, the look-up by reference, the list for reconciliation, the webhook's data. Pure and paged.
 */
import type { Answer } from "./Answer.ts"
import { invalid, notFound } from "./Answer.ts"
import type { AccountState, EventRecord, Operation } from "./PspState.ts"
import { chargeJson, entryJson, type Json, refundJson, resultJson } from "./Render.ts"

/** Ledger entries with a number above `after`, oldest first, at most `limit`. */
export const ledgerPage = (state: AccountState, page: { readonly after: number; readonly limit: number }): Answer => {
  const data = state.ledger.slice(page.after, page.after + page.limit).map(entryJson)
  const end = page.after + data.length
  const more = end < state.ledger.length
  return { status: 200, body: { object: "list", data, has_more: more, ...(more ? { next_after: end } : {}) } }
}

/** A list in order of creation: the ids, and what they name. */
interface Listed<A> {
  readonly order: ReadonlyArray<string>
  readonly items: ReadonlyMap<string, A>
  readonly render: (item: A) => Json
}

/** Created in [from, to), at most `limit` from the cursor on. */
interface ListPage {
  readonly from: number
  readonly to: number
  readonly cursor: number | undefined
  readonly limit: number
}

/** Position of the first item made at or after `time`. */
const positionOf = <A extends { readonly created: number }>({ items, order }: Listed<A>, time: number): number => {
  let low = 0
  let high = order.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items.get(order[middle] ?? "")
    if (item !== undefined && item.created < time) low = middle + 1
    else high = middle
  }
  return low
}

const listPage = <A extends { readonly created: number }>(listed: Listed<A>, page: ListPage): Answer => {
  const { items, order, render } = listed
  const start = Math.max(positionOf(listed, page.from), page.cursor ?? 0)
  const data: Array<Json> = []
  let position = start
  for (; position < order.length && data.length < page.limit; position++) {
    const item = items.get(order[position] ?? "")
    if (item === undefined || item.created >= page.to) break
    data.push(render(item))
  }
  const next = items.get(order[position] ?? "")
  const more = next !== undefined && next.created < page.to
  return {
    status: 200,
    body: { object: "list", data, has_more: more, ...(more ? { next_cursor: String(position) } : {}) }
  }
}

/** Charges, oldest first. */
export const chargesPage = (state: AccountState, page: ListPage): Answer =>
  listPage({ order: state.order, items: state.charges, render: chargeJson }, page)

/** Refunds, oldest first. */
export const refundsPage = (state: AccountState, page: ListPage): Answer =>
  listPage({ order: state.refundOrder, items: state.refunds, render: refundJson }, page)

const holdsMoney = (operation: Operation): boolean =>
  operation.status === "succeeded" || operation.status === "pending" || operation.status === "requires_action"

const describe = (state: AccountState, operation: Operation): Json | undefined => {
  const charge = state.charges.get(operation.chargeId)
  if (charge === undefined) return undefined
  const refund = operation.refundId === undefined ? undefined : state.refunds.get(operation.refundId)
  return resultJson({ operation, charge, refund })
}

/**
 * Look-up by the caller's reference. An operation is visible from `lag` milliseconds after it was executed. Where several
 * operations carry the reference, the newest that succeeded or may still succeed is shown, otherwise the newest.
 */
export const lookup = (state: AccountState, query: { readonly reference: string; readonly lag: number; readonly now: number }): Answer => {
  const visible = (state.byReference.get(query.reference) ?? []).flatMap((id) => {
    const operation = state.operations.get(id)
    return operation !== undefined && operation.created + query.lag <= query.now ? [operation] : []
  })
  const shown = visible.findLast(holdsMoney) ?? visible.at(-1)
  const body = shown === undefined ? undefined : describe(state, shown)
  return body === undefined ? notFound("operation").answer : { status: 200, body: { ...body, matches: visible.length } }
}

export const getCharge = (state: AccountState, id: string): Answer => {
  const charge = state.charges.get(id)
  return charge === undefined ? notFound("charge").answer : { status: 200, body: chargeJson(charge) }
}

export const getRefund = (state: AccountState, id: string): Answer => {
  const refund = state.refunds.get(id)
  return refund === undefined ? notFound("refund").answer : { status: 200, body: refundJson(refund) }
}

/** The body of a webhook: its data is the operation with its charge (and refund) as they are now. */
export const eventJson = (state: AccountState, event: EventRecord, created: number): Json | undefined => {
  const operation = state.operations.get(event.operationId)
  const data = operation === undefined ? undefined : describe(state, operation)
  return data === undefined ? undefined : { id: event.id, object: "event", type: event.type, created, data }
}

/** Reads an integer query parameter within bounds; `fallback` when it is absent, an answer 400 when it is wrong. */
export const integerParam = (
  query: URLSearchParams,
  name: string,
  bounds: { readonly min: number; readonly max: number; readonly fallback: number }
): number | Answer => {
  const text = query.get(name)
  if (text === null) return bounds.fallback
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  return value >= bounds.min && value <= bounds.max
    ? value
    : invalid(name, "invalid_parameter", `${name} is an integer from ${bounds.min} to ${bounds.max}.`).answer
}
