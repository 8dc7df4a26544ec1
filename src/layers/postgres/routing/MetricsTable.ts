/**
 * The table `aegispay.routing_metrics`: one row for what one slot of one window counts.
 *
 * Rows only grow by addition, so instances may add in any order. The histogram is stored as the bins that are not empty: a segment has a
 * few dozen of its 334.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { GatewayName } from "../../../domain/payment/Ids.ts"
import * as GatewayWindow from "../../../domain/routing/GatewayWindow.ts"
import * as GatewayWindows from "../../../domain/routing/GatewayWindows.ts"
import * as Segment from "../../../domain/routing/Segment.ts"
import type { SlotCounts } from "../../../domain/routing/Slot.ts"

/** Rows are deleted this long after their last change. */
const keepRows = "2 hours"

/** Rows of one statement: with 15 parameters each far below the 65,535 that the protocol allows. */
const rowsAtOnce = 500

/** The most rows that are read at once: as many as the windows have slots. Broad segments come first. */
const maxRowsRead = 50_000

interface RowColumns extends Segment.SegmentParts {
  readonly gateway: string
  readonly minute: number
  readonly healthy: number
  readonly failed: number
  readonly limited: number
  readonly approved: number
  readonly declined: number
  readonly costs: number
  readonly cost_minor: number
  readonly bins: ReadonlyArray<number>
  readonly times: ReadonlyArray<number>
  readonly last_failure_at: bigint | null
}

/** A slot and whose it is. */
export interface StoredSlot {
  readonly gateway: GatewayName
  readonly segment: Segment.SegmentCode
  readonly counts: SlotCounts
}

/** All slots of these windows, in one order, so that two instances cannot deadlock. */
export const slotsOf = (windows: GatewayWindows.GatewayWindows, now: number): ReadonlyArray<StoredSlot> =>
  [...GatewayWindows.all(windows)]
    .flatMap(([gateway, segment, window]) => GatewayWindow.slots(window, now).map((counts) => ({ gateway, segment, counts })))
    .sort((left, right) => {
      if (left.gateway !== right.gateway) return left.gateway < right.gateway ? -1 : 1
      return left.segment - right.segment || left.counts.minute - right.counts.minute
    })

const toRow = ({ counts, gateway, segment }: StoredSlot) => {
  const { costMinor, lastFailureAt, ...same } = counts
  return {
    gateway: gateway as string,
    ...Segment.partsOf(segment),
    ...same,
    bins: [...same.bins],
    times: [...same.times],
    cost_minor: costMinor,
    last_failure_at: lastFailureAt === undefined ? null : BigInt(Math.round(lastFailureAt))
  }
}

/** A row that another version of the program has written may name what this one does not know: it is left out. */
const fromRow = (row: RowColumns): ReadonlyArray<StoredSlot> => {
  const segment = Segment.ofParts(row)
  if (segment === undefined) return []
  const { cost_minor: costMinor, last_failure_at: lastFailureAt } = row
  const counts = { ...row, costMinor, lastFailureAt: lastFailureAt === null ? undefined : Number(lastFailureAt) }
  return [{ gateway: GatewayName.make(row.gateway), segment, counts }]
}

/** The statements over the client of the layer. */
export const make = Effect.gen(function* () {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()

  const addAtOnce = (slots: Arr.NonEmptyReadonlyArray<StoredSlot>) => sql`
    insert into aegispay.routing_metrics as stored
      ${sql.insert(Arr.map(slots, toRow))}
    on conflict (gateway, method, currency, country, minute) do update set
      healthy = stored.healthy + excluded.healthy,
      failed = stored.failed + excluded.failed,
      limited = stored.limited + excluded.limited,
      approved = stored.approved + excluded.approved,
      declined = stored.declined + excluded.declined,
      costs = stored.costs + excluded.costs,
      cost_minor = stored.cost_minor + excluded.cost_minor,
      (bins, times) = (
        select coalesce(array_agg(bin order by bin), '{}'), coalesce(array_agg(times order by bin), '{}') from (
          select bin, sum(times)::int as times from (
            select * from unnest(stored.bins, stored.times) union all select * from unnest(excluded.bins, excluded.times)
          ) as both_rows(bin, times) group by bin) as merged),
      last_failure_at = greatest(stored.last_failure_at, excluded.last_failure_at),
      updated_at = clock_timestamp()`

  /** Adds to the rows, some hundred at once. `onAdded` is told how many of the slots are stored after each statement. */
  const add = (slots: ReadonlyArray<StoredSlot>, onAdded: (count: number) => void): Effect.Effect<void, SqlError> => {
    let added = 0
    return Effect.forEach(
      Arr.chunksOf(slots, rowsAtOnce),
      (some) =>
        Effect.map(addAtOnce(some), () => {
          added += some.length
          onAdded(added)
        }),
      { discard: true }
    )
  }

  /** What the rows count that changed lately and whose slot does not end before `afterMinute`. */
  const changedSince = (options: { readonly afterMinute: number; readonly changedWithinMillis: number }) =>
    sql<RowColumns>`
      select gateway, method, currency, country, minute, healthy, failed, limited, approved, declined, costs, cost_minor, bins, times,
        last_failure_at
      from aegispay.routing_metrics
      where minute > ${options.afterMinute}
        and updated_at > clock_timestamp() - ${options.changedWithinMillis}::float8 * interval '1 millisecond'
      order by country, currency, method limit ${maxRowsRead}`.pipe(Effect.map((rows) => rows.flatMap(fromRow)))

  const cleanUp = sql`delete from aegispay.routing_metrics where updated_at < clock_timestamp() - ${keepRows}::text::interval`

  return { add, changedSince, cleanUp }
})
