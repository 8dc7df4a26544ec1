/**
 * Chance from a seed: small generators, one stream per purpose, so that leaving one thing out of a simulation (a payment, the
 * crashes) does not change what happens to the others.
 */
import type * as Random from "effect/Random"

/** Numbers in [0, 1). */
export type Draw = () => number

/** A stream for a purpose: mulberry32 over the seed and a hash of the name. */
export const stream = (seed: number, name: string): Draw => {
  let state = seed | 0
  for (let index = 0; index < name.length; index++) state = Math.imul(state ^ name.charCodeAt(index), 0x01000193) + 0x9e3779b9
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** An integer from `least` to `most`, both included. */
export const between = (draw: Draw, least: number, most: number): number => least + Math.floor(draw() * (most - least + 1))

/** True with a probability. */
export const happens = (draw: Draw, probability: number): boolean => probability > 0 && draw() < probability

/** One of a list that is not empty. */
export const pick = <A>(draw: Draw, from: readonly [A, ...ReadonlyArray<A>]): A => from[Math.floor(draw() * from.length)] ?? from[0]

/** A list in another order. */
export const shuffled = <A>(draw: Draw, from: ReadonlyArray<A>): ReadonlyArray<A> =>
  from
    .map((value) => ({ value, place: draw() }))
    .sort((left, right) => left.place - right.place)
    .map(({ value }) => value)

/** One of a list by weight. */
export const weighted = <A>(draw: Draw, from: readonly [readonly [A, number], ...ReadonlyArray<readonly [A, number]>]): A => {
  let left = draw() * from.reduce((total, [, weight]) => total + weight, 0)
  for (const [value, weight] of from) {
    left -= weight
    if (left < 0) return value
  }
  return from[0][0]
}

/** The generator that fibers draw from. */
export const generator = (draw: Draw): typeof Random.Random.Service => ({
  nextDoubleUnsafe: draw,
  nextIntUnsafe: () => Math.floor(draw() * Number.MAX_SAFE_INTEGER)
})
