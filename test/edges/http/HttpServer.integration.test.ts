/**
 * The server on a real socket: what only bytes on a connection can show.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { connect, createServer, type Socket } from "node:net"
import type { HttpConfig } from "../../../src/edges/config/Config.ts"
import * as HttpServer from "../../../src/edges/http/HttpServer.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import { success, testGateway } from "../../support/TestEngine.ts"
import { config, engine, key, layerServed, newPayment, written } from "./TestApi.ts"

const gateway = () => testGateway("sandbox-a")

/** Runs against a listening server. */
const served = <A, E, R>(
  test: (url: URL) => Effect.Effect<A, E, R>,
  gateways: ReadonlyArray<Gateway> = [gateway()],
  http: Partial<HttpConfig> = {}
) =>
  Effect.gen(function* () {
    const { url } = yield* HttpServer.Listening
    return yield* test(new URL(url))
  }).pipe(Effect.provide(layerServed(gateways, { http })))

interface Raw {
  readonly text: string
  readonly status: number
  readonly body: string
  readonly closedAfterMillis: number
}

/** Opens a connection, sends bytes, and collects what comes back until the server closes it. */
const raw = (url: URL, send: (socket: Socket) => void): Effect.Effect<Raw> =>
  Effect.promise(
    () =>
      new Promise<Raw>((resolve) => {
        const startedAt = Date.now()
        let text = ""
        const socket = connect(Number(url.port), url.hostname, () => send(socket))
        socket.on("data", (chunk) => (text += chunk.toString("latin1")))
        socket.on("error", () => {})
        socket.on("close", () =>
          resolve({
            text,
            status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0),
            body: text.slice(text.indexOf("\r\n\r\n") + 4),
            closedAfterMillis: Date.now() - startedAt
          })
        )
      })
  )

const request =
  (headers: ReadonlyArray<string>, body = "") =>
  (socket: Socket) =>
    void socket.write(
      `${["POST /v1/payments HTTP/1.1", "Host: x", "Connection: close", `Authorization: Bearer ${key}`, ...headers].join("\r\n")}\r\n\r\n${body}`
    )

const json = "Content-Type: application/json"
const body = JSON.stringify(newPayment)
const length = `Content-Length: ${Buffer.byteLength(body)}`
const nothing = { payments: 0, events: 0, claims: 0 }

describe("requests", () => {
  it.live("charge over a real connection, with chunks too", () =>
    served((url) =>
      Effect.gen(function* () {
        const sized = yield* raw(url, request([json, length, "Idempotency-Key: k1", "X-Correlation-Id: order-1"], body))
        assert.strictEqual(sized.status, 201, sized.text)
        assert.match(sized.text, /x-correlation-id: order-1/i)
        const half = body.length >> 1
        const chunks = [body.slice(0, half), body.slice(half), ""].map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("")
        const chunked = yield* raw(url, request([json, "Transfer-Encoding: chunked", "Idempotency-Key: k2"], chunks))
        assert.strictEqual(chunked.status, 201, chunked.text)
        assert.strictEqual((yield* written).payments, 2)
      })
    )
  )

  const refused: ReadonlyArray<readonly [name: string, headers: ReadonlyArray<string>, status: number, code: string, body?: string]> = [
    ["Idempotency-Key twice", [json, length, "Idempotency-Key: a", "Idempotency-Key: b"], 400, "idempotency_key_invalid", body],
    ["no Idempotency-Key", [json, length], 400, "idempotency_key_missing", body],
    ["Idempotency-Key of 10 kB", [json, length, `Idempotency-Key: ${"k".repeat(10_240)}`], 400, "idempotency_key_invalid", body],
    ["headers of 20 kB", [json, length, `Idempotency-Key: ${"k".repeat(20_480)}`], 431, "headers_too_large", body],
    ["two lengths", [json, length, "Content-Length: 1", "Idempotency-Key: k"], 400, "invalid_request", body],
    ["a length beside chunks", [json, length, "Transfer-Encoding: chunked", "Idempotency-Key: k"], 400, "invalid_request", body],
    ["an announced body of 1 GiB", [json, "Content-Length: 1073741824", "Idempotency-Key: k"], 413, "body_too_large", "{"],
    [
      "a length over the limit, waiting for leave to send",
      [json, "Content-Length: 100000", "Expect: 100-continue", "Idempotency-Key: k"],
      413,
      "body_too_large"
    ],
    ["another media type", ["Content-Type: text/plain", length, "Idempotency-Key: k"], 415, "unsupported_media_type", body],
    ["no media type", [length, "Idempotency-Key: k"], 415, "unsupported_media_type", body],
    ["no HTTP", ["not a header"], 400, "invalid_request", ""]
  ]
  for (const [name, headers, status, code, sent] of refused) {
    it.live(`are refused: ${name}`, () =>
      served((url) =>
        Effect.gen(function* () {
          const answer = yield* raw(url, request(headers, sent))
          assert.strictEqual(answer.status, status, answer.text)
          assert.match(answer.text, /content-type: application\/problem\+json/i)
          assert.strictEqual(JSON.parse(answer.body).code, code)
          assert.isBelow(answer.closedAfterMillis, 5_000)
          assert.deepStrictEqual(yield* written, nothing)
        })
      )
    )
  }

  it.live("are refused: chunks that add up to more than the limit", () =>
    served((url) =>
      Effect.gen(function* () {
        const chunk = `1000\r\n${"x".repeat(4_096)}\r\n`
        const answer = yield* raw(url, (socket) => {
          request([json, "Transfer-Encoding: chunked", "Idempotency-Key: k"])(socket)
          for (let sent = 0; sent < 32; sent++) socket.write(chunk)
        })
        assert.strictEqual(answer.status, 413, answer.text)
        assert.deepStrictEqual(yield* written, nothing)
      })
    )
  )
})

describe("slow senders are cut", () => {
  const limits = { headersTimeoutMillis: 300, requestTimeoutMillis: 600 }
  /** A byte every 50 ms, for ever. */
  const trickle = (socket: Socket, byte: string) => {
    const timer = setInterval(() => socket.write(byte), 50)
    socket.on("close", () => clearInterval(timer))
  }

  it.live("in the headers", () =>
    served(
      (url) =>
        Effect.gen(function* () {
          const answer = yield* raw(url, (socket) => {
            socket.write("POST /v1/payments HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            trickle(socket, "x")
          })
          assert.strictEqual(answer.status, 408, answer.text)
          assert.isBelow(answer.closedAfterMillis, 5_000)
        }),
      [gateway()],
      limits
    )
  )

  it.live("in the body", () =>
    served(
      (url) =>
        Effect.gen(function* () {
          const answer = yield* raw(url, (socket) => {
            request([json, "Content-Length: 60000", "Idempotency-Key: k"])(socket)
            trickle(socket, " ")
          })
          assert.isBelow(answer.closedAfterMillis, 5_000)
          assert.deepStrictEqual(yield* written, nothing)
        }),
      [gateway()],
      limits
    )
  )

  it.live("while others are served", () =>
    served(
      (url) =>
        Effect.gen(function* () {
          const slow = yield* Effect.forkChild(
            Effect.all(
              Array.from({ length: 50 }, () => raw(url, (socket) => void socket.write("POST / HTTP/1.1\r\n"))),
              { concurrency: "unbounded" }
            ),
            { startImmediately: true }
          )
          const answer = yield* raw(url, request([json, length, "Idempotency-Key: k"], body))
          assert.strictEqual(answer.status, 201)
          yield* Fiber.join(slow)
        }),
      [gateway()],
      limits
    )
  )
})

describe("the server", () => {
  it.live("says which port is in use", () =>
    Effect.gen(function* () {
      const taken = yield* Effect.acquireRelease(
        Effect.promise(
          () =>
            new Promise<ReturnType<typeof createServer>>((resolve) => {
              const server = createServer().listen(0, "127.0.0.1", () => resolve(server))
            })
        ),
        (server) => Effect.promise(() => new Promise((resolve) => server.close(resolve)))
      )
      const address = taken.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.provide(HttpServer.layer({ ...config, port }), engine([])))))
      assert.instanceOf(error, HttpServer.ListenFailed)
      assert.deepStrictEqual([error.reason, error.port], ["port_in_use", port])
      assert.match(error.message, new RegExp(`^cannot listen on 127.0.0.1:${port}: the port is in use`))
    })
  )

  it.live("says that an address is not this machine's", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(Layer.provide(HttpServer.layer({ ...config, host: "192.0.2.1" }), engine([]))))
      )
      assert.instanceOf(error, HttpServer.ListenFailed)
      assert.strictEqual(error.reason, "no_such_address")
    })
  )

  it.live("finishes the request in hand when it stops, and takes no new one", () =>
    Effect.gen(function* () {
      const slow = testGateway("sandbox-a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), Duration.millis(500)) })
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layerServed([slow]), scope)
      const url = new URL((yield* Effect.provide(HttpServer.Listening, context)).url)
      const inHand = yield* Effect.forkChild(raw(url, request([json, length, "Idempotency-Key: k"], body)), { startImmediately: true })
      yield* waitUntil(() => slow.sent.length === 1)
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* Effect.sleep("50 millis")
      assert.strictEqual((yield* raw(url, request([json, length, "Idempotency-Key: k2"], body))).status, 0)
      assert.strictEqual((yield* Fiber.join(inHand)).status, 201)
      yield* Fiber.join(stopping)
      assert.lengthOf(slow.sent, 1)
    })
  )

  it.live("records the outcome when the caller hangs up", () => {
    const slow = testGateway("sandbox-a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), Duration.millis(300)) })
    return served(
      (url) =>
        Effect.gen(function* () {
          const left = yield* Effect.forkChild(
            raw(url, (socket) => {
              request([json, length, "Idempotency-Key: k"], body)(socket)
              const timer = setInterval(() => {
                if (slow.sent.length === 0) return
                clearInterval(timer)
                socket.destroy()
              }, 5)
            }),
            { startImmediately: true }
          )
          assert.strictEqual((yield* Fiber.join(left)).status, 0)
          const again = yield* raw(url, request([json, length, "Idempotency-Key: k"], body))
          assert.strictEqual(again.status, 201, again.text)
          assert.match(again.text, /idempotent-replayed: true/i)
          assert.strictEqual(JSON.parse(again.body).status, "succeeded")
          assert.lengthOf(slow.sent, 1)
        }),
      [slow]
    )
  })

  it.live("charges once when many send the same key at the same time", () => {
    const slow = testGateway("sandbox-a", { send: (intent) => Effect.delay(Effect.succeed(success(intent)), Duration.millis(50)) })
    return served(
      (url) =>
        Effect.gen(function* () {
          const answers = yield* Effect.all(
            Array.from({ length: 20 }, () => raw(url, request([json, length, "Idempotency-Key: k"], body))),
            { concurrency: "unbounded" }
          )
          assert.deepStrictEqual(
            answers.map(({ status }) => status),
            answers.map(() => 201)
          )
          assert.lengthOf(new Set(answers.map((answer) => JSON.parse(answer.body).id)), 1)
          assert.lengthOf(
            answers.filter(({ text }) => /idempotent-replayed: true/i.test(text)),
            19
          )
          assert.lengthOf(slow.sent, 1)
        }),
      [slow]
    )
  })
})

const waitUntil = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.andThen(Effect.sleep("5 millis"), waitUntil(condition))))
