/** The sandbox's adapter on real sockets: what the network and a misbehaving server do to it, and what it never gives away. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Socket } from "node:net"
import { CurrencyCode } from "../../src/domain/Currency.ts"
import type { Intent, OperationKind } from "../../src/domain/operation/Operation.ts"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import type { Gateway } from "../../src/services/Gateway.ts"
import { sendTo, until } from "../sandbox/client.ts"
import { eur, intent, newPaymentId } from "../support/payments.ts"
import { httpAnswer, rawServer } from "./rawServer.ts"
import { accountOf, closedPort, gatewayOf, ledgerOf, started } from "./sandboxGateways.ts"

const live = <E>(title: string, body: () => Effect.Effect<unknown, E, Scope.Scope>) =>
  it.live(title, () => Effect.asVoid(Effect.scoped(Effect.suspend(body))))

const payment = newPaymentId()
const saleWith = (token: string, kind: OperationKind = "sale"): Intent => ({
  ...intent({ payment: newPaymentId(), kind, amount: eur(4990n) }),
  details: { customerPresent: true, token: Token.make(token), methodType: "card" }
})
const charge = (gateway: Gateway, token = "tok_success") => gateway.send({ payment, intent: saleWith(token) })
const gatewayAt = (url: string) => gatewayOf(accountOf(url, "a"))
const failureBody = JSON.stringify({ error: { type: "card_error", code: "card_declined", decline_code: "stolen_card", message: "no" } })

describe("the network", () => {
  live("a closed port: not sent, connection refused", () =>
    Effect.gen(function* () {
      const gateway = yield* gatewayAt(`http://127.0.0.1:${yield* closedPort}`)
      assert.deepInclude<object>(yield* charge(gateway), { _tag: "NotSent", reason: "connection_refused" })
    })
  )

  live("a name that cannot be resolved: not sent", () =>
    Effect.gen(function* () {
      // Longer than a label may be, so no name server is asked.
      const gateway = yield* gatewayAt(`http://${"n".repeat(64)}.invalid`)
      assert.deepInclude<object>(yield* charge(gateway), { _tag: "NotSent", reason: "name_not_resolved" })
    })
  )

  live("a port that accepts and resets: unknown", () =>
    Effect.gen(function* () {
      const server = yield* rawServer(
        () => undefined,
        (socket) => socket.resetAndDestroy()
      )
      const gateway = yield* gatewayAt(`http://127.0.0.1:${server.port}`)
      assert.deepInclude<object>(yield* charge(gateway), { _tag: "Unknown", reason: "connection_lost" })
    })
  )

  for (const [title, end] of [
    ["closed", (socket: Socket) => socket.end()],
    ["reset", (socket: Socket) => socket.resetAndDestroy()]
  ] as const) {
    live(`a request that was read and whose connection was ${title} was sent once`, () =>
      Effect.gen(function* () {
        const server = yield* rawServer(({ socket }) => end(socket))
        const gateway = yield* gatewayAt(`http://127.0.0.1:${server.port}`)
        assert.deepInclude<object>(yield* charge(gateway), { _tag: "Unknown", reason: "connection_lost" })
        yield* Effect.sleep(Duration.millis(100))
        assert.lengthOf(server.requests, 1)
      })
    )

    live(`a kept connection that is ${title} as the next request is written: each call is one request at the most`, () =>
      Effect.gen(function* () {
        const server = yield* rawServer((request) => {
          if (request.nth === 1) request.socket.write(httpAnswer(402, failureBody))
          else end(request.socket)
        })
        const gateway = yield* gatewayAt(`http://127.0.0.1:${server.port}`)
        let reused = 0
        for (let round = 1; round <= 20; round++) {
          const before = server.requests.length
          assert.deepInclude<object>(yield* charge(gateway), { _tag: "Declined", category: "hard" })
          assert.strictEqual(server.requests.length, before + 1)
          // Until the connection is idle again the client would open another one.
          yield* Effect.sleep(Duration.millis(10))
          const second = yield* charge(gateway)
          assert.strictEqual(server.requests.length, before + 2)
          if (server.requests.at(-1)?.nth === 1) continue
          assert.deepInclude<object>(second, { _tag: "Unknown", reason: "connection_lost" })
          reused += 1
        }
        assert.isAtLeast(reused, 10)
      })
    )

    live(`an idle connection is ${title} while the next request is on its way: no request is sent twice`, () =>
      Effect.gen(function* () {
        const server = yield* rawServer(({ socket }) => {
          socket.write(httpAnswer(402, failureBody))
          // The answer and the end of the connection race with the client's next request.
          setImmediate(() => end(socket))
        })
        const gateway = yield* gatewayAt(`http://127.0.0.1:${server.port}`)
        const outcomes: Array<string> = []
        for (let call = 1; call <= 50; call++) {
          const before = server.requests.length
          const outcome = yield* charge(gateway)
          outcomes.push(outcome._tag)
          assert.include(["Declined", "Unknown"], outcome._tag)
          assert.isAtMost(server.requests.length - before, 1)
          if (outcome._tag === "Declined") assert.strictEqual(server.requests.length - before, 1)
        }
        assert.include(outcomes, "Declined")
      })
    )
  }

  live("an answer that stops in the middle: unknown when it ends, and interruption closes the connection", () =>
    Effect.gen(function* () {
      const server = yield* rawServer(({ socket }) => {
        socket.write("HTTP/1.1 201 X\r\ncontent-length: 500\r\n\r\n{")
        if (server.requests.length === 1) setTimeout(() => socket.destroy(), 50)
      })
      const gateway = yield* gatewayAt(`http://127.0.0.1:${server.port}`)
      assert.deepInclude<object>(yield* charge(gateway), { _tag: "Unknown", reason: "connection_lost" })
      const fiber = yield* Effect.forkChild(charge(gateway))
      yield* until(
        Effect.sync(() => server.requests.length),
        (count) => count === 2
      )
      yield* Effect.sleep(Duration.millis(30))
      assert.strictEqual(server.closed(), 1)
      yield* Fiber.interrupt(fiber)
      yield* until(Effect.sync(server.closed), (count) => count === 2)
    })
  )

  live("an endless answer is left at the limit", () =>
    Effect.gen(function* () {
      const server = yield* rawServer(({ socket }) => {
        socket.write("HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n")
        const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`
        const pour = () => {
          while (!socket.destroyed && socket.write(chunk));
        }
        socket.on("drain", pour)
        pour()
      })
      const gateway = yield* gatewayAt(`http://127.0.0.1:${server.port}`)
      assert.deepInclude<object>(yield* charge(gateway), { _tag: "Unknown", reason: "unreadable" })
      yield* until(Effect.sync(server.closed), (count) => count === 1)
    })
  )

  live("interrupting a call closes its connection: the server sees the caller leave", () =>
    Effect.gen(function* () {
      const server = yield* rawServer(() => undefined)
      const gateway = yield* gatewayAt(`http://127.0.0.1:${server.port}`)
      const fiber = yield* Effect.forkChild(charge(gateway))
      yield* until(
        Effect.sync(() => server.requests.length),
        (count) => count === 1
      )
      assert.strictEqual(server.closed(), 0)
      yield* Fiber.interrupt(fiber)
      yield* until(Effect.sync(server.closed), (count) => count === 1)
    })
  )

  live("the same intent is the same bytes, whatever span it is sent in", () =>
    Effect.gen(function* () {
      const server = yield* rawServer(({ socket }) => socket.write(httpAnswer(402, failureBody)))
      const gateway = yield* gatewayAt(`http://127.0.0.1:${server.port}`)
      const one = saleWith("tok_success")
      yield* gateway.send({ payment, intent: one })
      yield* Effect.withSpan(gateway.send({ payment, intent: one }), "another attempt")
      yield* Effect.sleep(Duration.millis(5))
      yield* Effect.withSpan(gateway.send({ payment, intent: structuredClone(one) }), "a third")
      const bytes = server.requests.map(({ body, head }) => `${head}\n${body}`)
      assert.lengthOf(bytes, 3)
      assert.strictEqual(new Set(bytes).size, 1)
      assert.include(bytes[0], `idempotency-key: ${one.requestKey}`)
      assert.notMatch(bytes[0] ?? "", /^(traceparent|tracestate|b3|x-b3-[a-z]+):/im)
    })
  )
})

describe("a sandbox that misbehaves", () => {
  for (const [token, expected] of [
    ["tok_redirect", { _tag: "Unknown", reason: "unreadable" }],
    ["tok_huge_body", { _tag: "Unknown", reason: "unreadable" }],
    ["tok_garbage", { _tag: "Unknown", reason: "unreadable" }],
    ["tok_wrong_amount", { _tag: "Succeeded", amount: eur(4991n) }],
    ["tok_wrong_currency", { _tag: "Succeeded", amount: { currency: CurrencyCode.make("USD"), minor: 4990n } }],
    ["tok_rate_limited", { _tag: "Declined", category: "rate_limited", retryAfterMillis: 1_000 }]
  ] as const) {
    live(`${token}: ${expected._tag}, and at most one charge`, () =>
      Effect.gen(function* () {
        const { url } = yield* started()
        const gateway = yield* gatewayAt(url)
        assert.deepInclude<object>(yield* charge(gateway, token), expected)
        assert.lengthOf(yield* ledgerOf(url, "a"), token === "tok_rate_limited" ? 0 : 1)
      })
    )
  }

  for (const [outage, reason] of [
    ["5xx", "server_error"],
    ["refuse", "connection_lost"]
  ] as const) {
    live(`an outage ${outage}: unknown by ${reason}, also for the look-up`, () =>
      Effect.gen(function* () {
        const { url } = yield* started()
        const gateway = yield* gatewayAt(url)
        yield* sendTo(url, { method: "PUT", path: "/a/control", body: { outage } })
        assert.deepInclude<object>(yield* charge(gateway), { _tag: "Unknown", reason })
        const looked = yield* gateway.lookup({ payment, intent: saleWith("tok_success"), gatewayReference: undefined })
        assert.deepInclude<object>(looked, { _tag: "Unknown", reason })
        assert.lengthOf(yield* ledgerOf(url, "a"), 0)
      })
    )
  }

  live("a wrong address or a wrong key never looks like absence", () =>
    Effect.gen(function* () {
      const { url } = yield* started()
      const one = saleWith("tok_success")
      const right = yield* gatewayAt(url)
      assert.strictEqual((yield* right.send({ payment, intent: one }))._tag, "Succeeded")
      for (const wrong of [
        accountOf(url, "a", { baseUrl: `${url}/nobody` }),
        accountOf(url, "a", { baseUrl: `${url}/a/v2` }),
        accountOf(url, "a", { secretKey: Redacted.make("sk_of_somebody_else") })
      ]) {
        const gateway = yield* gatewayOf(wrong)
        assert.strictEqual((yield* gateway.lookup({ payment, intent: one, gatewayReference: undefined }))._tag, "Unknown")
      }
    })
  )

  live("a caller that leaves is seen by the sandbox: the late request executes after it", () =>
    Effect.gen(function* () {
      const { url } = yield* started({ lateMillis: 50 })
      const gateway = yield* gatewayAt(url)
      const fiber = yield* Effect.forkChild(charge(gateway, "tok_late"))
      yield* Effect.sleep(Duration.millis(150))
      assert.lengthOf(yield* ledgerOf(url, "a"), 0, "held while the caller waits")
      yield* Fiber.interrupt(fiber)
      yield* until(ledgerOf(url, "a"), (entries) => entries.length === 1)
    })
  )
})

describe("what is declared", () => {
  live("times and capabilities follow the account's settings", () =>
    Effect.gen(function* () {
      const plain = (yield* gatewayOf({
        name: accountOf("", "a").name,
        baseUrl: "http://127.0.0.1:1/a",
        secretKey: Redacted.make("sk_sandbox_a")
      })).capabilities
      assert.deepStrictEqual(plain.operations.sale, {
        lookupByReference: { lagMillis: 0 },
        replay: "result",
        replayWindowMillis: 86_400_000,
        cachesFailures: true,
        cancelByReference: "named",
        leavesOpenAfterDecline: false,
        settleTimeMillis: 20_000
      })
      assert.strictEqual(plain.captures, "single")
      const other = (yield* gatewayOf(accountOf("http://127.0.0.1:1", "c", { lookupLagMillis: 70, settleTimeMillis: 500 }))).capabilities
      assert.deepInclude(other.operations.sale, {
        lookupByReference: { lagMillis: 70 },
        settleTimeMillis: 570,
        leavesOpenAfterDecline: true
      })
      assert.isFalse(other.operations.refund.leavesOpenAfterDecline)
      assert.strictEqual(other.captures, "multiple")
    })
  )

  live("accounts support the currencies with the exponents that are declared", () =>
    Effect.gen(function* () {
      const { url } = yield* started()
      const gateway = yield* gatewayAt(url)
      const described = yield* sendTo(url, { method: "GET", path: "/a" })
      assert.deepStrictEqual(Object.fromEntries(gateway.capabilities.currencies), described.body.currencies)
    })
  )

  live("a key is replayed within its window and executes anew after it", () =>
    Effect.gen(function* () {
      const { url } = yield* started({ idempotencyWindowMillis: 1_500 })
      const gateway = yield* gatewayAt(url)
      const one = saleWith("tok_success")
      const first = yield* gateway.send({ payment, intent: one })
      assert.deepStrictEqual(yield* gateway.send({ payment, intent: one }), first)
      assert.lengthOf(yield* ledgerOf(url, "a"), 1)
      yield* Effect.sleep(Duration.millis(1_600))
      yield* gateway.send({ payment, intent: one })
      assert.lengthOf(yield* ledgerOf(url, "a"), 2, "this is why a window is declared")
      const looked = yield* gateway.lookup({ payment, intent: one, gatewayReference: undefined })
      assert.deepInclude<object>(looked, { _tag: "Unknown", reason: "conflict" })
    })
  )

  for (const [account, open] of [
    ["a", false],
    ["c", true]
  ] as const) {
    live(`account ${account}: a declined charge ${open ? "stays open for the customer's page until it is closed" : "is over"}`, () =>
      Effect.gen(function* () {
        const { url } = yield* started()
        const gateway = yield* gatewayOf(accountOf(url, account))
        assert.strictEqual(gateway.capabilities.operations.sale.leavesOpenAfterDecline, open)
        const one = saleWith("tok_declined_soft")
        const answer = yield* gateway.send({ payment, intent: one })
        if (answer._tag !== "Declined" || answer.gatewayReference === undefined) return assert.fail(answer._tag)
        const complete = { method: "POST", path: `/${account}/customer/${answer.gatewayReference}/complete` }
        const close: Intent = {
          ...saleWith("tok_success", "void"),
          details: { customerPresent: true, targetRequestKey: one.requestKey }
        }
        const closed = yield* gateway.send({ payment, intent: close })
        assert.deepInclude<object>(closed, { _tag: "Succeeded", named: true, gatewayReference: answer.gatewayReference })
        assert.strictEqual((yield* sendTo(url, complete)).status, 409)
        assert.lengthOf(yield* ledgerOf(url, account), 0)
        if (open) {
          const left = yield* gateway.send({ payment, intent: saleWith("tok_declined_soft") })
          if (left._tag !== "Declined") return assert.fail(left._tag)
          const page = { method: "POST", path: `/c/customer/${left.gatewayReference}/complete` }
          assert.strictEqual((yield* sendTo(url, page)).status, 200)
          assert.lengthOf(yield* ledgerOf(url, account), 1)
        }
      })
    )
  }
})

describe("secrets", () => {
  const canary = "sk_canary_5d41402abc4b2a76"
  const text = (value: unknown) => JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? String(part) : part))

  /** Every call and look-up against a server that repeats the key in every kind of answer, and where nobody listens. */
  const everyAnswer = Effect.gen(function* () {
    const error = (code: string) => JSON.stringify({ error: { type: "authentication_error", code, message: `Bad key ${canary}` } })
    const bodies = [
      httpAnswer(401, error("invalid_api_key")),
      httpAnswer(402, error(canary)),
      httpAnswer(500, error("x")),
      httpAnswer(409, error(canary)),
      httpAnswer(200, canary)
    ]
    const server = yield* rawServer(({ head, socket }) => {
      const body = head.includes(`Bearer ${canary}`) ? bodies[(server.requests.length - 1) % (bodies.length + 1)] : undefined
      if (body === undefined) socket.destroy()
      else socket.write(body)
    })
    const results: Array<unknown> = []
    for (const port of [server.port, yield* closedPort]) {
      const gateway = yield* gatewayOf(accountOf(`http://127.0.0.1:${port}`, "a", { secretKey: Redacted.make(canary) }))
      results.push(gateway)
      for (let call = 0; call <= bodies.length; call++) {
        results.push(yield* charge(gateway))
        results.push(yield* gateway.lookup({ payment, intent: saleWith("tok_success"), gatewayReference: undefined }))
      }
    }
    assert.lengthOf(server.requests, 12)
    assert.isTrue(server.requests.every(({ head }) => head.includes(`Bearer ${canary}`)))
    return results
  })

  live("the key is in no outcome, log or span, also when the gateway repeats it", () =>
    Effect.gen(function* () {
      const spans: Array<Tracer.NativeSpan> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const logged: Array<string> = []
      const logger = Logger.make(({ cause, message }) => {
        logged.push(`${text(message)} ${Cause.pretty(cause)}`)
      })
      const results = yield* everyAnswer.pipe(
        Effect.tap((all) => Effect.logInfo("results", all)),
        Effect.withTracer(tracer),
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Trace")
      )
      assert.lengthOf(results, 26)
      assert.include(text(results), "<redacted>")
      assert.notInclude(text(results), canary)
      assert.isAtLeast(spans.length, 24)
      const exits = spans.map(({ status }) =>
        status._tag === "Ended" && Exit.isFailure(status.exit) ? Cause.pretty(status.exit.cause) : ""
      )
      assert.notInclude(text(spans.map((span) => [span.name, [...span.attributes], span.events])), canary)
      assert.notInclude(exits.join("\n"), canary)
      assert.isNotEmpty(logged)
      assert.notInclude(logged.join("\n"), canary)
    })
  )
})
