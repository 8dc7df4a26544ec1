/**
 * The HTTP notifier on real sockets: the signature of Standard Webhooks, what counts as delivered, and what it does not do.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { createHmac } from "node:crypto"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { TenantId } from "../../../src/domain/payment/Ids.ts"
import * as HttpNotifier from "../../../src/layers/node/HttpNotifier.ts"
import { type Notification, Notifier } from "../../../src/services/notify/Notifier.ts"
import * as Payments from "../../support/payments.ts"

const merchant = TenantId.make("m1")
const keyOf = (fill: number) => Buffer.alloc(32, fill)
const secretOf = (fill: number) => Redacted.make(`whsec_${keyOf(fill).toString("base64")}`)

const notification = (): Notification => ({
  id: Payments.newEventId(),
  tenant: merchant,
  payment: Payments.newPaymentId(),
  version: 3,
  type: "OperationSucceeded",
  body: '{"note":"Zürich"}'
})

interface Received {
  readonly headers: http.IncomingHttpHeaders
  readonly url: string | undefined
  readonly body: string
}

type Answer = (response: http.ServerResponse, received: Received) => void
const status =
  (code: number, headers: http.OutgoingHttpHeaders = {}): Answer =>
  (response) =>
    void response.writeHead(code, headers).end("thanks")

const server = (answer: Answer) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly received: Array<Received>; readonly server: http.Server }>((resume) => {
      const received: Array<Received> = []
      const listening = http.createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          const one = { headers: request.headers, url: request.url, body: Buffer.concat(chunks).toString() }
          received.push(one)
          answer(response, one)
        })
      })
      listening.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({ url: `http://127.0.0.1:${(listening.address() as AddressInfo).port}/hook`, received, server: listening }))
      )
    }),
    ({ server: listening }) =>
      Effect.sync(() => {
        listening.closeAllConnections()
        listening.close()
      })
  )

const deliver = (
  url: string,
  options: { readonly secrets?: ReadonlyArray<Redacted.Redacted>; readonly timeoutMillis?: number } = {},
  sent = notification()
) =>
  Effect.flatMap(Notifier, (notifier) => notifier.deliver("m1", sent)).pipe(
    Effect.provide(
      HttpNotifier.layer({
        endpoints: [{ merchant, url, secrets: options.secrets ?? [secretOf(1)] }],
        allowLoopback: true,
        ...(options.timeoutMillis === undefined ? {} : { timeoutMillis: options.timeoutMillis })
      }).pipe(Layer.provide(NodeHttpClient.layerUndici))
    )
  )

describe("HttpNotifier", () => {
  it.live("posts the event with a Standard Webhooks signature of every secret in force", () =>
    Effect.gen(function* () {
      const { received, url } = yield* server(status(204))
      const sent = notification()
      assert.deepStrictEqual(yield* deliver(url, { secrets: [secretOf(1), secretOf(2)] }, sent), { _tag: "Delivered" })
      const [one] = received
      assert.deepStrictEqual(
        [one?.headers["webhook-id"], one?.body, one?.headers["content-type"], one?.headers["traceparent"]],
        [sent.id, sent.body, "application/json", undefined]
      )
      const timestamp = String(one?.headers["webhook-timestamp"])
      assert.isBelow(Math.abs(Number(timestamp) - Date.now() / 1000), 60)
      const expected = [1, 2].map(
        (fill) => `v1,${createHmac("sha256", keyOf(fill)).update(`${sent.id}.${timestamp}.${sent.body}`).digest("base64")}`
      )
      assert.strictEqual(one?.headers["webhook-signature"], expected.join(" "))
    }).pipe(Effect.scoped)
  )

  it("signs as the example of the specification's libraries does", () => {
    const key = Redacted.make(new Uint8Array(Buffer.from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "base64")))
    const value = HttpNotifier.signature({
      keys: [key],
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      timestampSeconds: 1614265330,
      body: '{"test": 2432232314}'
    })
    assert.strictEqual(value, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
  })

  it.live("2xx is delivered, 410 is final, everything else is tried again; a redirect is not followed", () =>
    Effect.gen(function* () {
      for (const code of [200, 201, 204, 299]) {
        assert.deepStrictEqual(yield* deliver((yield* server(status(code))).url), { _tag: "Delivered" }, String(code))
      }
      assert.strictEqual((yield* deliver((yield* server(status(410))).url))._tag, "Rejected")
      for (const code of [400, 401, 404, 429, 500, 503]) {
        assert.strictEqual((yield* deliver((yield* server(status(code))).url))._tag, "Retry", String(code))
      }
      const elsewhere = yield* server(status(200))
      const redirecting = yield* server(status(307, { location: elsewhere.url }))
      assert.strictEqual((yield* deliver(redirecting.url))._tag, "Retry")
      assert.deepStrictEqual(elsewhere.received, [])
    }).pipe(Effect.scoped)
  )

  it.live("waits as long as the receiver asks for, an hour at most", () =>
    Effect.gen(function* () {
      for (const [header, millis] of [
        ["7", 7000],
        ["999999", 3_600_000],
        ["soon", undefined]
      ] as const) {
        const delivery = yield* deliver((yield* server(status(503, { "retry-after": header }))).url)
        assert.strictEqual(delivery._tag === "Retry" ? delivery.retryAfterMillis : -1, millis, header)
      }
    }).pipe(Effect.scoped)
  )

  it.live("a receiver that is not there, does not answer, or answers without end is bounded", () =>
    Effect.gen(function* () {
      const gone = yield* server(status(200))
      gone.server.close()
      gone.server.closeAllConnections()
      assert.strictEqual((yield* deliver(gone.url))._tag, "Retry")
      const silent = yield* server(() => {})
      assert.deepStrictEqual(yield* deliver(silent.url, { timeoutMillis: 100 }), {
        _tag: "Retry",
        reason: "the endpoint did not answer in time"
      })
      const endless = yield* server((response) => {
        response.writeHead(200)
        const more = () => void (response.destroyed || response.write(Buffer.alloc(65_536), () => setImmediate(more)))
        more()
      })
      assert.deepStrictEqual(yield* deliver(endless.url), { _tag: "Delivered" })
      const hanging = yield* server((response) => void response.writeHead(200).write("x"))
      assert.deepStrictEqual(yield* deliver(hanging.url), { _tag: "Delivered" }, "what counts has been said")
    }).pipe(Effect.scoped)
  )

  it.live("refuses endpoints that are not safe, and says why without their secrets", () =>
    Effect.gen(function* () {
      const secret = secretOf(1)
      const good = { merchant, url: "https://shop.example/hook", secrets: [secret] }
      const build = (endpoints: ReadonlyArray<HttpNotifier.HttpEndpoint>, allowLoopback = false) =>
        Layer.build(HttpNotifier.layer({ endpoints, allowLoopback }).pipe(Layer.provide(NodeHttpClient.layerUndici))).pipe(Effect.scoped)
      yield* build([good])
      yield* build([{ ...good, url: "http://localhost:1/hook" }], true)
      const refused: ReadonlyArray<readonly [ReadonlyArray<HttpNotifier.HttpEndpoint>, boolean, RegExp]> = [
        [[{ ...good, url: "http://shop.example/hook" }], true, /https/],
        [[{ ...good, url: "http://127.0.0.1/hook" }], false, /https/],
        [[{ ...good, url: "http://127.0.0.1.evil.example/hook" }], true, /https/],
        [[{ ...good, url: "https://user:pass@shop.example/" }], false, /password/],
        [[{ ...good, url: "nowhere" }], false, /no URL/],
        [[{ ...good, secrets: [] }], false, /no secret/],
        [[{ ...good, secrets: [Redacted.make("whsec_c2hvcnQ=")] }], false, /24 to 64/],
        [[{ ...good, secrets: [Redacted.make("plain")] }], false, /24 to 64/],
        [[good, good], false, /two endpoints/]
      ]
      for (const [endpoints, allowLoopback, why] of refused) {
        const error = yield* Effect.flip(build(endpoints, allowLoopback))
        assert.match(error.message, why)
        for (const known of endpoints[0]!.secrets) assert.notInclude(error.message, Redacted.value(known))
      }
    })
  )

  it.live("merchants without an endpoint are not notified", () =>
    Effect.gen(function* () {
      const notifier = yield* Notifier
      assert.strictEqual(notifier.endpointOf(merchant), "m1")
      assert.isUndefined(notifier.endpointOf(TenantId.make("m2")))
    }).pipe(
      Effect.provide(
        HttpNotifier.layer({ endpoints: [{ merchant, url: "https://shop.example/hook", secrets: [secretOf(1)] }] }).pipe(
          Layer.provide(NodeHttpClient.layerUndici)
        )
      )
    )
  )
})
