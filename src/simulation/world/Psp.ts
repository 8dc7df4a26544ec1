/**
 * The PSP of a simulation: the sandbox in a process of its own, its accounts, and its ledger as the oracle of what was charged.
 */
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Sandbox from "../../sandbox/Sandbox.ts"
import type { Reply, WireRequest } from "../../sandbox/http/Reply.ts"
import { lateMillis as networkLateMillis } from "./Network.ts"

/**
 * An account: a gateway of its own.
 *
 * - `declares`: it may tell less of itself than it can, so that recovery takes other ways. `neither`: it can neither be asked, nor does it
 *   recognise what is repeated; what became of a request is told by webhook, or it is cancelled by our reference.
 * - `webhooks`: `repeated`, signed and sent again until they are acknowledged. `given up`: signed, and not sent again after three times.
 *   `unsigned`: nothing proves who sent them. `none`: it sends none.
 */
export interface Account {
  readonly name: string
  readonly declares: "all" | "no look-up" | "no replay" | "neither"
  readonly webhooks: "repeated" | "given up" | "unsigned" | "none"
  readonly captures: "single" | "multiple"
  readonly lookupLagMillis: number
  readonly leavesOpenAfterDecline: boolean
}

/** The longest a request is held without an answer: then the PSP resets the connection. */
const holdMillis = 6_000
/** How long after its caller left a late request executes. */
const lateMillis = 2_000
const slowMillis = 3_000

/** The settle time that the gateways declare beside their look-up lag: late arrival, holding, late execution, a slow answer, and a little more. */
export const settleTimeMillis = networkLateMillis + holdMillis + lateMillis + slowMillis + 500

/** The accounts that a simulation may have. */
export const accounts: ReadonlyArray<Omit<Account, "declares" | "webhooks">> = [
  { name: "a", captures: "multiple", lookupLagMillis: 0, leavesOpenAfterDecline: false },
  { name: "b", captures: "multiple", lookupLagMillis: 5_000, leavesOpenAfterDecline: true },
  { name: "c", captures: "single", lookupLagMillis: 0, leavesOpenAfterDecline: false }
]

export const longestLookupLagMillis = Math.max(...accounts.map((account) => account.lookupLagMillis))

/** An account tells something about a payment. `body`: the event as JSON text. */
export type Tell = (account: string, body: string) => void

/**
 * The sandbox without a transport; lives as long as the scope. `tell` takes over its webhooks: each is handed over once and never
 * answered, and what becomes of it is for the network of the simulation.
 */
export const make = (options: {
  readonly seed: number
  readonly accounts: ReadonlyArray<Account>
  readonly replayWindowMillis: number
  readonly tell: Tell
}) =>
  Sandbox.make({
    accounts: options.accounts.map(({ captures, leavesOpenAfterDecline, lookupLagMillis, name, webhooks }) => ({
      name,
      captures,
      leavesOpenAfterDecline,
      lookupLagMillis,
      latencyMillis: 40,
      ...(webhooks === "none" ? {} : { webhookUrl: `http://host/${name}` })
    })),
    seed: options.seed,
    control: true,
    holdMillis,
    lateMillis,
    slowMillis,
    settleDelayMillis: 2_000,
    idempotencyWindowMillis: options.replayWindowMillis,
    webhooks: { maxAttempts: 1, timeoutMillis: 1 }
  }).pipe(Effect.provideService(FetchHttpClient.Fetch, handOver(options.tell)), Effect.orDie)

const handOver =
  (tell: Tell): typeof globalThis.fetch =>
  (input, init) => {
    const { body } = init ?? {}
    const account = new URL(input instanceof Request ? input.url : input).pathname.slice(1)
    if (body instanceof Uint8Array) tell(account, new TextDecoder().decode(body))
    return new Promise(() => undefined)
  }

export const headersOf = (account: string) => ({ authorization: `Bearer sk_sandbox_${account}` })

export const request = (method: string, path: string, body = ""): WireRequest => {
  const url = new URL(`http://psp${path}`)
  const account = url.pathname.split("/")[1] ?? ""
  return { method, path: url.pathname, query: url.searchParams, headers: headersOf(account), body }
}

/** One line of an account's ledger. */
export interface LedgerLine {
  readonly account: string
  readonly at: number
  readonly kind: "authorize" | "charge" | "capture" | "void" | "refund" | "refund_failed"
  readonly charge_id: string
  readonly reference: string
  readonly payment: string
  readonly amount: number
}

/** A charge as the PSP has it now. `reference`: of the operation that made it. */
export interface PspCharge {
  readonly account: string
  readonly id: string
  readonly status: string
  readonly reference: string
  readonly payment: string
  readonly amount: number
  readonly amount_authorized: number
  readonly amount_captured: number
  readonly amount_refunded: number
  readonly created: number
}

/** A refund as the PSP has it now. `reference`: of the operation that made it. */
export interface PspRefund {
  readonly account: string
  readonly id: string
  readonly status: string
  readonly reference: string
}

/** Everything that happened at the PSP. `unreadable`: accounts that were in an outage and showed only a part, or nothing. */
export interface Truth {
  readonly ledger: ReadonlyArray<LedgerLine>
  readonly charges: ReadonlyArray<PspCharge>
  readonly refunds: ReadonlyArray<PspRefund>
  readonly unreadable: ReadonlySet<string>
}

/** Reads a list of every account; tells which do not answer. A simulation makes fewer lines than a page holds. */
const list = <A>(handler: Sandbox.Handler, path: string, onUnreadable: (account: string) => void): Effect.Effect<ReadonlyArray<A>> =>
  Effect.map(
    Effect.forEach(handler.accounts, (account) =>
      Effect.map(handler.handle(request("GET", `/${account}/${path}`)), (reply) => {
        const data = linesOf(reply)
        if (data === undefined) onUnreadable(account)
        return (data ?? []).map((line) => ({ account, ...line }) as A)
      })
    ),
    (lines) => lines.flat()
  )

const linesOf = (reply: Reply): ReadonlyArray<object> | undefined =>
  reply._tag === "Response" && reply.status === 200 ? (JSON.parse(reply.body) as { readonly data: ReadonlyArray<object> }).data : undefined

/** Reads the charges of every account that answers. */
export const charges = (handler: Sandbox.Handler) => list<PspCharge>(handler, "v1/charges", () => undefined)

/** Reads ledger, charges and refunds of every account. */
export const truth = (handler: Sandbox.Handler): Effect.Effect<Truth> =>
  Effect.suspend(() => {
    const unreadable = new Set<string>()
    const read = <A>(path: string) => list<A>(handler, path, (account) => unreadable.add(account))
    return Effect.all({
      ledger: read<LedgerLine>("ledger?limit=10000"),
      charges: read<PspCharge>("v1/charges"),
      refunds: read<PspRefund>("v1/refunds"),
      unreadable: Effect.succeed(unreadable)
    })
  })

/** The PSP's own id of an operation, by our reference; `undefined` while the look-up does not show it. */
export const operationId = (handler: Sandbox.Handler, account: string, reference: string): Effect.Effect<string | undefined> =>
  Effect.map(handler.handle(request("GET", `/${account}/v1/operations?reference=${reference}`)), (reply) =>
    reply._tag === "Response" && reply.status === 200
      ? (JSON.parse(reply.body) as { readonly operation?: { readonly id: string } }).operation?.id
      : undefined
  )
