/**
 * The process itself among the exported metrics: versions, CPU, memory, and how late the event loop is.
 *
 * Everything is read when metrics are exported, but for the event loop: Node measures its delay all the time, and every 10 s what it has
 * measured becomes the figures of the last period. So they do not depend on who exports how often.
 *
 * ```ts
 * const layer = Layer.merge(Http, ProcessMetrics.layer({ version: "1.2.3" }))
 * ```
 *
 * **Gotchas**: one per process and registry; two show the same figures once. Node's own measure includes the time between two looks; it is
 * taken off, so an idle event loop has a delay of about 0.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { monitorEventLoopDelay, performance } from "node:perf_hooks"
import * as Presets from "../../domain/Presets.ts"
import * as Family from "../../services/metrics/Family.ts"

/** `version`: of the program that runs. `everyMillis`: the period of the figures of the event loop; default the preset, 10 s. */
export interface Options {
  readonly version: string
  readonly everyMillis?: number
}

/** How often Node looks at the event loop: late by less is not seen. */
const resolutionMillis = 20

const make = Effect.fnUntraced(function* ({ everyMillis = Presets.sampling.eventLoopMillis.value, version }: Options) {
  const series = Family.registrar(yield* Effect.context())
  const delays = monitorEventLoopDelay({ resolution: resolutionMillis })
  yield* Effect.acquireRelease(
    Effect.sync(() => delays.enable()),
    () =>
      Effect.sync(() => {
        delays.disable()
        series.remove()
      })
  )

  const loop = { p50: 0, p99: 0, max: 0, utilization: 0 }
  let used = performance.eventLoopUtilization()
  const secondsLate = (nanos: number) => Math.max(0, nanos / 1e9 - resolutionMillis / 1e3)
  const endPeriod = Effect.sync(() => {
    const now = performance.eventLoopUtilization()
    loop.utilization = performance.eventLoopUtilization(now, used).utilization
    used = now
    const measured = delays.count > 0
    loop.p50 = measured ? secondsLate(delays.percentile(50)) : 0
    loop.p99 = measured ? secondsLate(delays.percentile(99)) : 0
    loop.max = measured ? secondsLate(delays.max) : 0
    delays.reset()
  })
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(everyMillis), endPeriod)))

  series.gauge("aegispay_build_info", { version, node: process.versions.node }, () => 1)
  series.counter("process_cpu_user_seconds_total", {}, () => process.cpuUsage().user / 1e6)
  series.counter("process_cpu_system_seconds_total", {}, () => process.cpuUsage().system / 1e6)
  series.counter("process_cpu_seconds_total", {}, () => {
    const { system, user } = process.cpuUsage()
    return (user + system) / 1e6
  })
  series.gauge("process_start_time_seconds", {}, () => performance.timeOrigin / 1e3)
  series.gauge("process_resident_memory_bytes", {}, () => process.memoryUsage.rss())
  series.gauge("nodejs_heap_size_used_bytes", {}, () => process.memoryUsage().heapUsed)
  series.gauge("nodejs_heap_size_total_bytes", {}, () => process.memoryUsage().heapTotal)
  series.gauge("nodejs_external_memory_bytes", {}, () => process.memoryUsage().external)
  series.gauge("nodejs_eventloop_lag_p50_seconds", {}, () => loop.p50)
  series.gauge("nodejs_eventloop_lag_p99_seconds", {}, () => loop.p99)
  series.gauge("nodejs_eventloop_lag_max_seconds", {}, () => loop.max)
  series.gauge("nodejs_eventloop_utilization", {}, () => loop.utilization)
})

/** The series are there for as long as the layer is. */
export const layer = (options: Options): Layer.Layer<never> => Layer.effectDiscard(make(options))
