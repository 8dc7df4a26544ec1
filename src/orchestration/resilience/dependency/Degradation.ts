/**
 * Answers that do not depend on one dependency alone: as it should be, with less, or without it, and which of these it was.
 *
 * ```ts
 * const { value: rate, tier } = yield* Degradation.run({
 *   dependency: "rates",
 *   primary: liveRate,
 *   degraded: cachedRate,
 *   fallback: emergencyRate
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type Tier, tiersAt } from "../../../domain/resilience/dependency/Degradation.ts"
import * as Metrics from "../../../services/Metrics.ts"
import { Dependencies } from "./Dependencies.ts"

/** Why one of the ways did not lead to an answer. */
export interface TierFailure<E> {
  readonly tier: Tier
  readonly error: E
}

/** An answer, which way it came, and why the ways before it did not lead to one. */
export interface Answer<A, E> {
  readonly value: A
  readonly tier: Tier
  readonly failures: ReadonlyArray<TierFailure<E>>
}

/** No way led to an answer; `failures` in the order in which they were tried. */
export class AllTiersFailed extends Schema.TaggedError<AllTiersFailed>()("AllTiersFailed", {
  dependency: Schema.String,
  failures: Schema.Array(Schema.Struct({ tier: Schema.Literals(["primary", "degraded", "fallback"]), error: Schema.Defect() }))
}) {
  override get message(): string {
    const reasons = this.failures.map(({ error, tier }) => `${tier}: ${error instanceof Error ? error.message : String(error)}`)
    return `there is no answer without ${this.dependency} either (${reasons.join("; ")})`
  }
}

/** The ways, best first; `dependency`: what the primary one needs, as registered with `Dependencies`. */
export interface Ways<A1, E1, R1, A2, E2, R2, A3, E3, R3> {
  readonly dependency: string
  readonly primary: Effect.Effect<A1, E1, R1>
  readonly degraded?: Effect.Effect<A2, E2, R2>
  readonly fallback?: Effect.Effect<A3, E3, R3>
}

/**
 * Tries the ways until one leads to an answer. While the dependency is critical the primary one comes last.
 *
 * A failure leads on to the next; a defect or an interruption ends it. Each way brings its own time limit. A way has to be harmless where
 * the one before it may have had an effect: this is for questions, not for charging.
 */
export const run = Effect.fnUntraced(function* <A1, E1, R1, A2 = never, E2 = never, R2 = never, A3 = never, E3 = never, R3 = never>(
  ways: Ways<A1, E1, R1, A2, E2, R2, A3, E3, R3>
): Effect.fn.Return<Answer<A1 | A2 | A3, E1 | E2 | E3>, AllTiersFailed, Dependencies | R1 | R2 | R3> {
  const { dependency } = ways
  const level = yield* (yield* Dependencies).level(dependency)
  const failures: Array<TierFailure<E1 | E2 | E3>> = []
  for (const tier of tiersAt(level)) {
    const way: Effect.Effect<A1 | A2 | A3, E1 | E2 | E3, R1 | R2 | R3> | undefined = ways[tier]
    if (way === undefined) continue
    const result = yield* Effect.result(way)
    if (Result.isSuccess(result)) {
      yield* Metrics.tierAnswered({ dependency, tier })
      return { value: result.success, tier, failures }
    }
    failures.push({ tier, error: result.failure })
  }
  yield* Metrics.tierAnswered({ dependency, tier: "none" })
  return yield* new AllTiersFailed({ dependency, failures })
})
