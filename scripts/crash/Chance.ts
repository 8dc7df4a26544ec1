/**
 * Seeded choices. The same seed makes the same plan of payments and faults; what real processes and sockets do with it differs.
 */

/** A source of choices. */
export interface Chance {
  /** From 0 up to 1. */
  readonly next: () => number
  /** An integer from `low` to `high`, both included. */
  readonly between: (low: number, high: number) => number
  readonly happens: (share: number) => boolean
  readonly pick: <A>(all: readonly [A, ...ReadonlyArray<A>]) => A
}

/** A stream of its own for each name, so that one user of chance does not move another's (mulberry32 over FNV-1a). */
export const stream = (seed: number, name: string): Chance => {
  let state = 2_166_136_261 ^ seed
  for (let index = 0; index < name.length; index++) state = Math.imul(state ^ name.charCodeAt(index), 16_777_619)
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const between = (low: number, high: number) => low + Math.floor(next() * (high - low + 1))
  return {
    next,
    between,
    happens: (share) => next() < share,
    pick: (all) => all[between(0, all.length - 1)] ?? all[0]
  }
}
