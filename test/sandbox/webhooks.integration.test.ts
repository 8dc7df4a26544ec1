/** Webhooks: signed over the raw body, retried, duplicated and reordered on request. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as Sandbox from "../../src/sandbox/Sandbox.ts"
import * as WebhookSignature from "../../src/sandbox/WebhookSignature.ts"
import { act, charge, get, sandbox, until } from "./client.ts"

interface Received {
  readonly body: string
  readonly signature: string | undefined
}

/** A receiver that answers with `statusOf(n)` to its n-th request. */
const receiver = (statusOf: (count: number) => number = () => 200) =>
  Effect.acquireRelease(
    Effect.callback<{ url: string; received: Array<Received>; server: http.Server }>((resume) => {
      const received: Array<Received> = []
      const server = http.createServer((request, response) => {
        const chunks: Array<Buffer> = []
        request.on("data", (chunk: Buffer) => chunks.push(chunk))
        request.on("end", () => {
          received.push({
            body: Buffer.concat(chunks).toString(),
            signature: request.headers[WebhookSignature.headerName] as string | undefined
          })
          const status = statusOf(received.length)
          response.writeHead(status, status === 307 ? { location: "/again" } : {}).end()
        })
      })
      server.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, received, server }))
      })
    }),
    ({ server }) =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )

const secret = Redacted.make("whsec_mine")

const withHook = <A, E>(
  url: string,
  effect: Effect.Effect<A, E, Sandbox.Sandbox>,
  webhooks: NonNullable<Sandbox.SandboxOptions["webhooks"]> = {}
) =>
  effect.pipe(
    Effect.provide(
      sandbox({ accounts: [{ name: "a", webhookUrl: url, webhookSecret: secret }], webhooks: { retryMillis: 20, ...webhooks } })
    )
  )

const types = (received: ReadonlyArray<Received>): Array<string> => received.map(({ body }) => (JSON.parse(body) as { type: string }).type)

it.live("every change of a charge is sent, signed, with the operation and the charge as they were", () =>
  Effect.gen(function* () {
    const { received, url } = yield* receiver()
    yield* withHook(
      url,
      Effect.gen(function* () {
        const pending = yield* charge({ token: "tok_pending_success", reference: "p" })
        yield* until(
          Effect.sync(() => received.length),
          (count) => count === 2
        )
        yield* charge({ token: "tok_declined_soft" })
        const refundable = yield* charge({ token: "tok_refund_fails_later" })
        yield* act(refundable.body.charge.id, "refunds", { body: { amount: 5 } })
        yield* until(
          Effect.sync(() => received.length),
          (count) => count === 6
        )
        const first = JSON.parse(received[1]?.body ?? "{}") as { data: { operation: { reference: string }; charge: { id: string } } }
        assert.strictEqual(first.data.operation.reference, "p")
        assert.strictEqual(first.data.charge.id, pending.body.charge.id)
      })
    )
    assert.deepStrictEqual(types(received).sort(), [
      "charge.failed",
      "charge.pending",
      "charge.succeeded",
      "charge.succeeded",
      "refund.failed",
      "refund.succeeded"
    ])
    const nowSeconds = Number(/^t=(\d+)/.exec(received[0]?.signature ?? "")?.[1])
    for (const { body, signature } of received) {
      assert.strictEqual(WebhookSignature.verify({ secret, header: signature, rawBody: body, nowSeconds }), "valid")
      assert.strictEqual(WebhookSignature.verify({ secret: Redacted.make("other"), header: signature, rawBody: body, nowSeconds }), "wrong")
    }
  }).pipe(Effect.scoped)
)

it.live("a receiver that fails gets the event again, a bounded number of times; redirects are not followed", () =>
  Effect.gen(function* () {
    const flaky = yield* receiver((count) => (count === 1 ? 500 : count === 2 ? 307 : 200))
    yield* withHook(
      flaky.url,
      Effect.gen(function* () {
        yield* charge()
        yield* until(get("/health"), ({ body }) => body.webhooks.delivered === 1)
      })
    )
    assert.strictEqual(flaky.received.length, 3)
    assert.strictEqual(new Set(flaky.received.map(({ body }) => body)).size, 1)

    const dead = yield* receiver(() => 500)
    yield* withHook(
      dead.url,
      Effect.gen(function* () {
        yield* charge()
        yield* until(get("/health"), ({ body }) => body.webhooks.failed === 1)
      }),
      { maxAttempts: 3 }
    )
    assert.strictEqual(dead.received.length, 3)
  }).pipe(Effect.scoped)
)

it.live("sends events twice and out of order when told to", () =>
  Effect.gen(function* () {
    const { received, url } = yield* receiver()
    yield* withHook(
      url,
      Effect.gen(function* () {
        const charges = Array.from({ length: 8 }, (_, index) => charge({ reference: `o${index}` }))
        yield* Effect.all(charges, { concurrency: "unbounded" })
        yield* until(
          Effect.sync(() => received.length),
          (count) => count === 16
        )
      }),
      { duplicateRate: 1, reorderMillis: 1_000 }
    )
    const ids = received.map(({ body }) => (JSON.parse(body) as { id: string }).id)
    assert.strictEqual(new Set(ids).size, 8)
    assert.notDeepEqual(
      ids.filter((id, index) => ids.indexOf(id) === index),
      [...new Set(ids)].sort()
    )
  }).pipe(Effect.scoped)
)

it.live("drops what does not fit into its queue, and counts it", () =>
  Effect.gen(function* () {
    const dead = yield* receiver(() => 500)
    yield* withHook(
      dead.url,
      Effect.gen(function* () {
        yield* Effect.all(
          Array.from({ length: 20 }, () => charge()),
          { concurrency: 10 }
        )
        assert.isAbove((yield* get("/health")).body.webhooks.dropped, 0)
      }),
      { maxQueued: 1, retryMillis: 5_000 }
    )
  }).pipe(Effect.scoped)
)
