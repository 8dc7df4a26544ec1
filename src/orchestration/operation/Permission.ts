/**
 * A permission to send in its holder's hands (rule 12): how much of it is gone, by both local clocks.
 *
 * The wall clock tells of a suspended machine, the monotonic one of a stepped wall clock. The end of a permission is judged by whichever
 * has gone further, what was certainly written after something else by whichever has gone less.
 */
import type * as Clock from "effect/Clock"
import type { CommitTimes } from "./Journal.ts"

/** A permission to send as its holder knows it. */
export interface HeldPermission {
  /** Which of the operation's permissions it is. */
  readonly index: number
  /** Database time of the commit that granted it. */
  readonly recordedAt: number
  readonly sendWindowMillis: number
  readonly times: CommitTimes
}

/** How long ago the database granted a permission: at least and at most. */
export interface Elapsed {
  readonly atLeastMillis: number
  readonly atMostMillis: number
}

/** How long ago a permission was granted. */
export const elapsedAt = (clock: Clock.Clock, { times }: HeldPermission): Elapsed => {
  const wall = clock.currentTimeMillisUnsafe()
  const monotonic = clock.monotonicTimeNanosUnsafe()
  const since = (nanos: bigint): number => Number(monotonic - nanos) / 1e6
  return {
    atLeastMillis: Math.max(0, Math.min(wall - times.answeredWallMillis, since(times.answeredMonotonicNanos))),
    atMostMillis: Math.max(wall - times.issuedWallMillis, since(times.issuedMonotonicNanos))
  }
}

/** Database time now, never later than it is: for judging what was written after what. */
export const databaseTimeAt = (clock: Clock.Clock, permission: HeldPermission): number =>
  Math.floor(permission.recordedAt + elapsedAt(clock, permission).atLeastMillis)
