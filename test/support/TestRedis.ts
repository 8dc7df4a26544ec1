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
import { spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { createServer, type AddressInfo, connect } from "node:net"
import { tmpdir } from "node:os"
import * as Watched from "../../src/layers/postgres/embedded/Watched.ts"
import * as Commands from "../../src/layers/redis/Commands.ts"

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

const launch = Effect.fnUntraced(function* ({
  args = [],
  port: wanted
}: {
  readonly args?: ReadonlyArray<string>
  readonly port?: number
}) {
  const port = wanted ?? (yield* freePort)
  const watched = Watched.start({
    account: { name: "own", ids: {}, prefix: [], owner: undefined },
    // prettier-ignore
    command: [program, "--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no", "--dir", tmpdir(), ...args],
    env: { PATH: process.env["PATH"] ?? Watched.environment.PATH }
  })
  Watched.unref(watched)
  const kill = (signal: NodeJS.Signals) => {
    const pid = watched.pid()
    if (pid !== undefined && !watched.hasExited()) process.kill(pid, signal)
  }
  const stop = Effect.promise(() => {
    // One that is paused hears nothing but this.
    kill("SIGKILL")
    watched.stop()
    return watched.exit
  }).pipe(Effect.asVoid)
  const listening = Effect.suspend(() =>
    watched.hasExited() || !watched.output().includes("Ready to accept connections")
      ? Effect.fail(new Error(`${program} does not listen: ${watched.output()}`))
      : accepts(port)
  )
  yield* listening.pipe(
    Effect.retry({ schedule: Schedule.spaced("10 millis"), times: 1_000, while: () => !watched.hasExited() }),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()),
    Effect.tapError(() => stop)
  )
  return {
    url: Redacted.make(`redis://127.0.0.1:${port}`),
    port,
    pause: () => kill("SIGSTOP"),
    resume: () => kill("SIGCONT"),
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
  Effect.callback<void, Error>((resume) => {
    const socket = connect({ host: "127.0.0.1", port })
    socket.once("connect", () => resume(Effect.void)).once("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.asVoid)

/** Commands on a server of this machine or the named one, under a prefix nobody else has. They live in real time under a TestClock. */
export const layer: Layer.Layer<Commands.Commands | Redis.Redis> = Layer.unwrap(
  Effect.gen(function* () {
    const url = given === undefined ? (yield* start()).url : Redacted.make(given)
    return Commands.layerConnected({ url, prefix: `aegispay-test-${randomUUID()}:` })
  })
).pipe(Layer.provide(Layer.succeed(Clock.Clock, Clock.Clock.defaultValue())), Layer.orDie)
