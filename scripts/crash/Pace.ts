/**
 * How many payments are under way at a time: as many as are answered soon.
 *
 * More would only wait for each other, and each server that is killed would take more of them with it: a machine that is busy with starting
 * servers would then finish hardly any. So the limit grows while answers come soon and shrinks while they do not.
 */
import { pause } from "./FaultProxy.ts"

/** An answer without a fault in its way takes a few dozen milliseconds; one in seven has a fault that takes a second or more. */
const soonMillis = 800
const first = 24
const least = 8
/** With one in seven that is slow by itself these meet at about 200, with one in two at 30. */
const growth = 0.5
const shrinkage = 0.985

export interface Pace {
  /** Waits for its turn, and gives it back when it is through. */
  readonly run: (work: () => Promise<void>, isOver: () => boolean) => Promise<void>
  /** A charge was answered, after this time. */
  readonly answered: (millis: number) => void
}

/** At most this many at a time. */
export const make = (most: number): Pace => {
  let limit = Math.min(first, most)
  let underWay = 0
  return {
    run: async (work, isOver) => {
      const isFull = () => underWay >= limit
      while (isFull() && !isOver()) await pause(20)
      if (isOver()) return
      underWay++
      await work().finally(() => underWay--)
    },
    answered: (millis) => {
      limit = millis < soonMillis ? Math.min(most, limit + growth) : Math.max(Math.min(least, most), limit * shrinkage)
    }
  }
}
