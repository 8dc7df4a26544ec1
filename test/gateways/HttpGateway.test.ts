/** What failures of a request mean for money, without a network: an `HttpClient` that fails as told. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, EncodeError, TransportError } from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import { exchange, maxAnswerBytes, retryAfterMillis, withoutSecret } from "../../src/gateways/HttpGateway.ts"

const request = HttpClientRequest.post("http://psp.test/v1/charges").pipe(HttpClientRequest.bearerToken("canary"))

const failing = (cause: unknown) =>
  HttpClient.make((sent) => Effect.fail(new HttpClientError({ reason: new TransportError({ request: sent, cause }) })))

const answering = (body: string, init: ResponseInit = {}) =>
  HttpClient.make((sent) => Effect.succeed(HttpClientResponse.fromWeb(sent, new Response(body, init))))

const systemError = (code: string, syscall?: string) => Object.assign(new Error(`${syscall} ${code}`), { code, syscall })

const failureOf = (cause: unknown) => Effect.flip(exchange(failing(cause), request))

describe("no connection was made", () => {
  for (const [title, cause, reason] of [
    ["a name that is not found", systemError("ENOTFOUND", "getaddrinfo"), "name_not_resolved"],
    ["a resolver that does not answer", systemError("EAI_AGAIN", "getaddrinfo"), "name_not_resolved"],
    ["nobody listens", systemError("ECONNREFUSED", "connect"), "connection_refused"],
    ["no way to the host", systemError("EHOSTUNREACH", "connect"), "connection_not_made"],
    ["no free local port", systemError("EADDRNOTAVAIL", "connect"), "connection_not_made"],
    ["connecting takes too long", systemError("UND_ERR_CONNECT_TIMEOUT"), "connection_not_made"],
    [
      "every address refuses",
      new AggregateError([systemError("ECONNREFUSED", "connect"), systemError("ECONNREFUSED", "connect")]),
      "connection_refused"
    ],
    ["the reason is a cause's cause", new Error("fetch failed", { cause: systemError("ECONNREFUSED", "connect") }), "connection_refused"]
  ] as const) {
    it.effect(title, () => Effect.map(failureOf(cause), (failure) => assert.deepInclude(failure, { _tag: "NotSent", reason })))
  }

  it.effect("the address is not one, or the body cannot be written", () =>
    Effect.gen(function* () {
      const nowhere = yield* Effect.flip(exchange(failing(undefined), HttpClientRequest.post("http://")))
      assert.deepInclude(nowhere, { _tag: "NotSent", reason: "local_limit" })
      const client = HttpClient.make((sent) => Effect.fail(new HttpClientError({ reason: new EncodeError({ request: sent }) })))
      assert.deepInclude(yield* Effect.flip(exchange(client, request)), { _tag: "NotSent", reason: "local_limit" })
    })
  )
})

describe("it may have been acted on", () => {
  for (const [title, cause] of [
    ["a reset", systemError("ECONNRESET", "read")],
    ["a reset while connecting", systemError("ECONNRESET", "connect")],
    ["an established connection whose host is reported gone", systemError("EHOSTUNREACH", "read")],
    ["an established connection whose port is reported closed", systemError("ECONNREFUSED", "read")],
    ["a code that looks like connecting, without the system call", systemError("ECONNREFUSED")],
    ["the socket was closed", systemError("UND_ERR_SOCKET")],
    [
      "one address refused, another was reset",
      new AggregateError([systemError("ECONNREFUSED", "connect"), systemError("ECONNRESET", "read")])
    ],
    ["a cause without a code", new Error("?")],
    ["a cause that is no error", "broken"],
    ["no cause", undefined]
  ] as const) {
    it.effect(title, () =>
      Effect.map(failureOf(cause), (failure) => {
        assert.deepInclude(failure, { _tag: "Unknown", reason: "connection_lost" })
        assert.notInclude(JSON.stringify(failure), "canary")
      })
    )
  }

  it.effect("a body above the limit is not read further; one at the limit is read", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(exchange(answering("x".repeat(maxAnswerBytes + 1)), request))
      assert.deepInclude(failure, { _tag: "Unknown", reason: "unreadable" })
      const answer = yield* exchange(answering("x".repeat(maxAnswerBytes)), request)
      assert.lengthOf(answer.text, maxAnswerBytes)
    })
  )

  it.effect("a redirect is an answer", () =>
    Effect.map(exchange(answering("", { status: 307, headers: { location: "/elsewhere" } }), request), (answer) =>
      assert.strictEqual(answer.status, 307)
    )
  )
})

describe("answers", () => {
  it("the secret does not get further than the adapter, though the gateway repeats it", () => {
    const answer = withoutSecret({ status: 401, headers: {}, text: "Invalid key canary, canary" }, Redacted.make("canary"))
    assert.strictEqual(answer.text, "Invalid key <redacted>, <redacted>")
    const other = { status: 200, headers: {}, text: "ok" }
    assert.strictEqual(withoutSecret(other, Redacted.make("canary")), other)
    assert.strictEqual(withoutSecret(other, Redacted.make("")), other)
  })

  it("Retry-After may be a date, which counts from when the answer was written, or else came", () => {
    const receivedAt = Date.UTC(2026, 10, 20, 9, 59, 0)
    const asked = (value: string, headers: Record<string, string> = {}, at: number | undefined = receivedAt) =>
      retryAfterMillis({
        status: 429,
        headers: { "retry-after": value, ...headers },
        text: "",
        ...(at === undefined ? {} : { receivedAt: at })
      })
    assert.strictEqual(asked("Fri, 20 Nov 2026 10:00:00 GMT"), 60_000)
    assert.strictEqual(asked("Friday, 20-Nov-26 10:00:00 GMT"), 60_000)
    assert.strictEqual(asked("Fri Nov 20 10:00:00 2026"), 60_000, "the oldest form names no zone and means GMT")
    assert.strictEqual(asked("Fri, 20 Nov 2026 10:00:00 GMT", { date: "Fri, 20 Nov 2026 09:59:30 GMT" }), 30_000, "by one clock alone")
    assert.strictEqual(asked("Fri, 20 Nov 2026 09:58:00 GMT"), 0, "it is over")
    assert.strictEqual(asked("Fri, 20 Nov 2099 10:00:00 GMT"), 3_600_000)
    for (const text of ["", " ", "0x10", "1e9", "soon", "-5", "Infinity"]) assert.strictEqual(asked(text), 1_000, text)
  })

  it.effect("an answer says when it came", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(86_400_000)
      const late = yield* exchange(answering("", { status: 429, headers: { "retry-after": "Fri, 02 Jan 1970 00:00:09 GMT" } }), request)
      assert.strictEqual(retryAfterMillis(late), 9_000)
    })
  )

  it("Retry-After is seconds, bounded, with a default", () => {
    for (const [value, millis] of [
      ["2", 2_000],
      ["0.5", 500],
      ["0", 0],
      ["86400", 3_600_000],
      ["-1", 1_000],
      ["Fri, 20 Nov 2026 10:00:00 GMT", 1_000],
      [undefined, 1_000]
    ] as const) {
      assert.strictEqual(retryAfterMillis({ status: 429, headers: { "retry-after": value }, text: "" }), millis)
    }
  })

  it.effect("no trace headers are sent", () => {
    const sent: Array<Record<string, string>> = []
    const client = HttpClient.make((one) => {
      sent.push({ ...one.headers })
      return Effect.succeed(HttpClientResponse.fromWeb(one, new Response("ok")))
    })
    return Effect.gen(function* () {
      yield* exchange(client, request).pipe(Effect.withSpan("charge"))
      assert.deepStrictEqual(
        sent.map((headers) => Object.keys(headers)),
        [["authorization"]]
      )
    })
  })
})
