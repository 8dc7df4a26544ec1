/**
 * Reading the events of all payments in the order of their positions, without missing one.
 *
 * Positions have the order of transaction ids, and a transaction that is still open may yet write events at positions behind those
 * already visible. So a page ends before the oldest open transaction of this database: everything below is finished for ever.
 *
 * Postgres numbers the transactions of all databases of a server together. One is left out only when it is proven to belong to
 * another database: it holds the lock on its own id there at this moment. One that has ended since the snapshot was taken proves
 * nothing; then the page is asked for again.
 *
 * A row is a commit and has the position of its last event; a page may end within one, and the next goes on there.
 *
 * **Gotchas**: a long transaction of this database that has written anything holds the log back, never a commit or the history of
 * one payment.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { SqlClient } from "effect/sql/SqlClient"
import { commitColumns, type CommitRow, readAll, storedEventsOf } from "./Rows.ts"
import { repeatable } from "../SqlErrors.ts"

/** The most events of one page. */
const maxPageSize = 10_000

/** How often a page is asked for when a transaction ended while it was read. Each time has a new snapshot, a millisecond later. */
const maxSnapshots = 5

const text = `
  with snapshot as materialized (select pg_current_snapshot() as taken),
  open as materialized (
    select x.id::text::bigint as id, l.locktype is null as ended
    from snapshot cross join lateral pg_snapshot_xip(snapshot.taken) as x(id)
    left join pg_locks l on l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and l.transactionid = x.id::xid
    left join pg_stat_activity a on a.pid = l.pid
    where a.datid is null or a.datid = (select d.oid from pg_database d where d.datname = current_database())),
  horizon as materialized (
    select coalesce((select min(id) from open), pg_snapshot_xmax(taken)::text::bigint) as id,
      coalesce((select ended from open order by id limit 1), false) as ended from snapshot)
  select h.ended, e.* from horizon h left join lateral (
    select * from (
      select e.position, ${commitColumns}, sum(least(cardinality(e.event_ids), e.position - $1::bigint)) over (order by e.position)::bigint as events
      from aegispay.commits e
      where e.position > $1::bigint and e.position < (h.id + aegispay.position_base()) << 20
      order by e.position limit $2::int) e
    where e.events - cardinality(e.event_ids) < $2::int) e on true
  order by e.position`

interface LogRow extends CommitRow {
  /** Of its last event. */
  readonly position: bigint
}

type Row = { readonly ended: boolean } & (LogRow | { readonly position: null })

const hasEvents = (row: Row): row is Row & LogRow => row.position !== null

/** The events of a row with their positions. */
const eventsOf = (operation: string, row: LogRow) =>
  Result.map(storedEventsOf(operation, row), (events) => {
    const first = row.position - BigInt(events.length - 1)
    return events.map((event, index) => ({ position: first + BigInt(index), event }))
  })

/** `EventStore.readAll` on this client. */
export const makeReadAll = (sql: SqlClient) =>
  Effect.fn("EventStore.readAll")(function* (options: { readonly after: bigint; readonly limit: number }) {
    const name = "EventStore.readAll"
    const limit = Math.min(maxPageSize, Math.max(1, options.limit))
    const page = repeatable(sql, name, sql.unsafe<Row>(text, [options.after, limit]))
    for (let snapshots = 1; ; snapshots++) {
      const rows = yield* page
      const commits = yield* readAll(rows.filter(hasEvents), (row) => eventsOf(name, row))
      const events = commits.flat().filter(({ position }) => position > options.after)
      if (rows[0]?.ended !== true || events.length >= limit || snapshots === maxSnapshots) return events.slice(0, limit)
    }
  })
