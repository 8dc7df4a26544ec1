/**
 * What has to hold of a server's payments, as far as one can see it from outside: against what it shows, and against the ledgers of the
 * sandbox's accounts where they may be read.
 */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { InvariantResult } from "../../../../../domain/chaos/experiment/ExperimentResult.ts"
import type { OperationStatus } from "../../../../../domain/payment/View.ts"
import { mostAtOnce } from "../../../../../simulation/checks/Money.ts"
import type * as Ledger from "../../../../../simulation/experiment/Ledger.ts"
import { read } from "../../../../../simulation/experiment/Ledger.ts"
import { cannotRun, type Failure } from "../../../Failure.ts"
import type { Payment } from "./Client.ts"

/** What callers were shown under each key, last, and what the server shows of each payment now. */
export interface Seen {
  readonly shown: ReadonlyArray<{ readonly key: string; readonly payment: Payment }>
  readonly now: ReadonlyMap<string, Payment | undefined>
  readonly unsettled: number
  /** `undefined`: nobody may read them. */
  readonly books: Ledger.Books | undefined
}

/** Reads the ledgers of all accounts of a sandbox. Their keys are the public ones. */
export const of = (url: string): Effect.Effect<Ledger.Books, Failure> => {
  const get = (path: string, account = "") =>
    HttpClient.execute(
      HttpClientRequest.get(`${url}${path}`).pipe(HttpClientRequest.setHeader("authorization", `Bearer sk_sandbox_${account}`))
    ).pipe(
      Effect.flatMap(HttpClientResponse.filterStatusOk),
      Effect.flatMap((response) => response.json),
      Effect.timeout("10 seconds"),
      Effect.mapError(() => cannotRun(`${url}${path}: the sandbox's ledger cannot be read`)),
      Effect.provide(FetchHttpClient.layer)
    )
  return Effect.flatMap(get("/"), (overview) => {
    const { accounts } = overview as { readonly accounts?: ReadonlyArray<string> }
    if (!Array.isArray(accounts)) return Effect.fail(cannotRun(`${url}: not a sandbox`))
    return read(accounts as ReadonlyArray<string>, (path) =>
      Effect.map(get(path, path.split("/")[1]), (body) => body as unknown as Ledger.Page)
    )
  })
}

/** Every invariant, and whether it held or could not be looked at. */
export const check = (seen: Seen): ReadonlyArray<InvariantResult> => [
  chargedOnce(seen),
  agreed(seen),
  remembered(seen),
  settled(seen),
  unseen("history without a gap, projection as the history says", "it takes the server's database: aegispay rebuild --dry-run"),
  unseen("every event delivered, in order", "it takes the merchant's endpoint")
]

const noLedger = "the gateways' ledgers were not given: --ledger URL of the sandbox reads them"

const chargedOnce = (seen: Seen): InvariantResult => {
  const name = "at most one charge per key"
  const owners = Map.groupBy(seen.shown, ({ key }) => key)
  const split = [...owners].flatMap(([key, shown]) => {
    const ids = new Set(shown.map(({ payment }) => payment.id))
    return ids.size > 1 ? [`${key} has ${[...ids].join(" and ")}`] : []
  })
  if (seen.books === undefined) return split.length > 0 ? broken(name, split) : unseen(name, noLedger)
  const lines = Map.groupBy(seen.books.ledger, ({ payment }) => payment)
  const twice = [...seen.now.keys()].flatMap((id) => {
    const most = mostAtOnce(lines.get(id) ?? [])
    return most.length > 1 ? [`${id}: charged ${most.length} times, at ${most.map(({ account }) => account).join(", ")}`] : []
  })
  return [...split, ...twice].length > 0 ? broken(name, [...split, ...twice]) : held(name, seen)
}

/** What was taken and not given back is the same here and there. */
const agreed = (seen: Seen): InvariantResult => {
  const name = "records and gateways agree"
  if (seen.books === undefined) return unseen(name, noLedger)
  const charges = Map.groupBy(seen.books.charges, ({ payment }) => payment)
  const wrong = [...seen.now].flatMap(([id, payment]) => {
    if (payment === undefined) return []
    const there = (charges.get(id) ?? []).reduce((sum, charge) => sum + charge.amount_captured - charge.amount_refunded, 0)
    const here = payment.amountCaptured - payment.amountRefunded
    return here === there ? [] : [`${id}: here ${here} were taken, there ${there}`]
  })
  return wrong.length > 0 ? broken(name, wrong) : held(name, seen)
}

const remembered = (seen: Seen): InvariantResult => {
  const name = "nothing acknowledged is lost"
  const wrong = seen.shown.flatMap(({ key, payment }) => {
    const now = seen.now.get(payment.id)
    if (now === undefined) return [`${key} was shown ${payment.id}, which is not there any more`]
    return now.version < payment.version ? [`${payment.id} was at version ${payment.version}, now it is at ${now.version}`] : []
  })
  return wrong.length > 0 ? broken(name, wrong) : held(name, seen)
}

/** Statuses of operations that have not ended. */
const open: ReadonlySet<OperationStatus> = new Set(["processing", "unknown", "requires_action", "pending", "needs_review"])

/** An operation of the payment goes on. A refund that does is not seen in the payment's status. */
export const isInFlight = ({ operations }: Payment): boolean => operations.some(({ status }) => open.has(status))

const settled = (seen: Seen): InvariantResult => {
  const name = "nothing in flight"
  const open = [...seen.now].flatMap(([id, payment]) =>
    payment !== undefined && isInFlight(payment) ? [`${id} has an open operation`] : []
  )
  const unknown = seen.unsettled === 0 ? [] : [`nobody knows what became of ${seen.unsettled} payments`]
  return [...unknown, ...open].length > 0 ? broken(name, [...unknown, ...open]) : held(name, seen)
}

const held = (name: string, { books, now }: Seen): InvariantResult => ({
  name,
  status: "held",
  detail: `${now.size} payments${books === undefined ? "" : `, ${books.ledger.length} lines in the ledgers`}`
})

const broken = (name: string, details: ReadonlyArray<string>): InvariantResult => ({
  name,
  status: "broken",
  detail: `${details.length === 1 ? "" : `${details.length} times; `}${details.slice(0, 3).join("; ")}`.slice(0, 2_000)
})

const unseen = (name: string, detail: string): InvariantResult => ({ name, status: "not_checked", detail })
