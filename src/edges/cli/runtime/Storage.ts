/**
 * The database of a configuration, with the services on it.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { SqlError } from "effect/sql/SqlError"
import { randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import * as Path from "node:path"
import * as EmbeddedPostgres from "../../../layers/postgres/EmbeddedPostgres.ts"
import * as GatewayMetrics from "../../../layers/postgres/routing/GatewayMetrics.ts"
import * as Lock from "../../../layers/postgres/Lock.ts"
import * as Migrations from "../../../layers/postgres/Migrations.ts"
import * as Postgres from "../../../layers/postgres/Postgres.ts"
import { cannotRun, type Failure, orCannotRun } from "../Failure.ts"
import type { Target } from "./Target.ts"

/** `serve` and `create` make an embedded database that is missing; `existing` refuses to. */
export type Use = "serve" | "create" | "existing"

/** Connections of a process. A command needs few; a server shares them among its requests. */
export const maxConnections = { serve: 20, create: 4, existing: 4 } satisfies Record<Use, number>

/** Each process has a name of its own, so that the database tells whose connections are whose. */
const poolOf = (use: Use) => ({
  maxConnections: maxConnections[use],
  connectTimeout: "10 seconds" as const,
  /** So that a connection whose other end has gone without a word is found out while nobody uses it. */
  keepAlive: "30 seconds" as const,
  applicationName: `aegispay-${randomBytes(4).toString("hex")}`
})

/** The client. An embedded database is found running or started. */
export const client = (target: Target, use: Use) =>
  PgClient.layerFrom(
    Effect.gen(function* () {
      const { database } = target.config
      if (database._tag === "Server") {
        // The pool connects with the first statement: this one tells whether there is anything to connect to.
        return yield* PgClient.make({ url: database.url, ...poolOf(use) }).pipe(
          Effect.tap((sql) => sql`select 1`),
          Effect.mapError((error) => unreachable(target, database.url, error))
        )
      }
      const dataDir = Path.join(database.dataDir, "postgres")
      if (use === "existing" && !existsSync(dataDir)) {
        return yield* cannotRun(`there is no database in ${database.dataDir}; name the right directory, or make one with aegispay migrate`)
      }
      const running = yield* orCannotRun(EmbeddedPostgres.start({ dataDir }))
      return yield* orCannotRun(EmbeddedPostgres.makeClient(running, poolOf(use)))
    })
  )

/** Where a server is, without its password. */
const placeOf = (url: Redacted.Redacted): string => {
  const { host, pathname } = new URL(Redacted.value(url))
  return `${host}${pathname}`
}

const unreachable = (target: Target, url: Redacted.Redacted, error: SqlError): Failure => {
  const { cause } = error.reason
  const why = cause instanceof Error && cause.message !== "" ? cause.message : error.message
  return cannotRun(`the database at ${placeOf(url)} cannot be used: ${why}; start it, or correct database.url in ${target.source}`)
}

/** The schema: an embedded database is brought up to date; a server's is only checked, since this role may not change it. */
const schema = (target: Target) =>
  Layer.effectDiscard(
    target.config.database._tag === "Embedded"
      ? Effect.asVoid(orCannotRun(Migrations.run, "the embedded database cannot be brought up to date"))
      : orCannotRun(Migrations.check)
  )

/** Every service on the database, over its client. */
export const layer = (target: Target, use: Use) =>
  Layer.mergeAll(Postgres.layer, Lock.layer, GatewayMetrics.layer).pipe(
    Layer.provideMerge(schema(target)),
    Layer.provideMerge(client(target, use))
  )
