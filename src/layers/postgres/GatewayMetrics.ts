/**
 * Metrics of gateways that all instances share and that survive a restart.
 *
 * Every instance records in its own memory, in two places: the window that health is read from, and what is not stored yet. Every
 * 5 s, and when the layer closes, a background fiber adds what is not stored to the rows (gateway, minute), then reads the rows that
 * changed and sets those minutes of the window to row + not stored. So own calls count once and those of other instances arrive
 * within two rounds. When the layer is built the last hour is read.
 *
 * Nothing waits for the store. While it is away what is not stored is kept, at most the window of one hour; the first failure of a
 * series is logged, and its end.
 *
 * Gotchas: consecutive failures are those this instance saw. Minutes are those of the instances' clocks. A round whose commit was
 * not acknowledged is stored again and counts twice.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import { GatewayName } from "../../domain/payment/Ids.ts"
import * as GatewayWindow from "../../domain/routing/GatewayWindow.ts"
import * as GatewayWindows from "../../domain/routing/GatewayWindows.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"

/** How often deltas are stored and others' rows are read. */
const roundEveryMillis = 5_000

/** The longest a round, the first reading or the last storing may take. */
const roundLimit = "5 seconds"

/** Rows are read again for this long after their last change, so that one whose commit took long is not missed. */
const overlapMillis = 120_000

/** Rows are deleted this long after their last change. */
const keepRows = "2 hours"
const cleanUpEveryMillis = 600_000

interface Row {
  readonly gateway: string
  readonly minute: number
  readonly healthy: number
  readonly failed: number
  readonly histogram: ReadonlyArray<number>
  readonly last_failure_at: bigint | null
}

const toRow = (gateway: GatewayName, counts: GatewayWindow.MinuteCounts) => {
  const histogram = Array.from(counts.histogram)
  return {
    gateway: gateway as string,
    minute: counts.minute,
    healthy: counts.healthy,
    failed: counts.failed,
    histogram: histogram.slice(0, histogram.findLastIndex((count) => count > 0) + 1),
    last_failure_at: counts.lastFailureAt === undefined ? null : BigInt(Math.round(counts.lastFailureAt))
  }
}

const fromRow = (row: Row): GatewayWindow.MinuteCounts => ({
  ...row,
  lastFailureAt: row.last_failure_at === null ? undefined : Number(row.last_failure_at)
})

/** The statements. */
const makeTable = Effect.gen(function* () {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()

  /** Adds to the rows; one statement, rows in key order so that two instances cannot deadlock. */
  const add = (rows: Arr.NonEmptyReadonlyArray<ReturnType<typeof toRow>>) => sql`
    insert into aegispay.gateway_metrics as stored
      ${sql.insert(rows)}
    on conflict (gateway, minute) do update set
      healthy = stored.healthy + excluded.healthy,
      failed = stored.failed + excluded.failed,
      histogram = (
        select array_agg(coalesce(bins.stored, 0) + coalesce(bins.added, 0) order by bins.bin)
        from unnest(stored.histogram, excluded.histogram) with ordinality as bins(stored, added, bin)),
      last_failure_at = greatest(stored.last_failure_at, excluded.last_failure_at),
      updated_at = clock_timestamp()`

  const changedSince = (options: { readonly afterMinute: number; readonly changedWithinMillis: number }) => sql<Row>`
    select gateway, minute, healthy, failed, histogram, last_failure_at from aegispay.gateway_metrics
    where minute > ${options.afterMinute}
      and updated_at > clock_timestamp() - ${options.changedWithinMillis}::float8 * interval '1 millisecond'`

  const cleanUp = sql`delete from aegispay.gateway_metrics where updated_at < clock_timestamp() - ${keepRows}::text::interval`

  return { add, changedSince, cleanUp }
})

const make = Effect.fnUntraced(function* (options: { readonly roundEveryMillis: number }) {
  const table = yield* makeTable
  const windows = GatewayWindows.make()
  let notStored = GatewayWindows.make()
  let lastReadAt: number | undefined
  let lastCleanUpAt = yield* Clock.currentTimeMillis
  let inTrouble = false

  const keep = (kept: GatewayWindows.GatewayWindows, now: number) => {
    for (const [gateway, window] of kept.byName) {
      notStored.byName.set(gateway, GatewayWindow.merge(window, GatewayWindows.windowOf(notStored, gateway), now))
    }
  }

  const store = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const storing = notStored
    const rows = [...storing.byName]
      .flatMap(([gateway, window]) => GatewayWindow.minutes(window, now).map((counts) => toRow(gateway, counts)))
      .sort((a, b) => (a.gateway === b.gateway ? a.minute - b.minute : a.gateway < b.gateway ? -1 : 1))
    if (!Arr.isReadonlyArrayNonEmpty(rows)) return
    notStored = GatewayWindows.make()
    yield* Effect.onExit(table.add(rows), (exit) => Effect.sync(() => exit._tag === "Failure" && keep(storing, now)))
  })

  const apply = (row: Row, now: number) => {
    const gateway = GatewayName.make(row.gateway)
    if (!windows.byName.has(gateway) && windows.byName.size >= GatewayWindows.maxGateways) return
    const window = GatewayWindows.windowOf(windows, gateway)
    GatewayWindow.setMinute(window, fromRow(row), now)
    const mine = notStored.byName.get(gateway)
    const counts = mine && GatewayWindow.minutes(mine, now).find((counts) => counts.minute === row.minute)
    if (counts !== undefined) GatewayWindow.addMinute(window, counts, now)
  }

  const read = Effect.gen(function* () {
    const startedAt = yield* Clock.currentTimeMillis
    const hourMillis = GatewayWindow.windowMinutes * GatewayWindow.minuteMillis
    const rows = yield* table.changedSince({
      afterMinute: GatewayWindow.minuteOf(startedAt) - GatewayWindow.windowMinutes,
      changedWithinMillis: Math.min(hourMillis, lastReadAt === undefined ? hourMillis : startedAt - lastReadAt) + overlapMillis
    })
    const now = yield* Clock.currentTimeMillis
    for (const row of rows) apply(row, now)
    lastReadAt = startedAt
  })

  const cleanUp = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (now - lastCleanUpAt < cleanUpEveryMillis) return
    yield* table.cleanUp
    lastCleanUpAt = now
  })

  /** Runs against the store with a time limit; tells of the first failure and of the first success after it. */
  const guarded = <E>(work: Effect.Effect<void, E>): Effect.Effect<void> =>
    work.pipe(
      Effect.timeout(roundLimit),
      Effect.matchCauseEffect({
        onFailure: (cause) => {
          if (Cause.hasInterruptsOnly(cause)) return Effect.void
          const first = !inTrouble
          inTrouble = true
          return first ? Effect.logWarning("gateway metrics cannot be stored; they are kept in memory", cause) : Effect.void
        },
        onSuccess: () => {
          const recovered = inTrouble
          inTrouble = false
          return recovered ? Effect.logInfo("gateway metrics are stored again") : Effect.void
        }
      })
    )

  yield* guarded(read)
  yield* Effect.addFinalizer(() => guarded(store))
  const round = guarded(Effect.andThen(store, Effect.andThen(read, cleanUp)))
  yield* Effect.forkScoped(Effect.delay(Effect.repeat(round, Schedule.spaced(options.roundEveryMillis)), options.roundEveryMillis))

  return GatewayMetrics.of({
    record: (sample) =>
      sample.verdict === "ignored"
        ? Effect.void
        : Effect.map(Clock.currentTimeMillis, (now) => {
            const call = { healthy: sample.verdict === "healthy", durationMillis: sample.durationMillis }
            for (const each of [windows, notStored]) GatewayWindow.record(GatewayWindows.windowOf(each, sample.gateway), call, now)
          }),
    health: (gateway) => Effect.map(Clock.currentTimeMillis, (now) => ({ gateway, ...GatewayWindows.summarize(windows, gateway, now) }))
  })
})

/** As `layer`, with another time between two rounds (default 5,000 ms). */
export const layerWith = (options: { readonly roundEveryMillis: number }): Layer.Layer<GatewayMetrics, never, SqlClient.SqlClient> =>
  Layer.effect(GatewayMetrics, make(options))

/** Metrics in the table `aegispay.gateway_metrics`. */
export const layer: Layer.Layer<GatewayMetrics, never, SqlClient.SqlClient> = layerWith({ roundEveryMillis })
