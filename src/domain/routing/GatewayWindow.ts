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
import type { Approval, Verdict } from "./Attribution.ts"
import * as Sketch from "./Sketch.ts"

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

/** One call that counts. */
export interface WindowSample {
  readonly verdict: Verdict
  readonly approval?: Approval | undefined
  readonly durationMillis: number
}

/** What one slot counts, in the form in which it is stored. `minute`: the slot's first, in minutes since the epoch. */
export interface SlotCounts {
  readonly minute: number
  readonly healthy: number
  readonly failed: number
  readonly limited: number
  readonly approved: number
  readonly declined: number
  /** How many costs were recorded, and their sum in minor units. */
  readonly costs: number
  readonly costMinor: number
  /** Bins of the sketch that are not empty, and how many durations each has. */
  readonly bins: ReadonlyArray<number>
  readonly times: ReadonlyArray<number>
  /** Epoch milliseconds; `undefined`: no failure, or its time is not known. */
  readonly lastFailureAt: number | undefined
}

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

interface Slot {
  /** Minutes since the epoch divided by the slot's length. */
  number: number
  healthy: number
  failed: number
  limited: number
  approved: number
  declined: number
  costs: number
  costMinor: number
  lastFailureAt: number
  readonly sketch: Sketch.Sketch
}

/** Opaque: use the functions of this module. */
export interface GatewayWindow {
  readonly shape: WindowShape
  readonly slots: Array<Slot | undefined>
  readonly total: Slot
  /** The newest slot's number, and its time: from `startsAt` to before `endsAt` nothing has to be forgotten. */
  newest: number
  startsAt: number
  endsAt: number
  /** The newest slot, once there is something in it. */
  current: Slot | undefined
  /** The last time that something was counted. */
  recordedAt: number
  /** Kept until something changes. */
  summary: WindowSummary | undefined
  /** Failures since the last healthy call; the window's end does not reset them. */
  consecutiveFailures: number
  /** When the present run of failures began. */
  failingSince: number
  lastHealthyAt: number
  lastFailureAt: number
}

const never = Number.NEGATIVE_INFINITY

const emptySlot = (number: number): Slot => ({
  number,
  healthy: 0,
  failed: 0,
  limited: 0,
  approved: 0,
  declined: 0,
  costs: 0,
  costMinor: 0,
  lastFailureAt: never,
  sketch: Sketch.make()
})

/** An empty window. */
export const make = (shape: WindowShape): GatewayWindow => ({
  shape,
  slots: Array.from({ length: shape.slots }, () => undefined),
  total: emptySlot(0),
  newest: never,
  startsAt: 0,
  endsAt: never,
  current: undefined,
  recordedAt: never,
  summary: undefined,
  consecutiveFailures: 0,
  failingSince: never,
  lastHealthyAt: never,
  lastFailureAt: never
})

/** The minute of a time, in minutes since the epoch. */
export const minuteOf = (atMillis: number): number => Math.floor(atMillis / minuteMillis)

/** Counts one call. */
export const record = (window: GatewayWindow, sample: WindowSample, now: number): void =>
  recordBin(window, sample, Sketch.binOf(sample.durationMillis), now)

/** As `record`, where the bin of the duration is known. */
export const recordBin = (window: GatewayWindow, sample: WindowSample, bin: number, now: number): void => {
  if (sample.verdict === "ignored") return
  const slot = currentSlot(window, now)
  count(slot, sample, bin)
  count(window.total, sample, bin)
  if (sample.verdict === "healthy") {
    window.consecutiveFailures = 0
    if (now > window.lastHealthyAt) window.lastHealthyAt = now
  } else if (sample.verdict === "failed") {
    if (window.consecutiveFailures === 0) window.failingSince = now
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
export const setSlot = (window: GatewayWindow, counts: SlotCounts, now: number): void => {
  advance(window, now)
  const slot = slotOfMinute(window, counts.minute)
  if (slot === undefined) return
  forget(window, slot)
  addSlot(window, counts, now)
}

/** Adds to what one slot counts. One outside of the window changes nothing. */
export const addSlot = (window: GatewayWindow, counts: SlotCounts, now: number): void => {
  advance(window, now)
  const slot = slotOfMinute(window, counts.minute)
  if (slot === undefined) return
  addCounts(slot, counts)
  addCounts(window.total, counts)
  slot.lastFailureAt = Math.max(slot.lastFailureAt, counts.lastFailureAt ?? never)
  window.lastFailureAt = Math.max(window.lastFailureAt, slot.lastFailureAt)
  window.recordedAt = Math.max(window.recordedAt, counts.minute * minuteMillis)
  window.summary = undefined
}

/** What the window counts, slot by slot; only slots with something in them. */
export const slots = (window: GatewayWindow, now: number): ReadonlyArray<SlotCounts> => {
  advance(window, now)
  return window.slots.filter((slot): slot is Slot => slot !== undefined && !isEmpty(slot)).map((slot) => countsOf(slot, window.shape))
}

/** What the slot with a minute counts; `undefined` when there is nothing in it. */
export const slotWith = (window: GatewayWindow, minute: number, now: number): SlotCounts | undefined => {
  advance(window, now)
  const number = Math.floor(minute / window.shape.slotMinutes)
  const slot = window.slots[indexOf(window, number)]
  return slot === undefined || slot.number !== number || isEmpty(slot) ? undefined : countsOf(slot, window.shape)
}

/**
 * A new window with the calls of both, in whatever order they happened. A run of failures is broken by a later healthy call of
 * the other; of a run that began before that call only its last failure is known to come after it, and counts as 1.
 */
export const merge = (left: GatewayWindow, right: GatewayWindow, now: number): GatewayWindow => {
  const merged = make(left.shape)
  for (const one of [left, right]) for (const counts of slots(one, now)) addSlot(merged, counts, now)
  merged.consecutiveFailures = runAfter(left, right.lastHealthyAt) + runAfter(right, left.lastHealthyAt)
  merged.failingSince = Math.max(left.failingSince, right.failingSince)
  merged.lastHealthyAt = Math.max(left.lastHealthyAt, right.lastHealthyAt)
  merged.lastFailureAt = Math.max(left.lastFailureAt, right.lastFailureAt)
  return merged
}

/** The window as of `now`. */
export const summarize = (window: GatewayWindow, now: number): WindowSummary => {
  advance(window, now)
  return (window.summary ??= summaryOf(window))
}

/** The smallest duration that at least the share `q` (0 to 1) of the calls did not exceed, within 2 %; 0 without calls. */
export const quantile = (window: GatewayWindow, q: number, now: number): number => {
  advance(window, now)
  return Sketch.quantile(window.total.sketch, q)
}

const summaryOf = (window: GatewayWindow): WindowSummary => {
  const { approved, costMinor, costs, declined, failed, healthy, limited, sketch } = window.total
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
    lastFailureAt: window.lastFailureAt === never ? undefined : window.lastFailureAt
  }
}

const count = (slot: Slot, sample: WindowSample, bin: number): void => {
  if (sample.verdict === "healthy") slot.healthy++
  else if (sample.verdict === "failed") slot.failed++
  else slot.limited++
  if (sample.approval === "approved") slot.approved++
  else if (sample.approval === "declined") slot.declined++
  Sketch.add(slot.sketch, bin)
}

const addCounts = (slot: Slot, counts: SlotCounts): void => {
  slot.healthy += counts.healthy
  slot.failed += counts.failed
  slot.limited += counts.limited
  slot.approved += counts.approved
  slot.declined += counts.declined
  slot.costs += counts.costs
  slot.costMinor += counts.costMinor
  for (let index = 0; index < counts.bins.length; index++) Sketch.addTimes(slot.sketch, counts.bins[index] ?? 0, counts.times[index] ?? 0)
}

const countsOf = (slot: Slot, shape: WindowShape): SlotCounts => {
  const { approved, costMinor, costs, declined, failed, healthy, lastFailureAt, limited, number, sketch } = slot
  const bins: Array<number> = []
  const times: Array<number> = []
  for (let bin = 0; bin < Sketch.binCount; bin++) {
    const inBin = Sketch.countAt(sketch, bin)
    if (inBin === 0) continue
    bins.push(bin)
    times.push(inBin)
  }
  return {
    minute: number * shape.slotMinutes,
    healthy,
    failed,
    limited,
    approved,
    declined,
    costs,
    costMinor,
    bins,
    times,
    lastFailureAt: lastFailureAt === never ? undefined : lastFailureAt
  }
}

const isEmpty = (slot: Slot): boolean => slot.healthy + slot.failed + slot.limited + slot.costs === 0

const runAfter = (window: GatewayWindow, healthyAt: number): number => {
  if (window.consecutiveFailures === 0 || window.lastFailureAt <= healthyAt) return 0
  return window.failingSince >= healthyAt ? window.consecutiveFailures : 1
}

const indexOf = (window: GatewayWindow, number: number): number => {
  const { slots } = window.shape
  return ((number % slots) + slots) % slots
}

/** The slot that counts at this moment; whatever changes it also ends the kept summary. */
const currentSlot = (window: GatewayWindow, now: number): Slot => {
  advance(window, now)
  window.recordedAt = now
  window.summary = undefined
  return (window.current ??= slotAt(window, window.newest))
}

/** The slot of a minute; `undefined` where that is outside of the window. */
const slotOfMinute = (window: GatewayWindow, minute: number): Slot | undefined => {
  const number = Math.floor(minute / window.shape.slotMinutes)
  return number <= window.newest && number > window.newest - window.shape.slots ? slotAt(window, number) : undefined
}

/** The slot of a number inside the window. */
const slotAt = (window: GatewayWindow, number: number): Slot => {
  const index = indexOf(window, number)
  const known = window.slots[index]
  if (known !== undefined && known.number === number) return known
  const slot = known ?? emptySlot(number)
  if (known !== undefined) forget(window, known)
  slot.number = number
  window.slots[index] = slot
  return slot
}

const forget = (window: GatewayWindow, slot: Slot): void => {
  if (isEmpty(slot)) return
  const { total } = window
  total.healthy -= slot.healthy
  total.failed -= slot.failed
  total.limited -= slot.limited
  total.approved -= slot.approved
  total.declined -= slot.declined
  total.costs -= slot.costs
  // Costs have fractions: without costs their sum is 0 again, whatever rounding has left of it.
  total.costMinor = total.costs === 0 ? 0 : total.costMinor - slot.costMinor
  Sketch.removeAll(total.sketch, slot.sketch)
  slot.healthy = slot.failed = slot.limited = slot.approved = slot.declined = slot.costs = slot.costMinor = 0
  slot.lastFailureAt = never
  slot.sketch.fill(0)
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
