/**
 * The last hour of every configured gateway among the exported metrics: availability, approval rate, latencies. They are read when
 * somebody exports them, so calls pay nothing for them.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Gateways } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"

/** The series are there for as long as the layer is. */
export const layer: Layer.Layer<never, never, GatewayMetrics | Gateways> = Layer.effectDiscard(
  Effect.gen(function* () {
    const gateways = yield* Gateways
    const metrics = yield* GatewayMetrics
    const context = yield* Effect.context()
    const removals = gateways.all.map(({ name }) => Metrics.gatewaySeries(context, name, (now) => metrics.statsAt(name, now)))
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const remove of removals) remove()
      })
    )
  })
)
