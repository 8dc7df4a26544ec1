/**
 * The rolling window: counts and quantiles against exact ones, expiry by slots, merging, and clocks that step.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as GatewayWindow from "../../../src/domain/routing/GatewayWindow.ts"
import * as Sketch from "../../../src/domain/routing/Sketch.ts"
import type { WindowSample } from "../../../src/domain/routing/Slot.ts"

const { byFiveMinutes, byMinute, minuteMillis } = GatewayWindow
const start = 1_700_000_000_000

const Call = Schema.Struct({
  verdict: Schema.Literals(["healthy", "failed", "limited"]),
  approval: Schema.Literals(["approved", "declined", "ignored"]),
  durationMillis: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 600_000 })),
  cost: Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 }))),
  /** Time since the call before; two calls at one instant have no order that a merge could know. */
  after: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 * minuteMillis }))
})
type Call = typeof Call.Type
const Calls = Schema.Array(Call)

interface TimedCall extends WindowSample {
  readonly cost?: number | null
  readonly at: number
}

const timed = (calls: ReadonlyArray<Call>) => {
  let at = start
  return calls.map((call) => ({ ...call, at: (at += call.after) }))
}

const windowWith = (calls: ReadonlyArray<TimedCall>, shape: GatewayWindow.WindowShape = byMinute) => {
  const window = GatewayWindow.make(shape)
  for (const call of calls) {
    GatewayWindow.record(window, call, call.at)
    if (typeof call.cost === "number") GatewayWindow.recordCost(window, call.cost, call.at)
  }
  return window
}

const exactQuantile = (durations: ReadonlyArray<number>, q: number) => {
  const sorted = [...durations].sort((a, b) => a - b)
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? 0
}

const isInside = (at: number, now: number, { slotMinutes, slots }: GatewayWindow.WindowShape) => {
  const slotOf = (time: number) => Math.floor(GatewayWindow.minuteOf(time) / slotMinutes)
  return slotOf(at) > slotOf(now) - slots
}

/** All that a window says but the run of failures, which a merge cannot know exactly. */
const counts = (window: GatewayWindow.GatewayWindow, now: number) => {
  const { consecutiveFailures: _, ...summary } = GatewayWindow.summarize(window, now)
  return summary
}

const empty = {
  samples: 0,
  successRate: 1,
  approved: 0,
  declined: 0,
  approvalRate: 1,
  p50Millis: 0,
  p95Millis: 0,
  p99Millis: 0,
  costs: 0,
  meanCostMinor: undefined,
  consecutiveFailures: 0,
  lastFailureAt: undefined
}

const shapes = [
  ["of minutes", byMinute],
  ["of five minutes", byFiveMinutes]
] as const

describe("GatewayWindow", () => {
  for (const [name, shape] of shapes) {
    it.prop(`${name}: counts exactly the calls of its slots`, { calls: Calls, wait: Call.fields.after }, ({ calls, wait }) => {
      const all = timed(calls)
      const now = (all.at(-1)?.at ?? start) + wait
      const inside = all.filter((call) => isInside(call.at, now, shape))
      const count = (matches: (call: Call) => boolean) => inside.filter(matches).length
      const summary = GatewayWindow.summarize(windowWith(all, shape), now)
      const approved = count(({ approval }) => approval === "approved")
      const declined = count(({ approval }) => approval === "declined")
      const healthy = count(({ verdict }) => verdict === "healthy") + count(({ verdict }) => verdict === "limited") / 2
      const costs = inside.flatMap(({ cost }) => (cost === null ? [] : [cost]))
      assert.strictEqual(summary.samples, inside.length)
      assert.strictEqual(summary.successRate, inside.length === 0 ? 1 : healthy / inside.length)
      assert.deepStrictEqual([summary.approved, summary.declined], [approved, declined])
      assert.strictEqual(summary.approvalRate, approved + declined === 0 ? 1 : approved / (approved + declined))
      assert.strictEqual(summary.costs, costs.length)
      assert.strictEqual(summary.meanCostMinor, costs.length === 0 ? undefined : costs.reduce((sum, cost) => sum + cost, 0) / costs.length)
      const durations = inside.map((call) => call.durationMillis)
      for (const [estimate, q] of [
        [summary.p50Millis, 0.5],
        [summary.p95Millis, 0.95],
        [summary.p99Millis, 0.99]
      ] as const) {
        const exact = exactQuantile(durations, q)
        assert.isAtMost(Math.abs(estimate - exact), exact * Sketch.relativeError + 1e-9, `q ${q}: ${estimate} for ${exact}`)
      }
      assert.strictEqual(summary.lastFailureAt, all.findLast((call) => call.verdict === "failed")?.at)
      const sinceHealthy = all.slice(all.findLastIndex((call) => call.verdict === "healthy") + 1)
      assert.strictEqual(summary.consecutiveFailures, sinceHealthy.filter((call) => call.verdict === "failed").length)
    })
  }

  it.prop(
    "merging is adding slots: the same window comes of it in any order and grouping",
    { calls: Calls, sides: Schema.Array(Schema.Literals([0, 1, 2])) },
    ({ calls, sides }) => {
      const all = timed(calls)
      const now = all.at(-1)?.at ?? start
      const part = (side: number) => windowWith(all.filter((_, index) => (sides[index] ?? 0) === side))
      const [a, b, c] = [part(0), part(1), part(2)]
      const merge = (...windows: ReadonlyArray<GatewayWindow.GatewayWindow>) => {
        const merged = GatewayWindow.make(byMinute)
        for (const window of windows) for (const slot of GatewayWindow.slots(window, now)) GatewayWindow.addSlot(merged, slot, now)
        return merged
      }
      const lastInside = all.findLast((call) => call.verdict === "failed" && isInside(call.at, now, byMinute))?.at
      const expected = { ...counts(windowWith(all), now), lastFailureAt: lastInside }
      for (const merged of [merge(merge(a, b), c), merge(a, merge(b, c)), merge(c, b, a), merge(merge(c, a), b)]) {
        assert.deepStrictEqual(counts(merged, now), expected)
      }
    }
  )

  it.prop("setting the slots of a window anew reproduces it", { calls: Calls }, ({ calls }) => {
    const all = timed(calls)
    const now = all.at(-1)?.at ?? start
    const source = windowWith(all)
    const copy = GatewayWindow.make(byMinute)
    for (let twice = 0; twice < 2; twice++) {
      for (const slot of GatewayWindow.slots(source, now)) GatewayWindow.setSlot(copy, slot, now)
    }
    const lastInside = all.findLast((call) => call.verdict === "failed" && isInside(call.at, now, byMinute))?.at
    assert.deepStrictEqual(counts(copy, now), { ...counts(source, now), lastFailureAt: lastInside })
    for (const slot of GatewayWindow.slots(source, now)) assert.deepStrictEqual(GatewayWindow.slotWith(copy, slot.minute, now), slot)
  })

  it("an empty window: no samples, rates 1", () => {
    assert.deepStrictEqual(GatewayWindow.summarize(GatewayWindow.make(byMinute), start), empty)
  })

  it("forgets every call after an hour, in the middle of a long series too", () => {
    const window = GatewayWindow.make(byMinute)
    for (let minute = 0; minute < 300; minute++) {
      const now = start + minute * minuteMillis
      GatewayWindow.record(window, { verdict: "failed", durationMillis: 5_000 }, now)
      GatewayWindow.record(window, { verdict: "healthy", durationMillis: 50, approval: "approved" }, now)
      GatewayWindow.recordCost(window, 0.1, now)
      assert.strictEqual(GatewayWindow.summarize(window, now).samples, 2 * Math.min(minute + 1, 60))
    }
    const last = start + 299 * minuteMillis
    assert.closeTo(GatewayWindow.summarize(window, last).meanCostMinor ?? 0, 0.1, 1e-12)
    const later = GatewayWindow.summarize(window, last + 60 * minuteMillis)
    assert.deepStrictEqual(later, { ...empty, lastFailureAt: last })
  })

  it("forgets minute by minute while nothing is recorded", () => {
    const window = windowWith(
      Array.from({ length: 60 }, (_, minute) => ({ verdict: "healthy", durationMillis: 10, at: start + minute * minuteMillis }))
    )
    for (let minute = 59; minute < 130; minute++) {
      const { samples } = GatewayWindow.summarize(window, start + minute * minuteMillis)
      assert.strictEqual(samples, Math.max(0, 119 - minute), `at minute ${minute}`)
    }
  })

  it("a summary is the same object until something changes", () => {
    const window = windowWith([{ verdict: "healthy", durationMillis: 10, at: start }])
    const before = GatewayWindow.summarize(window, start)
    assert.strictEqual(GatewayWindow.summarize(window, start + 1), before)
    GatewayWindow.record(window, { verdict: "healthy", durationMillis: 10 }, start + 2)
    assert.strictEqual(GatewayWindow.summarize(window, start + 2).samples, 2)
    assert.strictEqual(GatewayWindow.summarize(window, start + 61 * minuteMillis).samples, 0)
  })

  it("an ignored call changes nothing, a limited one neither begins nor ends a run of failures", () => {
    const window = windowWith([
      { verdict: "failed", durationMillis: 10, at: start },
      { verdict: "ignored", durationMillis: 10, at: start },
      { verdict: "limited", durationMillis: 10, at: start + 1 }
    ])
    const { consecutiveFailures, lastFailureAt, samples, successRate } = GatewayWindow.summarize(window, start + 1)
    assert.deepStrictEqual(
      { consecutiveFailures, lastFailureAt, samples, successRate },
      {
        consecutiveFailures: 1,
        lastFailureAt: start,
        samples: 2,
        successRate: 0.25
      }
    )
  })

  it("a clock that steps back a little counts in the newest slot", () => {
    const window = windowWith([{ verdict: "healthy", durationMillis: 10, at: start }])
    GatewayWindow.record(window, { verdict: "failed", durationMillis: 10 }, start - 5 * minuteMillis)
    assert.strictEqual(GatewayWindow.summarize(window, start).samples, 2)
    assert.strictEqual(GatewayWindow.slots(window, start).length, 1)
  })

  it("a clock that steps back by more than the window starts it anew", () => {
    const window = windowWith([{ verdict: "healthy", durationMillis: 10, at: start + 1_000 * minuteMillis }])
    GatewayWindow.record(window, { verdict: "failed", durationMillis: 10 }, start)
    assert.strictEqual(GatewayWindow.summarize(window, start).samples, 1)
    assert.strictEqual(GatewayWindow.summarize(window, start).successRate, 0)
  })

  it("slots of the future and of before the window are not set", () => {
    const [source] = GatewayWindow.slots(windowWith([{ verdict: "healthy", durationMillis: 10, at: start }]), start)
    assert.isDefined(source)
    const window = GatewayWindow.make(byMinute)
    const minute = GatewayWindow.minuteOf(start)
    for (const outside of [minute + 1, minute - byMinute.slots]) GatewayWindow.setSlot(window, { ...source, minute: outside }, start)
    assert.deepStrictEqual(GatewayWindow.summarize(window, start), empty)
    GatewayWindow.setSlot(window, source, start)
    assert.strictEqual(GatewayWindow.summarize(window, start).samples, 1)
  })
})

describe("GatewayWindow: since a time", () => {
  const failed: WindowSample = { verdict: "failed", durationMillis: 30_000 }
  const healthy: WindowSample = { verdict: "healthy", durationMillis: 200 }

  for (const [name, shape] of shapes) {
    it(`${name}: what was before does not count, what comes after does, until it leaves the window too`, () => {
      const slot = shape.slotMinutes * minuteMillis
      const begin = Math.ceil(start / slot) * slot
      const window = GatewayWindow.make(shape)
      for (let nth = 0; nth < 10; nth++) GatewayWindow.record(window, failed, begin)
      const since = begin + slot + 100
      const sinceThen = (now: number) => GatewayWindow.summarizeSince(window, since, now)
      assert.deepInclude(sinceThen(since), { samples: 0, successRate: 1, p95Millis: 0, consecutiveFailures: 10 })
      GatewayWindow.record(window, healthy, since + 1)
      GatewayWindow.record(window, healthy, since + 2 * slot)
      const now = since + 2 * slot
      assert.deepInclude(sinceThen(now), { samples: 2, successRate: 1 })
      assert.strictEqual(GatewayWindow.samples(window, since, now), 2)
      assert.closeTo(sinceThen(now).p95Millis, 200, 4)
      assert.strictEqual(GatewayWindow.summarize(window, now).samples, 12)
      // Once the time itself has left the window the whole of it is answered.
      const later = since + 60 * minuteMillis
      assert.deepStrictEqual(sinceThen(later), GatewayWindow.summarize(window, later))
    })
  }

  it("counts that come from elsewhere are counted anew, from the first whole slot on", () => {
    const begin = Math.ceil(start / minuteMillis) * minuteMillis
    const window = GatewayWindow.make(byMinute)
    const since = begin + 90_000
    const now = begin + 5 * minuteMillis
    assert.strictEqual(GatewayWindow.samples(window, since, now), 0)
    for (const minutes of [0, 1, 2, 3]) {
      const other = windowWith([{ ...healthy, at: begin + minutes * minuteMillis }])
      for (const counted of GatewayWindow.slots(other, now)) GatewayWindow.addSlot(window, counted, now)
    }
    assert.strictEqual(GatewayWindow.samples(window, since, now), 2)
    assert.strictEqual(GatewayWindow.samples(window, undefined, now), 4)
  })
})
