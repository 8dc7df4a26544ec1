/**
 * What the accounts of the sandbox say of themselves, page by page: their ledgers, and the charges as they are now.
 */
import * as Effect from "effect/Effect"
import type { Handler } from "../../sandbox/Sandbox.ts"
import * as Psp from "../world/Psp.ts"

/** What all accounts say. */
export interface Books {
  readonly ledger: ReadonlyArray<Psp.LedgerLine>
  readonly charges: ReadonlyArray<Psp.PspCharge>
}

/** Reads one path of an account, which is its first segment: the body as data. */
export type Read<E = never> = (path: string) => Effect.Effect<Page, E>

/** A page of a list. */
export interface Page {
  readonly data: ReadonlyArray<object>
  readonly next_after?: number
  readonly next_cursor?: string
}

/** No books are longer than this many pages. */
const maxPages = 20_000

/** Reads the books of accounts. */
export const read = Effect.fnUntraced(function* <E>(accounts: ReadonlyArray<string>, page: Read<E>) {
  const ledger: Array<Psp.LedgerLine> = []
  const charges: Array<Psp.PspCharge> = []
  for (const account of accounts) {
    const lines = yield* pagesOf(page, `/${account}/ledger?limit=10000`)
    const made = yield* pagesOf(page, `/${account}/v1/charges?limit=100`)
    ledger.push(...lines.map((line) => ({ account, ...line }) as Psp.LedgerLine))
    charges.push(...made.map((charge) => ({ account, ...charge }) as Psp.PspCharge))
  }
  return { ledger, charges } satisfies Books
})

const pagesOf = Effect.fnUntraced(function* <E>(page: Read<E>, path: string) {
  const lines: Array<object> = []
  let next = ""
  for (let pages = 0; pages < maxPages; pages++) {
    const { data, next_after, next_cursor } = yield* page(`${path}${next}`)
    for (const line of data) lines.push(line)
    if (next_after === undefined && next_cursor === undefined) break
    next = next_after === undefined ? `&cursor=${next_cursor}` : `&after=${next_after}`
  }
  return lines
})

/** Reads a sandbox without a transport. One that does not answer is a defect: no fault strikes here. */
export const readFrom =
  (handler: Handler): Read =>
  (path) =>
    Effect.map(handler.handle(Psp.request("GET", path)), (reply) => {
      if (reply._tag !== "Response" || reply.status !== 200) throw new Error(`the sandbox does not answer ${path}`)
      return JSON.parse(reply.body) as Page
    })
