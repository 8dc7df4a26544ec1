/**
 * Makes the data of a new embedded database.
 *
 * It is made under another name, complete with role, password and database, and then renamed: data that exists is whole, and of two
 * processes that make it at the same time one wins. The password reaches Postgres through the stdin of its single-user mode,
 * never through an argument, a file or a log. Access is by password over loopback only.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { Account } from "./Account.ts"
import type { Binaries } from "./Binaries.ts"
import { io, type Layout, makingPrefix, remove, roleName } from "./DataDirectory.ts"
import { because, type EmbeddedPostgresError, InitFailed } from "./EmbeddedPostgresError.ts"
import * as Watched from "./Watched.ts"

/**
 * Makes the data: cluster, access rules, password and database, renamed into place when whole. Does nothing when another process
 * was faster. With `durable: false` the files are not forced to disk first (for tests; the server itself always is durable).
 * Fails with `InitFailed` or `DirectoryNotWritable`.
 */
export const make = Effect.fnUntraced(function* (options: {
  readonly layout: Layout
  readonly binaries: Binaries
  readonly account: Account
  readonly password: Redacted.Redacted
  readonly durable: boolean
}): Effect.fn.Return<void, EmbeddedPostgresError> {
  const { account, binaries, layout } = options
  const making = Path.join(layout.root, `${makingPrefix}${process.pid}-${randomBytes(4).toString("hex")}`)
  const initdb = (step: string, flags: ReadonlyArray<string>) =>
    Effect.flatMap(Watched.run({ account, command: [binaries.initdb, "-D", making, ...flags] }), (result) =>
      result.code === 0 ? Effect.void : failed(layout, step, result.output)
    )
  yield* Effect.gen(function* () {
    yield* io("create", making, async () => {
      await Fs.mkdir(making, { mode: 0o700 })
      if (account.owner !== undefined) await Fs.chown(making, account.owner.uid, account.owner.gid)
    })
    yield* initdb("initdb", [...["-U", roleName, "--auth=reject", "--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync"]])
    yield* io("write", making, () =>
      // initdb made this file for the server's account; writing keeps its owner.
      Fs.writeFile(Path.join(making, "pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n")
    )
    yield* createRoleAndDatabase({ ...options, making })
    if (options.durable) yield* initdb("initdb --sync-only", ["--sync-only"])
    yield* io("rename into place", layout.data, async () => {
      await Fs.rename(making, layout.data).catch((error: NodeJS.ErrnoException) => {
        // Another process made it meanwhile.
        if (error.code !== "ENOTEMPTY" && error.code !== "EEXIST") throw error
      })
      const directory = await Fs.open(layout.root, "r")
      await directory.sync().finally(() => directory.close())
    })
  }).pipe(Effect.ensuring(Effect.promise(() => remove(making))))
})

/** Single-user mode needs no password and no port, and ends with its stdin. */
const createRoleAndDatabase = (options: {
  readonly layout: Layout
  readonly binaries: Binaries
  readonly account: Account
  readonly password: Redacted.Redacted
  readonly making: string
}): Effect.Effect<void, EmbeddedPostgresError> =>
  Effect.callback((resume) => {
    const settings = ["fsync=off", "log_min_messages=log", "log_checkpoints=off", "log_min_error_statement=panic"]
    const command = [
      ...options.account.prefix,
      ...[options.binaries.postgres, "--single", "-j", "-D", options.making],
      ...settings.flatMap((setting) => ["-c", setting]),
      "postgres"
    ]
    const child = spawn(command[0] ?? "", command.slice(1), {
      ...options.account.ids,
      env: Watched.environment,
      cwd: "/",
      detached: true,
      stdio: ["pipe", "ignore", "pipe"]
    })
    let output = ""
    const done = (code: number | null) =>
      resume(code === 0 && !/ERROR|FATAL|PANIC/.test(output) ? Effect.void : failed(options.layout, "Creating role and database", output))
    child.stderr.on("data", (chunk) => {
      output = (output + String(chunk)).slice(-8192)
    })
    child.once("error", (error) => {
      output += error.message
      done(1)
    })
    child.once("close", done)
    child.stdin.on("error", () => {})
    // The password is base64url: it needs no quoting.
    child.stdin.end(
      `ALTER ROLE ${roleName} PASSWORD '${Redacted.value(options.password)}';\n\nCREATE DATABASE ${roleName} TEMPLATE template0;\n\n`
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const failed = (layout: Layout, step: string, output: string) =>
  Effect.fail(because(new InitFailed({ dataDir: layout.root, step, output: output.slice(-2000) })))
