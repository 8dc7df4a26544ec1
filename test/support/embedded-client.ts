/**
 * A small program on an embedded database, for tests that need several processes or kill one.
 *
 * Its argument is the options of `EmbeddedPostgres.start` as JSON. It prints one JSON object per line: `started` or `failed`, then one
 * answer for each line it reads: `insert <number>`, `numbers` (both retried while the database is away), `hang`
 * (leaves a statement running on the server), `stop`. SIGINT makes it insert -1 and stop, as a service would that finishes its work.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Schedule from "effect/Schedule"
import { createInterface } from "node:readline"
import * as EmbeddedPostgres from "../../src/layers/postgres/EmbeddedPostgres.ts"

const say = (message: Readonly<Record<string, unknown>>) => process.stdout.write(`${JSON.stringify(message)}\n`)

/** Lines of stdin; a SIGINT is the line `interrupted`. Listening begins at once. */
const commands = () => {
  const lines = createInterface({ input: process.stdin })
  const iterator = lines[Symbol.asyncIterator]()
  process.once("SIGINT", () => lines.emit("line", "interrupted"))
  return iterator
}

/** While the database is away, for at most 20 seconds. */
const patiently = Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 400 })

const answer = Effect.fnUntraced(function* (line: string, running: EmbeddedPostgres.Running, sql: PgClient.PgClient) {
  const [command, argument] = line.split(" ")
  switch (command) {
    case "insert":
    case "interrupted": {
      const value = command === "insert" ? Number(argument) : -1
      yield* sql`INSERT INTO numbers VALUES (${value}) ON CONFLICT DO NOTHING`.pipe(patiently)
      const { owner, port } = yield* running.current
      return say({ event: "inserted", value, owner, port })
    }
    case "numbers": {
      const rows = yield* sql<{ n: number }>`SELECT n FROM numbers ORDER BY n`.pipe(patiently)
      return say({ event: "numbers", numbers: rows.map((row) => row.n) })
    }
    case "hang": {
      yield* Effect.forkDetach(Effect.ignore(sql`SELECT pg_sleep(60)`))
      while ((yield* sql`SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'`).length === 0) yield* Effect.sleep(10)
      return say({ event: "hanging" })
    }
    default:
      return yield* Effect.die(new Error(`No such command: ${line}`))
  }
})

const program = Effect.gen(function* () {
  const running = yield* EmbeddedPostgres.start(JSON.parse(process.argv[2] ?? "{}"))
  const sql = yield* EmbeddedPostgres.makeClient(running)
  yield* sql`CREATE TABLE IF NOT EXISTS numbers (n int PRIMARY KEY)`.pipe(Effect.retry({ times: 3 }))
  const lines = commands()
  say({ event: "started", owner: running.owner, port: running.port })
  while (true) {
    const line = yield* Effect.promise(() => lines.next())
    if (line.done === true || line.value === "stop") break
    yield* answer(line.value, running, sql)
    if (line.value === "interrupted") break
  }
})

try {
  await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Reactivity.layer)))
  say({ event: "stopped" })
  process.exit(0)
} catch (error) {
  const tag = error instanceof EmbeddedPostgres.EmbeddedPostgresError ? error.reason._tag : "other"
  say({ event: "failed", tag, message: error instanceof Error ? error.message : String(error) })
  process.exit(1)
}
