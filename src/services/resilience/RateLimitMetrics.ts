/**
 * The metrics of rate limits, under the rules of Metrics.ts. Labels: `limit` is the name of a limit in the configuration, `scope` one of its
 * five, `result` is `allowed` or `blocked`. A key is never a label.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { RateLimit } from "../../domain/resilience/RateLimit.ts"

/** What one limit has answered: `blocked` counts what it refused. */
export interface Totals {
  allowed: number
  blocked: number
}

const storeErrors = Metric.counter("aegispay_rate_limit_store_errors_total", {
  description: "checks of rate limits that the store did not answer",
  incremental: true
})
const blocked = Metric.gauge("aegispay_rate_limit_blocked_keys", { description: "keys that a rate limit has blocked for a time" })

/** The store did not answer a check. */
export const storeFailed: Effect.Effect<void> = Metric.update(storeErrors, 1)

/** How many keys are blocked. */
export const blockedKeys = (count: number): Effect.Effect<void> => Metric.update(blocked, count)

/** The series of one limit, read when metrics are exported: a check pays nothing for them. Answers how to remove them. */
export const series = (context: Context.Context<never>, { name, scope }: RateLimit, totals: Totals): (() => void) => {
  const registered = (["allowed", "blocked"] as const).map((result) => {
    const attributes = { limit: name, scope, result }
    const metric = Metric.counter("aegispay_rate_limit_total", { description: "checks of rate limits", attributes, incremental: true })
    const get = () => ({ count: totals[result], incremental: true })
    return Metric.registerUnsafe(metric, context, { get, update: () => {}, modify: () => {} })
  })
  return () => {
    for (const registration of registered) registration.remove()
  }
}
