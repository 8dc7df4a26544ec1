/**
 * What circuit breakers of several instances tell each other, in one table, by the database's clock.
 *
 * Telling is one upsert that leaves a forced row to a person. Versions are the time in microseconds, and exceed the row's last one.
 * Automatic rows older than a day are deleted every hour by each instance.
 *
 * Every statement runs on its own, never in the caller's transaction.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import type * as SqlError from "effect/sql/SqlError"
import type { BreakerName } from "../../../domain/resilience/BreakerName.ts"
import {
  type BreakerEntry,
  type BreakerNews,
  BreakerStore,
  BreakerStoreUnavailable,
  type SharedBreakerState
} from "../../../services/resilience/BreakerStore.ts"

const cleanUpEvery = "1 hour"
const keepAutomatic = "1 day"
const cleanUpBatch = 1_000

interface Row {
  readonly name: BreakerName
  readonly state: SharedBreakerState
  readonly open_for: number
  readonly by_person: boolean
  readonly instance: string
  readonly version: bigint
  readonly order_version: bigint
}

const toEntry = (row: Row): BreakerEntry => ({
  name: row.name,
  state: row.state,
  openForMillis: row.state === "open" ? row.open_for : 0,
  byPerson: row.by_person,
  instance: row.instance,
  version: Number(row.version),
  orderVersion: Number(row.order_version)
})

const make = Effect.gen(function* () {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const micros = sql`trunc(extract(epoch from statement_timestamp()) * 1000000)::bigint`
  const columns = sql`name, state, by_person, instance, version, order_version,
    (extract(epoch from open_until - clock_timestamp()) * 1000)::float8 as open_for`

  /** Runs a statement outside of any transaction of the caller. */
  const ask = <A>(operation: string, statement: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, BreakerStoreUnavailable> =>
    statement.pipe(
      Effect.updateContext((context: Context.Context<never>) => Context.omit(sql.transactionService)(context)),
      Effect.mapError((cause) => new BreakerStoreUnavailable({ operation, cause }))
    )

  const upsert = ({ byPerson, instance, name, openForMillis, state }: BreakerNews) => sql<Row>`
    insert into aegispay.breakers as held (name, state, open_until, by_person, instance, version, order_version)
    select ${name}, ${state}, clock_timestamp() + ${openForMillis}::float8 * interval '1 millisecond', ${byPerson}::boolean, ${instance},
      micros, case when ${byPerson}::boolean then micros else 0 end
    from (select ${micros} as micros) as clock
    on conflict (name) do update set
      state = excluded.state,
      open_until = excluded.open_until,
      by_person = excluded.by_person,
      instance = excluded.instance,
      version = greatest(${micros}, held.version + 1),
      order_version = case when excluded.by_person then greatest(${micros}, held.version + 1) else held.order_version end,
      told_at = clock_timestamp()
    where excluded.by_person or held.state not in ('forced-open', 'forced-closed')
    returning ${columns}`

  /** The forced row that was in the way can be gone when it is read: then the news is told once more. */
  const tell: (typeof BreakerStore.Service)["tell"] = Effect.fn("BreakerStore.tell")(function* (news) {
    while (true) {
      const [told] = yield* ask("tell", upsert(news))
      if (told !== undefined) return toEntry(told)
      const [held] = yield* ask("tell", sql<Row>`select ${columns} from aegispay.breakers where name = ${news.name}`)
      if (held !== undefined) return toEntry(held)
    }
  })

  const all = Effect.map(ask("all", sql<Row>`select ${columns} from aegispay.breakers order by name`), (rows) => rows.map(toEntry))

  const cleanUp = sql`
    delete from aegispay.breakers where name in (
      select name from aegispay.breakers
      where state not in ('forced-open', 'forced-closed') and told_at < clock_timestamp() - ${keepAutomatic}::text::interval
      limit ${cleanUpBatch} for update skip locked)`.pipe(
    Effect.tapError((error) => Effect.logDebug("old entries of circuit breakers could not be deleted; trying again later", error)),
    Effect.ignore
  )
  yield* Effect.forkScoped(Effect.delay(Effect.repeat(cleanUp, Schedule.spaced(cleanUpEvery)), cleanUpEvery))

  return BreakerStore.of({ tell, all })
})

/** Entries in the table `aegispay.breakers`. */
export const layer: Layer.Layer<BreakerStore, never, SqlClient.SqlClient> = Layer.effect(BreakerStore, make)
