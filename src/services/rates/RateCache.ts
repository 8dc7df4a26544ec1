/**
 * Where fetched rates are kept.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Known } from "../../domain/rates/Quote.ts"
import type { FetchedRates } from "../../domain/rates/RateTable.ts"

/** The cache did not answer. What was written may be there. */
export class RateCacheUnavailable extends Schema.TaggedError<RateCacheUnavailable>()("RateCacheUnavailable", {
  operation: Schema.Literals(["read", "write"]),
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the cache of the exchange rates did not answer (${this.operation}); until it does, every instance keeps its own`
  }
}

/**
 * Rates by the name of what was asked for. Each is kept for as long as it may be given in an emergency and is gone then; it is warm until it
 * has not been read for the idle time.
 *
 * - `read`: what was written last under a key. Reading what is warm keeps it warm for another idle time; reading what is not changes
 *   nothing. `undefined`: nothing is kept.
 * - `write`: replaces it; warm from now on.
 *
 * Time is the store's own. Both fail with `RateCacheUnavailable` only; an entry that cannot be read any more is as good as none.
 */
export class RateCache extends Context.Service<
  RateCache,
  {
    readonly read: (key: string) => Effect.Effect<Known | undefined, RateCacheUnavailable>
    readonly write: (key: string, rates: FetchedRates) => Effect.Effect<void, RateCacheUnavailable>
  }
>()("aegispay/services/rates/RateCache") {}
