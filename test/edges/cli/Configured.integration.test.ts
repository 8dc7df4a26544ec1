/**
 * `aegispay --config`: a database server, a sandbox in a process of its own, and engines that are killed, stopped, or one-shot.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { join } from "node:path"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { aegispay, apiKey as key, ask, assertOneLine, begin, configuration, directory, request, type Running, start } from "./aegispay.ts"

interface Payment {
  readonly gateway: string
  readonly id: string
  readonly status: string
  readonly nextAction?: { readonly url: string }
}

const scope = Scope.makeUnsafe()
let databaseUrl = ""
let sandbox: Running
let config: Awaited<ReturnType<typeof configuration>>

beforeAll(async () => {
  databaseUrl = Redacted.value(await Effect.runPromise(Scope.provide(TestDatabase.fresh, scope)))
  const state = join(await directory(), "sandbox")
  sandbox = await start(["sandbox", "--port", "0", "--directory", state, "--json"])
  config = await configuration({ databaseUrl, sandboxUrl: sandbox.announced.url, accounts: ["a", "b"] })
})

afterAll(async () => {
  await sandbox.stop("SIGTERM")
  await Effect.runPromise(Scope.close(scope, Exit.void))
})

const run = (...args: ReadonlyArray<string>) => aegispay([...args, "--config", config.file, "--json"], { env: config.env })
const serve = (...args: ReadonlyArray<string>) => start(["serve", ...args, "--config", config.file, "--json"], { env: config.env })
const pay = (token: string, ...args: ReadonlyArray<string>) =>
  run("pay", "--amount", "4990", "--currency", "EUR", "--token", token, ...args)
const paymentOf = (ended: { readonly stdout: string }) => JSON.parse(ended.stdout) as Payment

/** What the sandbox charged for a payment, by its own ledger. */
const charged = async (payment: string): Promise<number> => {
  const response = await fetch(`${sandbox.announced.url}/a/ledger`, { headers: { authorization: "Bearer sk_sandbox_a" } })
  const { data } = (await response.json()) as { data: ReadonlyArray<{ kind: string; payment: string }> }
  return data.filter((entry) => entry.payment === payment && entry.kind === "charge").length
}

const firstProcessing = async (running: Running): Promise<string | undefined> => {
  const { body } = await ask(running, "/v1/payments?status=processing", { key })
  return (body["data"] as ReadonlyArray<Payment>)[0]?.id
}

describe("aegispay with a configuration", () => {
  it("serves a migrated database only", async () => {
    const refused = await run("serve")
    assert.strictEqual(refused.code, 2)
    assertOneLine(refused, /schema is missing.*run aegispay migrate/)
    const migrated = await run("migrate")
    assert.strictEqual(migrated.code, 0, migrated.stderr)
    assert.include(JSON.parse(migrated.stdout).applied, "0001_payments")
    const again = await run("migrate")
    assert.deepStrictEqual([again.code, JSON.parse(again.stdout).applied], [0, []])
  })

  it("loses nothing when it is killed right after an answer", async () => {
    const first = await serve()
    const { body, status } = await ask(first, "/v1/payments", { key, body: request(), under: "killed" })
    await first.stop("SIGKILL")
    assert.strictEqual(status, 201)
    assert.include(body, { status: "succeeded" })
    const id = String(body["id"])
    const second = await serve()
    assert.deepStrictEqual((await ask(second, `/v1/payments/${id}`, { key })).body, body)
    assert.deepStrictEqual((await ask(second, "/v1/payments", { key, body: request(), under: "killed" })).body, body)
    assert.strictEqual((await second.stop("SIGTERM")).code, 0)
    assert.strictEqual(await charged(id), 1)
  })

  it("recovers a call that was cut off by a kill", async () => {
    const first = await serve()
    const answer = ask(first, "/v1/payments", { key, body: request("tok_slow"), under: "cut-off" }).catch(() => undefined)
    let id: string | undefined
    await until(async () => (id = await firstProcessing(first)) !== undefined)
    await first.stop("SIGKILL")
    await answer
    assert.isDefined(id)
    await until(async () => (await charged(id ?? "")) === 1)
    const report = await run("recover", "--older-than", "0")
    assert.strictEqual(report.code, 0, report.stderr + report.stdout)
    assert.deepStrictEqual(JSON.parse(report.stdout).results, { succeeded: 1 })
    assert.include(paymentOf(await run("payment", "get", id ?? "")), { status: "succeeded" })
    assert.strictEqual(await charged(id ?? ""), 1)
  })

  it("finishes the payment in hand when it is stopped", async () => {
    const watching = await serve()
    const paying = begin(
      ["pay", "--amount", "1", "--currency", "EUR", "--token", "tok_slow", "--key", "stopped", "--config", config.file, "--json"],
      { env: config.env }
    )
    await until(async () => (await firstProcessing(watching)) !== undefined)
    paying.interrupt()
    const ended = await paying.ended
    assert.strictEqual(ended.code, 130)
    assert.match(ended.stderr, /--key stopped/)
    const again = await run("pay", "--amount", "1", "--currency", "EUR", "--token", "tok_slow", "--key", "stopped")
    await watching.stop("SIGTERM")
    assert.strictEqual(again.code, 0, again.stderr)
    assert.include(JSON.parse(again.stdout), { status: "succeeded", replayed: true })
  })

  it("authorizes, captures, refunds; its exit code says whether it happened", async () => {
    const authorized = await pay("tok_success", "--manual")
    const { id, status } = paymentOf(authorized)
    assert.deepStrictEqual([authorized.code, status], [0, "authorized"])
    const captured = await run("payment", "capture", id, "--amount", "3000", "--key", "capture-1")
    assert.deepStrictEqual([captured.code, paymentOf(captured).status], [0, "succeeded"], captured.stderr)
    const refunded = await run("payment", "refund", id, "--amount", "1000")
    assert.deepStrictEqual([refunded.code, paymentOf(refunded).status], [0, "partially_refunded"], refunded.stderr)
    const tooMuch = await run("payment", "refund", id, "--amount", "3000")
    assert.strictEqual(tooMuch.code, 1)
    assertOneLine(tooMuch, /3000 requested, 2000 available/)
    const events = await aegispay(["payment", "events", id, "--config", config.file], { env: config.env })
    assert.match(events.stdout, /PaymentInitiated 4990 EUR[^]*routing \(weighted\): (sandbox-[ab])[^]*1\. \1, score/)
    assert.notInclude(events.stdout, "tok_success")
  })

  it("ends with 1 when a payment does not succeed at once", async () => {
    const declined = await pay("tok_declined_hard")
    assert.strictEqual(declined.code, 1)
    assertOneLine(declined, /failed: hard: stolen_card/)
    const action = await pay("tok_3ds")
    const { id, nextAction } = paymentOf(action)
    assert.strictEqual(action.code, 1)
    assertOneLine(action, /the customer opens http.*then aegispay payment confirm pay_/)
    await fetch(`${nextAction?.url}/complete`, { method: "POST" })
    const confirmed = await run("payment", "confirm", id)
    assert.deepStrictEqual([confirmed.code, paymentOf(confirmed).status], [0, "succeeded"], confirmed.stderr)
    const reused = await run("pay", "--amount", "2", "--currency", "EUR", "--token", "tok_success", "--key", "stopped")
    assert.strictEqual(reused.code, 1)
    assertOneLine(reused, /used before with another request/)
    const unknown = await run("payment", "get", `pay_${"0".repeat(36)}`)
    assert.strictEqual(unknown.code, 1)
    assertOneLine(unknown, /there is no payment/)
  })

  it("refuses to start without an account that has open operations, unless told to", async () => {
    const waiting = await pay("tok_3ds")
    const { gateway } = paymentOf(waiting)
    const others = await configuration({ databaseUrl, sandboxUrl: sandbox.announced.url, accounts: [gateway === "sandbox-a" ? "b" : "a"] })
    const refused = await aegispay(["serve", "--config", others.file], { env: others.env })
    assert.strictEqual(refused.code, 2)
    assertOneLine(refused, new RegExp(`lacks gateway accounts with open operations: ${gateway} .*--allow-missing-gateways`))
    const recovered = await aegispay(["recover", "--older-than", "0", "--config", others.file, "--json"], { env: others.env })
    assert.strictEqual(recovered.code, 1)
    assertOneLine(recovered, /left open: 1 not_configured/)
    const allowed = await start(["serve", "--allow-missing-gateways", "--config", others.file, "--json"], { env: others.env })
    assert.strictEqual((await allowed.stop("SIGTERM")).code, 0)
    const cancelled = await run("payment", "cancel", paymentOf(waiting).id)
    assert.deepStrictEqual([cancelled.code, paymentOf(cancelled).status], [0, "cancelled"], cancelled.stderr)
  })
})

const until = async (condition: () => Promise<boolean>) => {
  const deadline = performance.now() + 20_000
  while (!(await condition()) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100))
}
