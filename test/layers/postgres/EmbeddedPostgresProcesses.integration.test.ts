/** The embedded database used by several real processes, some of which are killed. */
import * as PgClient from "@effect/sql-pg/PgClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { spawn } from "node:child_process"
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../../src/layers/postgres/EmbeddedPostgres.ts"
import {
  type Client,
  client,
  databaseDirectory,
  isRoot,
  nobody,
  serverProcesses,
  temporaryDirectory,
  untilGone
} from "../../support/embedded-processes.ts"

/** A client that has started, and whether it runs the server. */
const started = Effect.fnUntraced(function* (dataDir: string, options: Readonly<Record<string, unknown>> = {}) {
  const process = yield* client({ dataDir, durable: false, ...options })
  const message = yield* process.next
  assert.strictEqual(message.event, "started", String(message["message"]))
  return { ...process, owner: message["owner"], port: message["port"] }
})

const stop = (process: Client) => Effect.map(process.ask("stop"), (message) => assert.strictEqual(message.event, "stopped"))

const postmasterPid = (dir: string) => Number(readFileSync(Path.join(dir, "data", "postmaster.pid"), "utf8").split("\n")[0])

/** A port that nobody uses at this moment. */
const freePort = Effect.promise(
  () =>
    new Promise<number>((resolve) => {
      const server = Net.createServer().listen(0, "127.0.0.1", () => {
        const { port } = server.address() as Net.AddressInfo
        server.close(() => resolve(port))
      })
    })
)

/** Kills the server and all its helpers at once, as the machine's power switch does; the lock file stays. */
const killServer = (dir: string) =>
  Effect.gen(function* () {
    const pid = postmasterPid(dir)
    process.kill(pid, "SIGKILL")
    // The sessions of a killed server end by themselves.
    assert.deepStrictEqual(yield* untilGone(dir), [])
    assert.isTrue(existsSync(Path.join(dir, "data", "postmaster.pid")))
    return pid
  })

/** Who runs the server, once the one before has ended: each is asked to write, again while nobody does. */
const ownersAfterwards = Effect.fnUntraced(function* (dir: string, clients: ReadonlyArray<Client>) {
  for (let n = 100; n < 200; n++) {
    const answers = yield* Effect.forEach(clients, (one) => one.ask(`insert ${n}`), { concurrency: clients.length })
    const owners = answers.map((answer) => answer["owner"])
    if (owners.includes(true)) return owners
    yield* Effect.sleep(20)
  }
  return yield* Effect.die(new Error(`Nobody runs the server of ${dir}`))
})

describe("EmbeddedPostgres: several processes on one directory", () => {
  it.live("the second uses the server of the first; when the owner stops, the other carries on as the owner", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const first = yield* started(dir)
      const second = yield* started(dir)
      assert.deepStrictEqual([first.owner, second.owner], [true, false])
      assert.strictEqual(second.port, first.port)
      yield* first.ask("insert 1")
      assert.deepInclude(yield* second.ask("insert 2"), { owner: false })
      yield* stop(first)
      assert.deepInclude(yield* second.ask("insert 3"), { event: "inserted", owner: true, port: first.port })
      const third = yield* started(dir)
      assert.isFalse(third.owner)
      assert.deepInclude(yield* third.ask("numbers"), { numbers: [1, 2, 3] })
      yield* stop(third)
      assert.deepInclude(yield* second.ask("numbers"), { numbers: [1, 2, 3] })
      yield* stop(second)
      assert.deepStrictEqual(serverProcesses(dir), [])
    }).pipe(Effect.scoped)
  )

  it.live("the owner is killed while the others write: one of them takes over, nothing acknowledged is lost", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const owner = yield* started(dir)
      const others = [yield* started(dir), yield* started(dir)]
      yield* owner.ask("insert 1")
      yield* owner.kill("SIGKILL")
      // The dying server may still answer these.
      yield* Effect.forEach(others, (other, index) => other.ask(`insert ${index + 2}`), { concurrency: 2 })
      assert.sameMembers(yield* ownersAfterwards(dir, others), [true, false])
      for (const other of others) {
        const { numbers } = yield* other.ask("numbers")
        assert.includeMembers(numbers as Array<number>, [1, 2, 3])
      }
    }).pipe(Effect.scoped)
  )

  it.live("layerClient: a pool with open connections carries on after the owner was killed", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const owner = yield* started(dir)
      yield* Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const patiently = Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 100 })
        const insert = (n: number) => patiently(sql`INSERT INTO numbers VALUES (${n}) ON CONFLICT DO NOTHING`)
        yield* Effect.forEach([1, 2, 3, 4, 5], insert, { concurrency: 5 })
        yield* owner.kill("SIGKILL")
        yield* Effect.forEach([6, 7, 8, 9], insert, { concurrency: 4 })
        assert.deepStrictEqual(yield* patiently(sql`SELECT count(*)::int AS n FROM numbers`), [{ n: 9 }])
      }).pipe(Effect.provide(EmbeddedPostgres.layerClient({ dataDir: dir, pool: { maxConnections: 5 } })))
      assert.deepStrictEqual(serverProcesses(dir), [])
    }).pipe(Effect.scoped)
  )

  it.live("a client follows the server to another port", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const first = yield* started(dir)
      const second = yield* started(dir)
      yield* stop(first)
      // Whoever starts the server next is told to use another port than the one remembered.
      const third = yield* started(dir, { port: yield* freePort })
      assert.isTrue(third.owner)
      assert.deepInclude(yield* second.ask("insert 1"), { event: "inserted", owner: false, port: third.port })
      assert.notStrictEqual(third.port, first.port)
    }).pipe(Effect.scoped)
  )

  it.live("two make the database at the same moment: there is one, and both use it", () =>
    Effect.gen(function* () {
      const dir = Path.join(yield* temporaryDirectory(), "db")
      const both = yield* Effect.all([started(dir), started(dir)], { concurrency: 2 })
      assert.sameMembers(
        both.map((one) => one.owner),
        [true, false]
      )
      yield* Effect.forEach(both, (one, index) => one.ask(`insert ${index}`))
      for (const one of both) assert.deepInclude(yield* one.ask("numbers"), { numbers: [0, 1] })
      assert.isEmpty(readdirSync(dir).filter((name) => name.startsWith("data.making-")))
    }).pipe(Effect.scoped)
  )
})

/** A first start that was killed while it made the database. One that had made it by then was not killed half way: another is begun. */
const killedHalfWay = Effect.gen(function* () {
  for (let attempt = 0; attempt < 10; attempt++) {
    const dir = Path.join(yield* temporaryDirectory(), "db")
    const parent = yield* client({ dataDir: dir })
    while (!existsSync(dir) || !readdirSync(dir).some((name) => /^data\.making-\d+-[0-9a-f]{8}$/.test(name))) yield* Effect.sleep(2)
    yield* Effect.sleep(100)
    yield* parent.kill("SIGKILL")
    assert.deepStrictEqual(yield* untilGone(dir), [])
    if (!existsSync(Path.join(dir, "data"))) return { dir, parent }
  }
  return assert.fail("none was killed half way")
})

describe("EmbeddedPostgres: kill -9", () => {
  it.live("a killed parent leaves no orphan, and its data is there at the next start", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const parent = yield* started(dir)
      yield* parent.ask("insert 1")
      assert.isAbove(serverProcesses(dir).length, 2)
      yield* parent.kill("SIGKILL")
      assert.deepStrictEqual(yield* untilGone(dir), [])
      assert.isFalse(existsSync(Path.join(dir, "data", "postmaster.pid")), "the server stopped cleanly")
      const next = yield* started(dir)
      assert.deepInclude(yield* next.ask("numbers"), { numbers: [1] })
    }).pipe(Effect.scoped)
  )

  it.live("a parent killed at any moment of its start leaves no orphan, and the next start recovers", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const began = performance.now()
      const first = yield* started(dir)
      const tookMillis = performance.now() - began
      yield* stop(first)
      for (const part of [0.5, 0.7, 0.8, 0.9, 0.95]) {
        const parent = yield* client({ dataDir: dir })
        yield* Effect.sleep(tookMillis * part)
        yield* parent.kill("SIGKILL")
        assert.deepStrictEqual(yield* untilGone(dir), [], `killed after ${part} of the start`)
      }
      const next = yield* started(dir)
      assert.isTrue(next.owner)
    }).pipe(Effect.scoped)
  )

  it.live("a first start killed half way is never taken for a database: the next makes a whole one and clears up", () =>
    Effect.gen(function* () {
      const { dir, parent } = yield* killedHalfWay
      // What may be left of an attempt that was cut off by the power switch.
      const half = Path.join(dir, `data.making-${parent.pid}-00000000`)
      mkdirSync(Path.join(half, "base"), { recursive: true })
      writeFileSync(Path.join(half, "PG_VERSION"), "18\n")
      const next = yield* started(dir)
      assert.deepInclude(yield* next.ask("insert 1"), { event: "inserted", owner: true })
      assert.deepStrictEqual(readdirSync(dir).sort(), ["data", "password", "port", "server.log"])
    }).pipe(Effect.scoped)
  )

  it.live("a killed server is started again by whoever needs it, once its orphaned sessions have gone", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const owner = yield* started(dir)
      const other = yield* started(dir)
      yield* owner.ask("insert 1")
      yield* owner.ask("hang")
      process.kill(postmasterPid(dir), "SIGKILL")
      const answers = yield* Effect.all([owner.ask("insert 2"), other.ask("insert 3")], { concurrency: 2 })
      assert.sameMembers(
        answers.map((answer) => answer["owner"]),
        [true, false]
      )
      assert.deepInclude(yield* owner.ask("numbers"), { numbers: [1, 2, 3] })
    }).pipe(Effect.scoped)
  )

  it.live("a lock left by a killed machine is no obstacle, not even when its process id is another program's now", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const lock = Path.join(dir, "data", "postmaster.pid")
      // Another program of the account that runs the server: what Postgres on its own takes for a running server.
      const sleeper = yield* Effect.acquireRelease(
        Effect.sync(() => spawn("sleep", ["60"], { ...(isRoot ? nobody : {}), cwd: "/", stdio: "ignore" })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      for (const [index, pid] of [undefined, sleeper.pid].entries()) {
        const before = yield* started(dir)
        yield* before.ask(`insert ${index}`)
        process.kill(before.pid, "SIGSTOP")
        const was = yield* killServer(dir)
        if (pid !== undefined) {
          writeFileSync(lock, readFileSync(lock, "utf8").replace(String(was), String(pid)))
        }
        const next = yield* started(dir)
        assert.isTrue(next.owner)
        assert.deepInclude(yield* next.ask("numbers"), { numbers: index === 0 ? [0] : [0, 1] })
        yield* stop(next)
        yield* before.kill("SIGKILL")
      }
      assert.isNull(sleeper.exitCode, "the other program was left alone")
    }).pipe(Effect.scoped)
  )

  it.live("Ctrl-C reaches the program, not its database: it can finish its work", () =>
    Effect.gen(function* () {
      const dir = yield* databaseDirectory
      const program = yield* started(dir)
      process.kill(-program.pid, "SIGINT")
      assert.deepInclude(yield* program.next, { event: "inserted", value: -1 })
      assert.deepInclude(yield* program.next, { event: "stopped" })
      assert.deepStrictEqual(yield* untilGone(dir), [])
    }).pipe(Effect.scoped)
  )
})
