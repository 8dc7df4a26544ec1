/**
 * The HTTP client for gateways: one request per call, no redirects, and no first byte written late.
 *
 * Connecting may take `connectLimitMillis`: name resolution, handshakes, and trying again by the connection pool, together. The limit is
 * checked where undici is about to write a request to its socket, by the monotonic clock and by the wall clock. One that is late is given
 * up there, so nothing of it was sent: a permission to send that was checked before the call holds for its first byte (rule 12).
 *
 * undici's own limit is for a single connection, is measured in steps of half a second, and starts anew where a connection breaks while it is
 * being made; so it only saves waiting.
 *
 * **Gotchas**: a gateway has to declare the same `connectLimitMillis`. Between this check and the system call that writes there are a few
 * microseconds, or a pause of the whole process; see docs/GUARANTEES.md.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type * as Undici from "@effect/platform-node/Undici"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"

type Handler = Undici.Dispatcher.DispatchHandler

/** The connection was not made in time; undici's own name for it, which adapters take for a request that was not sent. */
class ConnectedLate extends Error {
  readonly code = "UND_ERR_CONNECT_TIMEOUT"
}

/** A client whose requests write their first byte within `connectLimitMillis` of the call, or never. */
export const layer = (options: { readonly connectLimitMillis: number }): Layer.Layer<HttpClient.HttpClient> =>
  NodeHttpClient.layerUndiciNoDispatcher.pipe(
    Layer.provide(
      Layer.effect(
        NodeHttpClient.Dispatcher,
        Effect.gen(function* () {
          const clock = yield* Clock.Clock
          const agent = yield* NodeHttpClient.makeDispatcherOptions({ connect: { timeout: options.connectLimitMillis } })
          return agent.compose((dispatch) => (request, handler) => dispatch(request, inTime(handler, clock, options.connectLimitMillis)))
        })
      )
    )
  )

/** The handler of a request that looks at the clocks right before its first byte is written, and passes everything on. */
const inTime = (handler: Handler, clock: Clock.Clock, limitMillis: number): Handler => {
  const wall = clock.currentTimeMillisUnsafe()
  const monotonic = clock.monotonicTimeNanosUnsafe()
  return {
    onRequestStart: (controller, context) => {
      handler.onRequestStart?.(controller, context)
      const tookMillis = Math.max(clock.currentTimeMillisUnsafe() - wall, Number(clock.monotonicTimeNanosUnsafe() - monotonic) / 1e6)
      if (tookMillis >= limitMillis) controller.abort(new ConnectedLate(`connecting took ${Math.round(tookMillis)} ms`))
    },
    onRequestUpgrade: (...args) => handler.onRequestUpgrade?.(...args),
    onResponseStarted: () => handler.onResponseStarted?.(),
    onResponseStart: (...args) => handler.onResponseStart?.(...args),
    onResponseData: (...args) => handler.onResponseData?.(...args),
    onResponseEnd: (...args) => handler.onResponseEnd?.(...args),
    onResponseError: (...args) => handler.onResponseError?.(...args),
    onBodySent: (chunk) => handler.onBodySent?.(chunk),
    onRequestSent: () => handler.onRequestSent?.()
  }
}
