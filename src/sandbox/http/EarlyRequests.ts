/**
 * Requests that arrive between listening and serving.
 *
 * Effect's Node server listens first and takes requests afterwards. Node drops a request that nobody takes without an answer: its
 * sender would wait for ever. Here such requests are kept and handed over as soon as somebody takes requests.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http"

/** The gap is a few milliseconds long; what comes beyond this is cut. */
const maxEarly = 1_000

/** Keeps the requests of a server until its first other `request` listener is there. */
export const keep = (server: Server): Server => {
  const early: Array<readonly [IncomingMessage, ServerResponse]> = []
  const take = (request: IncomingMessage, response: ServerResponse) => {
    if (early.length < maxEarly) early.push([request, response])
    else response.destroy()
  }
  const handOver = (event: string | symbol) => {
    if (event !== "request") return
    server.off("newListener", handOver)
    // `newListener` comes before the listener is there.
    queueMicrotask(() => {
      server.off("request", take)
      for (const [request, response] of early.splice(0)) server.emit("request", request, response)
    })
  }
  server.on("request", take)
  server.on("newListener", handOver)
  return server
}
