/**
 * A running server, as an experiment talks to it: payments as any host asks for them, the switch of faults, and metrics.
 *
 * The key goes into one header and nowhere else: no message repeats it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { ChaosPlan } from "../../../../../domain/chaos/ChaosPlan.ts"
import type { Arrival } from "../../../../../domain/chaos/experiment/load/Arrivals.ts"
import { OperationKind } from "../../../../../domain/operation/Operation.ts"
import { GatewayName } from "../../../../../domain/payment/Ids.ts"
import { PaymentStatus } from "../../../../../domain/payment/Status.ts"
import { Failure as PaymentFailure, OperationStatus } from "../../../../../domain/payment/View.ts"
import * as Callers from "../../../../../simulation/experiment/Callers.ts"
import { cannotRun, type Failure } from "../../../Failure.ts"

/** What is read of a payment. */
const Payment = Schema.Struct({
  id: Schema.String,
  status: PaymentStatus,
  version: Schema.Int,
  amountAuthorized: Schema.Int,
  amountCaptured: Schema.Int,
  amountRefunded: Schema.Int,
  failure: Schema.optionalKey(PaymentFailure),
  operations: Schema.Array(Schema.Struct({ kind: OperationKind, gateway: GatewayName, status: OperationStatus }))
})
export type Payment = typeof Payment.Type

/** What is read of the switch. */
const Status = Schema.Struct({
  running: Schema.Boolean,
  startedAt: Schema.optionalKey(Schema.String),
  lapsesInMillis: Schema.optionalKey(Schema.Int),
  lapsed: Schema.optionalKey(Schema.Boolean),
  counts: Schema.Array(
    Schema.Struct({ type: Schema.String, target: Schema.String, gateway: Schema.optionalKey(GatewayName), count: Schema.Int })
  ),
  /** Those that a plan may name. */
  gateways: Schema.optionalKey(Schema.Array(GatewayName))
})
export type Status = typeof Status.Type

const paymentOf = Schema.decodeUnknownOption(Payment)
const statusOf = Schema.decodeUnknownOption(Status)
const problemOf = Schema.decodeUnknownOption(Schema.Struct({ code: Schema.String, detail: Schema.optionalKey(Schema.String) }))

export interface ClientOptions {
  /** Without a slash at its end. */
  readonly target: string
  readonly apiKey: Redacted.Redacted
  /** What makes the keys of this run its own. */
  readonly run: string
}

/** How long a caller waits for its answer; the engine answers sooner. */
const patience = Duration.seconds(60)

/** What came back: the body, read as JSON where it is; `undefined`: nothing came. */
type Reply = { readonly status: number; readonly body: unknown; readonly text: string } | undefined

export interface Client {
  readonly port: (onShown: (key: string, payment: Payment) => void) => Callers.Port
  /** The payment as it is now; `undefined` where it is not shown. */
  readonly payment: (id: string) => Effect.Effect<Payment | undefined>
  readonly status: Effect.Effect<Status, Failure>
  /** Starts a plan that ends by itself when it was not extended for `holdMillis`. */
  readonly start: (plan: ChaosPlan, holdMillis: number) => Effect.Effect<Status, Failure>
  readonly extend: (hold: { readonly startedAt: string; readonly holdMillis: number }) => Effect.Effect<Status, Failure>
  /** Ends the plan that began then, or whatever runs. */
  readonly stop: (startedAt: string | undefined) => Effect.Effect<void, Failure>
  /** The metrics in the text format of Prometheus; `undefined` where the key may not read them. */
  readonly metrics: Effect.Effect<string | undefined>
}

/** A way to a server. */
export const make = (options: ClientOptions): Client => {
  const { run, target } = options
  const send = (method: "GET" | "POST" | "PUT" | "DELETE", path: string, more: { readonly key?: string; readonly body?: unknown } = {}) =>
    exchange(options, { method, path, ...more })

  const ask = (key: string, reply: Effect.Effect<Reply>, onShown: (key: string, payment: Payment) => void) =>
    Effect.map(reply, (answered): Callers.Seen | string => {
      if (answered === undefined) return "connection_lost"
      const payment = answered.status < 300 ? Option.getOrUndefined(paymentOf(answered.body)) : undefined
      if (payment === undefined) return codeOf(answered)
      onShown(key, payment)
      return payment
    })

  const operate = <A>(what: string, reply: Effect.Effect<Reply>, read: (body: unknown) => Option.Option<A>): Effect.Effect<A, Failure> =>
    Effect.flatMap(reply, (answered) => {
      const value = answered !== undefined && answered.status < 300 ? read(answered.body) : Option.none<A>()
      return Option.isSome(value) ? Effect.succeed(value.value) : Effect.fail(cannotRun(`${target}: ${what}: ${sentenceOf(answered)}`))
    })

  return {
    port: (onShown) => ({
      charge: (arrival) => {
        const key = `${run}-${Callers.keyOf(arrival)}`
        return ask(key, send("POST", "/v1/payments", { key, body: bodyOf(arrival) }), onShown)
      },
      followUp: (kind, { id }) => {
        const key = `${run}-${kind}-${id}`
        return ask(key, send("POST", `/v1/payments/${id}/${kind === "refund" ? "refunds" : kind}`, { key, body: {} }), onShown)
      }
    }),
    payment: (id) =>
      Effect.map(send("GET", `/v1/payments/${id}`), (reply) =>
        reply?.status === 200 ? Option.getOrUndefined(paymentOf(reply.body)) : undefined
      ),
    status: operate("the switch of faults cannot be read", send("GET", "/ops/chaos"), statusOf),
    start: (plan, holdMillis) =>
      operate("the faults cannot be started", send("PUT", `/ops/chaos?holdMillis=${holdMillis}`, { body: plan }), statusOf),
    extend: (hold) => operate("the faults cannot be extended", send("PUT", "/ops/chaos/hold", { body: hold }), statusOf),
    stop: (startedAt) => {
      const path = startedAt === undefined ? "/ops/chaos" : `/ops/chaos?startedAt=${encodeURIComponent(startedAt)}`
      return Effect.asVoid(operate("the faults cannot be ended", send("DELETE", path), statusOf))
    },
    metrics: Effect.map(send("GET", "/metrics"), (reply) => (reply?.status === 200 ? reply.text : undefined))
  }
}

const exchange = (
  { apiKey, target }: ClientOptions,
  {
    body,
    key,
    method,
    path
  }: { readonly method: "GET" | "POST" | "PUT" | "DELETE"; readonly path: string; readonly key?: string; readonly body?: unknown }
): Effect.Effect<Reply> => {
  const request = HttpClientRequest.make(method)(`${target}${path}`).pipe(
    HttpClientRequest.setHeader("authorization", `Bearer ${Redacted.value(apiKey)}`),
    key === undefined ? (same) => same : HttpClientRequest.setHeader("idempotency-key", key),
    body === undefined ? (same) => same : HttpClientRequest.bodyJsonUnsafe(body)
  )
  return HttpClient.execute(request).pipe(
    Effect.flatMap((response) => Effect.map(response.text, (text): Reply => ({ status: response.status, body: jsonOf(text), text }))),
    Effect.timeout(patience),
    Effect.orElseSucceed(() => undefined),
    Effect.provide(FetchHttpClient.layer)
  )
}

const jsonOf = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const bodyOf = (arrival: Arrival) => ({
  amount: arrival.amount,
  currency: arrival.currency,
  paymentMethod: { type: "card", token: arrival.declined ? Callers.tokens.refused : Callers.tokens.accepted },
  captureMethod: Callers.captureMethodOf(arrival)
})

const codeOf = ({ body, status }: NonNullable<Reply>): string =>
  Option.match(problemOf(body), { onNone: () => `http_${status}`, onSome: ({ code }) => code })

/** Why the server does not do what an experiment needs. */
const sentenceOf = (reply: Reply): string => {
  if (reply === undefined) return "it does not answer"
  if (reply.status === 404) return "it has no switch of faults; start it with aegispay serve --allow-chaos"
  if (reply.status === 401 || reply.status === 403)
    return "the API key may not do that; it needs the scopes payments:read, payments:write and chaos"
  const detail = Option.getOrUndefined(problemOf(reply.body))?.detail
  return detail ?? `it answers ${reply.status}`
}
