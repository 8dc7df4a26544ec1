/**
 * What sections stand on: an embedded Postgres, three payment providers as processes, and an engine over both.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { join } from "node:path"
import * as EmbeddedPostgres from "../../src/layers/postgres/EmbeddedPostgres.ts"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import * as Engine from "./Engine.ts"
import * as Outage from "./Outage.ts"
import * as Provider from "./Provider.ts"

export interface Ground {
  readonly directory: string
  readonly providers: ReadonlyArray<Provider.Provider>
  readonly engine: Engine.Engine
  /** A client of the database, which is up to date. */
  readonly database: Engine.Database
  /** A further database of the same server, up to date, by its address. */
  readonly anotherDatabase: (name: string) => Effect.Effect<Redacted.Redacted, unknown>
}

/** Connections of one engine: sections ask for tens of payments at once. */
const maxConnections = 10

const clientOf = (url: Redacted.Redacted): Engine.Database => Layer.orDie(PgClient.layer({ url, maxConnections }))

/** Starts everything, for as long as the scope lives. */
export const start = Effect.fnUntraced(function* (directory: string): Effect.fn.Return<Ground, unknown, Scope.Scope> {
  const [postgres, providers] = yield* Effect.all(
    [
      EmbeddedPostgres.start({ dataDir: join(directory, "postgres"), durable: false }),
      Effect.forEach(Outage.accounts, (account) => Provider.start(account, directory), { concurrency: "unbounded" })
    ],
    { concurrency: "unbounded" }
  )
  const database = clientOf(postgres.url)
  yield* Effect.provide(Migrations.run, database)
  const engine = yield* Engine.build({ providers, store: "postgres", directory, database })
  const anotherDatabase = Effect.fnUntraced(function* (name: string) {
    yield* PgClient.PgClient.use((sql) => sql`CREATE DATABASE ${sql(name)}`).pipe(Effect.provide(database))
    const url = new URL(Redacted.value(postgres.url))
    url.pathname = `/${name}`
    const another = Redacted.make(url.toString())
    yield* Effect.provide(Migrations.run, clientOf(another))
    return another
  })
  return { directory, providers, engine, database, anotherDatabase }
})
