/**
 * The sandbox PSP: a payment service provider that speaks HTTP, charges nobody and remembers everything in its own ledger.
 *
 * It runs as its own process (`serve`), beside other servers (`layerNode`, or `layer` over any `HttpServer`) and without sockets
 * (`make`, `webHandler`). The wire protocol and the magic tokens are in docs/sandbox.md.
 *
 * ```ts
 * const program = Effect.gen(function*() {
 *   const { url } = yield* Sandbox.Sandbox       // "http://127.0.0.1:9090"
 * }).pipe(Effect.provide(Sandbox.layerNode({ port: 9090 })))
 * ```
 *
 * Gotcha: it binds 127.0.0.1 unless told otherwise and its default keys are public; it is a simulator, never expose it.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServer from "effect/http/HttpServer"
import type * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import * as Engine from "./Engine.ts"
import type { JournalError } from "./Journal.ts"
import type { SandboxOptions } from "./Options.ts"
import * as EarlyRequests from "./http/EarlyRequests.ts"
import * as Reply from "./http/Reply.ts"
import * as Routes from "./http/Routes.ts"

export { defaultAccounts, quietAccounts } from "./Options.ts"
export type { AccountOptions, SandboxOptions, WebhookOptions } from "./Options.ts"

/** Bodies above this size are answered with 413. */
export const maxBodyBytes = 64 * 1024

/** Port of a sandbox that was not given one. */
export const defaultPort = 9090

/** The sandbox without a transport. */
export interface Handler {
  /** Handles one request. Interrupting it is what a caller that leaves does. */
  readonly handle: (request: Reply.WireRequest) => Effect.Effect<Reply.Reply>
  /** Names of the accounts, in configured order. */
  readonly accounts: ReadonlyArray<string>
}

/** A sandbox that is being served; `url` is where, without a trailing slash. */
export class Sandbox extends Context.Service<Sandbox, Handler & { readonly url: string }>()("aegispay/sandbox/Sandbox") {}

/** A sandbox without a transport, for as long as the scope lives. Fails on unusable settings or an unusable directory. */
export const make = Effect.fnUntraced(function* (
  options: SandboxOptions = {}
): Effect.fn.Return<Handler, Engine.SandboxConfigError | JournalError, Scope.Scope> {
  const engine = yield* Engine.make(options)
  return { handle: (request) => Routes.handle(engine, request), accounts: [...engine.accounts.keys()] }
})

const toResponse = (reply: Reply.Response): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(reply.body, { status: reply.status, contentType: reply.contentType, headers: reply.headers })

/** Reads the body up to the limit; `undefined` when it is larger or cannot be read. */
const readBody = (request: HttpServerRequest.HttpServerRequest): Effect.Effect<string | undefined> =>
  request.method === "GET" || request.method === "HEAD"
    ? Effect.succeed("")
    : Number(request.headers["content-length"] ?? 0) > maxBodyBytes
      ? Effect.succeed(undefined)
      : request.text.pipe(
          Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(maxBodyBytes)),
          Effect.orElseSucceed(() => undefined)
        )

/** Destroys the connection with a reset. The request's fiber is interrupted by it; the response is for transports without a socket. */
const destroy = (request: HttpServerRequest.HttpServerRequest) =>
  Effect.suspend(() => {
    const { socket } = request.source as { readonly socket?: { readonly resetAndDestroy?: () => void } }
    if (socket?.resetAndDestroy === undefined) return Effect.succeed(resetResponse)
    socket.resetAndDestroy()
    return Effect.never
  })

const resetHeader = "sandbox-connection-reset"
const resetResponse = HttpServerResponse.empty({ status: 502, headers: { [resetHeader]: "true" } })

/** The application of an HTTP server. A raw one runs uninterruptible there; it has to end when the caller leaves. */
const toApp = (handler: Handler) =>
  Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = yield* readBody(request)
    if (body === undefined) return toResponse(Reply.tooLarge)
    const [path = "/", query = ""] = request.url.split("?", 2)
    const reply = yield* handler.handle({
      method: request.method,
      path,
      query: new URLSearchParams(query),
      headers: request.headers,
      body
    })
    return reply._tag === "Reset" ? yield* destroy(request) : toResponse(reply)
  }).pipe(Effect.interruptible)

/** Serves a sandbox on the `HttpServer` that is provided. */
export const layer = (
  options: SandboxOptions = {}
): Layer.Layer<Sandbox, Engine.SandboxConfigError | JournalError, HttpServer.HttpServer> =>
  Layer.effect(
    Sandbox,
    Effect.gen(function* () {
      const handler = yield* make(options)
      const server = yield* HttpServer.HttpServer
      yield* server.serve(toApp(handler))
      return Sandbox.of({ ...handler, url: HttpServer.formatAddress(server.address) })
    })
  )

export interface ListenOptions extends SandboxOptions {
  /** Default 9090; 0 takes a free port. */
  readonly port?: number
  /** Address to bind. Default 127.0.0.1. */
  readonly host?: string
}

/** Time that open connections have to end when the sandbox stops; held ones would never end by themselves. */
const shutdownMillis = 500

/** Serves a sandbox on a Node server of its own. `ServeError` when the port cannot be bound. */
export const layerNode = (
  options: ListenOptions = {}
): Layer.Layer<Sandbox, Engine.SandboxConfigError | JournalError | HttpServerError.ServeError> =>
  layer(options).pipe(
    Layer.provide(
      NodeHttpServer.layerServer(() => EarlyRequests.keep(createServer()), {
        port: options.port ?? defaultPort,
        host: options.host ?? "127.0.0.1",
        gracefulShutdownTimeout: shutdownMillis
      })
    )
  )

/** Runs a sandbox until it is interrupted. `onListening` gets its URL and accounts once requests are answered. */
export const serve = (
  options: ListenOptions & { readonly onListening?: (sandbox: Sandbox["Service"]) => Effect.Effect<void> } = {}
): Effect.Effect<never, Engine.SandboxConfigError | JournalError | HttpServerError.ServeError> =>
  Effect.gen(function* () {
    const sandbox = Context.get(yield* Layer.build(layerNode(options)), Sandbox)
    if (options.onListening !== undefined) yield* options.onListening(sandbox)
    return yield* Effect.never
  }).pipe(Effect.scoped)

/**
 * The sandbox as a function from `Request` to `Response`, without sockets. A reset rejects with a `TypeError`, as `fetch` does;
 * aborting the request's signal is a caller that leaves.
 */
export const webHandler = Effect.fnUntraced(function* (
  options: SandboxOptions = {}
): Effect.fn.Return<(request: Request) => Promise<Response>, Engine.SandboxConfigError | JournalError, Scope.Scope> {
  const handler = yield* make(options)
  const context = yield* Effect.context()
  const web = HttpEffect.toWebHandlerWith<never, HttpServerRequest.HttpServerRequest>(context)(toApp(handler))
  return (request) =>
    web(request).then((response) => (response.headers.has(resetHeader) ? Promise.reject(new TypeError("connection reset")) : response))
})
