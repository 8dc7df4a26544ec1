/**
 * Metrics of gateways in the database, shared by all instances.
 *
 * An instance keeps two sets of windows: the one that is read from, and what is not stored yet. Every
 * 5 s, and when the layer closes, a background fiber adds what is not stored to the rows (gateway, segment, slot), then reads the rows that
 * changed and sets those slots of the windows to row + not stored. So own calls count once and those of other instances arrive
 * within two rounds. When the layer is built the last hour is read.
 *
 * Nothing waits for the store. While it is away what is not stored is kept, at most the windows of one hour; the first failure of a
 * series is logged, and its end.
 *
 * Calls that are restored from events precede what is stored, so they are added to the rows of their slots and never stored. Where the
 * store could not be read before, they are all that is known, and what is read later takes their place.
 *
 * Gotchas: consecutive failures are those this instance saw. Minutes are those of the instances' clocks. A round whose commit was
 * not acknowledged is stored again and counts twice.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as SqlClient from "effect/sql/SqlClient"
import * as Presets from "../../../domain/Presets.ts"
import * as GatewayWindow from "../../../domain/routing/GatewayWindow.ts"
import * as GatewayWindows from "../../../domain/routing/GatewayWindows.ts"
import * as Segment from "../../../domain/routing/Segment.ts"
import * as Slot from "../../../domain/routing/Slot.ts"
import { GatewayMetrics, type GatewaySample, type PastSample } from "../../../services/routing/GatewayMetrics.ts"
import * as MetricsTable from "./MetricsTable.ts"

/** How often deltas are stored and others' rows are read. */
const roundEveryMillis = 5_000

/** The longest a round, the first reading or the last storing may take. */
const roundLimit = "5 seconds"

/** Rows are read again for this long after their last change, so that one whose commit took long is not missed. */
const overlapMillis = 120_000

const cleanUpEveryMillis = 600_000
const hourMillis = GatewayWindow.windowMinutes * GatewayWindow.minuteMillis
const minimumSamples = Presets.gatewayMetrics.minimumSamples.value

/** One step of a fiber: this runs with every call to a gateway. */
const atNow = <A>(answer: (now: number) => A): Effect.Effect<A> =>
  Effect.withFiberSucceed((fiber) => answer(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()))

/** The windows, what of them is not stored, and what was restored. Changed in place, by one fiber or one call at a time. */
const makeState = () => {
  const windows = GatewayWindows.make()
  let notStored = GatewayWindows.make()
  /** `undefined` again once all of it has fallen out of the window. */
  let restored: { readonly windows: GatewayWindows.GatewayWindows; readonly at: number } | undefined

  /** Sets a slot to what is stored and what of it is not. */
  const apply = ({ counts, gateway, segment }: MetricsTable.StoredSlot, now: number): void => {
    if (!GatewayWindows.hasRoomFor(windows, gateway, segment)) return
    const window = GatewayWindows.windowOf(windows, gateway, segment)
    GatewayWindow.setSlot(window, counts, now)
    for (const others of [notStored, restored?.windows]) {
      const other = others && GatewayWindows.existing(others, gateway, segment)
      const more = other && GatewayWindow.slotWith(other, counts.minute, now)
      if (more !== undefined) GatewayWindow.addSlot(window, more, now)
    }
  }

  /** Takes what was restored out of the windows again. */
  const takeBack = (past: GatewayWindows.GatewayWindows, now: number): void => {
    for (const [gateway, segment, window] of GatewayWindows.all(past)) {
      for (const { minute } of GatewayWindow.slots(window, now)) apply({ gateway, segment, counts: Slot.nothing(minute) }, now)
    }
  }

  return {
    windows,
    record: (sample: GatewaySample, now: number): void => {
      GatewayWindows.record(windows, sample, now)
      GatewayWindows.record(notStored, sample, now)
    },
    /** What is to be stored now; it is not kept any more. */
    takeNotStored: (now: number): ReadonlyArray<MetricsTable.StoredSlot> => {
      const slots = MetricsTable.slotsOf(notStored, now)
      if (slots.length > 0) notStored = GatewayWindows.make()
      return slots
    },
    keep: (slots: ReadonlyArray<MetricsTable.StoredSlot>, now: number): void => {
      for (const { counts, gateway, segment } of slots) {
        GatewayWindow.addSlot(GatewayWindows.windowOf(notStored, gateway, segment), counts, now)
      }
    },
    read: (slots: ReadonlyArray<MetricsTable.StoredSlot>, options: { readonly isFirst: boolean; readonly now: number }): void => {
      const past = restored
      if (past !== undefined && (options.isFirst || options.now - past.at > hourMillis)) {
        restored = undefined
        if (options.isFirst) takeBack(past.windows, options.now)
      }
      for (const slot of slots) apply(slot, options.now)
    },
    restore: (samples: ReadonlyArray<PastSample>, now: number): void => {
      const past = GatewayWindows.ofPast(samples, now)
      GatewayWindows.addAll(windows, past, now)
      const before = restored?.windows
      if (before !== undefined) GatewayWindows.addAll(past, before, now)
      restored = { windows: past, at: now }
    }
  }
}

const make = Effect.fnUntraced(function* (options: { readonly roundEveryMillis: number }) {
  const table = yield* MetricsTable.make
  const state = makeState()
  const { windows } = state
  let lastReadAt: number | undefined
  let lastCleanUpAt = yield* Clock.currentTimeMillis
  let inTrouble = false

  const store = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const slots = state.takeNotStored(now)
    let stored = 0
    yield* Effect.onExit(
      table.add(slots, (count) => (stored = count)),
      (exit) => Effect.sync(() => exit._tag === "Failure" && state.keep(slots.slice(stored), now))
    )
  })

  const read = Effect.gen(function* () {
    const startedAt = yield* Clock.currentTimeMillis
    const slots = yield* table.changedSince({
      afterMinute: GatewayWindow.minuteOf(startedAt) - GatewayWindow.windowMinutes,
      changedWithinMillis: Math.min(hourMillis, lastReadAt === undefined ? hourMillis : startedAt - lastReadAt) + overlapMillis
    })
    state.read(slots, { isFirst: lastReadAt === undefined, now: yield* Clock.currentTimeMillis })
    lastReadAt = startedAt
  })

  const cleanUp = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (now - lastCleanUpAt < cleanUpEveryMillis) return
    yield* table.cleanUp
    lastCleanUpAt = now
  })

  /**
   * Runs against the store with a time limit; tells of the first failure and of the first success after it. Closing waits for it: cut off
   * in the middle of a commit it would not know what is stored, and store it again.
   */
  const guarded = <E>(work: Effect.Effect<void, E>): Effect.Effect<void> =>
    Effect.interruptible(work).pipe(
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
      }),
      Effect.uninterruptible
    )

  yield* guarded(read)
  yield* Effect.addFinalizer(() => guarded(store))
  const round = guarded(Effect.andThen(store, Effect.andThen(read, cleanUp)))
  yield* Effect.forkScoped(Effect.delay(Effect.repeat(round, Schedule.spaced(options.roundEveryMillis)), options.roundEveryMillis))

  return GatewayMetrics.of({
    record: (sample) => (sample.verdict === "ignored" ? Effect.void : atNow((now) => state.record(sample, now))),
    health: (gateway) => atNow((now) => GatewayWindows.healthOf(windows, gateway, now)),
    stats: (gateway, segment) => {
      const question = { segment: segment === undefined ? 0 : Segment.code(segment), minimumSamples }
      return atNow((now) => GatewayWindows.statsOf(windows, gateway, question, now))
    },
    statsAt: (gateway, now, asked) =>
      GatewayWindows.statsOf(windows, gateway, { segment: asked?.segment ?? 0, minimumSamples, since: asked?.since, cost: false }, now),
    costs: (gateway) => atNow((now) => GatewayWindows.costsOf(windows, gateway, now)),
    oldestKnownAt: atNow((now) => GatewayWindows.oldestAt(windows, now)),
    restore: (samples) => atNow((now) => state.restore(samples, now))
  })
})

/** As `layer`, with another time between two rounds (default 5,000 ms). */
export const layerWith = (options: { readonly roundEveryMillis: number }): Layer.Layer<GatewayMetrics, never, SqlClient.SqlClient> =>
  Layer.effect(GatewayMetrics, make(options))

/** Metrics in the table `aegispay.routing_metrics`. */
export const layer: Layer.Layer<GatewayMetrics, never, SqlClient.SqlClient> = layerWith({ roundEveryMillis })
