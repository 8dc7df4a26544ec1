/**
 * Faults: how likely each kind is in this simulation, how many struck, and the end of them all when the world is to calm down.
 */
import * as Chance from "./Chance.ts"

/** Likelihoods in [0, 1] per request or call, drawn per seed; a seed may be free of a kind. */
export interface Rates {
  /** The connection is refused: nothing is sent. */
  readonly refused: number
  /** The request never arrives. */
  readonly lost: number
  /** The request arrives, its answer does not. */
  readonly unanswered: number
  /** The request arrives twice. */
  readonly doubled: number
  /** The request takes seconds to arrive. */
  readonly late: number
  /** A call to the database fails before anything is written. */
  readonly unavailable: number
  /** A commit whose acknowledgement is lost, written or not, or written later. */
  readonly unacknowledged: number
  /** Somebody makes up a webhook. */
  readonly forged: number
  /** A statement for several commits waits in vain for a row. */
  readonly locked: number
  /** A commit that the database refuses once. */
  readonly badRow: number
}

export type Kind = keyof Rates

/** Faults that strike. `limit`: after this many none strikes any more. */
export interface Faults {
  readonly strikes: (kind: Kind) => boolean
  /** For what a fault looks like, and for latencies. */
  readonly draw: Chance.Draw
  readonly struck: () => number
  readonly end: () => void
}

/** Rates of a seed: each kind is absent in some seeds and common in others. */
export const ratesOf = (seed: number): Rates => {
  const draw = Chance.stream(seed, "rates")
  const rate = () => Chance.pick(draw, [0, 0, 0.02, 0.05, 0.1, 0.2])
  return {
    refused: rate(),
    lost: rate(),
    unanswered: rate(),
    doubled: rate(),
    late: rate(),
    unavailable: rate() / 2,
    unacknowledged: rate() / 2,
    forged: rate(),
    locked: rate(),
    badRow: rate() / 4
  }
}

export const make = (options: {
  readonly seed: number
  readonly rates: Rates
  readonly limit: number
  readonly onStrike: (kind: Kind) => void
}): Faults => {
  const draw = Chance.stream(options.seed, "faults")
  const shapes = Chance.stream(options.seed, "shapes of faults")
  let struck = 0
  let ended = false
  return {
    strikes: (kind) => {
      if (draw() >= options.rates[kind] || ended || struck >= options.limit) return false
      struck++
      options.onStrike(kind)
      return true
    },
    draw: shapes,
    struck: () => struck,
    end: () => {
      ended = true
    }
  }
}
