/**
 * A TCP proxy on loopback that does to connections what networks do: delays, resets, silence, answers cut in the middle.
 *
 * A fault lasts until it is healed. Bytes that a fault has swallowed never arrive later: a request delivered long after its
 * permission would be outside of what any settle time can promise.
 */
import * as Net from "node:net"

/**
 * - `latency`: every chunk waits, in order.
 * - `refuse`: new connections are closed at once.
 * - `reset`: open connections are reset, once.
 * - `half_open`: open connections stay open and nothing passes any more.
 * - `truncated`: the next answer of each connection is cut in its middle, then the connection ends.
 * - `reset_in_answer`: the same, and it is reset.
 */
export const faults = ["latency", "refuse", "reset", "half_open", "truncated", "reset_in_answer"] as const
export type Fault = (typeof faults)[number]

export interface FaultProxy {
  readonly port: number
  /** Where new connections go. */
  target: number
  /** Starts a fault; the one before it is healed. */
  readonly strike: (fault: Fault) => void
  /** Ends the fault. Connections that it has spoiled are destroyed. */
  readonly heal: () => void
  readonly close: () => Promise<void>
}

interface Pair {
  readonly client: Net.Socket
  readonly server: Net.Socket
  spoiled: boolean
}

const host = "127.0.0.1"
/** Below the limits that the engine is run with, so that a delay alone never counts as a lost answer. */
const latencyMillis = 150

/** Starts a proxy to a port. */
export const start = async (target: number): Promise<FaultProxy> => {
  const pairs = new Set<Pair>()
  let fault: Fault | undefined

  const server = Net.createServer({ noDelay: true }, (client) => {
    if (fault === "refuse") return void client.destroy()
    const upstream = Net.connect({ host, port: proxy.target, noDelay: true })
    const pair: Pair = { client, server: upstream, spoiled: false }
    pairs.add(pair)
    const close = () => {
      client.destroy()
      upstream.destroy()
      pairs.delete(pair)
    }
    for (const socket of [client, upstream]) socket.on("close", close).on("error", close)
    const forward = (to: Net.Socket) => {
      let last = Promise.resolve()
      let waiting = 0
      return (chunk: Buffer) => {
        if (pair.spoiled) return
        if (waiting === 0 && fault !== "latency") return void to.write(chunk)
        const due = performance.now() + (fault === "latency" ? latencyMillis : 0)
        waiting++
        last = last.then(async () => {
          await pause(due - performance.now())
          waiting--
          if (!pair.spoiled && !to.destroyed) to.write(chunk)
        })
      }
    }
    client.on("data", forward(upstream))
    const answer = forward(client)
    upstream.on("data", (chunk) => {
      if (pair.spoiled || (fault !== "truncated" && fault !== "reset_in_answer")) return answer(chunk)
      pair.spoiled = true
      client.write(chunk.subarray(0, chunk.length >> 1))
      if (fault === "truncated") client.end(() => close())
      else setTimeout(() => client.resetAndDestroy(), 1)
    })
  })

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject)
    server.listen(0, host, resolve)
  })
  const heal = () => {
    fault = undefined
    for (const pair of pairs) if (pair.spoiled) pair.client.destroy()
  }
  const proxy: FaultProxy = {
    port: (server.address() as Net.AddressInfo).port,
    target,
    heal,
    strike: (next) => {
      heal()
      fault = next
      if (next === "half_open") for (const pair of pairs) pair.spoiled = true
      if (next === "reset") for (const pair of pairs) pair.client.resetAndDestroy()
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const pair of pairs) pair.client.destroy()
      })
  }
  return proxy
}

/** Real time; zero and less do not wait. */
export const pause = (millis: number): Promise<void> =>
  millis <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, millis))
