/**
 * Where rate limits remember their keys.
 *
 * A check names several limits with one key each, by position, and is one step for everybody else: all of them admit it and it is
 * taken of all, or it is taken of none. A key is known by the limit's name and algorithm and its own text, so a limit that is changed
 * in the configuration goes on with what was counted.
 *
 * effect's own `RateLimiter` (effect/persistence) is not used underneath: its store answers for one key at a time, so a refusal by the
 * second limit could not be taken back from the first; it has no sliding window and no blocks; its fixed window lengthens with every
 * request, its memory store never forgets a key, and it neither looks without taking nor gives back. It remains the
 * choice for pacing one's own outgoing calls (`RateLimiter.sleep`).
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Decision, RateLimit } from "../../domain/resilience/RateLimit.ts"

/** The store did not answer. What was asked may have been carried out. */
export class RateLimitStoreError extends Schema.TaggedError<RateLimitStoreError>()("RateLimitStoreError", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the store of the rate limits did not answer (${this.operation}); until it does, checks go by the setting onStoreFailure`
  }
}

/**
 * What a check asks. 1 to 10 limits, each once, and as many keys. Keys may be of any length and content; layers keep a hash of long ones, or
 * of all. `cost`: an integer from 1 to the capacity of every limit.
 */
export interface Question {
  readonly limits: ReadonlyArray<RateLimit>
  readonly keys: ReadonlyArray<string>
  readonly cost: number
}

/**
 * The store of rate limits.
 *
 * - `take`: takes `cost` of every limit if all admit it; if not, nothing is taken of any, and each limit that refused counts that
 *   towards its block. Of any number of checks at once no more are admitted than one after the other.
 * - `peek`: what `take` would answer, changing nothing.
 * - `refund`: gives back what a `take` has taken; meant for the same request, right after it. Later a unit may have come back
 *   by itself already; then what others took since is given back, but never more than the limit has.
 * - `reset`: forgets the keys, their blocks too.
 * - `blocked`: how many keys are blocked now.
 * - `takeUnsafe`: `take` of a store in memory without an effect around it, at a time in epoch milliseconds; `undefined` elsewhere.
 *
 * Time is the store's own: the database's or the server's where there is one. All fail with `RateLimitStoreError` only.
 */
export class RateLimitStore extends Context.Service<
  RateLimitStore,
  {
    readonly take: (question: Question) => Effect.Effect<Decision, RateLimitStoreError>
    readonly peek: (question: Question) => Effect.Effect<Decision, RateLimitStoreError>
    readonly refund: (question: Question) => Effect.Effect<void, RateLimitStoreError>
    readonly reset: (question: Omit<Question, "cost">) => Effect.Effect<void, RateLimitStoreError>
    readonly blocked: Effect.Effect<number, RateLimitStoreError>
    readonly takeUnsafe: ((question: Question, now: number) => Decision) | undefined
  }
>()("aegispay/services/resilience/RateLimitStore") {}
