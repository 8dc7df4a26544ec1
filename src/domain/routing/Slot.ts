/**
 * What one slot of a window counts: calls by verdict and approval, costs, and a sketch of the durations.
 *
 * A slot is changed in place and belongs to one window; `SlotCounts` is its form for storing and merging, which has only the bins
 * that are not empty.
 */
import type { Approval, Verdict } from "./Attribution.ts"
import * as Sketch from "./Sketch.ts"

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

/** A slot in which nothing was counted. */
export const nothing = (minute: number): SlotCounts => ({
  minute,
  healthy: 0,
  failed: 0,
  limited: 0,
  approved: 0,
  declined: 0,
  costs: 0,
  costMinor: 0,
  bins: [],
  times: [],
  lastFailureAt: undefined
})

/** Opaque: use the functions of this module. */
export interface Slot {
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

/** The time of what has not happened. */
export const never = Number.NEGATIVE_INFINITY

/** An empty slot. */
export const make = (number: number): Slot => ({
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

/** Nothing was counted in it. */
export const isEmpty = (slot: Slot): boolean => slot.healthy + slot.failed + slot.limited + slot.costs === 0

/** Counts one call. */
export const count = (slot: Slot, sample: WindowSample, bin: number): void => {
  if (sample.verdict === "healthy") slot.healthy++
  else if (sample.verdict === "failed") slot.failed++
  else slot.limited++
  if (sample.approval === "approved") slot.approved++
  else if (sample.approval === "declined") slot.declined++
  Sketch.add(slot.sketch, bin)
}

/** Adds what another slot counts. */
export const addCounts = (slot: Slot, counts: SlotCounts): void => {
  slot.healthy += counts.healthy
  slot.failed += counts.failed
  slot.limited += counts.limited
  slot.approved += counts.approved
  slot.declined += counts.declined
  slot.costs += counts.costs
  slot.costMinor += counts.costMinor
  for (let index = 0; index < counts.bins.length; index++) Sketch.addTimes(slot.sketch, counts.bins[index] ?? 0, counts.times[index] ?? 0)
}

/** What it counts, for storing. */
export const countsOf = (slot: Slot, slotMinutes: number): SlotCounts => {
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
    minute: number * slotMinutes,
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

/** Takes what a slot counts out of the total of its window, and empties it. */
export const takeOut = (total: Slot, slot: Slot): void => {
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
}
