/**
 * Faults in a real server: none without the flag, and with it a process that is ended in the middle of a charge, which the next one finishes.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { chargeCall, sendTo } from "../../../sandbox/client.ts"
import { aegispay, ask, assertOneLine, configuration, directory, ownSandbox, start, waitFor } from "../aegispay.ts"

const plan = (inject: object) => ({
  seed: 1,
  rules: [{ target: "gateway", operations: ["sale"], when: { type: "random", rate: 1 }, maxInjections: 1, inject }]
})
const payment = { amount: 4990, currency: "EUR", paymentMethod: { type: "card", token: "tok_success" } }

const put = (url: string, key: string, body: object) =>
  fetch(`${url}/ops/chaos`, {
    method: "PUT",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body)
  })

describe("aegispay serve", () => {
  it("--allow-chaos: a crash ends the process, and the one after it has no switch and finishes the charge", async () => {
    const dataDir = await directory()
    const env = await ownSandbox()
    const running = await start(["serve", "--allow-chaos", "--data-dir", dataDir, "--port", "0", "--json"], { env })
    const { apiKey: key = "", url } = running.announced
    assert.include(running.log(), "faults may be injected into this server")
    assert.strictEqual((await put(url, key, plan({ type: "crash", executed: true }))).status, 200)
    const lost = await ask(running, "/v1/payments", { key, body: payment, under: "order-1" }).then(
      () => "answered",
      () => "lost"
    )
    assert.strictEqual(lost, "lost")
    assert.isNull((await running.stop("SIGKILL")).code, "it was killed, it did not end")

    const next = await start(["serve", "--data-dir", dataDir, "--port", "0", "--json"], { env })
    assert.notInclude(next.log(), "faults")
    for (const method of ["GET", "PUT", "DELETE"]) {
      const answer = await fetch(`${next.announced.url}/ops/chaos`, { method, headers: { authorization: `Bearer ${key}` } })
      assert.strictEqual(answer.status, 404, method)
    }
    await waitFor(async () => {
      const { body } = await ask(next, "/v1/payments", { key, body: payment, under: "order-1" })
      return body["status"] === "succeeded" ? body : undefined
    }, "the charge of the process that crashed")
    const { body } = await ask(next, "/v1/payments", { key })
    assert.lengthOf(body["data"] as ReadonlyArray<unknown>, 1)
    await next.stop("SIGTERM")
  })

  it("--allow-chaos is refused with a real gateway, and the second flag alone too", async () => {
    const config = await configuration({ databaseUrl: "postgres://user:secret@127.0.0.1:1/shop", sandboxUrl: "http://127.0.0.1:1" })
    const stripe = { name: "stripe-eu", kind: "stripe", accountId: "acct_1", secretKey: "env:TEST_STRIPE_KEY" }
    const read = JSON.parse(await readFile(config.file, "utf8")) as { readonly gateways: ReadonlyArray<object> }
    await writeFile(config.file, JSON.stringify({ ...read, gateways: [...read.gateways, stripe] }))
    const env = { ...config.env, TEST_STRIPE_KEY: "sk_test_0123456789abcdef" }
    const refused = await aegispay(["serve", "--allow-chaos", "--config", config.file], { env })
    assert.strictEqual(refused.code, 2)
    assertOneLine(refused, /stripe-eu: not a sandbox/)
    const alone = await aegispay(["serve", "--allow-chaos-at-all-gateways", "--config", config.file], { env })
    assert.strictEqual(alone.code, 2)
    assertOneLine(alone, /needs --allow-chaos/)
  })
})

describe("aegispay sandbox --authorization-validity", () => {
  it("releases what is not captured in time, and says how long that may be", async () => {
    const running = await start(["sandbox", "--accounts", "a", "--authorization-validity", "300ms", "--port", "0", "--json"])
    const made = await Effect.runPromise(sendTo(running.announced.url, chargeCall({ capture: "manual" })))
    assert.strictEqual(made.status, 201)
    const lapsed = await waitFor(async () => {
      const answer = await fetch(`${running.announced.url}/a/ledger`, { headers: { authorization: "Bearer sk_sandbox_a" } })
      const { data } = (await answer.json()) as { readonly data: ReadonlyArray<{ readonly kind: string }> }
      return data.length > 1 ? data : undefined
    }, "the end of the authorization")
    assert.lengthOf(lapsed, 2)
    await running.stop("SIGTERM")
    for (const validity of ["0", "24d", "a week"]) {
      const refused = await aegispay(["sandbox", "--authorization-validity", validity, "--port", "0"])
      assert.strictEqual(refused.code, 2)
      assert.include(refused.stderr, "a duration from 1ms to 23d")
    }
  })
})

describe("aegispay sandbox --chaos", () => {
  it("injects the faults of a file, and refuses a file that is no plan", async () => {
    const folder = await directory()
    const file = join(folder, "plan.json")
    await writeFile(file, JSON.stringify(plan({ type: "server_error", status: 503, executed: false })))
    const running = await start(["sandbox", "--chaos", file, "--port", "0", "--json"])
    assert.nestedPropertyVal(running.announced, "chaos.seed", 1)
    const call = chargeCall()
    const charge = () => Effect.runPromise(Effect.map(sendTo(running.announced.url, call), ({ status }) => status))
    assert.deepStrictEqual([await charge(), await charge()], [503, 201])
    await running.stop("SIGTERM")

    for (const [text, expected] of [
      ["{", /is not valid JSON/],
      ["{}", /seed/],
      [JSON.stringify({ ...plan({ type: "network" }), cascades: [{ from: "a", to: ["z"], inject: { type: "network" } }] }), /gateway "z"/]
    ] as const) {
      await writeFile(file, text)
      const refused = await aegispay(["sandbox", "--chaos", file, "--port", "0"])
      assert.strictEqual(refused.code, 2)
      assertOneLine(refused, expected)
    }
    assertOneLine(await aegispay(["sandbox", "--chaos", join(folder, "nothing.json")]), /cannot be read \(ENOENT\)/)
  })
})
