/**
 * `aegispay serve` with built-in hooks: what is counted is in the database, so it is the same for two servers and after a kill.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { join } from "node:path"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { aegispay, apiKey as key, ask, configuration, directory, request, type Running, start } from "./aegispay.ts"

const scope = Scope.makeUnsafe()
let databaseUrl = ""
let sandbox: Running

beforeAll(async () => {
  databaseUrl = Redacted.value(await Effect.runPromise(Scope.provide(TestDatabase.fresh, scope)))
  sandbox = await start(["sandbox", "--port", "0", "--directory", join(await directory(), "sandbox"), "--json"])
})

afterAll(async () => {
  await sandbox.stop("SIGTERM")
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

const configured = (hooks: object) => configuration({ databaseUrl, sandboxUrl: sandbox.announced.url, extra: { hooks } })

const pay = async (server: Running, under: string, customer: object) => {
  const { body, status } = await ask(server, "/v1/payments", { key, under, body: { ...request(), customer } })
  const failure = body["failure"] as { readonly code: string } | undefined
  return { id: String(body["id"]), said: [status, body["status"], failure?.code] }
}

const paid = [201, "succeeded", undefined]
const blocked = [201, "failed", "blocked_by_fraud_check"]

describe("aegispay serve with hooks", () => {
  it("counts a customer's payments across servers and kills, and tells why only in the history", async () => {
    const config = await configured({
      velocity: { limits: [{ per: "customer", most: 3, withinMillis: 600_000, action: "block" }] },
      geographic: { blockedCountries: ["KP"], unknownCountry: "allow" },
      paymentLogging: {}
    })
    const serve = () => start(["serve", "--config", config.file, "--json"], { env: config.env })
    assert.strictEqual((await aegispay(["migrate", "--config", config.file], { env: config.env })).code, 0)
    const [first, second] = await Promise.all([serve(), serve()])
    const customer = { id: "cus_velocity", email: "zoe@example.org" }
    assert.deepStrictEqual((await pay(first, "k1", customer)).said, paid)
    assert.deepStrictEqual((await pay(second, "k2", customer)).said, paid)
    assert.deepStrictEqual((await pay(first, "k3", customer)).said, paid)
    const fourth = await pay(second, "k4", customer)
    assert.deepStrictEqual(fourth.said, blocked)
    assert.deepStrictEqual((await pay(first, "k4", customer)).id, fourth.id, "the same request is the same payment")
    assert.deepStrictEqual((await pay(first, "k5", { id: "cus_other" })).said, paid)
    assert.deepStrictEqual((await pay(first, "k6", { id: "cus_other", country: "KP" })).said, blocked)
    await Promise.all([first.stop("SIGKILL"), second.stop("SIGKILL")])

    const third = await serve()
    const fifth = await pay(third, "k7", customer)
    assert.deepStrictEqual(fifth.said, blocked, "a restart forgets nothing")
    const { body } = await ask(third, `/v1/payments/${fifth.id}/events`, { key })
    const events = body["data"] as ReadonlyArray<{ readonly type: string; readonly data: object }>
    const event = events.find(({ type }) => type === "PaymentBlocked")
    assert.deepInclude(event?.data, { check: "fraud_check", by: "velocity", code: "customer_velocity" })
    const explained = await aegispay(["routing", "explain", fifth.id, "--config", config.file], { env: config.env })
    assert.strictEqual(
      explained.stdout,
      `payment ${fifth.id}\nno gateway was asked; aegispay payment events ${fifth.id} says what happened\n`
    )
    const log = (await third.stop("SIGTERM")).stderr
    assert.include(log, fifth.id)
    assert.include(log, "PaymentBlocked")
    assert.notInclude(log, "zoe@example.org")
    assert.notInclude(log, "cus_velocity")
  })

  it("writes the lines of listeners to the last before a short command ends, and a request's id on those of a server", async () => {
    const config = await configured({ paymentLogging: {} })
    const { env } = config
    assert.strictEqual((await aegispay(["migrate", "--config", config.file], { env })).code, 0)
    const linesOf = (log: string) => log.split("\n").filter((line) => line.includes("payment event"))
    const types = ["PaymentInitiated", "PaymentScreened", "OperationIntended", "OperationSucceeded"]
    const pay = ["pay", "--amount", "4990", "--currency", "EUR", "--token", "tok_success", "--config", config.file, "--json"]
    for (let time = 0; time < 3; time++) {
      const paid = await aegispay(pay, { env })
      const { id } = JSON.parse(paid.stdout) as { readonly id: string }
      const lines = linesOf(paid.stderr)
      assert.lengthOf(lines, 4, paid.stderr)
      for (const type of types)
        assert.isTrue(
          lines.some((line) => line.includes(type) && line.includes(id)),
          type
        )
    }
    const server = await start(["serve", "--config", config.file, "--json"], { env })
    const response = await fetch(`${server.announced.url}/v1/payments`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
        "idempotency-key": "with-an-id",
        "x-correlation-id": "the-request-42"
      },
      body: JSON.stringify(request())
    })
    assert.strictEqual(response.status, 201)
    const lines = linesOf((await server.stop("SIGTERM")).stderr)
    assert.lengthOf(lines, 4)
    for (const line of lines) assert.include(line, "the-request-42")
  })

  it("does not start with settings that are none, and says which", async () => {
    const config = await configured({ geographic: { blockedCountries: ["UK"] }, velocity: { limit: 5 } })
    const ended = await aegispay(["serve", "--config", config.file, "--json"], { env: config.env })
    assert.strictEqual(ended.code, 2)
    assert.match(ended.stderr, /hooks\.geographic\.blockedCountries\[0\]: is written GB/)
    assert.match(ended.stderr, /hooks\.velocity\.limit: is not a known field/)
  })
})
