/**
 * A permission to send in its holder's hands (rule 12): how much of it is gone, by both local clocks.
 *
 * The wall clock tells of a suspended machine, the monotonic one of a stepped wall clock. The end of a permission is judged by whichever
 * has gone further, what was certainly written after something else by whichever has gone less.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
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
export const elapsed = ({ times }: HeldPermission): Effect.Effect<Elapsed> =>
  Clock.clockWith((clock) => {
    const wall = clock.currentTimeMillisUnsafe()
    const monotonic = clock.monotonicTimeNanosUnsafe()
    const since = (nanos: bigint): number => Number(monotonic - nanos) / 1e6
    return Effect.succeed({
      atLeastMillis: Math.max(0, Math.min(wall - times.answeredWallMillis, since(times.answeredMonotonicNanos))),
      atMostMillis: Math.max(wall - times.issuedWallMillis, since(times.issuedMonotonicNanos))
    })
  })

/** Database time now, never later than it is: for judging what was written after what. */
export const databaseTime = (permission: HeldPermission): Effect.Effect<number> =>
  Effect.map(elapsed(permission), ({ atLeastMillis }) => Math.floor(permission.recordedAt + atLeastMillis))
