/**
 * The HTTP interface over the memory engine and scripted gateways: without a socket (`request`), and with one (`served`).
 */
import { type Context, Effect, Layer, Logger, Option, Redacted } from "effect"
import { HttpEffect, HttpServer, HttpServerRequest } from "effect/http"
import type { HttpConfig } from "../../../src/edges/config/Config.ts"
import * as AegisHttpServer from "../../../src/edges/http/HttpServer.ts"
import { TenantId } from "../../../src/domain/payment/Ids.ts"
import { MemoryStore } from "../../../src/layers/memory/MemoryStore.ts"
import * as Background from "../../../src/orchestration/operation/Background.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import { defaults, type EngineSettings, Settings } from "../../../src/services/Settings.ts"
import { fingerprints, gatewaysOf, memory } from "../../support/TestEngine.ts"

export const key = "test-key-of-merchant-1"
export const otherKey = "test-key-of-merchant-2"
export const readKey = "test-key-that-only-reads"

/** Two merchants; the first has a key that only reads, too. */
export const config: HttpConfig = {
  host: "127.0.0.1",
  port: 0,
  maxBodyBytes: 65_536,
  headersTimeoutMillis: 10_000,
  requestTimeoutMillis: 20_000,
  shutdownMillis: 2_000,
  apiKeys: [
    { merchant: TenantId.make("m1"), key: Redacted.make(key), scopes: ["payments:read", "payments:write"] },
    { merchant: TenantId.make("m2"), key: Redacted.make(otherKey), scopes: ["payments:read", "payments:write"] },
    { merchant: TenantId.make("m1"), key: Redacted.make(readKey), scopes: ["payments:read"] }
  ]
}

/** The engine as `serve` builds it, over memory. */
export const engine = (gateways: ReadonlyArray<Gateway>, settings: Partial<EngineSettings> = {}) =>
  Payments.layerEngine.pipe(
    Layer.provideMerge(Background.layer),
    Layer.provideMerge(
      Layer.mergeAll(
        gatewaysOf(...gateways),
        fingerprints,
        Layer.succeed(Settings, { ...defaults, ...settings, allowUnsafeGateways: true })
      )
    ),
    Layer.provideMerge(memory)
  )

/** What a test sees of an answer. */
export interface Answered {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // What an answer holds is the test's business.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly body: any
}

export interface RequestOptions {
  readonly key?: string | undefined
  readonly headers?: Record<string, string>
  /** Sent as it is when a string, as JSON otherwise. */
  readonly body?: unknown
}

/** Sends requests to the application of a scope, without a socket; `http`: settings that differ, `address`: of whoever connects. */
export const clientOf = Effect.fnUntraced(function* (http: Partial<HttpConfig> = {}, address: () => string | undefined = () => undefined) {
  const served = yield* AegisHttpServer.app({ ...config, ...http })
  const app = Effect.updateService(served, HttpServerRequest.HttpServerRequest, (request) =>
    request.modify({ remoteAddress: Option.fromUndefinedOr(address()) })
  )
  const context = yield* Effect.context<Exclude<Effect.Services<typeof app>, HttpServerRequest.HttpServerRequest>>()
  const handle = HttpEffect.toWebHandlerWith<never, HttpServerRequest.HttpServerRequest>(context as Context.Context<never>)(app as never)
  return (method: string, path: string, options: RequestOptions = {}): Effect.Effect<Answered> =>
    Effect.promise(async () => {
      const body = options.body === undefined ? undefined : typeof options.body === "string" ? options.body : JSON.stringify(options.body)
      const authorization = options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }
      const sized = body === undefined ? {} : { "content-type": "application/json", "content-length": String(Buffer.byteLength(body)) }
      const response = await handle(
        new Request(`http://aegispay.test${path}`, {
          method,
          headers: { ...authorization, ...sized, ...options.headers },
          ...(body === undefined ? {} : { body })
        })
      )
      const text = await response.text()
      return { status: response.status, headers: response.headers, text, body: text.startsWith("{") ? JSON.parse(text) : undefined }
    })
})

/** Sends requests to the application with the settings of the tests. */
export const client = clientOf()

/** What an in-process test may use. */
export type InProcess = Effect.Services<typeof client> | MemoryStore

/** Everything an in-process test needs. */
export const layerInProcess = (gateways: ReadonlyArray<Gateway>, settings: Partial<EngineSettings> = {}) =>
  Layer.merge(engine(gateways, settings), HttpServer.layerServices)

/** A listening server over the memory engine. */
export const layerServed = (
  gateways: ReadonlyArray<Gateway>,
  options: { readonly http?: Partial<HttpConfig>; readonly settings?: Partial<EngineSettings> } = {}
) =>
  AegisHttpServer.layer({ ...config, ...options.http }).pipe(
    Layer.provideMerge(engine(gateways, options.settings)),
    Layer.provideMerge(Logger.layer([]))
  )

/** How much is written: payments, events, claims. */
export const written = Effect.map(MemoryStore, (tables) => ({
  payments: tables.payments.size,
  events: tables.log.length,
  claims: tables.claims.size
}))

/** A charge of 49.90 EUR that every scripted gateway takes. */
export const newPayment = {
  amount: 4990,
  currency: "EUR",
  paymentMethod: { type: "card", token: "tok_success" }
}

let keys = 0
/** The header with a new key. */
export const idempotent = (given?: string): Record<string, string> => ({ "idempotency-key": given ?? `key-${++keys}` })
