/** A TCP server of a test that speaks just enough HTTP: it counts requests and does to each connection what the test says. */
import * as Effect from "effect/Effect"
import { createServer, type Socket } from "node:net"

/** One request as it came in, with its connection. */
interface RawRequest {
  readonly head: string
  readonly body: string
  readonly socket: Socket
  /** Which request of its connection it is, from 1. */
  readonly nth: number
}

interface RawServer {
  readonly port: number
  readonly requests: ReadonlyArray<RawRequest>
  /** How many connections the clients closed. */
  readonly closed: () => number
}

/** An HTTP/1.1 answer. */
export const httpAnswer = (status: number, body: string): string =>
  `HTTP/1.1 ${status} X\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

/** Listens on loopback while the scope lives. `onConnection` sees each connection before any byte. */
export const rawServer = (onRequest: (request: RawRequest) => void, onConnection: (socket: Socket) => void = () => undefined) =>
  Effect.acquireRelease(
    Effect.callback<RawServer & { readonly stop: () => void }>((resume) => {
      const requests: Array<RawRequest> = []
      const sockets = new Set<Socket>()
      let closed = 0
      const server = createServer((socket) => {
        sockets.add(socket)
        let received = ""
        let nth = 0
        socket.on("error", () => undefined)
        socket.on("close", () => {
          closed += 1
          sockets.delete(socket)
        })
        socket.on("data", (chunk) => {
          received += chunk.toString("latin1")
          for (;;) {
            const end = received.indexOf("\r\n\r\n")
            if (end < 0) return
            const head = received.slice(0, end)
            const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0)
            if (received.length < end + 4 + length) return
            const request = { head, body: received.slice(end + 4, end + 4 + length), socket, nth: ++nth }
            received = received.slice(end + 4 + length)
            requests.push(request)
            onRequest(request)
          }
        })
        onConnection(socket)
      })
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        resume(
          Effect.succeed({
            port: typeof address === "object" && address !== null ? address.port : 0,
            requests,
            closed: () => closed,
            stop: () => {
              for (const socket of sockets) socket.destroy()
              server.close()
            }
          })
        )
      })
    }),
    (server) => Effect.sync(server.stop)
  )
