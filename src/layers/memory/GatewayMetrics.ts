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

/** One step of a fiber: this runs with every call to a gateway. */
const atNow = <A>(answer: (now: number) => A): Effect.Effect<A> =>
  Effect.withFiberSucceed((fiber) => answer(fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()))

/** At most 256 gateways and 2,048 segments are remembered. */
export const layer: Layer.Layer<GatewayMetrics> = Layer.effect(
  GatewayMetrics,
  Effect.sync(() => {
    const windows = GatewayWindows.make()
    return GatewayMetrics.of({
      record: (sample) => (sample.verdict === "ignored" ? Effect.void : atNow((now) => GatewayWindows.record(windows, sample, now))),
      health: (gateway) => atNow((now) => GatewayWindows.healthOf(windows, gateway, now)),
      stats: (gateway, segment) => {
        const question = { segment: segment === undefined ? 0 : Segment.code(segment), minimumSamples }
        return atNow((now) => GatewayWindows.statsOf(windows, gateway, question, now))
      },
      statsAt: (gateway, now, asked) =>
        GatewayWindows.statsOf(windows, gateway, { segment: asked?.segment ?? 0, minimumSamples, since: asked?.since, cost: false }, now),
      costs: (gateway) => atNow((now) => GatewayWindows.costsOf(windows, gateway, now)),
      oldestKnownAt: atNow((now) => GatewayWindows.oldestAt(windows, now)),
      restore: (samples) => atNow((now) => GatewayWindows.addAll(windows, GatewayWindows.ofPast(samples, now), now))
    })
  })
)
