/**
 * The HTTP interface inside hosts' own servers: `node:http`, Express, Fastify, and a function of a `Request`; what a host's body parser may
 * do to a webhook; and what is answered after the end.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import express from "express"
import Fastify from "fastify"
import type { RequestListener } from "node:http"
import * as SandboxSignature from "../../../src/sandbox/WebhookSignature.ts"
import { AegisPay, type WebHandler } from "../../../src/public/embed.ts"
import { heldGateway } from "./heldGateway.ts"
import { served } from "./served.ts"

const key = "sk_test_0123456789abcdef"
const secret = "the-secret-of-webhooks"

const made = () =>
  AegisPay.make(
    {
      database: "memory",
      gateways: [{ name: "sandbox-a", kind: "sandbox", baseUrl: "http://127.0.0.1:9/a", webhookSecret: "env:WEBHOOK" }],
      http: { apiKeys: [{ merchant: "m1", key: "env:KEY" }] }
    },
    { environment: { KEY: key, WEBHOOK: secret }, background: false, log: () => {} }
  )

/** Bytes that no parser and serializer would make again. */
const event = '{ "id":"evt_1" ,"type":"charge.succeeded","created":1,\n "data":{"object":{}} }'

const webhook = async (url: string, body = event) => {
  const timeSeconds = Math.floor(Date.now() / 1000)
  const signature = SandboxSignature.sign({ secret: Redacted.make(secret), timeSeconds, rawBody: event })
  const response = await fetch(`${url}/v1/webhooks/sandbox-a`, {
    method: "POST",
    headers: { "content-type": "application/json", "sandbox-signature": signature },
    body
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const listed = async (url: string) => (await fetch(`${url}/v1/payments`, { headers: { authorization: `Bearer ${key}` } })).status

/** A payment under a key, which its gateway refuses to connect for. */
const pay = async (url: string) => {
  const response = await fetch(`${url}/v1/payments`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "idempotency-key": "k1" },
    body: JSON.stringify({ amount: 100, currency: "EUR", paymentMethod: { type: "bank_debit", references: { other: "t" } } })
  })
  return ((await response.json()) as { readonly code?: string }).code
}

const whole = async (url: string) => {
  assert.strictEqual((await fetch(`${url}/health`)).status, 200)
  assert.strictEqual(await listed(url), 200)
  assert.strictEqual((await fetch(`${url}/v1/payments`)).status, 401)
  assert.strictEqual(await pay(url), "no_usable_gateway")
  const accepted = await webhook(url)
  assert.deepStrictEqual([accepted.status, accepted.body["received"]], [200, true])
  assert.strictEqual((await webhook(url, event.replace("1", "2"))).status, 401)
}

describe("mounted", () => {
  it("in node:http, below a prefix", async () => {
    await using aegis = await made()
    await served(aegis.nodeHandler({ prefix: "/pay/" }), async (url) => {
      await whole(`${url}/pay`)
      assert.strictEqual((await fetch(`${url}/payments`)).status, 404)
      assert.strictEqual((await fetch(`${url}/payhealth`)).status, 404)
    })
  })

  it("in Express, before the host's parser; other addresses are the host's", async () => {
    await using aegis = await made()
    const app = express()
    app.use(aegis.nodeHandler({ prefix: "/pay" }))
    app.use("/other", aegis.nodeHandler())
    app.use(express.json())
    app.post("/own", (request, response) => void response.json(request.body))
    await served(app, async (url) => {
      await whole(`${url}/pay`)
      assert.strictEqual(await listed(`${url}/other`), 200)
      const own = await fetch(`${url}/own`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"a":1}' })
      assert.deepStrictEqual(await own.json(), { a: 1 })
    })
  })

  it("in Fastify, whose own parsers stay as they are", async () => {
    await using aegis = await made()
    const app = Fastify()
    app.register(aegis.fastifyPlugin({ prefix: "/pay" }))
    app.post("/own", async (request) => request.body)
    const url = await app.listen({ port: 0, host: "127.0.0.1" })
    await whole(`${url}/pay`)
    const own = await fetch(`${url}/own`, { method: "POST", headers: { "content-type": "application/json" }, body: '{"a":1}' })
    assert.deepStrictEqual(await own.json(), { a: 1 })
    await app.close()
  })

  it("as a function of a Request", async () => {
    await using aegis = await made()
    const handle = aegis.webHandler({ prefix: "/pay" })
    assert.strictEqual((await handle(new Request("http://host/pay/health"))).status, 200)
    const timeSeconds = Math.floor(Date.now() / 1000)
    const headers = { "sandbox-signature": SandboxSignature.sign({ secret: Redacted.make(secret), timeSeconds, rawBody: event }) }
    const request = () => new Request("http://host/pay/v1/webhooks/sandbox-a", { method: "POST", headers, body: event })
    assert.strictEqual((await handle(request())).status, 200)
    const read = request()
    await read.text()
    const refused = await handle(read)
    assert.deepStrictEqual([refused.status, ((await refused.json()) as { code: string }).code], [500, "body_already_read"])
  })
})

describe("a host's body parser before it", () => {
  it("that keeps the bytes does no harm", async () => {
    await using aegis = await made()
    const raw = express()
    raw.use(express.raw({ type: "*/*" }), aegis.nodeHandler())
    await served(raw, whole)
    const kept = express()
    const verify = (request: object, _response: unknown, bytes: Buffer) => void Object.assign(request, { rawBody: bytes })
    kept.use(express.json({ verify }), aegis.nodeHandler())
    await served(kept, whole)
    const text = express()
    const keep = (request: object, _response: unknown, bytes: Buffer) => void Object.assign(request, { rawBody: bytes.toString("utf8") })
    text.use(express.json({ verify: keep }), aegis.nodeHandler())
    await served(text, whole)
  })

  it("that keeps none is told so, and nothing is taken for verified", async () => {
    await using aegis = await made()
    const app = express()
    app.use(express.json(), aegis.nodeHandler())
    await served(app, async (url) => {
      const { body, status } = await webhook(url)
      assert.deepStrictEqual([status, body["code"]], [500, "body_already_read"])
      assert.match(String(body["detail"]), /before express.json\(\)/)
      assert.strictEqual(await listed(url), 200, "a request without a body does not mind")
    })
  })
})

/** A payment over a gateway that answers when it is told to, whose engine is closed meanwhile. */
const closedWhilePaying = async (send: (url: string) => Promise<Response>, mount: (aegis: AegisPay) => RequestListener) => {
  const { answer, called, gateway } = heldGateway()
  const aegis = await AegisPay.make(
    { database: "memory", http: { apiKeys: [{ merchant: "m1", key: "env:KEY" }] } },
    { gateways: [gateway], environment: { KEY: key }, background: false, log: () => {} }
  )
  await served(mount(aegis), async (url) => {
    const paying = send(url)
    await called
    const closing = aegis.close()
    const refused = await fetch(`${url}/v1/payments`, { headers: { authorization: `Bearer ${key}` } })
    assert.deepStrictEqual(
      [refused.status, refused.headers.get("retry-after"), ((await refused.json()) as { code: string }).code],
      [503, "5", "not_accepting"]
    )
    answer()
    const answered = await paying
    assert.deepStrictEqual([answered.status, ((await answered.json()) as { status: string }).status], [201, "succeeded"])
    await closing
  })
}

const payment = {
  method: "POST",
  headers: { authorization: `Bearer ${key}`, "content-type": "application/json", "idempotency-key": "k1" },
  body: JSON.stringify({ amount: 100, currency: "EUR", paymentMethod: { type: "card", token: "t" } })
}

describe("the end", () => {
  it("waits for the requests of a listener, and refuses those that come meanwhile", () =>
    closedWhilePaying(
      (url) => fetch(`${url}/v1/payments`, payment),
      (aegis) => aegis.nodeHandler()
    ))

  it("waits for the requests of a function of a Request", async () => {
    let web: WebHandler | undefined
    await closedWhilePaying(
      () => web?.(new Request("http://host/v1/payments", payment)) ?? Promise.reject(new Error("not mounted")),
      (aegis) => {
        web = aegis.webHandler()
        return aegis.nodeHandler()
      }
    )
  })

  it("does not wait for a request whose caller has gone", async () => {
    const aegis = await made()
    await served(aegis.nodeHandler(), async (url) => {
      const controller = new AbortController()
      const body = new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode("{")) })
      const request: RequestInit & { readonly duplex: "half" } = { ...payment, body, duplex: "half", signal: controller.signal }
      const left = fetch(`${url}/v1/payments`, request).catch(() => undefined)
      await new Promise((resolve) => setImmediate(resolve))
      controller.abort()
      await left
      await aegis.close()
    })
  })
})

describe("after the end", () => {
  it("a handler answers 503", async () => {
    const aegis = await made()
    const node = aegis.nodeHandler()
    const web = aegis.webHandler()
    await aegis.close()
    await served(node, async (url) => assert.strictEqual((await fetch(`${url}/health`)).status, 503))
    assert.strictEqual((await web(new Request("http://host/health"))).status, 503)
  })

  it.effect("is the end: nothing is left running", () => Effect.promise(async () => (await made()).close()))
})
