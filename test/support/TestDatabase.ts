/**
 * A fresh Postgres database for a test suite or a benchmark.
 *
 * Every build of a layer creates its own uniquely named, empty database (from `template0`) and drops it when its scope closes, so
 * suites never see each other: provide migrations on top. The server is the one of `AEGISPAY_TEST_DATABASE_URL`, whose role must
 * be allowed to create databases; a test run without it starts one embedded server for all its files (globalSetup.ts); a
 * program outside of a test run, such as a benchmark, gets an embedded server of its own. Nothing stays behind.
 *
 * A test that stops or kills its server must not use this one: give it an `EmbeddedPostgres` of its own.
 *
 * ```ts
 * layer(TestDatabase.layer)("EventStore", (it) => { it.effect("...", () => ...) })
 * ```
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as SqlClient from "effect/sql/SqlClient"
import { randomUUID } from "node:crypto"
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { isAlive } from "../../src/layers/postgres/embedded/Postmaster.ts"
import * as EmbeddedPostgres from "../../src/layers/postgres/EmbeddedPostgres.ts"

/** The variable that names the server to use; set by the user or, for the time of a test run, by globalSetup.ts. */
export const urlVariable = "AEGISPAY_TEST_DATABASE_URL"

/** Pool settings a test may choose; everything about the server is decided here. */
export type PoolOptions = Pick<PgClient.PgPoolConfig, "maxConnections" | "minConnections" | "multiplex" | "applicationName" | "prepare">

/** The URL of the server's maintenance database; starts a server for this scope when none is named. */
export const server: Effect.Effect<Redacted.Redacted, never, Scope.Scope> = Effect.suspend(() => {
  const url = process.env[urlVariable]
  return url !== undefined && url !== "" ? Effect.succeed(Redacted.make(url)) : ownServer
})

const ownServer = Effect.acquireRelease(
  Effect.promise(async () => {
    await sweep()
    const directory = await mkdtemp(Path.join(tmpdir(), `${prefix}${process.pid}-`))
    // Root's server runs as another account, which must be able to enter.
    await chmod(directory, 0o711)
    return directory
  }),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
).pipe(
  Effect.flatMap((directory) => EmbeddedPostgres.start({ dataDir: Path.join(directory, "db"), durable: false })),
  Effect.map((running) => running.url),
  Effect.orDie
)

const prefix = "aegispay-test-"

/** Removes the directories of programs that were killed before they could: the name holds the id of their process. */
const sweep = async () => {
  for (const name of await readdir(tmpdir())) {
    const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]
    if (pid === undefined || isAlive(Number(pid))) continue
    await rm(Path.join(tmpdir(), name), { recursive: true, force: true }).catch(() => {})
  }
}

/** The URL of a fresh, empty database that is dropped when the scope closes: for tests that start child processes. */
export const fresh: Effect.Effect<Redacted.Redacted, never, Scope.Scope> = Effect.gen(function* () {
  const maintenance = yield* server
  const name = `aegispay_test_${randomUUID().replaceAll("-", "")}`
  yield* Effect.acquireRelease(administer(maintenance, `CREATE DATABASE ${name} TEMPLATE template0`), () =>
    administer(maintenance, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
  )
  const url = new URL(Redacted.value(maintenance))
  url.pathname = `/${name}`
  return Redacted.make(url.toString())
})

const administer = (url: Redacted.Redacted, statement: string) =>
  Effect.scoped(Effect.flatMap(PgClient.makeClient({ url }), (sql) => sql.unsafe(statement))).pipe(
    Effect.provide(Reactivity.layer),
    Effect.orDie
  )

/** A client to a fresh, empty database, with the given pool settings. Pool and server live in real time under a TestClock. */
export const layerWith = (options: PoolOptions): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient> =>
  Effect.flatMap(fresh, (url) => PgClient.make({ ...options, url })).pipe(
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()),
    PgClient.layerFrom,
    Layer.orDie
  )

/** A client to a fresh, empty database, with a pool of at most 10 connections. */
export const layer: Layer.Layer<PgClient.PgClient | SqlClient.SqlClient> = layerWith({})
