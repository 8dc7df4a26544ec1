/**
 * Telling the metrics of one optimistic update: the conflicts it met, and how long it took from the first until it was written.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metrics from "../../services/Metrics.ts"

/** One update. `met`: somebody else was faster; `exhausted`: it is not tried again. `written`: it counts only after a conflict. */
export interface Conflicts {
  readonly met: (options: { readonly exhausted: boolean }) => Effect.Effect<void>
  readonly written: Effect.Effect<void>
}

/** An update of an entity of this kind. */
export const of = (entity: string): Conflicts => {
  let firstAt: bigint | undefined
  return {
    met: ({ exhausted }) =>
      Effect.flatMap(Clock.monotonicTimeNanos, (now) => {
        firstAt ??= now
        return Metrics.updateConflicted({ entity, exhausted })
      }),
    written: Effect.suspend(() => {
      const since = firstAt
      return since === undefined
        ? Effect.void
        : Effect.flatMap(Clock.monotonicTimeNanos, (now) => Metrics.conflictResolved({ entity, durationMillis: Number(now - since) / 1e6 }))
    })
  }
}
