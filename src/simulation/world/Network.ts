/**
 * The network between the engine's processes and the PSP: latency, loss on either way, duplicates, late arrival, callers that leave.
 *
 * A request that has left its process arrives or not, whatever becomes of the process. A caller that leaves closes its connection: the
 * PSP learns of it if the request has arrived; one that is still on its way arrives nevertheless. What can arrive at all
 * does so within `lateMillis` of being written, which is part of the settle time that the gateways declare.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import type { HttpClientResponse } from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import type { Reply, WireRequest } from "../../sandbox/http/Reply.ts"
import type { Handler } from "../../sandbox/Sandbox.ts"
import * as Chance from "./Chance.ts"
import type { Faults } from "./Faults.ts"
import type { Kernel, Process } from "./Kernel.ts"

/** The latest a request arrives, in milliseconds after it was written. */
export const lateMillis = 4_000

/** How long a broken connection is silent before its end is noticed, at the least; some are silent for ever. */
const resetMillis = 5

export interface NetworkOptions {
  readonly kernel: Kernel
  readonly faults: Faults
  readonly psp: Process
  readonly handler: Handler
  /** Told of every request that is written, before anything else happens to it. */
  readonly onWritten: (process: Process, request: WireRequest) => void
  readonly onArrived: (request: WireRequest, status: number | "reset" | "left") => void
}

/** The HTTP client of a process. */
export const clientOf = (options: NetworkOptions, process: Process): HttpClient.HttpClient =>
  HttpClient.makeWith<never, never, HttpClientError, never>(
    (prepared) => Effect.flatMap(prepared, (request) => exchange(options, process, request)),
    Effect.succeed
  )

const exchange = (options: NetworkOptions, process: Process, request: HttpClientRequest.HttpClientRequest) =>
  Effect.callback<HttpClientResponse, HttpClientError>((resume) => {
    const { faults, kernel } = options
    let left = false
    const answer = (millis: number, effect: Effect.Effect<HttpClientResponse, HttpClientError>) =>
      kernel.after(millis, process, () => {
        if (!left) resume(effect)
      })
    const broken = () => {
      // Half of the broken connections are noticed, the others are silent.
      if (faults.draw() < 0.5) answer(resetMillis + latency(faults.draw), Effect.fail(transport(request, { code: "ECONNRESET" })))
    }
    const wire = toWire(request)
    if (faults.strikes("refused")) {
      answer(latency(faults.draw), Effect.fail(transport(request, { code: "ECONNREFUSED", syscall: "connect" })))
      return Effect.void
    }
    options.onWritten(process, wire)
    if (faults.strikes("lost")) {
      broken()
      return Effect.void
    }
    const unanswered = faults.strikes("unanswered")
    const arrival = faults.strikes("late") ? Chance.between(faults.draw, 100, lateMillis) : latency(faults.draw)
    const onReply = (reply: Reply) => {
      if (unanswered || reply._tag === "Reset") return broken()
      answer(latency(faults.draw), Effect.succeed(toResponse(request, reply)))
    }
    const doubled = faults.strikes("doubled")
    // Something on the way sends it again; the caller gets the answer to either of the two.
    const secondAnswers = doubled && faults.draw() < 0.5
    const arrived = [arrive(options, wire, arrival, secondAnswers ? ignored : onReply)]
    if (doubled) {
      const again = Math.min(lateMillis, arrival + Chance.between(faults.draw, 0, faults.draw() < 0.5 ? 50 : lateMillis))
      arrived.push(arrive(options, wire, again, secondAnswers ? onReply : ignored))
    }
    return Effect.sync(() => {
      left = true
      for (const { close } of arrived) kernel.after(latency(faults.draw), undefined, close)
    })
  })

const ignored = () => undefined

/** Mostly a few milliseconds, sometimes some hundred. */
const latency = (draw: Chance.Draw): number => (draw() < 0.9 ? Chance.between(draw, 1, 20) : Chance.between(draw, 20, 400))

/** Lets a request arrive at the PSP after a time. `close`: its caller has left. */
const arrive = (options: NetworkOptions, wire: WireRequest, millis: number, onReply: (reply: Reply) => void) => {
  let running: Fiber.Fiber<Reply> | undefined
  options.kernel.after(millis, options.psp, () => {
    running = options.kernel.fork(options.psp, options.handler.handle(wire), (exit) => {
      running = undefined
      if (Exit.isFailure(exit)) return options.onArrived(wire, "left")
      options.onArrived(wire, exit.value._tag === "Reset" ? "reset" : exit.value.status)
      onReply(exit.value)
    })
  })
  return {
    close: () => {
      if (running !== undefined) options.kernel.post(options.psp, () => running?.interruptUnsafe())
    }
  }
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

const toWire = (request: HttpClientRequest.HttpClientRequest): WireRequest => {
  const url = new URL(request.url)
  const query = url.searchParams
  for (const [name, value] of request.urlParams) query.append(name, Redacted.isRedacted(value) ? Redacted.value(value) : value)
  const body = request.body._tag === "Uint8Array" ? decoder.decode(request.body.body) : ""
  return { method: request.method, path: url.pathname, query, headers: request.headers, body }
}

const transport = (request: HttpClientRequest.HttpClientRequest, cause: { readonly code: string; readonly syscall?: string }) =>
  new HttpClientError({ reason: new TransportError({ request, cause }) })

/** The part of a response that adapters read: status, headers and the stream of bytes. */
const toResponse = (request: HttpClientRequest.HttpClientRequest, reply: Exclude<Reply, { _tag: "Reset" }>): HttpClientResponse =>
  ({
    request,
    status: reply.status,
    headers: { ...reply.headers, "content-type": reply.contentType },
    stream: Stream.succeed(encoder.encode(reply.body))
  }) as unknown as HttpClientResponse
