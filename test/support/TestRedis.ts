/**
 * A real Redis for a test: empty, ended with the test's scope, however that or the test run ends.
 *
 * The server is the `redis-server` of the machine, on a free port of the loopback interface, without a file on disk; each layer and each
 * `start` has one of its own. `AEGISPAY_TEST_REDIS_URL` names a server to use in its place: its keys get a prefix of their own, and tests
 * that stop or pause a server start one all the same where the machine has it.
 *
 * Where there is neither, `suites` leaves the tests out and says so in one line.
 *
 * ```ts
 * TestRedis.suites("Lock: redis", () => suite("redis", Lock.layer.pipe(Layer.provide(TestRedis.layer))))
 * ```
 */
import { describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redis from "effect/persistence/Redis"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { spawn, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { createServer, type AddressInfo, connect } from "node:net"
import { tmpdir } from "node:os"
import * as Commands from "../../src/layers/redis/Commands.ts"
import type { Reconnect } from "../../src/layers/redis/Connection.ts"

const urlVariable = "AEGISPAY_TEST_REDIS_URL"
const program = "redis-server"

const given = process.env[urlVariable] === "" ? undefined : process.env[urlVariable]
const hasProgram = spawnSync(program, ["--version"], { stdio: "ignore" }).status === 0

/** Suites that need a server; `own`: one that they may stop, which the named one is not. */
export const suites = (name: string, define: () => void, options: { readonly own?: boolean } = {}): void => {
  const missing = !hasProgram && (options.own === true || given === undefined)
  if (missing) process.stderr.write(`${name}: skipped, there is no ${program} on this machine (or name a server in ${urlVariable})\n`)
  describe.skipIf(missing)(name, define)
}

/** A running server. */
export interface RunningRedis {
  readonly url: Redacted.Redacted
  readonly port: number
  /** The server stops answering and keeps its connections. */
  readonly pause: () => void
  readonly resume: () => void
  /** Ends the server; everything in it is lost. */
  readonly stop: Effect.Effect<void>
}

/** Starts a server of its own, with further arguments for `redis-server`; at `port` if given, else at a free one. */
export const start = (
  options: { readonly args?: ReadonlyArray<string>; readonly port?: number } = {}
): Effect.Effect<RunningRedis, never, Scope.Scope> =>
  Effect.acquireRelease(
    // Between finding a free port and binding it somebody else may take it.
    Effect.retry(launch(options), { times: 5 }).pipe(Effect.orDie),
    ({ stop }) => stop
  )

/**
 * Runs the server and prints its process id. When this process dies, even by SIGKILL, its end of the pipe closes and the server is killed,
 * paused or not: it has nothing to lose.
 */
const script = `exec 3<&0 </dev/null
"$@" 1>&2 3<&- &
P=$!
(read -r _ <&3; kill -KILL $P) >/dev/null 2>&1 &
echo $P
exec 3<&-
wait $P`

const launch = Effect.fnUntraced(function* ({
  args = [],
  port: wanted
}: {
  readonly args?: ReadonlyArray<string>
  readonly port?: number
}) {
  const port = wanted ?? (yield* freePort)
  // prettier-ignore
  const command = [program, "--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no", "--dir", tmpdir(), ...args]
  const child = spawn("/bin/sh", ["-c", script, "redis", ...command], { stdio: ["pipe", "pipe", "pipe"] })
  let said = ""
  let pid = 0
  let hasExited = false
  child.stdout.on("data", (chunk) => (pid = Number(chunk)))
  child.stderr.on("data", (chunk) => (said += String(chunk)))
  child.stdin.on("error", () => {})
  const exit = new Promise<void>((resolve) => {
    child.once("error", resolve).once("close", () => {
      hasExited = true
      resolve()
    })
  })
  const signal = (name: NodeJS.Signals) => pid > 0 && !hasExited && process.kill(pid, name)
  const stop = Effect.promise(() => {
    child.stdin.end()
    return exit
  })
  // Somebody else's server may be listening there.
  const listening = Effect.suspend(() =>
    said.includes("Ready to accept connections") ? accepts(port) : Effect.fail(`${program} does not listen: ${said}`)
  )
  yield* listening.pipe(
    Effect.retry({ schedule: Schedule.spaced("10 millis"), times: 1_000, while: () => !hasExited }),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()),
    Effect.tapError(() => stop)
  )
  return {
    url: Redacted.make(`redis://127.0.0.1:${port}`),
    port,
    pause: () => signal("SIGSTOP"),
    resume: () => signal("SIGCONT"),
    stop
  } satisfies RunningRedis
})

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

const accepts = (port: number) =>
  Effect.callback<void, string>((resume) => {
    const socket = connect({ host: "127.0.0.1", port })
    const close = Effect.sync(() => void socket.destroy())
    socket.once("connect", () => resume(close)).once("error", (error) => resume(Effect.fail(error.message)))
    return close
  })

/** A busy machine takes its time for what a test asks at once. */
const commandTimeoutMillis = 30_000

const clear = Commands.script<null>("clear", "for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do redis.call('DEL', key) end")

/** Commands on a server of this machine, or on the named one under a prefix that nobody else has. They live in real time under a TestClock. */
export const layer: Layer.Layer<Commands.Commands | Redis.Redis | Reconnect> = Layer.unwrap(
  Effect.gen(function* () {
    if (given === undefined) return Commands.layerConnected({ url: (yield* start()).url, commandTimeoutMillis })
    const prefix = `aegispay-test-${randomUUID()}:`
    const removed = Effect.gen(function* () {
      const commands = yield* Commands.Commands
      yield* Effect.addFinalizer(() => Effect.ignore(commands.run(clear, { keys: [], args: [prefix] })))
    })
    return Layer.provideMerge(
      Layer.effectDiscard(removed),
      Commands.layerConnected({ url: Redacted.make(given), prefix, commandTimeoutMillis })
    )
  })
).pipe(Layer.provide(Layer.succeed(Clock.Clock, Clock.Clock.defaultValue())), Layer.orDie)
