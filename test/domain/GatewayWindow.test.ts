/**
 * The rolling window: quantiles against exact ones, expiry by minutes, merging, and clocks that step.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { GatewayName } from "../../src/domain/payment/Ids.ts"
import * as GatewayWindow from "../../src/domain/routing/GatewayWindow.ts"
import * as GatewayWindows from "../../src/domain/routing/GatewayWindows.ts"

const { minuteMillis, windowMinutes } = GatewayWindow
const start = 1_700_000_000_000

const Duration = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 600_000 }))
const Call = Schema.Struct({
  healthy: Schema.Boolean,
  durationMillis: Duration,
  /** Time since the call before; two calls at one instant have no order that a merge could know. */
  after: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 * minuteMillis }))
})
type Call = typeof Call.Type
const Calls = Schema.Array(Call)

const timed = (calls: ReadonlyArray<Call>) => {
  let at = start
  return calls.map((call) => ({ ...call, at: (at += call.after) }))
}

const windowWith = (calls: ReadonlyArray<{ readonly healthy: boolean; readonly durationMillis: number; readonly at: number }>) => {
  const window = GatewayWindow.make()
  for (const call of calls) GatewayWindow.record(window, call, call.at)
  return window
}

const exactQuantile = (durations: ReadonlyArray<number>, q: number) => {
  const sorted = [...durations].sort((a, b) => a - b)
  return sorted[Math.max(1, Math.ceil(q * sorted.length)) - 1] ?? 0
}

const isInside = (at: number, now: number) => GatewayWindow.minuteOf(at) > GatewayWindow.minuteOf(now) - windowMinutes

const counts = (window: GatewayWindow.GatewayWindow, now: number) => {
  const { consecutiveFailures: _, ...summary } = GatewayWindow.summarize(window, now)
  return summary
}

describe("GatewayWindow", () => {
  it.prop("quantiles are within 5 % of the exact ones", { durations: Schema.NonEmptyArray(Duration) }, ({ durations }) => {
    const window = windowWith(durations.map((durationMillis) => ({ healthy: true, durationMillis, at: start })))
    for (const q of [0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1]) {
      const exact = exactQuantile(durations, q)
      const estimate = GatewayWindow.quantile(window, q, start)
      assert.isAtMost(Math.abs(estimate - exact) / exact, GatewayWindow.relativeError + 1e-9, `q ${q}: ${estimate} for ${exact}`)
    }
  })

  it.prop("counts exactly the calls of the last 60 minutes", { calls: Calls, wait: Call.fields.after }, ({ calls, wait }) => {
    const all = timed(calls)
    const now = (all.at(-1)?.at ?? start) + wait
    const inside = all.filter((call) => isInside(call.at, now))
    const summary = GatewayWindow.summarize(windowWith(all), now)
    assert.strictEqual(summary.samples, inside.length)
    assert.strictEqual(summary.successRate, inside.length === 0 ? 1 : inside.filter((call) => call.healthy).length / inside.length)
    const exact = exactQuantile(
      inside.map((call) => call.durationMillis),
      0.95
    )
    assert.isAtMost(Math.abs(summary.p95Millis - exact), exact * GatewayWindow.relativeError + 1e-9)
    assert.strictEqual(summary.lastFailureAt, all.findLast((call) => !call.healthy)?.at)
    assert.strictEqual(summary.consecutiveFailures, all.length - 1 - all.findLastIndex((call) => call.healthy))
  })

  it.prop(
    "the merge of two windows is the window of all calls, in either order",
    { calls: Calls, sides: Schema.Array(Schema.Boolean) },
    ({ calls, sides }) => {
      const all = timed(calls)
      const now = all.at(-1)?.at ?? start
      const left = windowWith(all.filter((_, index) => sides[index] === true))
      const right = windowWith(all.filter((_, index) => sides[index] !== true))
      const expected = counts(windowWith(all), now)
      assert.deepStrictEqual(counts(GatewayWindow.merge(left, right, now), now), expected)
      assert.deepStrictEqual(counts(GatewayWindow.merge(right, left, now), now), expected)
      const run = GatewayWindow.summarize(windowWith(all), now).consecutiveFailures
      const merged = GatewayWindow.merge(left, right, now).consecutiveFailures
      assert.strictEqual(merged > 0, run > 0)
    }
  )

  it.prop("setting the minutes of a window anew reproduces it", { calls: Calls }, ({ calls }) => {
    const all = timed(calls)
    const now = all.at(-1)?.at ?? start
    const source = windowWith(all)
    const copy = GatewayWindow.make()
    for (let twice = 0; twice < 2; twice++) {
      for (const minute of GatewayWindow.minutes(source, now)) GatewayWindow.setMinute(copy, minute, now)
    }
    const lastInside = all.findLast((call) => !call.healthy && isInside(call.at, now))?.at
    assert.deepStrictEqual(counts(copy, now), { ...counts(source, now), lastFailureAt: lastInside })
  })

  it("an empty window: no samples, rate 1", () => {
    assert.deepStrictEqual(GatewayWindow.summarize(GatewayWindow.make(), start), {
      samples: 0,
      successRate: 1,
      p50Millis: 0,
      p95Millis: 0,
      p99Millis: 0,
      consecutiveFailures: 0,
      lastFailureAt: undefined
    })
  })

  it("durations outside of 1 ms to 10 min count as the nearest of them", () => {
    for (const short of [0, -5, 0.3, Number.NaN]) assert.strictEqual(GatewayWindow.binOf(short), 0)
    for (const long of [600_000, 1e12, Number.POSITIVE_INFINITY]) {
      assert.strictEqual(GatewayWindow.binOf(long), GatewayWindow.binCount - 1)
    }
    assert.strictEqual(GatewayWindow.durationOf(0), 1)
  })

  it("a clock that steps back a little counts at the newest minute", () => {
    const window = windowWith([{ healthy: true, durationMillis: 10, at: start }])
    GatewayWindow.record(window, { healthy: false, durationMillis: 10 }, start - 5 * minuteMillis)
    assert.strictEqual(GatewayWindow.summarize(window, start).samples, 2)
    assert.strictEqual(GatewayWindow.minutes(window, start).length, 1)
  })

  it("a clock that steps back by more than the window starts it anew", () => {
    const window = windowWith([{ healthy: true, durationMillis: 10, at: start + 1_000 * minuteMillis }])
    GatewayWindow.record(window, { healthy: false, durationMillis: 10 }, start)
    assert.strictEqual(GatewayWindow.summarize(window, start).samples, 1)
    assert.strictEqual(GatewayWindow.summarize(window, start).successRate, 0)
  })

  it("minutes of the future and of before the window are not set", () => {
    const window = GatewayWindow.make()
    const minute = GatewayWindow.minuteOf(start)
    for (const outside of [minute + 1, minute - windowMinutes]) {
      GatewayWindow.setMinute(window, { minute: outside, healthy: 3, failed: 0, histogram: [3], lastFailureAt: undefined }, start)
    }
    assert.strictEqual(GatewayWindow.summarize(window, start).samples, 0)
  })

  it("a healthy call of the other window breaks a run of failures when windows are merged", () => {
    const failing = windowWith([1, 2, 3].map((second) => ({ healthy: false, durationMillis: 10, at: start + second * 1_000 })))
    const healthyAt = (at: number) => windowWith([{ healthy: true, durationMillis: 10, at }])
    const run = (other: GatewayWindow.GatewayWindow) => GatewayWindow.merge(failing, other, start + 5_000).consecutiveFailures
    assert.deepStrictEqual([healthyAt(start), healthyAt(start + 2_500), healthyAt(start + 4_000)].map(run), [3, 1, 0])
  })
})

describe("GatewayWindows", () => {
  it("remembers a bounded number of gateways and forgets the one idle for longest", () => {
    const windows = GatewayWindows.make()
    const name = (index: number) => GatewayName.make(`gateway-${index}`)
    for (let index = 0; index <= GatewayWindows.maxGateways; index++) {
      const now = index === 0 ? start + 100 * minuteMillis : start + Math.floor(index / 10) * minuteMillis
      GatewayWindow.record(GatewayWindows.windowOf(windows, name(index)), { healthy: true, durationMillis: 5 }, now)
    }
    assert.strictEqual(windows.byName.size, GatewayWindows.maxGateways)
    assert.isTrue(windows.byName.has(name(0)))
    assert.isFalse(windows.byName.has(name(1)))
  })
})
