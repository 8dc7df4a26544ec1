/**
 * The host's transaction on Postgres: the one the calling fiber opened with `withTransaction` of the same `SqlClient`.
 *
 * **Gotchas**: a host that opens its transactions with another client, even one to the same database, is not seen. Its rows and
 * the payment's are then in two transactions.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { SqlClient } from "effect/sql/SqlClient"
import { HostTransaction } from "../../services/HostTransaction.ts"
import { isInTransaction } from "./SqlErrors.ts"

/** The transaction of the `SqlClient`. */
export const layer: Layer.Layer<HostTransaction, never, SqlClient> = Layer.effect(
  HostTransaction,
  Effect.map(SqlClient, (sql) =>
    HostTransaction.of({
      isOpen: isInTransaction(sql),
      outside: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.updateContext(effect, (context: Context.Context<R>) =>
          // Nearly always there is none, and a context without it costs a copy of everything that is in it.
          Option.isNone(Context.getOption(context, sql.transactionService))
            ? context
            : (Context.omit(sql.transactionService)(context) as Context.Context<R>)
        ),
      afterCommit: (effect) => sql.afterCommit(effect)
    })
  )
)
