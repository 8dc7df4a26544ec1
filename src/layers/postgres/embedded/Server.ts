/**
 * One attempt to start the Postgres server of a data directory, and the settings it runs with.
 *
 * Postgres' own lock decides between processes that start it at the same time: the loser's attempt ends with `LostRace`. After a
 * server was killed its orphaned sessions still hold the shared memory for a moment: `StillInUse`, try again. When the lock names
 * a process that is no server, Postgres is told to ignore that id (`PG_GRANDPARENT_PID`) instead of removing the lock, so its
 * check for orphaned sessions stays in force.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fs from "node:fs/promises"
import * as Net from "node:net"
import type { Account } from "./Account.ts"
import type { Binaries } from "./Binaries.ts"
import { giveToOwner, io, type Layout, orUndefined } from "./DataDirectory.ts"
import { because, type EmbeddedPostgresError, StartFailed } from "./EmbeddedPostgresError.ts"
import * as Postmaster from "./Postmaster.ts"
import * as Watched from "./Watched.ts"

/** Loopback only; no Unix socket. */
export const host = "127.0.0.1"

/** Bytes. The log is emptied when it is found larger: at each start and once a minute by the owner. */
const logLimit = 1024 * 1024

/** `listen_addresses` and the port come with the command. Small memory: a payment database's hot part is its recent rows. */
const settings: Readonly<Record<string, string>> = {
  listen_addresses: host,
  unix_socket_directories: "",
  fsync: "on",
  synchronous_commit: "on",
  full_page_writes: "on",
  max_connections: "50",
  shared_buffers: "64MB",
  timezone: "UTC",
  log_timezone: "UTC",
  // No statement and no value ever reaches the log; errors are the client's to report.
  log_min_messages: "log",
  log_min_error_statement: "panic",
  log_checkpoints: "off",
  log_autovacuum_min_duration: "-1",
  // Fewer helper processes: none of these is of use to a local database.
  io_method: "sync",
  max_logical_replication_workers: "0"
}

/** A server started by this process. */
export interface Server {
  readonly pid: number
  readonly port: number
  readonly hasExited: () => boolean
  /** Stops it (fast shutdown) and waits until it has ended. */
  readonly stop: Effect.Effect<void>
}

/** How an attempt ended, when not with `StartFailed`. */
export type Attempt =
  | { readonly _tag: "Started"; readonly server: Server }
  | { readonly _tag: "LostRace" }
  | { readonly _tag: "StillInUse" }
  | { readonly _tag: "PortTaken" }

interface StartOptions {
  readonly layout: Layout
  readonly binaries: Binaries
  readonly account: Account
  readonly port: number
  /** The process that the lock names although it is no server. */
  readonly mistakenPid: number | undefined
}

/** Starts the server and waits until it accepts connections. Failure and interruption leave no process behind. */
export const start = (options: StartOptions): Effect.Effect<Attempt, EmbeddedPostgresError> =>
  Effect.acquireUseRelease(
    openLog(options.layout),
    (log) => attempt(options, log),
    (log) => Effect.promise(() => log.file.close())
  )

const attempt = (options: StartOptions, log: Log) =>
  Effect.suspend(() => {
    const { account, binaries, layout, port } = options
    const watched = Watched.start({
      account,
      command: [binaries.postgres, "-D", layout.data, "-p", String(port), ...settingArguments],
      logFile: log.file.fd,
      env: options.mistakenPid === undefined ? {} : { PG_GRANDPARENT_PID: String(options.mistakenPid) }
    })
    Watched.unref(watched)
    const stop = Effect.promise(() => {
      watched.stop()
      return watched.exit
    })
    const ready = Effect.gen(function* () {
      while (!watched.hasExited()) {
        const state = yield* Postmaster.inspect(layout.data)
        if (state._tag === "Ready" && state.pid === watched.pid()) {
          return started({ pid: state.pid, port, hasExited: watched.hasExited, stop: Effect.asVoid(stop) })
        }
        yield* Effect.sleep(10)
      }
      return yield* ended(layout, log.size)
    })
    return Effect.onExit(ready, (exit) => (Exit.isSuccess(exit) ? Effect.void : stop))
  })

interface Log {
  readonly file: Fs.FileHandle
  /** Bytes it held before the attempt. */
  readonly size: number
}

const started = (server: Server): Attempt => ({ _tag: "Started", server })

const settingArguments = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])

const openLog = (layout: Layout): Effect.Effect<Log, EmbeddedPostgresError> =>
  io("write", layout.log, async () => {
    const file = await Fs.open(layout.log, "a", 0o600)
    let { size } = await file.stat()
    if (size > logLimit) {
      await file.truncate(0)
      size = 0
    }
    await giveToOwner(layout, layout.log)
    return { file, size }
  })

/** Empties the log when it is larger than its limit. The server appends, so its next line goes to the beginning. */
export const boundLog = (layout: Layout): Effect.Effect<void> =>
  Effect.promise(async () => {
    const stat = await Fs.stat(layout.log).catch(() => undefined)
    if (stat !== undefined && stat.size > logLimit) await Fs.truncate(layout.log, 0).catch(() => {})
  })

const ended = Effect.fnUntraced(function* (layout: Layout, from: number): Effect.fn.Return<Attempt, EmbeddedPostgresError> {
  const said = yield* io("read", layout.log, () => Fs.readFile(layout.log))
  const log = said.subarray(from).toString("utf8")
  if (log.includes('"postmaster.pid" already exists')) return { _tag: "LostRace" }
  if (log.includes("is still in use")) return { _tag: "StillInUse" }
  if (log.includes("could not bind") || log.includes("could not create any TCP/IP sockets")) return { _tag: "PortTaken" }
  return yield* because(new StartFailed({ dataDir: layout.root, logFile: layout.log, log: log.slice(-2000) }))
})

/** The port used last time while it is free, else one the system offers. */
export const choosePort = Effect.fnUntraced(function* (layout: Layout): Effect.fn.Return<number, EmbeddedPostgresError> {
  const text = yield* io("read", layout.port, () => Fs.readFile(layout.port, "utf8").catch(orUndefined("ENOENT")))
  const recorded = Number(text)
  if (Number.isSafeInteger(recorded) && recorded > 0 && recorded < 65_536) {
    const free = yield* offeredPort(recorded)
    if (free !== undefined) return free
  }
  return (yield* offeredPort(0)) ?? 0
})

/** Remembers the port for the next start. */
export const recordPort = (layout: Layout, port: number): Effect.Effect<void, EmbeddedPostgresError> =>
  io("write", layout.port, async () => {
    await Fs.writeFile(layout.port, `${port}\n`, { mode: 0o600 })
    await giveToOwner(layout, layout.port)
  })

/** Whether a port is free (0: any), by taking it for a moment. */
const offeredPort = (port: number): Effect.Effect<number | undefined> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(undefined)))
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address()
      server.close(() => resume(Effect.succeed(typeof address === "object" ? address?.port : undefined)))
    })
  })
