/**
 * `aegispay` without a configuration: what a newcomer meets, and several processes on one data directory.
 */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { statSync } from "node:fs"
import { join } from "node:path"
import { aegispay, ask, assertOneLine, directory, ownSandbox, request, sandboxOf, start, waitFor } from "./aegispay.ts"

interface Paid {
  readonly id: string
  readonly status: string
  readonly gateway: string
}

describe("aegispay serve without a configuration", () => {
  it("prints a curl line that pays when pasted, and shares its directory with other processes, however one of them ends", async () => {
    const folder = await directory()
    const dataDir = join(folder, "data")
    const env = await ownSandbox()
    const first = await start(["serve", "--port", "0", "--data-dir", dataDir], { env })
    const url = /listening on (http:\S+)/.exec(first.stdout)?.[1] ?? ""
    const key = /API key +(\S+)/.exec(first.stdout)?.[1] ?? ""
    const curl = /^curl .*$/m.exec(first.stdout)?.[0] ?? ""
    const paste = () => JSON.parse(execFileSync("/bin/sh", ["-c", curl], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })) as Paid
    const paid = paste()
    assert.include(paid, { status: "succeeded", gateway: "sandbox-a" })
    assert.deepStrictEqual(paste(), paid)
    assert.strictEqual(statSync(join(dataDir, "api.key")).mode & 0o777, 0o600)
    assert.strictEqual(statSync(join(dataDir, "fingerprint.key")).mode & 0o777, 0o600)

    const ledger = / (curl .*\/ledger)$/m.exec(first.stdout)?.[1] ?? ""
    const entries = JSON.parse(execFileSync("/bin/sh", ["-c", ledger], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })) as {
      data: []
    }
    assert.lengthOf(entries.data, 1)

    const beside = ["--data-dir", dataDir, "--json"]
    const payArgs = ["pay", "--amount", "100", "--currency", "EUR", "--token", "tok_success", "--key", "from-cli", ...beside]
    const [pay, recover, got] = await Promise.all([
      aegispay(payArgs, { env }),
      aegispay(["recover", "--older-than", "0", ...beside], { env }),
      aegispay(["payment", "get", paid.id, ...beside], { env })
    ])
    assert.deepStrictEqual([pay.code, recover.code, got.code], [0, 0, 0], pay.stderr + recover.stderr + got.stderr)
    assert.deepStrictEqual(JSON.parse(got.stdout), paid)

    const second = await start(["serve", "--port", "0", ...beside], { env })
    assert.notStrictEqual(second.announced.url, url)
    const fromCli = JSON.parse(pay.stdout) as { id: string }
    assert.include((await ask(second, `/v1/payments/${fromCli.id}`, { key })).body, { id: fromCli.id, status: "succeeded" })

    const { port } = new URL(url)
    const third = await aegispay(["serve", "--data-dir", dataDir], { env: { ...env, AEGISPAY_HTTP_PORT: port } })
    assert.strictEqual(third.code, 2)
    assertOneLine(third, new RegExp(`port ${port} on 127.0.0.1 is in use.*--port`))

    await first.stop("SIGKILL")
    // A charge that no gateway takes has failed for good: the sandbox has to be there again.
    await sandboxOf(second)
    const after = await waitFor(async () => {
      const answer = await ask(second, "/v1/payments", { key, body: request(), under: "after-the-kill" })
      return answer.status === 201 ? answer : undefined
    }, "a payment at the survivor")
    assert.include(after.body, { status: "succeeded" })
    assert.strictEqual((await ask(second, `/v1/payments/${paid.id}`, { key })).status, 200)

    const stopped = await second.stop("SIGTERM")
    assert.strictEqual(stopped.code, 0, stopped.stderr)
    const listed = await aegispay(["payment", "list", ...beside], { env })
    assert.lengthOf((JSON.parse(listed.stdout) as { data: [] }).data, 3)
  })
})
