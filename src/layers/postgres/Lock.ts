/**
 * Locks as rows of one table, on the database's clock.
 *
 * Acquiring is one upsert that takes the row where its lease is over, so of many instances one wins. Releasing keeps the row, with
 * an expiry that is past; rows whose lease ended more than an hour ago are deleted every 10 min by each instance. Tokens come from a
 * sequence and exceed the row's last one, so they grow over release, expiry and clean-up. Whoever waits polls (PolledLock).
 *
 * Every statement runs on its own, never in the caller's transaction: a lease must be seen by others at once.
 *
 * Gotcha: an acquisition whose answer is lost leaves a lease that nobody holds; it ends with its time to live.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import { type Lease, LeaseLost, Lock, LockUnavailable } from "../../services/Lock.ts"
import * as PolledLock from "../PolledLock.ts"

/** How often expired rows are looked for, and how long they are kept: longer than any statement can be under way. */
const cleanUpEvery = "10 minutes"
const keepMillis = 3_600_000
const cleanUpBatch = 1_000

interface Row {
  readonly token: bigint
  readonly expires_at: number
}

const make = Effect.gen(function* () {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()

  const later = (millis: number) => sql`clock_timestamp() + ${millis}::float8 * interval '1 millisecond'`
  const returningLease = sql`returning token, trunc(extract(epoch from expires_at) * 1000)::float8 as expires_at`

  /** Runs a statement outside of any transaction of the caller. */
  const ask = <A>(key: string, statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, LockUnavailable> =>
    statement.pipe(
      Effect.updateContext((context: Context.Context<never>) => Context.omit(sql.transactionService)(context)),
      Effect.mapError((cause) => new LockUnavailable({ key, cause }))
    )

  const tryAcquire = ({ key, owner, ttlMillis }: { readonly key: string; readonly owner: string; readonly ttlMillis: number }) =>
    Effect.map(
      ask(
        key,
        sql<Row>`
          insert into aegispay.locks as held (key, owner, token, expires_at)
          values (${key}, ${owner}, nextval('aegispay.lock_tokens'), ${later(ttlMillis)})
          on conflict (key) do update
            set owner = excluded.owner,
                token = greatest(nextval('aegispay.lock_tokens'), held.token + 1),
                expires_at = ${later(ttlMillis)}
            where held.expires_at <= clock_timestamp()
          ${returningLease}`
      ),
      ([row]): Lease | undefined => (row === undefined ? undefined : { key, owner, token: row.token, expiresAt: row.expires_at })
    )

  const release = Effect.fn("Lock.release")(function* ({ key, token }: Lease) {
    const rows = yield* ask(
      key,
      sql`
        update aegispay.locks set expires_at = clock_timestamp() - interval '1 second'
        where key = ${key} and token = ${token} and expires_at > clock_timestamp()
        returning key`
    )
    return rows.length > 0
  })

  const acquire = PolledLock.acquireFrom({ tryAcquire, release })

  const extend = Effect.fn("Lock.extend")(function* (lease: Lease, { ttlMillis }: { readonly ttlMillis: number }) {
    const { key, owner, token } = lease
    const [row] = yield* ask(
      key,
      sql<Row>`
        update aegispay.locks set expires_at = ${later(ttlMillis)}
        where key = ${key} and token = ${token} and expires_at > clock_timestamp()
        ${returningLease}`
    )
    return row === undefined ? yield* new LeaseLost({ key, owner }) : { ...lease, expiresAt: row.expires_at }
  })

  const cleanUp = sql`
    delete from aegispay.locks where key in (
      select key from aegispay.locks
      where expires_at < clock_timestamp() - ${keepMillis}::float8 * interval '1 millisecond'
      limit ${cleanUpBatch} for update skip locked)`.pipe(
    Effect.tapError((error) => Effect.logDebug("expired locks could not be deleted; trying again later", error)),
    Effect.ignore
  )
  yield* Effect.forkScoped(Effect.delay(Effect.repeat(cleanUp, Schedule.spaced(cleanUpEvery)), cleanUpEvery))

  return Lock.of({ acquire, release, extend })
})

/** Locks in the table `aegispay.locks`. */
export const layer: Layer.Layer<Lock, never, SqlClient.SqlClient> = Layer.effect(Lock, make)
