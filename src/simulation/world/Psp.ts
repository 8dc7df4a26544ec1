/**
 * The PSP of a simulation: the sandbox in a process of its own, its accounts, and its ledger as the oracle of what was charged.
 */
import * as Effect from "effect/Effect"
import * as Sandbox from "../../sandbox/Sandbox.ts"
import type { Reply, WireRequest } from "../../sandbox/http/Reply.ts"
import { lateMillis as networkLateMillis } from "./Network.ts"

/** An account: a gateway of its own. `declares`: it may tell less of itself than it can, so that recovery takes other ways. */
export interface Account {
  readonly name: string
  readonly declares: "all" | "no look-up" | "no replay"

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
export const accounts: ReadonlyArray<Omit<Account, "declares">> = [
  { name: "a", captures: "multiple", lookupLagMillis: 0, leavesOpenAfterDecline: false },
  { name: "b", captures: "multiple", lookupLagMillis: 5_000, leavesOpenAfterDecline: true },
  { name: "c", captures: "single", lookupLagMillis: 0, leavesOpenAfterDecline: false }
]

export const longestLookupLagMillis = Math.max(...accounts.map((account) => account.lookupLagMillis))

/** The sandbox without a transport; lives as long as the scope. */
export const make = (seed: number, used: ReadonlyArray<Account>, replayWindowMillis: number) =>
  Effect.orDie(
    Sandbox.make({
      accounts: used.map(({ captures, leavesOpenAfterDecline, lookupLagMillis, name }) => ({
        name,
        captures,
        leavesOpenAfterDecline,
        lookupLagMillis,
        latencyMillis: 40
      })),
      seed,
      control: true,
      holdMillis,
      lateMillis,
      slowMillis,
      settleDelayMillis: 2_000,
      idempotencyWindowMillis: replayWindowMillis
    })
  )

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

/** A charge as the PSP has it now. */
export interface PspCharge {
  readonly account: string
  readonly id: string
  readonly status: string
  readonly payment: string
  readonly amount: number
  readonly amount_authorized: number
  readonly amount_captured: number
  readonly amount_refunded: number
  readonly created: number
}

/** Everything that happened at the PSP. */
export interface Truth {
  readonly ledger: ReadonlyArray<LedgerLine>
  readonly charges: ReadonlyArray<PspCharge>
}

const bodyOf = (reply: Reply): { readonly data?: ReadonlyArray<object> } =>
  reply._tag === "Response" && reply.status === 200 ? (JSON.parse(reply.body) as { readonly data?: ReadonlyArray<object> }) : {}

/** Reads ledger and charges of every account. A simulation makes fewer than a page of charges per account. */
export const truth = (handler: Sandbox.Handler): Effect.Effect<Truth> =>
  Effect.map(
    Effect.forEach(handler.accounts, (account) =>
      Effect.all([
        handler.handle(request("GET", `/${account}/ledger?limit=10000`)),
        handler.handle(request("GET", `/${account}/v1/charges`))
      ]).pipe(
        Effect.map(([ledger, charges]) => ({
          ledger: (bodyOf(ledger).data ?? []).map((line) => ({ account, ...line }) as LedgerLine),
          charges: (bodyOf(charges).data ?? []).map((charge) => ({ account, ...charge }) as PspCharge)
        }))
      )
    ),
    (all) => ({ ledger: all.flatMap(({ ledger }) => ledger), charges: all.flatMap(({ charges }) => charges) })
  )
