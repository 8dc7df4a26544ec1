/**
 * Where rates come from: what an adapter to a source of exchange rates is.
 */
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Pair } from "../../domain/rates/Rate.ts"
import { type RateTable, SourceName } from "../../domain/rates/RateTable.ts"

/**
 * Why a source gave no rates.
 *
 * `timeout`, `unreachable`, `overloaded` (it asks for a pause, or failed on its side) may go better next time. `refused` (credentials,
 * address, a redirect), `unreadable` (no rates, or too much) and `outdated` (it says itself that its rates are old) will not within a second.
 */
export const RateSourceProblem = Schema.Literals(["timeout", "unreachable", "overloaded", "refused", "unreadable", "outdated"])
export type RateSourceProblem = typeof RateSourceProblem.Type

/** A source gave no rates. `detail` names no address: it may hold a key. */
export class RateSourceFailed extends Schema.TaggedError<RateSourceFailed>()("RateSourceFailed", {
  source: SourceName,
  problem: RateSourceProblem,
  detail: Schema.String,
  retryAfterMillis: Schema.optionalKey(Schema.Int)
}) {
  override get message(): string {
    return `${this.source}: ${this.detail}`
  }

  get isRetryable(): boolean {
    return this.problem === "timeout" || this.problem === "unreachable" || this.problem === "overloaded"
  }
}

/**
 * A source.
 *
 * - `name`: from the configuration, one of its own.
 * - `answerOf`: which answer of the source a pair is in. One address for all rates: always the same; one for each base currency: that. What is
 *   kept is kept under it, so it has as few values as there are answers.
 * - `fetch`: asks it once, for the answer with this pair. No retries and no breaker: those are its caller's; the time limit is as well.
 *
 * An answer without the pair is no failure: the next source is asked for it.
 */
export interface RateSource {
  readonly name: SourceName
  readonly answerOf: (pair: Pair) => string
  readonly fetch: (pair: Pair) => Effect.Effect<RateTable, RateSourceFailed>
}
