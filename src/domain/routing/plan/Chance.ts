/**
 * Randomness as an argument: a stream of uniform numbers from one drawn number, and what routing draws from it.
 *
 * The same number gives the same stream, so a decision that is made again from its inputs is the same decision.
 */

/** The next number in [0, 1). */
export type Uniform = () => number

/** A stream from a number in [0, 1): splitmix32 (Steele, Lea, Flood, 2014, with the constants of MurmurHash3), 32 bits a number. */
export const streamOf = (random: number): Uniform => {
  let state = Math.floor(random * 0x1_0000_0000) >>> 0
  return () => {
    state = (state + 0x9e3779b9) >>> 0
    return mix(state) / 0x1_0000_0000
  }
}

/** The finalizer of MurmurHash3: every bit of the input reaches every bit of the output. */
const mix = (value: number): number => {
  let mixed = value ^ (value >>> 16)
  mixed = Math.imul(mixed, 0x85ebca6b)
  mixed ^= mixed >>> 13
  mixed = Math.imul(mixed, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

/** A number in (0, 1) that is fixed by a text: FNV-1a (32 bit) over its UTF-16 code units, mixed. Near texts are far apart. */
export const uniformOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0
  return (mix(hash) + 0.5) / 0x1_0000_0000
}

/** A standard normal number: the polar method of Marsaglia and Bray (1964). */
const normal = (uniform: Uniform): number => {
  for (;;) {
    const x = 2 * uniform() - 1
    const y = 2 * uniform() - 1
    const square = x * x + y * y
    if (square > 0 && square < 1) return x * Math.sqrt((-2 * Math.log(square)) / square)
  }
}

/** A Gamma(shape, 1) number, shape above 0: Marsaglia and Tsang (2000), with their boost for a shape below 1. */
const gamma = (shape: number, uniform: Uniform): number => {
  if (shape < 1) return gamma(shape + 1, uniform) * Math.max(uniform(), Number.MIN_VALUE) ** (1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normal(uniform)
    const v = (1 + c * x) ** 3
    if (v <= 0) continue
    if (Math.log(Math.max(uniform(), Number.MIN_VALUE)) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
  }
}

/** A Beta(alpha, beta) number, both above 0: the share of one Gamma number in two. */
export const beta = (alpha: number, beta: number, uniform: Uniform): number => {
  const left = gamma(alpha, uniform)
  const right = gamma(beta, uniform)
  return left + right > 0 ? left / (left + right) : alpha / (alpha + beta)
}
