/**
 * How many requests and payments are under way at a time: as many as are answered soon.
 *
 * More would only wait for each other, and each server that is killed would take more of them with it: a machine that is busy with starting
 * servers would then finish hardly any. So the limit of requests grows while answers come soon and shrinks while they do not. A payment
 * mostly waits, for its next try or its customer, and costs nothing meanwhile: a few times as many may be under way.
 */
import { pause } from "./FaultProxy.ts"

/** An answer without a fault in its way takes a few dozen milliseconds; one in seven has a fault that takes a second or more. */
const soonMillis = 800
const first = 24
const least = 8
/** With one in seven that is slow by itself these meet at about 200, with one in two at 30. */
const growth = 0.5
const shrinkage = 0.985
/** Payments for each request that may be under way. */
const paymentsPerRequest = 3

/** Waits for its turn, and gives it back when it is through; `undefined` where it is over before. */
type Gate = <A>(work: () => Promise<A>, isOver: () => boolean) => Promise<A | undefined>

export interface Pace {
  readonly payment: Gate
  readonly request: Gate
  /** A charge was answered, after this time. */
  readonly answered: (millis: number) => void
  /** A charge was not answered within this time. A connection that breaks at once says nothing about how busy the machine is. */
  readonly lost: (millis: number) => void
}

/** At most this many requests at a time. */
export const make = (most: number): Pace => {
  let limit = Math.min(first, most)
  const gate = (factor: number): Gate => {
    let underWay = 0
    const isFull = () => underWay >= limit * factor
    return async (work, isOver) => {
      while (isFull() && !isOver()) await pause(20)
      if (isOver()) return undefined
      underWay++
      return work().finally(() => underWay--)
    }
  }
  const shrink = () => {
    limit = Math.max(Math.min(least, most), limit * shrinkage)
  }
  return {
    payment: gate(paymentsPerRequest),
    request: gate(1),
    answered: (millis) => {
      if (millis < soonMillis) limit = Math.min(most, limit + growth)
      else shrink()
    },
    lost: (millis) => {
      if (millis >= soonMillis) shrink()
    }
  }
}
