/**
 * What a failure of the database means for what was being done: nothing was written, or it may have been.
 *
 * A server that reports an error has rolled the statement back, so nothing was written. A connection that breaks after the
 * statement was sent says nothing: the commit may be durable and only its acknowledgement lost. The same holds for a server that
 * is being stopped, because that can strike between the commit and its acknowledgement.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type { SqlClient } from "effect/sql/SqlClient"
import { ConnectionError, type SqlError } from "effect/sql/SqlError"
import { EventStoreError } from "../../services/EventStore.ts"

/** The server's five-character code of an error, if the server said anything. */
export const sqlStateOf = (error: SqlError): string | undefined => {
  const cause: unknown = error.reason.cause
  if (typeof cause !== "object" || cause === null || !("code" in cause)) return undefined
  // Node's own codes ("EPIPE") have no digit.
  return typeof cause.code === "string" && /^(?=.*[0-9])[0-9A-Z]{5}$/.test(cause.code) ? cause.code : undefined
}

/**
 * - `transient`: nothing was written; the same may work in a moment.
 * - `ambiguous`: it may have been written.
 * - `conflict`: nothing was written, because a row exists already.
 * - `permanent`: nothing was written, and repeating it does not help.
 */
export type Effects = "transient" | "ambiguous" | "conflict" | "permanent"

/** Stopping (57P01, 57P02) can strike after the commit; a broken connection (class 08) anyhow. */
const ambiguousStates = /^(?:08...|57P0[1245])$/

/**
 * Serialization and deadlock (class 40), resources such as too many connections (53), lock not available (55P03), cancelled
 * (57014), starting up (57P03), system error (58), and a server that became a read-only replica (25006).
 */
const transientStates = /^(?:40...|53...|55P03|57014|57P03|58...|25006)$/

/** What an error says about what was written. */
export const effectsOf = (error: SqlError): Effects => {
  const { reason } = error
  const state = sqlStateOf(error)
  // What failed to connect has sent nothing.
  if (reason.operation === "connect")
    return reason._tag === "ConnectionError" || state?.startsWith("5") === true ? "transient" : "permanent"
  if (reason instanceof ConnectionError || state === undefined || ambiguousStates.test(state)) return "ambiguous"
  if (transientStates.test(state)) return "transient"
  return state === "23505" ? "conflict" : "permanent"
}

/** What went wrong, for people. Values of a statement are never part of it. */
export const describe = (error: SqlError): string => {
  const state = sqlStateOf(error)
  const hint = state === "42P01" || state === "3F000" ? " (run aegispay migrate)" : ""
  return `${error.message}${state === undefined ? "" : ` [${state}]`}${hint}`
}

/** Nothing was written, or there was nothing to write. */
export const unavailable = (operation: string, error: SqlError): EventStoreError =>
  new EventStoreError({ operation, reason: { _tag: "Unavailable", detail: describe(error) }, cause: error })

/** The caller's own transaction is broken. */
export const transactionFailed = (operation: string, error: SqlError): EventStoreError =>
  new EventStoreError({ operation, reason: { _tag: "TransactionFailed", detail: describe(error) }, cause: error })

/** Stored data could not be read back. */
export const corrupt = (operation: string, detail: string, cause?: unknown): EventStoreError =>
  new EventStoreError({ operation, reason: { _tag: "Corrupt", detail }, ...(cause === undefined ? {} : { cause }) })

/** Is the calling fiber inside a transaction of this client? */
export const isInTransaction = (sql: SqlClient): Effect.Effect<boolean> =>
  Effect.map(Effect.serviceOption(sql.transactionService), (transaction) => transaction._tag === "Some")

/** A pooled connection that a restarted server has closed fails once; two more tries 20 and 40 ms apart get past it. */
const again = Schedule.exponential("20 millis")

/**
 * The longest that a repeatable statement is waited for, its repetitions and the wait for a connection included. A connection whose other
 * end has gone without a word would otherwise keep its caller for ever, and with it a background loop.
 */
const limitMillis = 5000

/** Waits for the limit. Cancelling a statement takes the client up to 5 s more: its caller does not wait for that. */
const inTime = Effect.fnUntraced(function* <A, E, R>(operation: string, effect: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkDetach(effect, { startImmediately: true })
  const answer = Effect.onInterrupt(Fiber.join(fiber), () => Effect.sync(() => fiber.interruptUnsafe()))
  return yield* Effect.timeoutOrElse(answer, {
    duration: limitMillis,
    orElse: () =>
      Effect.fail(
        new EventStoreError({
          operation,
          reason: {
            _tag: "Unavailable",
            detail: `no answer within ${limitMillis / 1000} s: it is too busy, all connections of the pool are in use, or the connection is broken`
          }
        })
      )
  })
})

/**
 * Runs a statement that may be repeated without harm: a read, or a write that is fenced by a token. Tries up to three times, for 5 s in
 * all; then `Unavailable`. Inside a transaction it is tried once, for as long as the host waits, and a failure is `TransactionFailed`.
 */
export const repeatable = <A, E, R>(sql: SqlClient, operation: string, effect: Effect.Effect<A, E | SqlError, R>) =>
  Effect.flatMap(isInTransaction(sql), (inside) => {
    const isSql = (error: E | SqlError): error is SqlError =>
      typeof error === "object" && error !== null && "_tag" in error && error._tag === "SqlError"
    const toStoreError = (error: E | SqlError): Exclude<E, SqlError> | EventStoreError =>
      isSql(error) ? (inside ? transactionFailed(operation, error) : unavailable(operation, error)) : (error as Exclude<E, SqlError>)
    if (inside) return Effect.mapError(effect, toStoreError)
    const repeated = Effect.retry(effect, {
      times: 2,
      schedule: again,
      while: (error) => isSql(error) && ["transient", "ambiguous"].includes(effectsOf(error))
    })
    return inTime(operation, Effect.mapError(repeated, toStoreError))
  })
