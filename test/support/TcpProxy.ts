/**
 * A TCP proxy in front of a Postgres server that loses answers on command: what a network does to an acknowledgement.
 *
 * Loopback only. It looks at the stream just enough to know when a session is ready for queries, so that the sign-on is never
 * what gets lost.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"

/** What a proxy does and counts. */
export interface TcpProxy {
  /** The URL of the server, through the proxy. */
  readonly url: Redacted.Redacted
  /** The answers to the next queries are lost: the server gets and answers the query, then the connection breaks. */
  loseAnswers: number
  /** The answers to the next queries never come, and the connection stays open. */
  swallowAnswers: number
  /** New connections are closed at once. */
  refuse: boolean
  /** Queries sent by clients after their sign-on. */
  queries: number
  /** Breaks every open connection. */
  readonly breakAll: () => void
}

/** "Ready for query", outside a transaction: the server's last word of a sign-on and of every answer. */
const readyForQuery = Buffer.from([0x5a, 0, 0, 0, 5, 0x49])

/** Starts a proxy to the server of a URL; it stops with the scope. */
export const start = (target: Redacted.Redacted): Effect.Effect<TcpProxy, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const url = new URL(Redacted.value(target))
      const endpoint = { host: url.hostname, port: Number(url.port === "" ? 5432 : url.port), noDelay: true }
      const sockets = new Set<Net.Socket>()
      const proxy = { loseAnswers: 0, swallowAnswers: 0, refuse: false, queries: 0 }
      const server = Net.createServer((client) => {
        if (proxy.refuse) return void client.destroy()
        const upstream = Net.connect(endpoint)
        let state: "signing on" | "ready" | "losing" | "swallowing" = "signing on"
        const close = () => {
          client.destroy()
          upstream.destroy()
          sockets.delete(client)
        }
        sockets.add(client)
        for (const socket of [client, upstream]) socket.on("close", close).on("error", close)
        client.on("data", (chunk) => {
          if (state === "ready") {
            proxy.queries++
            if (proxy.loseAnswers > 0) {
              proxy.loseAnswers--
              state = "losing"
            } else if (proxy.swallowAnswers > 0) {
              proxy.swallowAnswers--
              state = "swallowing"
            }
          }
          upstream.write(chunk)
        })
        upstream.on("data", (chunk) => {
          const answered = chunk.subarray(-readyForQuery.length).equals(readyForQuery)
          if (state === "swallowing") return
          if (state === "losing") {
            if (answered) close()
            return
          }
          if (answered) state = "ready"
          client.write(chunk)
        })
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      url.hostname = "127.0.0.1"
      url.port = String((server.address() as Net.AddressInfo).port)
      const breakAll = () => {
        for (const socket of sockets) socket.destroy()
      }
      return { proxy: Object.assign(proxy, { url: Redacted.make(url.toString()), breakAll }), server, breakAll }
    }),
    ({ breakAll, server }) =>
      Effect.promise(
        () =>
          new Promise<void>((resolve) => {
            server.close(() => resolve())
            breakAll()
          })
      )
  ).pipe(Effect.map(({ proxy }) => proxy))
