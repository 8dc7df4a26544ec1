/**
 * The event store on Postgres.
 *
 * A commit is one statement (see `CommitStatement.ts`), alone or together with those of other payments (see `CommitGroup.ts`). When it
 * answers no row, one query finds out why, and whether these very events are there already (rule 9). When its acknowledgement is
 * lost, the same commit is repeated on another connection: it is idempotent by event id, so either it is found to be stored, or it
 * is stored now, or somebody else has won.
 *
 * **Gotchas**: inside a host's transaction nothing is grouped, and nothing is repeated, because a failed statement has broken that
 * transaction.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { bucketOfPayment, type PaymentId, uuidOfPayment } from "../../../domain/payment/Ids.ts"
import { EventContinuityError } from "../../../domain/payment/Replay.ts"
import { EventStore, EventStoreError, type Commit, type CommitResult } from "../../../services/EventStore.ts"
import * as CommitGroup from "./CommitGroup.ts"
import { commitStatement, type CommittedRow, fold, refusalStatement } from "./CommitStatement.ts"
import { makeReadAll } from "./GlobalLog.ts"
import { claimOf, type ClaimRow, commitColumns, type CommitRow, nowMillis, readAll, rowWith, storedEventsOf } from "./Rows.ts"
import {
  corrupt,
  describe,
  type Effects,
  effectsOf,
  isInTransaction,
  repeatable,
  sqlStateOf,
  transactionFailed,
  unavailable
} from "../SqlErrors.ts"

/** How often a commit is tried: five times, 100, 250, 625 and 1,562 ms apart, about 2.5 s in all: a server's restart takes one or two. */
const maxTries = 5
const firstDelayMillis = 100
const delayFactor = 2.5

/** How long a commit waits for a row that another transaction holds. */
const lockTimeoutMillis = 2000

/** The same for a group: everybody behind it waits as well. */
const groupLockTimeoutMillis = 100

/** A commit that waited for a row in vain is tried once more: twice the lock timeout is as long as a caller should wait. */
const maxLockTries = 2

/**
 * An answer that takes longer is taken for lost. Above the lock timeout, or every wait for a lock would look like a lost answer.
 * The client then spends up to 5 s on cancelling the statement before it gives the connection up.
 */
const answerTimeoutMillis = 3000

/** No new try is begun after this time: room for one more after a try that got no answer. The longest commit takes about 18 s. */
const giveUpAfterMillis = 10_000

/** A commit that failed, and what that says about what it wrote. */
interface Failed {
  readonly error: SqlError | undefined
  readonly effects: Effects
}

const operation = "EventStore.commit"

type RefusalRow = { readonly version: number | null; readonly mine: bigint | null; readonly leased: boolean } & {
  readonly [Column in keyof ClaimRow]?: ClaimRow[Column] | null
}

const hasClaim = (row: RefusalRow): row is RefusalRow & ClaimRow => typeof row.fingerprint === "string"

/** Why nothing was written; `undefined` when the reason has gone in the meantime. */
const refusalOf = (commit: Commit, row: RefusalRow): CommitResult | undefined => {
  if (row.mine !== null) return { _tag: "Committed", payment: fold(commit, Number(row.mine)) }
  if (hasClaim(row)) return { _tag: "KeyTaken", claim: claimOf(row) }
  const actualVersion = row.version ?? 0
  if (actualVersion !== commit.payment.version) return { _tag: "VersionConflict", actualVersion }
  return row.leased ? undefined : { _tag: "LeaseLost" }
}

const makeCommit = (sql: SqlClient) => {
  const run = <Row extends object>(statement: { readonly text: string; readonly parameters: ReadonlyArray<unknown> }) =>
    sql.unsafe<Row>(statement.text, statement.parameters)

  /** When each commit was recorded, in the order given; `undefined` for one that was refused. */
  const write = (commits: ReadonlyArray<Commit>, lockTimeout: number | undefined) =>
    Effect.mapBoth(run<CommittedRow>(commitStatement(commits, { lockTimeoutMillis: lockTimeout })), {
      onFailure: (error): Failed => ({ error, effects: effectsOf(error) }),
      onSuccess: (rows) => {
        const times: Array<number | undefined> = commits.map(() => undefined)
        for (const row of rows) times[Number(row.n) - 1] = Number(row.recorded_at)
        return times
      }
    })

  const attempt = Effect.fnUntraced(function* (commit: Commit, lockTimeout: number | undefined): Effect.fn.Return<CommitResult, Failed> {
    const [recordedAt] = yield* write([commit], lockTimeout)
    if (recordedAt !== undefined) return { _tag: "Committed", payment: fold(commit, recordedAt) }
    const [row] = yield* run<RefusalRow>(refusalStatement(commit)).pipe(
      // The commit was answered: whatever happens to the question, nothing was written.
      Effect.mapError((error): Failed => ({ error, effects: effectsOf(error) === "permanent" ? "permanent" : "transient" }))
    )
    const refusal = row === undefined ? undefined : refusalOf(commit, row)
    return refusal ?? (yield* Effect.fail<Failed>({ error: undefined, effects: "transient" }))
  })

  const inHostTransaction = (commit: Commit) =>
    Effect.mapError(attempt(commit, undefined), ({ error }) =>
      error === undefined
        ? new EventStoreError({
            operation,
            reason: { _tag: "TransactionFailed", detail: "the transaction does not see the newest commits" }
          })
        : transactionFailed(operation, error)
    )

  const alone = Effect.fnUntraced(function* (commit: Commit, maybeWritten: boolean): Effect.fn.Return<CommitResult, EventStoreError> {
    const started = yield* Clock.currentTimeMillis
    let ambiguous = maybeWritten
    let lockTries = 0
    for (let tries = 1; ; tries++) {
      const result = yield* Effect.result(answered(attempt(commit, lockTimeoutMillis)))
      if (Result.isSuccess(result)) return result.success
      const { effects, error } = result.failure
      ambiguous ||= effects === "ambiguous"
      if (error !== undefined && sqlStateOf(error) === "55P03") lockTries++
      const elapsed = (yield* Clock.currentTimeMillis) - started
      if (effects === "permanent" || tries >= maxTries || lockTries >= maxLockTries || elapsed >= giveUpAfterMillis) {
        return yield* givenUp(ambiguous, error)
      }
      yield* Effect.sleep(firstDelayMillis * delayFactor ** (tries - 1))
    }
  })

  const together = (commits: ReadonlyArray<Commit>) =>
    Effect.mapBoth(answered(write(commits, groupLockTimeoutMillis)), {
      onFailure: ({ effects }) => ({ ambiguous: effects === "ambiguous" }),
      onSuccess: (times) =>
        commits.map((commit, index): CommitResult | undefined => {
          const recordedAt = times[index]
          return recordedAt === undefined ? undefined : { _tag: "Committed", payment: fold(commit, recordedAt) }
        })
    })

  return Effect.map(
    CommitGroup.make({ alone, together }),
    (grouped) =>
      (commit: Commit): Effect.Effect<CommitResult, EventStoreError> =>
        Effect.flatMap(isInTransaction(sql), (inside) => (inside ? inHostTransaction(commit) : grouped(commit)))
  )
}

/** What gets no answer in time may have been written. */
const answered = <A>(effect: Effect.Effect<A, Failed>) =>
  Effect.timeoutOrElse(effect, {
    duration: answerTimeoutMillis,
    orElse: () => Effect.fail<Failed>({ error: undefined, effects: "ambiguous" })
  })

const givenUp = (ambiguous: boolean, error: SqlError | undefined): EventStoreError => {
  if (!ambiguous && error !== undefined) return unavailable(operation, error)
  const detail = error === undefined ? "the database did not answer in time" : describe(error)
  return new EventStoreError({
    operation,
    reason: ambiguous ? { _tag: "OutcomeUnknown", detail } : { _tag: "Unavailable", detail: "the commit was refused without a reason" },
    ...(error === undefined ? {} : { cause: error })
  })
}

/** Versions have to follow one another up to the head's. */
const continuous = (payment: PaymentId, from: number, head: number, versions: ReadonlyArray<number>): EventContinuityError | undefined => {
  let expected = from
  for (const actual of versions) {
    if (actual !== expected) return new EventContinuityError({ paymentId: payment, expectedVersion: expected, actualVersion: actual })
    expected++
  }
  return expected <= head ? new EventContinuityError({ paymentId: payment, expectedVersion: expected, actualVersion: head }) : undefined
}

type HeadAndCommit = { readonly head: number } & (CommitRow | { readonly version: null })

const hasEvents = (row: HeadAndCommit): row is HeadAndCommit & CommitRow => row.version !== null

/** The rows of a payment from the one that has a version on, with its head. */
const readText = `
  select p.version as head, ${commitColumns} from aegispay.payments p
  left join aegispay.commits e on e.bucket = p.bucket and e.payment = p.id
    and e.version >= coalesce(${rowWith({ bucket: "$1::int", payment: "$2::uuid", version: "$3::int" })}, 0)
  where p.bucket = $1::int and p.id = $2::uuid order by e.version`

const makeRead = (sql: SqlClient) =>
  Effect.fn("EventStore.read")(function* (payment: PaymentId, options?: { readonly fromVersion?: number }) {
    const name = "EventStore.read"
    const from = Math.max(1, options?.fromVersion ?? 1)
    const rows = yield* repeatable(sql, name, sql.unsafe<HeadAndCommit>(readText, [bucketOfPayment(payment), uuidOfPayment(payment), from]))
    const events = (yield* readAll(rows.filter(hasEvents), (row) => storedEventsOf(name, row)))
      .flat()
      .filter(({ version }) => version >= from)
    const damage = continuous(
      payment,
      from,
      rows[0]?.head ?? 0,
      events.map(({ version }) => version)
    )
    if (damage !== undefined) return yield* damage
    return events
  })

const makeNow = (sql: SqlClient) =>
  repeatable(sql, "EventStore.now", sql.unsafe<{ readonly now: bigint }>(`select ${nowMillis} as now`)).pipe(
    Effect.flatMap(([row]) => (row === undefined ? Effect.fail(corrupt("EventStore.now", "no row")) : Effect.succeed(Number(row.now))))
  )

/** The event store on the database of the `SqlClient`. Needs the schema (`Migrations`), and no right to change it. */
export const layer: Layer.Layer<EventStore, never, SqlClient> = Layer.effect(
  EventStore,
  Effect.gen(function* () {
    const sql = (yield* SqlClient).withoutTransforms()
    return EventStore.of({ commit: yield* makeCommit(sql), read: makeRead(sql), readAll: makeReadAll(sql), now: makeNow(sql) })
  })
)
