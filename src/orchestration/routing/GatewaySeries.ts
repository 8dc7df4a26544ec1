/**
 * The gateways' metrics, exported: a decorator of `GatewayMetrics`. Put it over the layer that keeps them:
 *
 * ```ts
 * GatewaySeries.layer.pipe(Layer.provide(GatewayMetrics.layer))
 * ```
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isChargeKind } from "../../domain/operation/Operation.ts"
import { Gateways } from "../../services/Gateway.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"
import * as GatewaySeries from "../../services/routing/GatewaySeries.ts"

/** The series of the configured gateways are there for as long as the layer is. */
export const layer: Layer.Layer<GatewayMetrics, never, GatewayMetrics | Gateways> = Layer.effect(
  GatewayMetrics,
  Effect.gen(function* () {
    const gateways = yield* Gateways
    const metrics = yield* GatewayMetrics
    const context = yield* Effect.context()
    const series = yield* Effect.acquireRelease(
      Effect.sync(() =>
        GatewaySeries.register(
          context,
          gateways.all.map(({ name }) => ({ gateway: name, statsAt: (now) => metrics.statsAt(name, now) }))
        )
      ),
      ({ remove }) => Effect.sync(remove)
    )
    return GatewayMetrics.of({
      ...metrics,
      record: (sample) => {
        const { cost, gateway, kind, verdict } = sample
        if (cost === undefined || verdict === "ignored" || !isChargeKind(kind)) return metrics.record(sample)
        return Effect.andThen(
          Effect.sync(() => series.addCost(gateway, cost)),
          metrics.record(sample)
        )
      }
    })
  })
)
