/**
 * Metrics of gateways in the memory of one process; a restart forgets them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as GatewayWindows from "../../domain/routing/GatewayWindows.ts"
import * as Segment from "../../domain/routing/Segment.ts"
import * as Presets from "../../domain/Presets.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"

const minimumSamples = Presets.gatewayMetrics.minimumSamples.value

/** At most 256 gateways and 2,048 segments are remembered. */
export const layer: Layer.Layer<GatewayMetrics> = Layer.effect(
  GatewayMetrics,
  Effect.sync(() => {
    const windows = GatewayWindows.make()
    return GatewayMetrics.of({
      record: (sample) =>
        sample.verdict === "ignored"
          ? Effect.void
          : Effect.map(Clock.currentTimeMillis, (now) => GatewayWindows.record(windows, sample, now)),
      health: (gateway) => Effect.map(Clock.currentTimeMillis, (now) => GatewayWindows.healthOf(windows, gateway, now)),
      stats: (gateway, segment) => {
        const question = { segment: segment === undefined ? 0 : Segment.code(segment), minimumSamples }
        return Effect.map(Clock.currentTimeMillis, (now) => GatewayWindows.statsOf(windows, gateway, question, now))
      },
      statsOfAll: (gateways, segment) => {
        const question = { segment: Segment.code(segment), minimumSamples }
        return Effect.map(Clock.currentTimeMillis, (now) =>
          gateways.map((gateway) => GatewayWindows.statsOf(windows, gateway, question, now))
        )
      },
      costs: (gateway) => Effect.map(Clock.currentTimeMillis, (now) => GatewayWindows.costsOf(windows, gateway, now)),
      oldestKnownAt: Effect.map(Clock.currentTimeMillis, (now) => GatewayWindows.oldestAt(windows, now)),
      restore: (samples) =>
        Effect.map(Clock.currentTimeMillis, (now) => GatewayWindows.addAll(windows, GatewayWindows.ofPast(samples, now), now))
    })
  })
)
