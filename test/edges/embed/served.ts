/** A listener on a port of loopback. */
import { createServer, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"

/** Serves for the time of a function. */
export const served = async <A>(listener: RequestListener, use: (url: string) => Promise<A>): Promise<A> => {
  const server: Server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}
