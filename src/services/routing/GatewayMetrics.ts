/**
 * How gateways have been doing: what routing decides by.
 *
 * A rolling window of one hour, in bounded memory, recorded whether or not a policy uses it. Only what counts against a gateway
 * counts: issuer declines do not, nor do calls that were interrupted or never sent by our own doing.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { OperationKind } from "../../domain/operation/Operation.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"

/** One call to a gateway. */
export interface GatewaySample {
  readonly gateway: GatewayName
  readonly kind: OperationKind
  /** `healthy`: it answered, whatever it said of the payment. `failed`: it counts against the gateway. `ignored`: neither. */
  readonly verdict: "healthy" | "failed" | "ignored"
  readonly durationMillis: number
}

/** What is known of a gateway. Times in milliseconds; quantiles within 5 % of the exact value. */
export interface GatewayHealth {
  readonly gateway: GatewayName
  /** Calls in the window that were healthy or failed. */
  readonly samples: number
  /** In [0, 1]; 1 while there are no samples. */
  readonly successRate: number
  readonly p50Millis: number
  readonly p95Millis: number
  readonly p99Millis: number
  readonly consecutiveFailures: number
  /** Epoch milliseconds. */
  readonly lastFailureAt: number | undefined
}

/**
 * Metrics of gateways.
 *
 * - `record`: O(1), never fails, is never waited for on a store.
 * - `health`: of one gateway; of one never recorded: no samples, rate 1.
 */
export class GatewayMetrics extends Context.Service<
  GatewayMetrics,
  {
    readonly record: (sample: GatewaySample) => Effect.Effect<void>
    readonly health: (gateway: GatewayName) => Effect.Effect<GatewayHealth>
  }
>()("aegispay/services/routing/GatewayMetrics") {}
