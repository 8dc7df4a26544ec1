/**
 * The metrics of rate limits; their names and labels are in metrics/Catalog.ts. `limit` is the name of a limit in the configuration. A key is
 * never a label.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type { RateLimit } from "../../domain/resilience/RateLimit.ts"
import * as Family from "../metrics/Family.ts"

/** What one limit has answered: `blocked` counts what it refused. */
export interface Totals {
  allowed: number
  blocked: number
}

const storeErrors = Family.of("aegispay_rate_limit_store_errors_total")
const blocked = Family.of("aegispay_rate_limit_blocked_keys")

/** The store did not answer a check. */
export const storeFailed: Effect.Effect<void> = Effect.suspend(() => Metric.update(storeErrors({}), 1))

/** How many keys are blocked. */
export const blockedKeys = (count: number): Effect.Effect<void> => Metric.update(blocked({}), count)

/** The series of one limit, read when metrics are exported: a check pays nothing for them. Answers how to remove them. */
export const series = (context: Context.Context<never>, { name: limit, scope }: RateLimit, totals: Totals): (() => void) => {
  const series = Family.registrar(context)
  for (const result of ["allowed", "blocked"] as const)
    series.counter("aegispay_rate_limit_total", { limit, scope, result }, () => totals[result])
  return series.remove
}
