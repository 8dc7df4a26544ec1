/**
 * A database transaction of the host that a payment joins (rule 15): the host's rows and the payment's intent become durable together, or
 * neither does. The gateway is called after the commit; where the process ends in between, recovery sends it.
 *
 * The host's function gets a handle. Its statements run one after the other on the transaction's connection. What it leaves un-awaited is
 * awaited before the commit, and what follows from that too; a statement that fails rolls all of it back.
 *
 * A signal rolls back until the commit is sent. From then on it changes nothing: what the commit comes to is waited for, and told.
 *
 * **Gotchas**: money commands of the facade itself inside the function reject with `CallInsideTransaction`: they call a gateway, and the
 * transaction could still be rolled back.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { AsyncLocalStorage } from "node:async_hooks"
import * as SqlErrors from "../../layers/postgres/SqlErrors.ts"
import { Payments } from "../../orchestration/payment/Payments.ts"
import type { ChargeAnswer } from "./Answers.ts"
import { Aborted, OutcomeUnknown, QueryFailed, TransactionEnded, TransactionsUnsupported, valueOf } from "./Errors.ts"

/** The handle of a transaction. It ends with the function that was given it. */
export interface Transaction<ChargeInput> {
  /** One statement with its values (`$1`, `$2`). Rejects with `QueryFailed`. */
  readonly query: <Row extends object = Record<string, unknown>>(
    text: string,
    values?: ReadonlyArray<unknown>
  ) => Promise<ReadonlyArray<Row>>
  /**
   * Writes a payment and its first intent into the transaction; no gateway is called yet. Answers `pending`, or what the key's first request
   * came to.
   */
  readonly prepare: (request: ChargeInput) => Promise<ChargeAnswer>
  /** Runs an Effect in the transaction, for hosts that have some: it uses the `SqlClient`. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, SqlClient>) => Promise<A>
}

/** What the host's function rejected with: passed on as it is, after the rollback. */
class HostFailed extends Data.TaggedError("HostFailed")<{ readonly error: unknown }> {}

interface Open {
  isOpen: boolean
}

const current = new AsyncLocalStorage<Open>()

/** Is the caller inside the function of a transaction that has not ended? */
export const isInside = (): boolean => current.getStore()?.isOpen === true

const isSqlError = (error: unknown): error is SqlError =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "SqlError"

const queryFailed = (error: SqlError): QueryFailed => {
  const code = SqlErrors.sqlStateOf(error)
  const { cause } = error.reason
  const detail = cause instanceof Error && cause.message !== "" ? cause.message : error.message
  return new QueryFailed({ detail, cause: error, ...(code === undefined ? {} : { code }) })
}

/** A transaction to run, and what it means that the engine's end stopped it. */
export interface Run<A> {
  readonly program: Effect.Effect<A, unknown, Payments>
  readonly interrupted: () => Error
}

const method = "transaction"

/** Runs the host's function in a transaction. `prepare` decodes a request and prepares it. */
export const make = <ChargeInput, A, E>(
  work: (transaction: Transaction<ChargeInput>) => Promise<A>,
  prepare: (request: ChargeInput) => Effect.Effect<ChargeAnswer, E, Payments>,
  signal: AbortSignal | undefined
): Run<A> => {
  const state: Open = { isOpen: true }
  // From here on the commit may have been sent.
  let isReady = false

  const body = (sql: SqlClient) =>
    Effect.gen(function* () {
      const context = yield* Effect.context<Payments>()
      const { close, stop, transaction } = handle({ context, sql, state, prepare })
      return yield* Effect.gen(function* () {
        const result = yield* Effect.tryPromise({
          try: () => current.run(state, () => work(transaction)),
          catch: (error) => new HostFailed({ error })
        })
        yield* Effect.tryPromise({ try: close, catch: (error) => new HostFailed({ error }) })
        if (signal?.aborted === true) return yield* Effect.interrupt
        isReady = true
        return result
      }).pipe(Effect.ensuring(stop))
    })

  const committed = (sql: SqlClient) =>
    Effect.mapError(sql.withTransaction(body(sql)), (error) => {
      if (error instanceof HostFailed) return error.error
      if (!isSqlError(error)) return error
      return isReady && SqlErrors.effectsOf(error) === "ambiguous"
        ? new OutcomeUnknown({ method, detail: error.message, cause: error })
        : queryFailed(error)
    })

  const program = Effect.gen(function* () {
    const client = yield* Effect.serviceOption(SqlClient)
    if (Option.isNone(client)) return yield* new TransactionsUnsupported()
    if (signal === undefined) return yield* committed(client.value)
    // A fiber of its own: one that is interrupted itself would end as interrupted, whatever the commit came to.
    const fiber = yield* Effect.forkChild(committed(client.value))
    const abort = () => (isReady ? undefined : fiber.interruptUnsafe())
    signal.addEventListener("abort", abort, { once: true })
    if (signal.aborted) abort()
    const exit = yield* Fiber.await(fiber).pipe(Effect.ensuring(Effect.sync(() => signal.removeEventListener("abort", abort))))
    if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return yield* Effect.fail(interrupted())
    return yield* exit
  })

  const interrupted = (): Error =>
    isReady
      ? new OutcomeUnknown({ method, detail: "the engine was closed while it was being committed" })
      : new Aborted({ method, started: false, ...(signal?.aborted === true ? { cause: signal.reason } : {}) })

  return { program, interrupted }
}

/**
 * The handle, and its two ends. `close` waits for what was not awaited, and for what that starts, until a turn of the event loop starts nothing;
 * it rejects where that failed. `stop` comes before every rollback: what still runs is interrupted and waited for, because a statement that came
 * after the rollback would be one outside of the transaction.
 */
const handle = <ChargeInput, E>(options: {
  readonly context: Context.Context<Payments>
  readonly sql: SqlClient
  readonly state: Open
  readonly prepare: (request: ChargeInput) => Effect.Effect<ChargeAnswer, E, Payments>
}) => {
  const { context, prepare, sql, state } = options
  const oneAtATime = Semaphore.makeUnsafe(1)
  const started = new Set<Promise<unknown>>()
  const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  let broken: { readonly error: unknown } | undefined

  const inside = <A>(called: string, effect: Effect.Effect<A, unknown, Payments | SqlClient>): Promise<A> => {
    if (!state.isOpen) return Promise.reject(new TransactionEnded())
    const program = oneAtATime
      .withPermits(1)(effect)
      .pipe(
        Effect.provideService(SqlClient, sql),
        Effect.mapError((error) => (isSqlError(error) ? queryFailed(error) : error))
      )
    const fiber = Effect.runForkWith(context)(program)
    fibers.add(fiber)
    const promise = new Promise<A>((resolve, reject) => {
      fiber.addObserver((exit) => {
        fibers.delete(fiber)
        try {
          resolve(valueOf<A, unknown>(called, exit, () => new TransactionEnded()))
        } catch (error) {
          reject(error)
        }
      })
    })
    started.add(promise)
    const ended = () => void started.delete(promise)
    promise.then(ended, (error: unknown) => {
      // A statement that was refused has broken the transaction, whatever the host's function makes of it.
      if (error instanceof QueryFailed) broken = { error }
      ended()
    })
    return promise
  }

  const transaction: Transaction<ChargeInput> = {
    query: <Row extends object>(text: string, values: ReadonlyArray<unknown> = []) => inside("transaction", sql.unsafe<Row>(text, values)),
    prepare: (request) => inside("prepare", prepare(request)),
    run: (effect) => inside("transaction", effect)
  }
  const close = async () => {
    do {
      await Promise.all(started)
      // What was awaited may go on to the next statement within this turn.
      await new Promise((resolve) => setImmediate(resolve))
    } while (started.size > 0)
    state.isOpen = false
    if (broken !== undefined) throw broken.error
  }
  const stop = Effect.suspend(() => {
    state.isOpen = false
    return Fiber.interruptAll(fibers)
  })
  return { transaction, close, stop }
}
