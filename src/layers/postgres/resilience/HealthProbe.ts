/**
 * Is the database there, and can it be written to?
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { HealthProbe } from "../../../services/resilience/HealthProbe.ts"

/** A connection that takes longer to answer nothing is given up. */
const askTimeout = "2 seconds"

/** At most so many connections are met by a recovery: as many as the pool of a server usually has. */
const defaultConnections = 20

/**
 * The probe `database`, over the ambient client and outside of any transaction.
 *
 * The check is one statement; a server that is read-only (a replica after a failover) has failed. The recovery connects anew: it asks
 * something on as many connections at once as the pool may have (`connections`, default 20). One that is broken is met by that and
 * leaves the pool, so that no payment meets it.
 */
export const make = (options: { readonly connections?: number } = {}): Effect.Effect<HealthProbe, never, SqlClient.SqlClient> =>
  Effect.map(SqlClient.SqlClient, (client): HealthProbe => {
    const sql = client.withoutTransforms()
    const outside = <A, E>(statement: Effect.Effect<A, E>) =>
      Effect.updateContext(statement, (context: Context.Context<never>) => Context.omit(sql.transactionService)(context))
    const check = outside(
      Effect.gen(function* () {
        const [row] = yield* sql<{ readonly readOnly: boolean }>`select pg_is_in_recovery() as "readOnly"`
        if (row?.readOnly !== false) return yield* Effect.fail("the database is read-only: it follows another server")
        return "ok" as const
      })
    )
    const connections = Array.from({ length: options.connections ?? defaultConnections })
    const ask = Effect.ignore(Effect.timeout(sql`select 1`, askTimeout))
    const recover = outside(Effect.forEach(connections, () => ask, { concurrency: "unbounded", discard: true }))
    return { name: "database", importance: "required", check, recover }
  })
