/**
 * Rule 12, its last part: whatever connecting takes, no byte is written later than the limit after the call.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import { exchange } from "../../../src/gateways/HttpGateway.ts"
import * as GatewayHttpClient from "../../../src/layers/node/GatewayHttpClient.ts"
import { httpAnswer, rawServer } from "../../gateways/rawServer.ts"
import { skewed } from "../../support/TestProcess.ts"

const connectLimitMillis = 4_000

/** A client and a server, with clocks that are put forward by `wall` and `monotonic` milliseconds between any two readings. */
const connected = Effect.fnUntraced(function* (by: { readonly wall: number; readonly monotonic: number }) {
  const server = yield* rawServer(({ socket }) => socket.write(httpAnswer(200, "{}")))
  const skew = { wall: 0, monotonic: 0 }
  const clock = skewed(yield* Clock.Clock, skew)
  const jumping: Clock.Clock = Object.assign(Object.create(clock), {
    currentTimeMillisUnsafe: () => {
      skew.wall += by.wall
      return clock.currentTimeMillisUnsafe()
    },
    monotonicTimeNanosUnsafe: () => {
      skew.monotonic += by.monotonic
      return clock.monotonicTimeNanosUnsafe()
    }
  })
  const built = yield* Effect.provideService(Layer.build(GatewayHttpClient.layer({ connectLimitMillis })), Clock.Clock, jumping)
  const request = HttpClientRequest.post(`http://127.0.0.1:${server.port}/v1/charges`).pipe(HttpClientRequest.bodyText("a charge"))
  return { send: Effect.result(exchange(Context.get(built, HttpClient.HttpClient), request)), server }
})

describe("a connection that is made too late", () => {
  for (const [name, by] of [
    ["the monotonic clock", { wall: 0, monotonic: connectLimitMillis }],
    ["the wall clock (a suspended machine)", { wall: connectLimitMillis, monotonic: 0 }]
  ] as const) {
    it.live(`by ${name}: nothing is written, and the outcome says that nothing was sent`, () =>
      Effect.gen(function* () {
        const { send, server } = yield* connected(by)
        const result = yield* send
        assert.deepInclude(result._tag === "Failure" ? result.failure : undefined, { _tag: "NotSent", reason: "connection_not_made" })
        const again = yield* send
        assert.strictEqual(again._tag, "Failure", "each request is measured on its own")
        assert.lengthOf(server.requests, 0)
      }).pipe(Effect.scoped)
    )
  }

  it.live("in time: every request is written and answered", () =>
    Effect.gen(function* () {
      const { send, server } = yield* connected({ wall: connectLimitMillis - 1_000, monotonic: connectLimitMillis - 1_000 })
      for (let nth = 1; nth <= 2; nth++) {
        const result = yield* send
        assert.strictEqual(result._tag === "Success" ? result.success.status : result.failure.message, 200)
        assert.deepStrictEqual(
          server.requests.map(({ body }) => body),
          Array.from({ length: nth }, () => "a charge")
        )
      }
    }).pipe(Effect.scoped)
  )
})
