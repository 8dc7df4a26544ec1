/**
 * What the promises of the facade reject with: one class per kind, told apart by `instanceof` or `_tag`.
 *
 * A decline is no error, nor is an outcome that nobody knows yet: both are answers (Answers.ts). The engine's own errors come through as
 * they are; those of the store and of what nobody foresaw become the classes below, which say whether anything was started.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { CallInsideTransaction } from "../../services/HostTransaction.ts"
import { EventStoreError } from "../../services/EventStore.ts"
import { describe } from "../config/Issues.ts"

const Problems = Schema.Array(Schema.Struct({ path: Schema.String, message: Schema.String }))

/** The input is not as described. `problems` names each field. Nothing was started. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()("InvalidRequest", { method: Schema.String, problems: Problems }) {
  override get message(): string {
    return `AegisPay.${this.method}: ${this.problems.map(describe).join("; ")}`
  }
}

/** The engine cannot start: `detail` says what is wrong, where, and what to do. Nothing is running. */
export class StartFailed extends Schema.TaggedError<StartFailed>()("StartFailed", {
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return this.detail
  }
}

/** It was called after `close`. Nothing was started. */
export class Closed extends Schema.TaggedError<Closed>()("Closed", { method: Schema.String }) {
  override get message(): string {
    return `AegisPay.${this.method} was called after close(); make a new AegisPay, and close it when nothing uses it any more`
  }
}

/**
 * The wait ended, not the work: by the signal, or because `close` waited as long as it does. `started: false`: nothing was started, and what a
 * transaction had written is rolled back. Otherwise the command goes on in the background, or recovery ends it: repeat it with the same key to
 * see how it ended, or `get` the payment. `cause` is the signal's reason.
 */
export class Aborted extends Schema.TaggedError<Aborted>()("Aborted", {
  method: Schema.String,
  started: Schema.Boolean,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  /** As `fetch` names it. */
  override readonly name = "AbortError"
  override get message(): string {
    return this.started
      ? `the wait for AegisPay.${this.method} was aborted; what it started goes on: repeat it with the same key to see how it ended`
      : `AegisPay.${this.method} was aborted; nothing was started`
  }
}

/** The database does not answer. Nothing was started: retry with the same key. */
export class DatabaseUnavailable extends Schema.TaggedError<DatabaseUnavailable>()("DatabaseUnavailable", {
  method: Schema.String,
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `AegisPay.${this.method}: the database does not answer (${this.detail}); nothing was started, retry with the same key`
  }
}

/** The database did not confirm what was sent to it: it may have taken effect. Retry with the same key, never with a new one. */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {
  method: Schema.String,
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `AegisPay.${this.method}: it is not known whether this was stored (${this.detail}); retry with the same key, never with a new one`
  }
}

/** A statement of the host was refused, and with it its transaction. `code`: the SQLSTATE, such as 23505 for a key that exists. */
export class QueryFailed extends Schema.TaggedError<QueryFailed>()("QueryFailed", {
  code: Schema.optionalKey(Schema.String),
  detail: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return `the database refused a statement of the transaction, which is rolled back: ${this.detail}`
  }
}

/** A transaction's handle was used after its function had ended. */
export class TransactionEnded extends Schema.TaggedError<TransactionEnded>()("TransactionEnded", {}) {
  override get message(): string {
    return "the transaction has ended; await everything that it does before its function returns"
  }
}

/** The store has no transactions that a host could join. */
export class TransactionsUnsupported extends Schema.TaggedError<TransactionsUnsupported>()("TransactionsUnsupported", {}) {
  override get message(): string {
    return 'the store "memory" has no transactions; use a Postgres database, in tests an embedded one: database: { dataDir: "..." }'
  }
}

/** What nobody foresaw. A money command may be repeated with the same key. */
export class Unexpected extends Schema.TaggedError<Unexpected>()("Unexpected", {
  method: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `AegisPay.${this.method} failed unexpectedly (${why}); a money command may be repeated with the same key`
  }
}

/** The facade's word for a failure of the engine. */
const ofFailure = (method: string, error: unknown): unknown => {
  if (!(error instanceof EventStoreError)) return error
  const detail = error.message
  if (error.isAmbiguous) return new OutcomeUnknown({ method, detail, cause: error })
  return error.isRetryable ? new DatabaseUnavailable({ method, detail, cause: error }) : new Unexpected({ method, cause: error })
}

/** The value of an exit, or its error thrown. `interrupted`: what it means that the program was stopped. */
export const valueOf = <A, E>(method: string, exit: Exit.Exit<A, E>, interrupted: () => Error): A => {
  if (Exit.isSuccess(exit)) return exit.value
  if (Cause.hasInterruptsOnly(exit.cause)) throw interrupted()
  const failure = exit.cause.reasons.find(Cause.isFailReason)
  if (failure !== undefined) throw ofFailure(method, failure.error)
  const defect = Cause.squash(exit.cause)
  throw defect instanceof CallInsideTransaction ? defect : new Unexpected({ method, cause: defect })
}
