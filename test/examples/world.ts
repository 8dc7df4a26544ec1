/**
 * What the host examples run against: a database of their own with the schema, and a sandbox PSP in a process of its own.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Context, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import { schema } from "../../docs/examples/express-shop.ts"
import { start } from "../edges/cli/aegispay.ts"
import * as TestDatabase from "../support/TestDatabase.ts"
import type { Environment } from "./hosts.ts"

export interface Entry {
  readonly kind: string
  readonly payment: string
  readonly amount: number
}

/** For the time of a scope. `env`: what a host needs, with a recovery that does not keep a test waiting. */
export const make = Effect.gen(function* () {
  const url = yield* TestDatabase.fresh
  const sql = Context.get(yield* Layer.build(Layer.orDie(PgClient.layer({ url }))), SqlClient.SqlClient)
  yield* Effect.provideService(Migrations.run, SqlClient.SqlClient, sql)
  yield* sql.unsafe(schema)
  const sandbox = yield* Effect.acquireRelease(
    Effect.promise(() => start(["sandbox", "--port", "0", "--accounts", "a", "--json"])),
    (running) => Effect.promise(() => running.stop("SIGTERM"))
  )
  const sandboxUrl = `${sandbox.announced.url}/a`
  const env: Environment = {
    DATABASE_URL: Redacted.value(url),
    FINGERPRINT_KEY: "a key of at least 32 characters for tests",
    SANDBOX_URL: sandboxUrl,
    SANDBOX_WEBHOOK_SECRET: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    AEGISPAY_RECOVERY_OLDER_THAN_MILLIS: "1000",
    AEGISPAY_RECOVERY_INTERVAL_MILLIS: "1000"
  }
  /** What the PSP says it has charged. */
  const ledger = Effect.promise(async () => {
    const response = await fetch(`${sandboxUrl}/ledger`, { headers: { authorization: "Bearer sk_sandbox_a" } })
    return ((await response.json()) as { readonly data: ReadonlyArray<Entry> }).data
  })
  const count = (table: "orders" | "aegispay.payments") =>
    Effect.map(sql<{ readonly count: number }>`select count(*)::int as count from ${sql.literal(table)}`, ([row]) => row?.count ?? -1)
  return { sql, env, ledger, count }
})
