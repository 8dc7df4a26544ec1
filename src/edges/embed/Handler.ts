/**
 * The HTTP interface inside a host's own server: as a Node request listener (`node:http`, Express), as a Fastify plugin, and as a function of
 * a Web-standard `Request`. Routes, keys, limits and answers are those of `aegispay serve` (docs/errors.md).
 *
 * A webhook is signed over its bytes, so they must arrive as they came. Where the host's body parser has read them before, they are taken from
 * `req.rawBody` (bytes, or their text in UTF-8) or from `req.body` if that holds bytes; a body that is gone is answered 500 `body_already_read`, and the gateway sends it again
 * when the host is mended.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { HttpConfig } from "../config/Config.ts"
import * as HttpServer from "../http/HttpServer.ts"
import { bodyOf, contentType, Problem, problems, toResponse } from "../http/Problems.ts"

/** A listener of `node:http` and Express. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void) => void

/** A function of the Web's standard. */
export type WebHandler = (request: Request) => Promise<Response>

/** A mounted interface: one per runtime. */
export interface Mounted {
  readonly node: (request: IncomingMessage, response: ServerResponse) => void
  readonly web: WebHandler
}

const bodyRead = new Problem({
  code: "body_already_read",
  detail:
    "The host's body parser read this request before AegisPay, and the bytes that were signed are gone. " +
    "Mount AegisPay before the parser (before express.json()), or keep the bytes as req.rawBody."
})

const closed = new Problem({
  code: "not_accepting",
  detail: "The server is stopping; nothing was started. Retry with the same Idempotency-Key.",
  retryAfterSeconds: 5
})

/** Builds the interface for as long as the scope lasts. */
export const build = Effect.fnUntraced(function* (http: HttpConfig, scope: Scope.Scope, prefix: string) {
  const platform = yield* Layer.buildWithScope(NodeHttpServer.layerHttpServices, scope)
  const app = yield* HttpServer.app(http).pipe(Effect.provideService(Scope.Scope, scope), Effect.provide(platform))
  const mounted = Effect.gen(function* () {
    const request = yield* HttpServerRequest.HttpServerRequest
    const readable = withBody(request)
    if (readable === undefined) return yield* Effect.andThen(Effect.logError(bodyRead.detail), toResponse(bodyRead))
    const url = withoutPrefix(request.url, prefix)
    return yield* Effect.provideService(app, HttpServerRequest.HttpServerRequest, readable.modify(url === undefined ? {} : { url }))
  })
  const context = yield* Effect.context()
  const node = yield* NodeHttpServer.makeHandler(mounted, { scope })
  return { node, web: HttpEffect.toWebHandlerWith<never, HttpServerRequest.HttpServerRequest | Scope.Scope>(context)(mounted) }
})

/** `/pay/v1/payments` below `/pay` is `/v1/payments`; `undefined` for an address that is not below the prefix. */
export const withoutPrefix = (url: string, prefix: string): string | undefined => {
  if (!url.startsWith(prefix)) return undefined
  const rest = url.slice(prefix.length)
  return rest === "" || rest.startsWith("?") ? `/${rest}` : rest.startsWith("/") ? rest : undefined
}

/** A prefix starts with a slash and does not end with one; none is empty. */
export const prefixOf = (given: string | undefined): string => {
  const prefix = (given ?? "").replace(/\/+$/, "")
  return prefix === "" || prefix.startsWith("/") ? prefix : `/${prefix}`
}

/** The request with its bytes, or `undefined` when the host has read them and kept none. */
const withBody = (request: HttpServerRequest.HttpServerRequest): HttpServerRequest.HttpServerRequest | undefined => {
  const { source } = request
  if (source instanceof Request) return source.bodyUsed ? undefined : request
  const incoming = NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage & {
    readonly rawBody?: unknown
    readonly body?: unknown
  }
  const hasBody = incoming.headers["transfer-encoding"] !== undefined || Number(incoming.headers["content-length"] ?? 0) > 0
  if (!incoming.readableDidRead || !hasBody) return request
  const kept = typeof incoming.rawBody === "string" ? Buffer.from(incoming.rawBody, "utf8") : incoming.rawBody
  const bytes = [kept, incoming.body].find((value) => value instanceof Uint8Array)
  if (bytes === undefined) return undefined
  const init = { method: incoming.method ?? "POST", headers: webHeaders(incoming), body: new Uint8Array(bytes) }
  const again = HttpServerRequest.fromWeb(new Request(new URL(request.url, "http://host"), init))
  return again.modify({ remoteAddress: request.remoteAddress })
}

const webHeaders = (incoming: IncomingMessage): Headers => {
  const headers = new Headers()
  for (const [name, values] of Object.entries(incoming.headersDistinct)) for (const value of values ?? []) headers.append(name, value)
  return headers
}

/** Lets a request be answered; ends with its answer, or when its caller has gone. */
export const whenAnswered = (response: ServerResponse, answer: () => void): Promise<void> =>
  new Promise((resolve) => {
    if (response.closed) return resolve()
    response.once("close", resolve)
    answer()
  })

/** Answers a request that came after the end, without an engine. */
export const refuse = (response: ServerResponse): void => {
  if (response.headersSent) return
  response.writeHead(problems[closed.code].status, { "content-type": contentType, "retry-after": String(closed.retryAfterSeconds) })
  response.end(JSON.stringify(bodyOf(closed, "")))
}

/** The same for the Web's standard. */
export const refused = (): Response =>
  new Response(JSON.stringify(bodyOf(closed, "")), {
    status: problems[closed.code].status,
    headers: { "content-type": contentType, "retry-after": String(closed.retryAfterSeconds) }
  })

/** What is needed of a Fastify instance: no type of it, so that nobody has to install it. */
export interface FastifyLike {
  readonly removeAllContentTypeParsers: () => unknown
  readonly addContentTypeParser: (
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: null) => void) => void
  ) => unknown
  readonly all: (
    path: string,
    handler: (request: { readonly raw: IncomingMessage }, reply: { readonly hijack: () => unknown; readonly raw: ServerResponse }) => void
  ) => unknown
}
