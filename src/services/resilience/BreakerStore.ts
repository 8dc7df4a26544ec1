/**
 * Where instances tell each other what their circuit breakers found out: one entry per breaker, the newest.
 *
 * No call ever waits for it: every instance decides from its own memory and exchanges in the background. Emptying it does no harm.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { BreakerName } from "../../domain/resilience/BreakerName.ts"

/** States that are told. Half-open is not: every instance becomes so by itself when the open time is over. */
export const SharedBreakerState = Schema.Literals(["closed", "open", "forced-open", "forced-closed"])
export type SharedBreakerState = typeof SharedBreakerState.Type

/**
 * What an instance tells. `openForMillis`: how long it stays open from now, for `open`; 0 for others. `byPerson`: somebody forced or reset it;
 * forced states always are.
 */
export interface BreakerNews {
  readonly name: BreakerName
  readonly state: SharedBreakerState
  readonly openForMillis: number
  readonly byPerson: boolean
  /** Which instance tells it: 1 to 64 characters, different for every start of a process. */
  readonly instance: string
}

/** What is in force. `openForMillis`: from now, by the store's clock; 0 or less when it is over. */
export interface BreakerEntry extends BreakerNews {
  /**
   * Greater than that of every earlier entry of that breaker: at least the store's time in microseconds, so it grows over entries that were
   * forgotten and over a store that has lost everything.
   */
  readonly version: number
  /** Version of that breaker's newest entry by a person: its own, or an earlier one's; 0: there was none. */
  readonly orderVersion: number
}

/** The store did not answer. Breakers go on by themselves. */
export class BreakerStoreUnavailable extends Schema.TaggedError<BreakerStoreUnavailable>()("BreakerStoreUnavailable", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the store of circuit breakers did not answer (${this.operation}); until it does, every instance decides by itself`
  }
}

/**
 * - `tell`: replaces the entry of that breaker, in the order of arrival, and answers what is in force then: the entry of the newest, except
 *   that a forced state is replaced by a person only; one that is not by a person leaves it as it is. Atomic per breaker.
 * - `all`: every entry. Automatic ones may be forgotten a day after they were told; forced ones never are.
 *
 * At most as many entries as there are breakers in all instances; names are those of the configuration.
 */
export class BreakerStore extends Context.Service<
  BreakerStore,
  {
    readonly tell: (news: BreakerNews) => Effect.Effect<BreakerEntry, BreakerStoreUnavailable>
    readonly all: Effect.Effect<ReadonlyArray<BreakerEntry>, BreakerStoreUnavailable>
  }
>()("aegispay/services/resilience/BreakerStore") {}
