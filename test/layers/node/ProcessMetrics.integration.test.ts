/**
 * The metrics of this process, in real time.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { setTimeout } from "node:timers/promises"
import * as ProcessMetrics from "../../../src/layers/node/ProcessMetrics.ts"
import { alone } from "../../support/metrics.ts"

const values = Effect.map(Metric.snapshot, (all): Readonly<Record<string, number>> =>
  Object.fromEntries(
    all.map(({ id, state }) => [id, "value" in state ? Number(state.value) : "count" in state ? Number(state.count) : Number.NaN])
  )
)

/** 50 ms of CPU time, however long that takes. */
const work = () => {
  const before = process.cpuUsage()
  for (let used = 0; used < 50_000;) {
    const { system, user } = process.cpuUsage(before)
    used = system + user
  }
}

const block = (millis: number) => {
  const until = performance.now() + millis
  while (performance.now() < until);
}

describe("metrics of the process", () => {
  it.live("are those of this process, and end with their scope", () =>
    Effect.gen(function* () {
      const during = Effect.gen(function* () {
        const before = yield* values
        yield* Effect.sync(work)
        const after = yield* values
        const cpu = (after["process_cpu_seconds_total"] ?? 0) - (before["process_cpu_seconds_total"] ?? 0)
        assert.isAtLeast(cpu, 0.05)
        assert.isBelow(cpu, 30)
        assert.closeTo(after["process_start_time_seconds"] ?? 0, performance.timeOrigin / 1_000, 1)
        const { external, heapTotal, heapUsed, rss } = process.memoryUsage()
        assert.closeTo((after["process_resident_memory_bytes"] ?? 0) / rss, 1, 0.5)
        assert.closeTo((after["nodejs_heap_size_used_bytes"] ?? 0) / heapUsed, 1, 0.5)
        assert.closeTo((after["nodejs_heap_size_total_bytes"] ?? 0) / heapTotal, 1, 0.5)
        assert.closeTo((after["nodejs_external_memory_bytes"] ?? 0) / external, 1, 0.9)
        assert.strictEqual(after["aegispay_build_info"], 1)
      })
      yield* Effect.provide(during, ProcessMetrics.layer({ version: "0" }))
      assert.deepStrictEqual(yield* values, {})
    }).pipe(alone)
  )

  it.live("show how late the event loop was in the last period: not at all when idle, as long as it was blocked otherwise", () =>
    Effect.gen(function* () {
      // How late timers are by themselves: on a busy machine the loop waits for a core.
      const byItself = yield* Effect.promise(async () => {
        const late: Array<number> = []
        const until = performance.now() + 900
        while (performance.now() < until) {
          const startedAt = performance.now()
          await setTimeout(10)
          late.push(performance.now() - startedAt - 10)
        }
        return late.sort((one, other) => one - other)[Math.floor(late.length / 2)] ?? 0
      })
      const idle = yield* values
      assert.isBelow(idle["nodejs_eventloop_lag_p50_seconds"] ?? 1, 0.02 + (3 * byItself) / 1_000)
      assert.isBelow(idle["nodejs_eventloop_utilization"] ?? 1, 0.9)
      for (let nth = 0; nth < 4; nth++) {
        yield* Effect.promise(() => setTimeout(30))
        yield* Effect.sync(() => block(250))
      }
      yield* Effect.promise(() => setTimeout(30))
      const busy = yield* values
      assert.isAbove(busy["nodejs_eventloop_lag_max_seconds"] ?? 0, 0.15)
      assert.isAbove(busy["nodejs_eventloop_lag_p99_seconds"] ?? 0, 0.15)
      assert.isAbove(busy["nodejs_eventloop_utilization"] ?? 0, 0.5)
    }).pipe(Effect.provide(ProcessMetrics.layer({ version: "0", everyMillis: 400 })), alone)
  )
})
