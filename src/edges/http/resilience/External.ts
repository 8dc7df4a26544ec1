/**
 * How what payments depend on does, as this process knows it: from the breakers and the calls of each gateway, and from the checks of other
 * dependencies. Nobody outside is asked, so it may be read as often as one likes.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Level } from "../../../domain/resilience/dependency/Degradation.ts"
import { partsOf } from "../../../domain/resilience/BreakerName.ts"
import * as Health from "../../../domain/resilience/Health.ts"
import { CircuitBreakers } from "../../../orchestration/resilience/CircuitBreakers.ts"
import { Dependencies, type DependencyHealth } from "../../../orchestration/resilience/dependency/Dependencies.ts"
import { Gateways } from "../../../services/Gateway.ts"
import { GatewayMetrics } from "../../../services/routing/GatewayMetrics.ts"
import type { External, ExternalStatus } from "./ResilienceJson.ts"

/** Shown as ISO 8601. */
export const isoOf = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

const optionalTime = <K extends string>(name: K, at: number | undefined): { readonly [_ in K]?: string } =>
  at === undefined ? {} : ({ [name]: isoOf(at) } as { readonly [_ in K]: string })

const levels: { readonly [_ in Level]: ExternalStatus } = {
  healthy: "ok",
  degraded: "degraded",
  critical: "unavailable",
  unknown: "unknown"
}

/** A gateway without breakers and calls is one of which nothing is known. */
const statusOf = (health: Health.GatewayHealth, calls: number): ExternalStatus => {
  if (Health.refuses(health.state)) return "unavailable"
  if (!health.healthy || health.state === "half-open") return "degraded"
  return calls === 0 && health.successCount + health.failureCount === 0 ? "unknown" : "ok"
}

const dependencyOf = ({ checkedAt, durationMillis, failures, importance, level, name, since }: DependencyHealth) => ({
  name,
  status: levels[level],
  importance,
  since: isoOf(since),
  ...optionalTime("checkedAt", checkedAt),
  ...(durationMillis === undefined ? {} : { durationMillis }),
  failures
})

const overall = ({ dependencies, gateways }: Omit<External, "status">): ExternalStatus => {
  const isDown = ({ status }: { readonly status: ExternalStatus }) => status === "unavailable"
  if (gateways.length > 0 && gateways.every(isDown)) return "unavailable"
  if (dependencies.some((dependency) => dependency.importance === "required" && isDown(dependency))) return "unavailable"
  const statuses = [...gateways, ...dependencies].map(({ status }) => status)
  if (statuses.some((status) => status === "unavailable" || status === "degraded")) return "degraded"
  return statuses.every((status) => status === "unknown") ? "unknown" : "ok"
}

/** A program that reads it, of the services that are there. */
export const reader = Effect.gen(function* () {
  const breakers = Option.getOrUndefined(yield* Effect.serviceOption(CircuitBreakers))
  const metrics = Option.getOrUndefined(yield* Effect.serviceOption(GatewayMetrics))
  const dependencies = Option.getOrUndefined(yield* Effect.serviceOption(Dependencies))
  const { all } = yield* Gateways

  const read: Effect.Effect<External> = Effect.gen(function* () {
    const listed = breakers === undefined ? [] : yield* breakers.list
    const known = new Map(Health.ofGateways(listed).map((health) => [health.gateway, health]))
    const gateways = yield* Effect.forEach(
      all,
      Effect.fnUntraced(function* ({ name }) {
        const health = known.get(name) ?? Health.ofUnknown(name)
        const calls = metrics === undefined ? undefined : yield* metrics.health(name)
        const lastFailureAt = Math.max(health.lastFailureAt ?? -Infinity, calls?.lastFailureAt ?? -Infinity)
        return {
          name,
          status: statusOf(health, calls?.samples ?? 0),
          score: health.score,
          calls: calls?.samples ?? 0,
          successRate: calls?.successRate ?? health.successRate,
          p50Millis: calls?.p50Millis ?? 0,
          p95Millis: calls?.p95Millis ?? 0,
          ...optionalTime("lastFailureAt", Number.isFinite(lastFailureAt) ? lastFailureAt : undefined),
          breakers: listed.flatMap((breaker) => {
            const parts = partsOf(breaker.name)
            return parts?.gateway === name
              ? [
                  {
                    kind: parts.kind,
                    state: breaker.state,
                    changedAt: isoOf(breaker.changedAt),
                    ...optionalTime("retryAt", breaker.retryAt)
                  }
                ]
              : []
          })
        }
      })
    )
    const others = (dependencies === undefined ? [] : yield* dependencies.list).map(dependencyOf)
    return { status: overall({ gateways, dependencies: others }), gateways, dependencies: others }
  })
  return read
})
