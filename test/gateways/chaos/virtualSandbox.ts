/**
 * Gateways of a sandbox without sockets, on virtual time: the adapter and the sandbox are the real ones, only the wire between them is not there.
 */
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as SandboxGateway from "../../../src/gateways/sandbox/SandboxGateway.ts"
import type * as Reply from "../../../src/sandbox/http/Reply.ts"
import * as Sandbox from "../../../src/sandbox/Sandbox.ts"

/** An entry of an account's ledger. */
export interface Entry {
  readonly kind: string
  readonly reference: string
  readonly payment: string
  readonly amount: number
  readonly account: string
}

const decoder = new TextDecoder()

/** The client that speaks to the sandbox. */
const clientOf = (handler: Sandbox.Handler) =>
  HttpClient.make((request, url) => {
    const body = request.body._tag === "Uint8Array" ? decoder.decode(request.body.body) : ""
    const wire: Reply.WireRequest = { method: request.method, path: url.pathname, query: url.searchParams, headers: request.headers, body }
    return Effect.flatMap(handler.handle(wire), (reply) =>
      reply._tag === "Reset"
        ? Effect.fail(new HttpClientError({ reason: new TransportError({ request, cause: { code: "ECONNRESET", syscall: "read" } }) }))
        : Effect.succeed(HttpClientResponse.fromWeb(request, new Response(reply.body, { status: reply.status, headers: reply.headers })))
    )
  })

/** A sandbox with these accounts and their gateways, for as long as the scope lives. */
export const start = Effect.fnUntraced(function* (names: ReadonlyArray<string>, options: Sandbox.SandboxOptions = {}) {
  const accounts = names.map((name) => Sandbox.quietAccounts.find((account) => account.name === name) ?? { name })
  const handler = yield* Effect.orDie(Sandbox.make({ accounts, seed: 1, ...options }))
  const gateways = yield* Effect.forEach(accounts, ({ captures, leavesOpenAfterDecline, name }) =>
    SandboxGateway.make({
      name: GatewayName.make(name),
      baseUrl: `http://sandbox/${name}`,
      secretKey: Redacted.make(`sk_sandbox_${name}`),
      captures: captures ?? "single",
      leavesOpenAfterDecline: leavesOpenAfterDecline ?? false,
      connectLimitMillis: 0
    }).pipe(Effect.provideService(HttpClient.HttpClient, clientOf(handler)), Effect.orDie)
  )
  const ledgerOf = (account: string) =>
    Effect.map(
      handler.handle({
        method: "GET",
        path: `/${account}/ledger`,
        query: new URLSearchParams({ limit: "10000" }),
        headers: { authorization: `Bearer sk_sandbox_${account}` },
        body: ""
      }),
      (reply) => {
        const { data } = JSON.parse(reply._tag === "Response" ? reply.body : "") as { readonly data: ReadonlyArray<Omit<Entry, "account">> }
        return data.map((entry): Entry => ({ ...entry, account }))
      }
    )
  return { gateways, handler, ledger: Effect.map(Effect.forEach(names, ledgerOf), (all) => all.flat()) }
})
