/**
 * Metrics of gateways in the memory of one process; a restart forgets them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as GatewayWindow from "../../domain/routing/GatewayWindow.ts"
import * as GatewayWindows from "../../domain/routing/GatewayWindows.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"

/** At most 256 gateways are remembered. */
export const layer: Layer.Layer<GatewayMetrics> = Layer.effect(
  GatewayMetrics,
  Effect.sync(() => {
    const windows = GatewayWindows.make()
    return GatewayMetrics.of({
      record: (sample) =>
        sample.verdict === "ignored"
          ? Effect.void
          : Effect.map(Clock.currentTimeMillis, (now) =>
              GatewayWindow.record(
                GatewayWindows.windowOf(windows, sample.gateway),
                { healthy: sample.verdict === "healthy", durationMillis: sample.durationMillis },
                now
              )
            ),
      health: (gateway) => Effect.map(Clock.currentTimeMillis, (now) => ({ gateway, ...GatewayWindows.summarize(windows, gateway, now) }))
    })
  })
)
