/**
 * The Node server below the routes: how long a sender may take, and what is answered to bytes that are no HTTP request.
 *
 * Slow senders are cut: headers and body have each their time, looked at every second. Requests that HTTP itself forbids (two lengths,
 * a length beside chunks, a header section over 16 KiB) never reach a route; they are answered as problems here and closed.
 */
import { createServer, type Server } from "node:http"
import type { Duplex } from "node:stream"
import * as EarlyRequests from "../../sandbox/http/EarlyRequests.ts"
import type { HttpConfig } from "../config/Config.ts"
import { bodyOf, contentType, Problem, type ProblemCode, problems } from "./Problems.ts"

/** Node's own default, stated. */
const maxHeaderBytes = 16_384
/** How often Node looks for senders that take too long. */
const checkMillis = 1_000
/** Longer than the usual 60 s of a load balancer would hold idle connections; shorter makes a client's next request meet a closed one. */
const keepAliveMillis = 5_000
/** Connections at a time; further ones are refused by the kernel's queue and then closed. */
const maxConnections = 10_000

/** A server with these limits, not listening yet. */
export const make = (config: Pick<HttpConfig, "headersTimeoutMillis" | "requestTimeoutMillis">): Server => {
  const server = createServer({
    headersTimeout: config.headersTimeoutMillis,
    requestTimeout: config.requestTimeoutMillis,
    connectionsCheckingInterval: Math.min(checkMillis, config.headersTimeoutMillis),
    keepAliveTimeout: keepAliveMillis,
    maxHeaderSize: maxHeaderBytes,
    requireHostHeader: true
  })
  server.maxConnections = maxConnections
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => refuse(error, socket))
  return EarlyRequests.keep(server)
}

const codeOf = (error: NodeJS.ErrnoException): ProblemCode => {
  if (error.code === "HPE_HEADER_OVERFLOW") return "headers_too_large"
  return error.code === "ERR_HTTP_REQUEST_TIMEOUT" ? "request_timeout" : "invalid_request"
}

const details: { readonly [Code in ProblemCode]?: string } = {
  headers_too_large: `The headers may have at most ${maxHeaderBytes} bytes.`,
  request_timeout: "The request did not arrive in time.",
  invalid_request: "These bytes are not an HTTP/1.1 request."
}

const reasons: { readonly [status: number]: string } = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large"
}

const refuse = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy()
    return
  }
  const code = codeOf(error)
  const { status } = problems[code]
  const body = JSON.stringify(bodyOf(new Problem({ code, detail: details[code] ?? "" }), ""))
  const head = [
    `HTTP/1.1 ${status} ${reasons[status] ?? "Bad Request"}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Cache-Control: no-store",
    "Connection: close"
  ]
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy())
}
