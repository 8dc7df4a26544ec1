/**
 * Crash points in real processes: `aegispay serve` ends with SIGKILL at a point, `aegispay recover` finishes the payment, and the ledger
 * of the sandbox, a process of its own, has one charge.
 */
import { assert, describe, it } from "@effect/vitest"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Effect, Layer, Redacted } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import type { Point } from "../../src/services/CrashPoint.ts"
import { aegispay, apiKey, configuration, request, start } from "../edges/cli/aegispay.ts"
import * as TestDatabase from "../support/TestDatabase.ts"

const program = fileURLToPath(new URL("./killedAt.ts", import.meta.url))

interface Entry {
  readonly kind: string
  readonly payment: string
  readonly amount: number
}

/** Serves until the process ends itself; the request that made it do so is never answered. */
const chargeUntilKilled = async (point: Point, file: string, env: Readonly<Record<string, string>>) => {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith("AEGISPAY_"))
  const child = spawn(process.execPath, ["--no-warnings", program, "serve", "--config", file, "--json"], {
    env: { ...Object.fromEntries(plain), ...env, AEGISPAY_CRASH_AT: point },
    stdio: ["ignore", "pipe", "inherit"]
  })
  const ended = once(child, "close")
  try {
    const [line] = (await Promise.race([once(child.stdout, "data"), ended.then(() => Promise.reject(new Error("it did not start")))])) as [
      Buffer
    ]
    const { url } = JSON.parse(String(line)) as { readonly url: string }
    const answered = await fetch(`${url}/v1/payments`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json", "idempotency-key": point },
      body: JSON.stringify(request())
    }).then(
      () => true,
      () => false
    )
    assert.isFalse(answered)
    const [, signal] = (await ended) as [number | null, string | null]
    assert.strictEqual(signal, "SIGKILL")
  } finally {
    child.kill("SIGKILL")
  }
}

describe("a server that is killed at", () => {
  const points: ReadonlyArray<Point> = ["charge/after-intent", "operation/before-call", "operation/after-call"]
  it.live(
    points.join(", "),
    () =>
      Effect.gen(function* () {
        const databaseUrl = Redacted.value(yield* TestDatabase.fresh)
        yield* Effect.provide(Migrations.run, Layer.orDie(PgClient.layer({ url: Redacted.make(databaseUrl) })))
        const sandbox = yield* Effect.acquireRelease(
          Effect.promise(() => start(["sandbox", "--port", "0", "--accounts", "a", "--json"])),
          (running) => Effect.promise(() => running.stop("SIGTERM"))
        )
        const sandboxUrl = sandbox.announced.url
        yield* Effect.promise(async () => {
          // A server that recovers at its start and is killed meanwhile keeps the lease of an earlier payment for a minute.
          const { env, file } = await configuration({ databaseUrl, sandboxUrl, extra: { recovery: { onStart: false } } })
          for (const point of points) await chargeUntilKilled(point, file, env)
          const recovered = await aegispay(["recover", "--config", file, "--older-than", "0", "--json"], { env })
          assert.strictEqual(recovered.code, 0, recovered.stderr)
          assert.deepStrictEqual(JSON.parse(recovered.stdout).results, { succeeded: points.length })
          const again = await aegispay(["recover", "--config", file, "--older-than", "0", "--json"], { env })
          assert.strictEqual(JSON.parse(again.stdout).scanned, 0)
          const response = await fetch(`${sandboxUrl}/a/ledger`, { headers: { authorization: "Bearer sk_sandbox_a" } })
          const { data } = (await response.json()) as { readonly data: ReadonlyArray<Entry> }
          assert.deepStrictEqual(
            data.map(({ amount, kind }) => [kind, amount]),
            points.map(() => ["charge", 4990])
          )
          assert.lengthOf(new Set(data.map(({ payment }) => payment)), points.length)
        })
      }).pipe(Effect.scoped),
    { timeout: 120_000 }
  )
})
