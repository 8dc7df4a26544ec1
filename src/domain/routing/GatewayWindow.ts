/**
 * The last hour of a gateway's calls, or of a part of them: a rolling window of slots.
 *
 * A gateway's own window has 60 slots of one minute, that of a segment 12 slots of five minutes: it covers 55 to 60 minutes. Each slot
 * counts calls by verdict and approval, sums costs, and keeps a sketch of the durations. Totals over the window are kept beside the
 * slots: recording is O(1), a summary looks at a few counts of the totals and is kept until something changes, nothing is ever sorted.
 * Memory is bounded whatever the number of calls: at most 61 sketches, 87 kB, for a gateway, and 13, 18 kB, for a segment.
 *
 * A window is changed in place and belongs to one owner. Time is an argument. A clock that steps back counts in the newest slot
 * seen; one that steps back by more than the window starts it anew.
 *
 * ```ts
 * const window = GatewayWindow.make(GatewayWindow.byMinute)
 * GatewayWindow.record(window, { verdict: "healthy", durationMillis: 120 }, now)
 * GatewayWindow.summarize(window, now).p95Millis
 * ```
 */
import * as Sketch from "./Sketch.ts"
import * as Slot from "./Slot.ts"

export const minuteMillis = 60_000

/** Minutes in the window. */
export const windowMinutes = 60

/** How a window is divided. */
export interface WindowShape {
  readonly slotMinutes: number
  readonly slots: number
}

/** For gateways. */
export const byMinute: WindowShape = { slotMinutes: 1, slots: windowMinutes }

/** For segments: a fifth of the memory, and of the rows where they are stored. */
export const byFiveMinutes: WindowShape = { slotMinutes: 5, slots: windowMinutes / 5 }

/** How much of a failure a limited call is. */
const limitedShare = 0.5

/** What the window says. Without samples the rates are 1 and the quantiles are 0. */
export interface WindowSummary {
  readonly samples: number
  /** A limited call counts as half a failure. */
  readonly successRate: number
  readonly approved: number
  readonly declined: number
  readonly approvalRate: number
  readonly p50Millis: number
  readonly p95Millis: number
  readonly p99Millis: number
  readonly costs: number
  /** `undefined` without costs. */
  readonly meanCostMinor: number | undefined
  readonly consecutiveFailures: number
  readonly lastFailureAt: number | undefined
}

/** How often something was counted or forgotten, in all windows that share it: where it is the same, they say the same until a slot ends. */
export interface Changes {
  count: number
}

/** Opaque: use the functions of this module. */
export interface GatewayWindow {
  readonly shape: WindowShape
  readonly changes: Changes
  readonly slots: Array<Slot.Slot | undefined>
  readonly total: Slot.Slot
  /** The newest slot's number, and its time: from `startsAt` to before `endsAt` nothing has to be forgotten. */
  newest: number
  startsAt: number
  endsAt: number
  /** The newest slot, once there is something in it. */
  current: Slot.Slot | undefined
  /** The last time that something was counted. */
  recordedAt: number
  /** Kept until something changes. */
  summary: WindowSummary | undefined
  /** What was counted since a time that was asked about. */
  fresh: Fresh | undefined
  /** Failures since the last healthy call; the window's end does not reset them. */
  consecutiveFailures: number
  lastFailureAt: number
}

/** A second total of calls since a time (epoch milliseconds): counted along, so that asking again costs nothing. */
interface Fresh {
  readonly since: number
  readonly total: Slot.Slot
  summary: WindowSummary | undefined
}

/** Times as near as this are one time told by clocks that drift. */
const sameMillis = 1_000

const { never } = Slot

/** An empty window. `changes`: shared with others. */
export const make = (shape: WindowShape, changes: Changes = { count: 0 }): GatewayWindow => ({
  shape,
  changes,
  slots: Array.from({ length: shape.slots }, () => undefined),
  total: Slot.make(0),
  newest: never,
  startsAt: 0,
  endsAt: never,
  current: undefined,
  recordedAt: never,
  summary: undefined,
  fresh: undefined,
  consecutiveFailures: 0,
  lastFailureAt: never
})

/** The minute of a time, in minutes since the epoch. */
export const minuteOf = (atMillis: number): number => Math.floor(atMillis / minuteMillis)

/** Counts one call. */
export const record = (window: GatewayWindow, sample: Slot.WindowSample, now: number): void =>
  recordBin(window, sample, Sketch.binOf(sample.durationMillis), now)

/** As `record`, where the bin of the duration is known. */
export const recordBin = (window: GatewayWindow, sample: Slot.WindowSample, bin: number, now: number): void => {
  if (sample.verdict === "ignored") return
  const slot = currentSlot(window, now)
  Slot.count(slot, sample, bin)
  Slot.count(window.total, sample, bin)
  if (window.fresh !== undefined) {
    Slot.count(window.fresh.total, sample, bin)
    window.fresh.summary = undefined
  }
  if (sample.verdict === "healthy") {
    window.consecutiveFailures = 0
  } else if (sample.verdict === "failed") {
    window.consecutiveFailures++
    if (now > window.lastFailureAt) window.lastFailureAt = now
    slot.lastFailureAt = window.lastFailureAt
  }
}

/** Counts what a call cost, in minor units; one window counts one currency. */
export const recordCost = (window: GatewayWindow, costMinor: number, now: number): void => {
  const slot = currentSlot(window, now)
  slot.costs++
  slot.costMinor += costMinor
  window.total.costs++
  window.total.costMinor += costMinor
}

/** Replaces what one slot counts. One outside of the window changes nothing. */
export const setSlot = (window: GatewayWindow, counts: Slot.SlotCounts, now: number): void => {
  advance(window, now)
  const slot = slotOfMinute(window, counts.minute)
  if (slot === undefined) return
  forget(window, slot)
  addSlot(window, counts, now)
}

/** Adds to what one slot counts, in whatever order; a run of failures stays as it is. One outside of the window changes nothing. */
export const addSlot = (window: GatewayWindow, counts: Slot.SlotCounts, now: number): void => {
  advance(window, now)
  const slot = slotOfMinute(window, counts.minute)
  if (slot === undefined) return
  Slot.addCounts(slot, counts)
  Slot.addCounts(window.total, counts)
  slot.lastFailureAt = Math.max(slot.lastFailureAt, counts.lastFailureAt ?? never)
  window.lastFailureAt = Math.max(window.lastFailureAt, slot.lastFailureAt)
  window.recordedAt = Math.max(window.recordedAt, counts.minute * minuteMillis)
  window.changes.count++
  window.summary = undefined
  window.fresh = undefined
}

/** What the window counts, slot by slot; only slots with something in them. */
export const slots = (window: GatewayWindow, now: number): ReadonlyArray<Slot.SlotCounts> => {
  advance(window, now)
  return window.slots
    .filter((slot): slot is Slot.Slot => slot !== undefined && !Slot.isEmpty(slot))
    .map((slot) => Slot.countsOf(slot, window.shape.slotMinutes))
}

/** What the slot with a minute counts; `undefined` when there is nothing in it. */
export const slotWith = (window: GatewayWindow, minute: number, now: number): Slot.SlotCounts | undefined => {
  advance(window, now)
  const number = Math.floor(minute / window.shape.slotMinutes)
  const slot = window.slots[indexOf(window, number)]
  return slot === undefined || slot.number !== number || Slot.isEmpty(slot) ? undefined : Slot.countsOf(slot, window.shape.slotMinutes)
}

/** The window as of `now`. */
export const summarize = (window: GatewayWindow, now: number): WindowSummary => {
  advance(window, now)
  return (window.summary ??= summaryOf(window, window.total))
}

/**
 * The window as of `now`, but without what was counted before `since`: whole slots where that has to be found out, exact from the first
 * question on. Costs are none; runs of failures are the whole window's.
 */
export const summarizeSince = (window: GatewayWindow, since: number | undefined, now: number): WindowSummary => {
  const fresh = since === undefined ? undefined : freshOf(window, since, now)
  return fresh === undefined ? summarize(window, now) : (fresh.summary ??= summaryOf(window, fresh.total))
}

/** How many calls are counted: what a summary says, without making one. */
export const samples = (window: GatewayWindow, since: number | undefined, now: number): number => {
  const fresh = since === undefined ? undefined : freshOf(window, since, now)
  if (fresh === undefined) advance(window, now)
  return Sketch.size((fresh?.total ?? window.total).sketch)
}

/** `undefined`: all that is counted was counted since then. */
const freshOf = (window: GatewayWindow, since: number, now: number): Fresh | undefined => {
  advance(window, now)
  const { fresh, newest, shape } = window
  const slotMillis = shape.slotMinutes * minuteMillis
  if (since <= (newest - shape.slots + 1) * slotMillis) return undefined
  if (fresh !== undefined && Math.abs(fresh.since - since) < sameMillis) return fresh
  const total = Slot.make(0)
  for (const slot of window.slots) {
    if (slot !== undefined && slot.number * slotMillis >= since) Slot.addCounts(total, Slot.countsOf(slot, shape.slotMinutes))
  }
  return (window.fresh = { since, total, summary: undefined })
}

/** The mean of at least so many costs; `undefined` of fewer. */
export const meanCostMinor = (window: GatewayWindow, minimum: number, now: number): number | undefined => {
  advance(window, now)
  const { costMinor, costs } = window.total
  return costs === 0 || costs < minimum ? undefined : costMinor / costs
}

/** The time of the last failure, however long ago; `undefined`: none is known. */
export const lastFailureAt = (window: GatewayWindow): number | undefined =>
  window.lastFailureAt === never ? undefined : window.lastFailureAt

/** The smallest duration that at least the share `q` (0 to 1) of the calls did not exceed, within 2 %; 0 without calls. */
export const quantile = (window: GatewayWindow, q: number, now: number): number => {
  advance(window, now)
  return Sketch.quantile(window.total.sketch, q)
}

const summaryOf = (window: GatewayWindow, total: Slot.Slot): WindowSummary => {
  const { approved, costMinor, costs, declined, failed, healthy, limited, sketch } = total
  const samples = healthy + failed + limited
  const judged = approved + declined
  return {
    samples,
    successRate: samples === 0 ? 1 : (healthy + limited * (1 - limitedShare)) / samples,
    approved,
    declined,
    approvalRate: judged === 0 ? 1 : approved / judged,
    p50Millis: Sketch.quantile(sketch, 0.5),
    p95Millis: Sketch.quantile(sketch, 0.95),
    p99Millis: Sketch.quantile(sketch, 0.99),
    costs,
    meanCostMinor: costs === 0 ? undefined : costMinor / costs,
    consecutiveFailures: window.consecutiveFailures,
    lastFailureAt: lastFailureAt(window)
  }
}

const indexOf = (window: GatewayWindow, number: number): number => {
  const { slots } = window.shape
  return ((number % slots) + slots) % slots
}

/** The slot that counts at this moment; whatever changes it also ends the kept summary. */
const currentSlot = (window: GatewayWindow, now: number): Slot.Slot => {
  advance(window, now)
  window.recordedAt = now
  window.changes.count++
  window.summary = undefined
  return (window.current ??= slotAt(window, window.newest))
}

/** The slot of a minute; `undefined` where that is outside of the window. */
const slotOfMinute = (window: GatewayWindow, minute: number): Slot.Slot | undefined => {
  const number = Math.floor(minute / window.shape.slotMinutes)
  return number <= window.newest && number > window.newest - window.shape.slots ? slotAt(window, number) : undefined
}

/** The slot of a number inside the window. */
const slotAt = (window: GatewayWindow, number: number): Slot.Slot => {
  const index = indexOf(window, number)
  const known = window.slots[index]
  if (known !== undefined && known.number === number) return known
  const slot = known ?? Slot.make(number)
  if (known !== undefined) forget(window, known)
  slot.number = number
  window.slots[index] = slot
  return slot
}

const forget = (window: GatewayWindow, slot: Slot.Slot): void => {
  if (Slot.isEmpty(slot)) return
  const { fresh, shape } = window
  if (fresh !== undefined && (slot.number + 1) * shape.slotMinutes * minuteMillis > fresh.since) window.fresh = undefined
  Slot.takeOut(window.total, slot)
  window.changes.count++
  window.summary = undefined
}

/** Moves the window to `now`: forgets the slots that fell out. At most once a slot there is anything to do. */
const advance = (window: GatewayWindow, now: number): void => {
  if (now < window.endsAt && now >= window.startsAt) return
  const { shape } = window
  const number = Math.floor(minuteOf(now) / shape.slotMinutes)
  const steps = number - window.newest
  if (steps <= 0 && steps > -shape.slots) return
  if (window.newest === never || Math.abs(steps) >= shape.slots) {
    for (const slot of window.slots) if (slot !== undefined) forget(window, slot)
  } else {
    for (let passed = window.newest + 1; passed <= number; passed++) {
      const slot = window.slots[indexOf(window, passed)]
      if (slot !== undefined) forget(window, slot)
    }
  }
  window.newest = number
  window.startsAt = number * shape.slotMinutes * minuteMillis
  window.endsAt = window.startsAt + shape.slotMinutes * minuteMillis
  window.current = undefined
}
