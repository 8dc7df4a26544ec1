/**
 * Databases for the benchmarks, and what the server says about the work done in them.
 *
 * The server is the one of `AEGISPAY_TEST_DATABASE_URL`, or an embedded one that ends with the benchmark. Its settings are the defaults:
 * `fsync` and `synchronous_commit` are on; an embedded one is settled first (see `settle`).
 *
 * Gotcha: a backend reports its statistics when it has been idle for a while or when it ends. So `counters` are to be read when all
 * connections to the database are closed, and it waits until the server has noticed.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Reactivity from "effect/reactivity/Reactivity"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as TestDatabase from "../../../test/support/TestDatabase.ts"

/** Connections of a client, as many as the engine's default pool has. */
const maxConnections = 10

/** What the server counted since it was started. `transactions`: of one database; the others: of the whole server. */
export interface Counters {
  /** Committed transactions, reading ones as well. */
  readonly transactions: number
  /** Transactions that wrote. */
  readonly writing: number
  readonly fsyncs: number
  readonly walBytes: number
}

export interface Server {
  readonly version: string
  readonly settings: string
  /** Connections that benchmarks can have at once. */
  readonly room: number
  /** Makes a database with the schema in it, dropped when the scope ends. Answers its name. */
  readonly create: Effect.Effect<string, never, Scope.Scope>
  /** The same without the schema. */
  readonly createEmpty: Effect.Effect<string, never, Scope.Scope>
  /** Where a database is, with the password: for clients that are not Effect's. */
  readonly urlOf: (name: string) => URL
  /** A pool of connections to a database, for as long as the scope lives. */
  readonly connect: (name: string) => Layer.Layer<PgClient.PgClient | Layer.Success<ReturnType<typeof PgClient.layer>>>
  readonly counters: (name: string) => Effect.Effect<Counters>
  /** CPU time in milliseconds of the backends connected to a database since they began; `NaN` where /proc does not tell. */
  readonly backendCpuMillis: (name: string) => Effect.Effect<number>
}

const urlOf = (url: Redacted.Redacted, name?: string): URL => {
  const target = new URL(Redacted.value(url))
  if (name !== undefined) target.pathname = `/${name}`
  return target
}

const clientTo = (url: Redacted.Redacted, name?: string) => {
  const target = urlOf(url, name)
  return PgClient.layer({ url: Redacted.make(target.toString()), maxConnections: name === undefined ? 1 : maxConnections }).pipe(
    Layer.orDie
  )
}

/** What the scheduler has counted for a process, in nanoseconds in its first field: finer than the ticks of `stat`. */
const cpuMillisOf = (pid: number): number => {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[0]) / 1e6
  } catch {
    return Number.NaN
  }
}

/**
 * Makes a server that was just started like one that has been running for long: so many megabytes of its log are files that are written
 * again. A new server makes each file of 16 MB when it needs it, and all commits wait meanwhile.
 */
const settle = (sql: PgClient.PgClient, walMegabytes: number) =>
  Effect.forEach(
    [
      `alter system set min_wal_size = '${Math.max(32, walMegabytes)}MB'`,
      // No checkpoint for its size while a benchmark runs.
      `alter system set max_wal_size = '${4 * walMegabytes}MB'`,
      "select pg_reload_conf()",
      `select count(pg_logical_emit_message(false, 'settle', repeat('x', 1024 * 1024))) from generate_series(1, ${walMegabytes})`,
      "checkpoint"
    ],
    (statement) => Effect.orDie(sql.unsafe(statement)),
    { discard: true }
  )

/** The server, for as long as the scope lives. An embedded one is settled first, with `walMegabytes` of log; 0: not. */
export const server: (options: { readonly walMegabytes: number }) => Effect.Effect<Server, never, Scope.Scope> = Effect.fnUntraced(
  function* ({ walMegabytes }) {
    const isOwn = (process.env[TestDatabase.urlVariable] ?? "") === ""
    const url = yield* TestDatabase.server
    const maintenance = Context.get(yield* Layer.build(clientTo(url)), PgClient.PgClient)
    if (isOwn && walMegabytes > 0) yield* settle(maintenance, walMegabytes)
    const [about] = yield* Effect.orDie(
      maintenance.unsafe<{ readonly version: string; readonly number: number; readonly settings: string; readonly room: number }>(
        `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int - 2 as room,
       (select string_agg(name || ' = ' || setting, ', ' order by name) from pg_settings
        where name in ('fsync', 'synchronous_commit', 'full_page_writes')) as settings`
      )
    )
    if (about === undefined) return yield* Effect.die(new Error("the server does not say its version"))
    const fsyncs = about.number >= 180_000 ? "select sum(fsyncs) from pg_stat_io where object = 'wal'" : "select wal_sync from pg_stat_wal"

    /** An autovacuum worker may be connected to a database as well, for as long as it likes. */
    const clients = "from pg_stat_activity where datname = $1 and backend_type = 'client backend'"

    const closed = (name: string) =>
      maintenance.unsafe<{ readonly count: bigint }>(`select count(*) as count ${clients}`, [name]).pipe(
        Effect.flatMap(([row]) => (row?.count === 0n ? Effect.void : Effect.fail(`clients are still connected to ${name}`))),
        Effect.retry({ times: 100, schedule: Schedule.spaced("20 millis") })
      )

    const createEmpty = Effect.gen(function* () {
      const name = `aegispay_bench_${randomUUID().replaceAll("-", "")}`
      yield* Effect.acquireRelease(maintenance.unsafe(`create database ${name} template template0`), () =>
        Effect.orDie(maintenance.unsafe(`drop database if exists ${name} with (force)`))
      )
      return name
    }).pipe(Effect.orDie)

    return {
      version: about.version,
      settings: about.settings,
      room: about.room,
      create: Effect.tap(createEmpty, (name) =>
        Effect.orDie(Effect.scoped(Layer.build(Layer.provide(Migrations.layer, clientTo(url, name)))))
      ),
      createEmpty,
      urlOf: (name) => urlOf(url, name),
      connect: (name) => clientTo(url, name),
      counters: (name) =>
        Effect.andThen(
          closed(name),
          maintenance.unsafe<Record<"transactions" | "writing" | "fsyncs" | "wal_bytes", string>>(
            `select xact_commit::text as transactions, pg_snapshot_xmax(pg_current_snapshot())::text as writing,
             (${fsyncs})::text as fsyncs, (select wal_bytes::text from pg_stat_wal) as wal_bytes
           from pg_stat_database where datname = $1`,
            [name]
          )
        ).pipe(
          Effect.map(([row]) => ({
            transactions: Number(row?.transactions),
            writing: Number(row?.writing),
            fsyncs: Number(row?.fsyncs),
            walBytes: Number(row?.wal_bytes)
          })),
          Effect.orDie
        ),
      backendCpuMillis: (name) =>
        maintenance.unsafe<{ readonly pid: number }>(`select pid ${clients}`, [name]).pipe(
          Effect.map((rows) => rows.reduce((sum, { pid }) => sum + cpuMillisOf(pid), 0)),
          Effect.orDie
        )
    } satisfies Server
  },
  Effect.provide(Reactivity.layer)
)
