/**
 * pgbench, the load generator that comes with Postgres: what the server can do for somebody who spends nothing on anything else.
 */
import * as Effect from "effect/Effect"
import { execFile, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Tables from "../peers/Tables.ts"

/** A form of writing payments. `payments`: by one run of its script. */
export interface Form {
  readonly name: string
  readonly payments: number
  readonly script: string
}

const data = `'${Tables.data}'`
const single = Tables.statementsOf("lpad(to_hex(:number::bigint), 32, '0')::uuid", "('order-' || :number::bigint)", data)
const hundred = Tables.hundredOf(":number::bigint", data)

/** Numbers of payments: a run's own thousand billions, in them a client's own billion, rising. */
const numbered = (payments: number) =>
  `\\set count :count + ${payments}\n\\set number :run * 1000000000000 + :client_id * 1000000000 + :count\n`

const joined = (statements: ReadonlyArray<string>) => statements.map((statement) => `${statement.replaceAll(/\s+/g, " ")};\n`).join("")

/** The forms, from the plainest to the most that a server can do. */
export const forms = {
  statements: {
    name: "statement by statement",
    payments: 1,
    script: `${numbered(1)}${joined(["begin", ...single.intent, "commit", "begin", ...single.outcome, "commit"])}`
  },
  cte: { name: "one CTE per transaction", payments: 1, script: `${numbered(1)}${joined([single.intentAtOnce, single.outcomeAtOnce])}` },
  hundred: { name: "100 payments per statement", payments: 100, script: `${numbered(100)}${joined([hundred.intent, hundred.outcome])}` }
} as const satisfies Readonly<Record<string, Form>>

const program = "pgbench"

/** Where the program is called `pgbench` and runs. */
export const isInstalled = (): boolean => spawnSync(program, ["--version"]).status === 0

let runs = 0

/** How often the time is doubled where not one transaction ended in it: on a machine that is busy with other things. */
const maxTries = 4

/** Payments per second of one run; whole seconds, at least one. A run that fails is a defect. */
export const run = (url: URL, form: Form, options: { readonly clients: number; readonly seconds: number }): Effect.Effect<number> =>
  Effect.gen(function* () {
    for (let tries = 0; tries < maxTries; tries++) {
      const perSecond = yield* once(url, form, { ...options, seconds: Math.max(1, options.seconds) * 2 ** tries })
      if (perSecond > 0) return perSecond * form.payments
    }
    return yield* Effect.die(new Error("pgbench: no transaction ended"))
  })

const once = (url: URL, form: Form, options: { readonly clients: number; readonly seconds: number }): Effect.Effect<number> =>
  Effect.callback<number>((resume) => {
    const directory = mkdtempSync(join(tmpdir(), "aegispay-bench-"))
    const script = join(directory, "payment.sql")
    writeFileSync(script, form.script)
    runs++
    const seconds = Math.max(1, Math.round(options.seconds))
    // prettier-ignore
    const args = [
      "--no-vacuum", "--protocol=prepared", `--client=${options.clients}`, `--jobs=${Math.min(2, options.clients)}`, `--time=${seconds}`,
      `--define=run=${runs}`, "--define=count=0", `--file=${script}`, `--host=${url.hostname}`, `--port=${url.port || "5432"}`,
      `--username=${decodeURIComponent(url.username)}`, url.pathname.slice(1)
    ]
    // The password is handed over where other users' `ps` does not show it.
    const env = { ...process.env, PGPASSWORD: decodeURIComponent(url.password) }
    const child = execFile(program, args, { env }, (error, stdout, stderr) => {
      rmSync(directory, { recursive: true, force: true })
      const processed = Number(/^number of transactions actually processed: (\d+)/m.exec(stdout)?.[1])
      const perSecond = processed === 0 ? 0 : Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1])
      resume(
        error === null && perSecond >= 0
          ? Effect.succeed(perSecond)
          : Effect.die(new Error(`pgbench failed: ${error?.message ?? ""}\n${stderr}\n${stdout}`))
      )
    })
    return Effect.sync(() => child.kill("SIGTERM"))
  })
