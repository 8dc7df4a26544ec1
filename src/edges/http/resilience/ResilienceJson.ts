/**
 * What is shown of what payments depend on: gateways by their breakers and calls, other dependencies by their checks.
 *
 * Times are ISO 8601 in UTC.
 */
import * as Schema from "effect/Schema"
import { OperationKind } from "../../../domain/operation/Operation.ts"
import { GatewayName } from "../../../domain/payment/Ids.ts"

/** `unknown`: nothing was called or checked lately, so nothing is known. */
export const ExternalStatus = Schema.Literals(["ok", "degraded", "unavailable", "unknown"])
export type ExternalStatus = typeof ExternalStatus.Type

const BreakerState = Schema.Literals(["closed", "half-open", "open", "forced-closed", "forced-open"])

/** In [0, 1]. */
const Share = Schema.Finite
const Millis = Schema.Finite

/** A gateway, by what its calls did: it is not asked. Calls and times are those of the window of its metrics. */
const Gateway = Schema.Struct({
  name: GatewayName,
  status: ExternalStatus,
  /** Health of the worst of its breakers. */
  score: Share,
  calls: Schema.Int,
  successRate: Share,
  p50Millis: Millis,
  p95Millis: Millis,
  lastFailureAt: Schema.optionalKey(Schema.String),
  breakers: Schema.Array(
    Schema.Struct({ kind: OperationKind, state: BreakerState, changedAt: Schema.String, retryAt: Schema.optionalKey(Schema.String) })
  )
}).annotate({ identifier: "ExternalGateway" })

/** Something else, as it was when it was last checked. */
const Dependency = Schema.Struct({
  name: Schema.String,
  status: ExternalStatus,
  importance: Schema.Literals(["required", "optional"]),
  since: Schema.String,
  checkedAt: Schema.optionalKey(Schema.String),
  durationMillis: Schema.optionalKey(Millis),
  /** Failed checks in a row. */
  failures: Schema.Int
}).annotate({ identifier: "ExternalDependency" })

/** All of it. `unavailable`: no gateway takes calls, or something required does not work. */
export const External = Schema.Struct({
  status: ExternalStatus,
  gateways: Schema.Array(Gateway),
  dependencies: Schema.Array(Dependency)
}).annotate({ identifier: "ExternalHealth" })
export type External = typeof External.Type

/** A circuit breaker. Counts without "total" are those of its window. */
export const Breaker = Schema.Struct({
  name: Schema.String,
  state: BreakerState,
  reason: Schema.String,
  changedAt: Schema.String,
  /** When an open one lets a few calls through. */
  retryAt: Schema.optionalKey(Schema.String),
  lastFailureAt: Schema.optionalKey(Schema.String),
  healthy: Schema.Boolean,
  score: Share,
  successCount: Schema.Int,
  failureCount: Schema.Int,
  slowCount: Schema.Int,
  failureRate: Share,
  consecutiveSuccesses: Schema.Int,
  consecutiveFailures: Schema.Int,
  totalSuccesses: Schema.Int,
  totalFailures: Schema.Int,
  totalBlocked: Schema.Int,
  openCount: Schema.Int
}).annotate({ identifier: "CircuitBreaker" })
export type Breaker = typeof Breaker.Type

export const Breakers = Schema.Struct({ data: Schema.Array(Breaker) })

/** Where a key stands with the limits of a group of routes, as its next request would find them; nothing is taken by looking. */
export const RateLimitStatus = Schema.Struct({
  endpoint: Schema.String,
  key: Schema.String,
  allowed: Schema.Boolean,
  limits: Schema.Array(
    Schema.Struct({
      name: Schema.String,
      scope: Schema.String,
      limit: Schema.Int,
      burst: Schema.Int,
      windowMillis: Schema.Int,
      remaining: Schema.Finite,
      blocked: Schema.Boolean,
      resetAfterMillis: Millis,
      retryAfterMillis: Millis
    })
  )
}).annotate({ identifier: "RateLimitStatus" })

/** Requests with an idempotency key since this process began. `hits`: the key's own request again. `hitRatio`: of all, in [0, 1]. */
export const IdempotencyStats = Schema.Struct({
  new: Schema.Int,
  hits: Schema.Int,
  conflicts: Schema.Int,
  hitRatio: Share
}).annotate({ identifier: "IdempotencyStats" })
