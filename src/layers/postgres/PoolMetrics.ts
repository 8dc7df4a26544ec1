/**
 * The pool of database connections among the exported metrics: how many there are by what the database says they are doing, how many there may be,
 * and how long one is waited for.
 *
 * The client does not tell of its pool, so it is asked like by any other user: a sample takes a connection, which shows the wait, and asks
 * the database for the others of this process. It knows them by `application_name`, so each process needs one of its own. What it finds `in_transaction`
 * sample after sample was left open.
 *
 * While the database does not answer, nothing is known of the connections (NaN), and the wait is what the sample has waited.
 *
 * **Gotchas**: a pooler between may put connections of several processes together; then the figures are those of the pooler's.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import * as Family from "../../services/metrics/Family.ts"

const states = ["active", "idle", "in_transaction", "other"] as const
type State = (typeof states)[number]

/** The sample's own connection is idle but for the sample. */
const countByState = `select case
    when pid = pg_backend_pid() or state = 'idle' then 'idle'
    when state in ('active', 'fastpath function call') then 'active'
    when state like 'idle in transaction%' then 'in_transaction'
    else 'other' end as state, count(*)::int as count
  from pg_stat_activity
  where application_name = current_setting('application_name') and usename = current_user and backend_type = 'client backend'
  group by 1`

interface Row {
  readonly state: State
  readonly count: number
}

/** Registers the series until the scope closes; answers the sample, which has to be taken now and then. */
export const make = Effect.fnUntraced(function* (options: {
  readonly maxConnections: number
}): Effect.fn.Return<Effect.Effect<void, SqlError>, never, SqlClient.SqlClient | Scope.Scope> {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const series = Family.registrar(yield* Effect.context())
  yield* Effect.addFinalizer(() => Effect.sync(series.remove))
  let counts: Partial<Record<State, number>> | undefined
  let waitedMillis = 0
  for (const state of states)
    series.gauge("aegispay_database_connections", { state }, () => (counts === undefined ? Number.NaN : (counts[state] ?? 0)))
  series.gauge("aegispay_database_connections_limit", {}, () => options.maxConnections)
  series.gauge("aegispay_database_connection_wait_milliseconds", {}, () => waitedMillis)

  return Effect.scoped(
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const startedAt = clock.monotonicTimeNanosUnsafe()
      const waited = Effect.sync(() => {
        waitedMillis = Number(clock.monotonicTimeNanosUnsafe() - startedAt) / 1e6
      })
      const connection = yield* Effect.ensuring(sql.reserve, waited)
      const rows: ReadonlyArray<Row> = yield* connection.execute(countByState, [], undefined)
      counts = Object.fromEntries(rows.map(({ count, state }) => [state, count]))
    })
  ).pipe(
    Effect.onError(() =>
      Effect.sync(() => {
        counts = undefined
      })
    )
  )
})
