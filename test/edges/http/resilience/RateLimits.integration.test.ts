/**
 * Rate limits over real connections: whose address counts there, and that a refused body is not waited for.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { connect } from "node:net"
import type { HttpConfig } from "../../../../src/edges/config/Config.ts"
import { settingsOf } from "../../../../src/edges/config/RateLimits.ts"
import * as HttpServer from "../../../../src/edges/http/HttpServer.ts"
import { testGateway } from "../../../support/TestEngine.ts"
import { layerServed } from "../TestApi.ts"

/** One request an hour and address. */
const rateLimits = settingsOf({ routes: { all: { ip: { limit: 1, windowMillis: 3_600_000 } } } })

/** The first line, and the whole, of what a server answers to a request of these headers; nothing but them is sent. */
const ask = (url: URL, headers: ReadonlyArray<string>, method = "GET") =>
  Effect.callback<string>((resume) => {
    let text = ""
    const socket = connect(Number(url.port), url.hostname, () =>
      socket.write([`${method} /v1/payments HTTP/1.1`, "Host: x", ...headers].join("\r\n") + "\r\n\r\n")
    )
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
      if (/\r\n\r\n[\s\S]*\}$/.test(text)) socket.destroy()
    })
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(text)))
    return Effect.sync(() => socket.destroy())
  })

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)

const served = <A, E>(http: Partial<HttpConfig>, test: (url: URL) => Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const { url } = yield* HttpServer.Listening
    return yield* test(new URL(url))
  }).pipe(Effect.provide(layerServed([testGateway("sandbox-a")], { http: { rateLimits, ...http } })))

const forwarded = (value: string) => `X-Forwarded-For: ${value}`

describe("over a connection", () => {
  it.live("a forged address changes nothing", () =>
    served({}, (url) =>
      Effect.gen(function* () {
        assert.strictEqual(statusOf(yield* ask(url, [forwarded("198.51.100.1")])), 401)
        for (const value of ["198.51.100.2", "127.0.0.1", "x".repeat(12_000)]) {
          const answer = yield* ask(url, [forwarded(value)])
          assert.strictEqual(statusOf(answer), 429)
          assert.match(answer, /retry-after: 3600\r\n/i)
          assert.match(answer, /ratelimit: "all.ip";r=0;t=3600\r\n/i)
        }
      })
    )
  )

  it.live("behind a trusted proxy the client's address counts, also when the header comes in several lines", () =>
    served({ trustedProxies: ["127.0.0.1"] }, (url) =>
      Effect.gen(function* () {
        assert.strictEqual(statusOf(yield* ask(url, [forwarded("198.51.100.1")])), 401)
        assert.strictEqual(statusOf(yield* ask(url, [forwarded("6.6.6.6"), forwarded("198.51.100.1")])), 429)
        assert.strictEqual(statusOf(yield* ask(url, [forwarded("198.51.100.1"), forwarded("198.51.100.2")])), 401)
      })
    )
  )

  it.live("an absurdly long header is refused before anything is counted", () =>
    served({ trustedProxies: ["127.0.0.1"] }, (url) =>
      Effect.gen(function* () {
        const long = `${"198.51.100.9, ".repeat(2_000)}198.51.100.1`
        assert.strictEqual(statusOf(yield* ask(url, [forwarded(long)])), 431)
        assert.strictEqual(statusOf(yield* ask(url, [forwarded("198.51.100.1")])), 401)
      })
    )
  )

  it.live("a refused request is answered without waiting for its body", () =>
    served({}, (url) =>
      Effect.gen(function* () {
        yield* ask(url, [])
        const startedAt = Date.now()
        const answer = yield* ask(url, ["Content-Type: application/json", "Content-Length: 60000"], "POST")
        assert.strictEqual(statusOf(answer), 429)
        assert.isBelow(Date.now() - startedAt, 5_000)
      })
    )
  )
})
