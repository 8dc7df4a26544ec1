/**
 * How a dependency is checked and got back: what whoever knows the dependency hands in.
 */
import type * as Effect from "effect/Effect"
import type { CheckResult, Importance } from "../../domain/resilience/dependency/Degradation.ts"

/**
 * A dependency: a database, a source of exchange rates, a gateway's status page.
 *
 * - `name`: 1 to 64 characters of `a-z 0-9 . _ -`, beginning with a letter or digit; a label of metrics, so never made of an id.
 * - `importance`: can payments be made without it? Default `required`.
 * - `check`: asks it something small. Failing, a defect and taking too long are all "failed".
 * - `recover`: what helps when it does not work: connect anew, take another source, clear a cache. What it answers is not believed: it is
 *   checked again. Without it nothing is tried, and checking goes on.
 * - `intervalMillis`, `timeoutMillis`, `recoverEveryMillis`, `recoverTimeoutMillis`: defaults are the presets `degradation`.
 * - `criticalAfter`: failed checks in a row, then it is critical. `healthyAfter`: good ones in a row, then it is healthy again.
 *   `staleAfterChecks`: so many intervals without a result, then nothing is known of it. At least 1; defaults are the presets `degradation`.
 *
 * Both effects must be interruptible, and are never run at the same time.
 */
export interface HealthProbe {
  readonly name: string
  readonly importance?: Importance
  readonly check: Effect.Effect<Exclude<CheckResult, "failed">, unknown>
  readonly recover?: Effect.Effect<unknown, unknown>
  readonly intervalMillis?: number
  readonly timeoutMillis?: number
  readonly recoverEveryMillis?: number
  readonly recoverTimeoutMillis?: number
  readonly criticalAfter?: number
  readonly healthyAfter?: number
  readonly staleAfterChecks?: number
}
