/**
 * How long until something that failed is tried again: doubled each time, capped, with jitter.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** Delays in milliseconds; `jitter` is a share of the delay, both ways. */
export interface Backoff {
  readonly baseMillis: number
  readonly capMillis: number
  readonly jitter: number
}

/** The delay after so many failures (1 or more), in milliseconds. */
export const delayMillis = (backoff: Backoff, failures: number): Effect.Effect<number> => {
  const delay = Math.min(backoff.baseMillis * 2 ** Math.min(Math.max(failures, 1) - 1, 40), backoff.capMillis)
  return Effect.map(Random.next, (random) => Math.round(delay * (1 + backoff.jitter * (random * 2 - 1))))
}
