/**
 * News over real processes: the sandbox' webhooks end payments at the server beside it, and a merchant's endpoint gets every event.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { createHmac } from "node:crypto"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import * as TestDatabase from "../../support/TestDatabase.ts"
import {
  aegispay,
  apiKey,
  ask,
  assertOneLine,
  configuration,
  directory,
  ownSandbox,
  request,
  type Running,
  sandboxOf,
  start,
  waitFor
} from "./aegispay.ts"

/** No recovery beside the webhooks: what ends, ends by them. */
const environment = async () => ({
  AEGISPAY_RECOVERY_ON_START: "false",
  AEGISPAY_RECOVERY_INTERVAL_MILLIS: "3600000",
  ...(await ownSandbox())
})

describe("the sandbox beside aegispay serve", () => {
  /** Waits for the success and answers what told of it. */
  const successOf = async (running: Running, key: string, id: string): Promise<unknown> => {
    const ended = async () => {
      const { body } = await ask(running, `/v1/payments/${id}`, { key })
      return body["status"] === "succeeded" ? body : undefined
    }
    await waitFor(ended, `success of ${id}`)
    const { body } = await ask(running, `/v1/payments/${id}/events`, { key })
    const events = body["data"] as ReadonlyArray<{ readonly type: string; readonly data: { readonly source?: string } }>
    return events.findLast(({ type }) => type === "OperationSucceeded")?.data.source
  }

  /** Charges with 3-D Secure and does on the sandbox' page what the customer does. */
  const authenticated = async (running: Running, key: string, under: string): Promise<string> => {
    const charged = await waitFor(async () => {
      const answer = await ask(running, "/v1/payments", { key, body: request("tok_3ds"), under })
      return answer.body["status"] === "requires_action" ? answer.body : undefined
    }, "a payment that needs the customer")
    const { url } = charged["nextAction"] as { readonly url: string }
    assert.strictEqual((await fetch(url)).status, 200)
    assert.strictEqual((await fetch(`${url}/complete`, { method: "POST" })).status, 200)
    return String(charged["id"])
  }

  it("tells it what the customer and time have done, also when another process has taken the sandbox over", async () => {
    const dataDir = join(await directory(), "data")
    const args = ["serve", "--port", "0", "--data-dir", dataDir, "--json"]
    const env = await environment()
    const first = await start(args, { env })
    const key = first.announced.apiKey ?? ""
    const pending = await ask(first, "/v1/payments", { key, body: request("tok_pending_success"), under: "pending" })
    assert.include(pending.body, { status: "processing" })
    assert.strictEqual(await successOf(first, key, await authenticated(first, key, "3ds")), "webhook")
    assert.strictEqual(await successOf(first, key, String(pending.body["id"])), "webhook")

    const second = await start(args, { env })
    await first.stop("SIGKILL")
    // A charge that no gateway takes has failed for good: the sandbox has to be there again.
    await sandboxOf(second)
    const id = await authenticated(second, key, "3ds-after-takeover")
    assert.strictEqual(await successOf(second, key, id), "webhook")
    const logged = new RegExp(`message="payment event" .*payment=${id} .*type=OperationSucceeded`)
    await waitFor(() => (logged.test(second.log()) ? true : undefined), "the event in the log")
    const stopped = await second.stop("SIGTERM")
    assert.strictEqual(stopped.code, 0, stopped.stderr)
  })
})

interface Received {
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

/** A merchant's endpoint. `refusing`: it answers this status and keeps nothing. */
const endpoint = async () => {
  const state = { refusing: undefined as number | undefined, refused: 0, received: [] as Array<Received> }
  const server = http.createServer((incoming, response) => {
    let body = ""
    incoming.setEncoding("utf8").on("data", (text: string) => (body += text))
    incoming.on("end", () => {
      if (state.refusing !== undefined) state.refused += 1
      else state.received.push({ headers: incoming.headers, body })
      response.writeHead(state.refusing ?? 204).end()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const close = () => new Promise<unknown>((resolve) => server.close(resolve).closeAllConnections())
  return { state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events?of=m1`, close }
}

describe("a webhook that cannot be read", () => {
  it("becomes a dead letter, which is listed and replayed", async () => {
    const dataDir = join(await directory(), "data")
    const env = await environment()
    const running = await start(["serve", "--port", "0", "--data-dir", dataDir, "--json"], { env })
    const webhook = JSON.stringify({ id: "evt_odd", object: "event", type: "charge.succeeded", created: 1 })
    const seconds = Math.floor(Date.now() / 1000)
    const proof = createHmac("sha256", "whsec_sandbox_a").update(`${seconds}.${webhook}`).digest("hex")
    const response = await fetch(`${running.announced.url}/v1/webhooks/sandbox-a`, {
      method: "POST",
      headers: { "sandbox-signature": `t=${seconds},v1=${proof}` },
      body: webhook
    })
    assert.strictEqual(response.status, 200)
    const run = (...args: ReadonlyArray<string>) => aegispay(["webhooks", ...args, "--data-dir", dataDir, "--json"], { env })
    const listed = await waitFor(async () => {
      const { stdout } = await run("dead-letters")
      return (JSON.parse(stdout) as { readonly data: ReadonlyArray<object> }).data[0]
    }, "a dead letter")
    assert.deepInclude(listed, { gateway: "sandbox-a", eventId: "evt_odd", reason: "it is not an event as this adapter knows them" })
    assert.strictEqual((await run("replay", "--gateway", "sandbox-a", "evt_odd")).code, 0)
    const unknown = await run("replay", "--gateway", "sandbox-a", "evt_none")
    assert.strictEqual(unknown.code, 1)
    assertOneLine(unknown, /no webhook evt_none of gateway sandbox-a was given up/)
    assert.strictEqual((await running.stop("SIGTERM")).code, 0)
  })
})

describe("a merchant's endpoint", () => {
  const signingKey = Buffer.alloc(32, 7)
  const secret = { TEST_ENDPOINT_SECRET: `whsec_${signingKey.toString("base64")}` }
  const scope = Scope.makeUnsafe()
  let receiver: Awaited<ReturnType<typeof endpoint>>
  let sandbox: Running
  let config: { readonly file: string; readonly env: Readonly<Record<string, string>> }

  beforeAll(async () => {
    receiver = await endpoint()
    const databaseUrl = Redacted.value(await Effect.runPromise(Scope.provide(TestDatabase.fresh, scope)))
    sandbox = await start(["sandbox", "--port", "0", "--json"])
    const notifications = { endpoints: [{ merchant: "m1", url: receiver.url, secret: "env:TEST_ENDPOINT_SECRET" }] }
    const { env, file } = await configuration({ databaseUrl, sandboxUrl: sandbox.announced.url, extra: { notifications } })
    config = { file, env: { ...env, ...secret, AEGISPAY_NOTIFICATIONS_ALLOW_LOOPBACK: "true" } }
    assert.strictEqual((await aegispay(["migrate", "--config", config.file], { env: config.env })).code, 0)
  })

  afterAll(async () => {
    await sandbox.stop("SIGTERM")
    await receiver.close()
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  const run = (...args: ReadonlyArray<string>) => aegispay([...args, "--config", config.file, "--json"], { env: config.env })
  const serve = () => start(["serve", "--config", config.file, "--json"], { env: config.env })

  /** What came of a payment, in the order in which it came; each proved. */
  const deliveredOf = (payment: string) =>
    receiver.state.received.flatMap(({ body, headers }) => {
      const event = JSON.parse(body) as { readonly paymentId: string; readonly version: number; readonly eventId: string }
      const id = String(headers["webhook-id"])
      const expected = createHmac("sha256", signingKey)
        .update(`${id}.${String(headers["webhook-timestamp"])}.${body}`)
        .digest("base64")
      assert.strictEqual(headers["webhook-signature"], `v1,${expected}`)
      assert.strictEqual(id, event.eventId)
      return event.paymentId === payment ? [event] : []
    })

  /** All events of a payment, from the first to its present version, each once and in order. */
  const allDelivered = async (running: Running, payment: string) => {
    const { body } = await ask(running, `/v1/payments/${payment}/events`, { key: apiKey })
    const versions = (body["data"] as ReadonlyArray<{ readonly version: number }>).map(({ version }) => version)
    await waitFor(() => (deliveredOf(payment).length >= versions.length ? true : undefined), `the events of ${payment}`)
    assert.deepStrictEqual(
      deliveredOf(payment).map(({ version }) => version),
      versions
    )
  }

  it("gets the signed events of a payment in version order, and a restart loses none", async () => {
    const first = await serve()
    const { body: paid } = await ask(first, "/v1/payments", { key: apiKey, body: request(), under: "delivered" })
    assert.include(paid, { status: "succeeded" })
    await allDelivered(first, String(paid["id"]))

    receiver.state.refusing = 503
    const { body: refused } = await ask(first, "/v1/payments", { key: apiKey, body: request(), under: "refused" })
    await waitFor(() => (receiver.state.refused > 0 ? true : undefined), "a refused delivery")
    const stopped = await first.stop("SIGTERM")
    assert.strictEqual(stopped.code, 0, stopped.stderr)
    const paidMeanwhile = await run("pay", "--amount", "1", "--currency", "EUR", "--token", "tok_success")
    const meanwhile = JSON.parse(paidMeanwhile.stdout) as { readonly id: string }
    receiver.state.refusing = undefined

    const second = await serve()
    await allDelivered(second, meanwhile.id)
    await allDelivered(second, String(refused["id"]))
    assert.strictEqual((await second.stop("SIGTERM")).code, 0)
  })

  it("that is gone makes dead letters, which are listed and replayed", async () => {
    const running = await serve()
    receiver.state.refusing = 410
    const { body } = await ask(running, "/v1/payments", { key: apiKey, body: request(), under: "gone" })
    const payment = String(body["id"])
    const listed = await waitFor(async () => {
      const { stdout } = await run("outbox", "dead-letters")
      return (JSON.parse(stdout) as { readonly data: ReadonlyArray<object> }).data[0]
    }, "a dead letter")
    assert.deepInclude(listed, { payment, reason: "the endpoint answered 410: it is gone" })
    receiver.state.refusing = undefined
    const replayed = await run("outbox", "replay", payment)
    assert.strictEqual(replayed.code, 0, replayed.stderr)
    await allDelivered(running, payment)
    await running.stop("SIGTERM")
    const again = await run("outbox", "replay", payment)
    assert.strictEqual(again.code, 1)
    assertOneLine(again, /no notifications of payment pay_\w+ were given up/)
  })

  it("has to be https where loopback is not allowed", async () => {
    const ended = await aegispay(["serve", "--config", config.file], {
      env: { ...config.env, AEGISPAY_NOTIFICATIONS_ALLOW_LOOPBACK: "false" }
    })
    assert.strictEqual(ended.code, 2)
    assertOneLine(ended, /notifications\.endpoints\[0\]\.url: expected an https URL; .* set notifications\.allowLoopback/)
  })
})
