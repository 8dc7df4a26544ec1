/**
 * What tests of the embedded database need around it: temporary directories, client processes, and a look at the process list.
 */
import { afterAll } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { readdirSync, readlinkSync } from "node:fs"
import { chmod, chown, mkdtemp, realpath, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as EmbeddedPostgres from "../../src/layers/postgres/EmbeddedPostgres.ts"

/** The account `nobody` on the systems the tests run on. */
export const nobody = { uid: 65_534, gid: 65_534 }

export const isRoot = process.getuid?.() === 0

const program = fileURLToPath(new URL("./embedded-client.ts", import.meta.url))

/** A new directory, removed with the scope. `owner` and `mode` are set on it. */
export const temporaryDirectory = (
  options: { readonly owner?: typeof nobody; readonly mode?: number } = {}
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const path = await realpath(await mkdtemp(Path.join(tmpdir(), "aegispay-embedded-")))
      await chmod(path, options.mode ?? 0o755)
      if (options.owner !== undefined) await chown(path, options.owner.uid, options.owner.gid)
      return path
    }),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true, maxRetries: 5 }))
  )

let template: Promise<string> | undefined

const makeTemplate = async () => {
  const path = await mkdtemp(Path.join(tmpdir(), "aegispay-embedded-template-"))
  await chmod(path, 0o755)
  await Effect.runPromise(Effect.scoped(EmbeddedPostgres.start({ dataDir: Path.join(path, "db"), durable: false })))
  return path
}

afterAll(async () => {
  if (template !== undefined) await rm(await template, { recursive: true, force: true })
})

/** The directory of a stopped, empty embedded database: a copy of one made once, which is faster than making it. */
export const databaseDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.tap(temporaryDirectory(), (path) =>
  Effect.promise(async () => {
    template ??= makeTemplate()
    execFileSync("cp", ["-a", Path.join(await template, "db"), path])
    // Each copy finds a port of its own.
    await rm(Path.join(path, "db", "port"))
  })
).pipe(Effect.map((path) => Path.join(path, "db")))

/** The processes whose command line names `text`, this one left out. */
export const processesNaming = (text: string): ReadonlyArray<string> =>
  execFileSync("ps", ["-eo", "pid=,args=", "-ww"], { encoding: "utf8" })
    .split("\n")
    .flatMap((line) => (line.includes(text) && Number.parseInt(line, 10) !== process.pid && !line.includes("ps -eo") ? [line.trim()] : []))

/**
 * The processes of the server of `dir`: those started on it, and on Linux those at work in it, since a session does not name its
 * directory.
 */
export const serverProcesses = (dir: string): ReadonlyArray<string> => [
  ...processesNaming(`-D ${dir}`),
  ...(process.platform === "linux" ? readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && isAtWorkIn(pid, dir)) : [])
]

const isAtWorkIn = (pid: string, dir: string): boolean => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`).startsWith(dir)
  } catch {
    return false
  }
}

/** Waits until `dir` has no server process; answers with those that are left after `millis` of real time. */
export const untilGone = (dir: string, millis = 30_000) =>
  Effect.promise(async () => {
    const until = performance.now() + millis
    while (serverProcesses(dir).length > 0 && performance.now() < until) await pause(20)
    return serverProcesses(dir)
  })

const pause = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** What a client process printed: `event` and its fields. */
export type Message = Readonly<Record<string, unknown>> & { readonly event: string }

export interface Client {
  readonly pid: number
  readonly send: (line: string) => Effect.Effect<void>
  /** The next thing it prints; `{ event: "exit" }` once it has ended. */
  readonly next: Effect.Effect<Message>
  readonly ask: (line: string) => Effect.Effect<Message>
  /** Sends a signal and waits until the process has ended. */
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
}

/** Starts test/support/embedded-client.ts with these options, in a process group of its own; killed with the scope. */
export const client = (
  options: Readonly<Record<string, unknown>>,
  account: { readonly uid?: number; readonly gid?: number } = {}
): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--no-warnings", program, JSON.stringify(options)], {
          ...account,
          cwd: "/",
          detached: true,
          stdio: ["pipe", "pipe", "inherit"]
        })
      ),
      (child) => Effect.promise(() => end(child, "SIGKILL"))
    ),
    talk
  )

const talk = (child: ChildProcess): Client => {
  const arrived: Array<Message> = []
  const waiting: Array<(message: Message) => void> = []
  let rest = ""
  const deliver = (message: Message) => {
    const first = waiting.shift()
    if (first === undefined) arrived.push(message)
    else first(message)
  }
  child.stdout?.on("data", (chunk) => {
    const lines = (rest + String(chunk)).split("\n")
    rest = lines.pop() ?? ""
    for (const line of lines) deliver(JSON.parse(line))
  })
  child.once("close", () => deliver({ event: "exit" }))
  child.stdin?.on("error", () => {})
  const send = (line: string) => Effect.sync(() => child.stdin?.write(`${line}\n`)).pipe(Effect.asVoid)
  const next = Effect.promise(() => {
    const first = arrived.shift()
    return first === undefined ? new Promise<Message>((resolve) => waiting.push(resolve)) : Promise.resolve(first)
  })
  return {
    pid: child.pid ?? 0,
    send,
    next,
    ask: (line) => Effect.andThen(send(line), next),
    kill: (signal) => Effect.promise(() => end(child, signal))
  }
}

const end = (child: ChildProcess, signal: NodeJS.Signals): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill(signal)
  })
