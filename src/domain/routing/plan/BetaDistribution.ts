/**
 * The Beta distribution: its density and its cumulative distribution, for the probability with which one drawn score exceeds others.
 */

/** Lanczos' approximation (g = 7, 9 terms) of ln Gamma: 15 digits for arguments above 0. */
const coefficients = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7
]

const logGamma = (argument: number): number => {
  // Below 1/2 by the reflection of the next argument: ln Gamma(x) = ln Gamma(x + 1) - ln x.
  if (argument < 0.5) return logGamma(argument + 1) - Math.log(argument)
  const x = argument - 1
  const t = x + 7.5
  let sum = coefficients[0] ?? 1
  for (let term = 1; term < coefficients.length; term++) sum += (coefficients[term] ?? 0) / (x + term)
  return 0.5 * Math.log(2 * Math.PI) + (x + 0.5) * Math.log(t) - t + Math.log(sum)
}

/** A Beta(alpha, beta) distribution, both above 0. */
export interface Beta {
  readonly alpha: number
  readonly beta: number
  readonly mean: number
  readonly deviation: number
  /** ln B(alpha, beta). */
  readonly logNorm: number
}

export const make = (alpha: number, beta: number): Beta => ({
  alpha,
  beta,
  mean: alpha / (alpha + beta),
  deviation: Math.sqrt((alpha * beta) / ((alpha + beta) ** 2 * (alpha + beta + 1))),
  logNorm: logGamma(alpha) + logGamma(beta) - logGamma(alpha + beta)
})

/** The density at a place in (0, 1). */
export const density = ({ alpha, beta, logNorm }: Beta, x: number): number =>
  Math.exp((alpha - 1) * Math.log(x) + (beta - 1) * Math.log(1 - x) - logNorm)

/** So many deviations from the mean nothing is left that matters. */
const negligibleDeviations = 8

/** The probability of less than `x`: the regularized incomplete beta function. */
export const below = (distribution: Beta, x: number): number => {
  const { alpha, beta, deviation, mean } = distribution
  if (x <= 0 || x < mean - negligibleDeviations * deviation) return 0
  if (x >= 1 || x > mean + negligibleDeviations * deviation) return 1
  const front = Math.exp(alpha * Math.log(x) + beta * Math.log(1 - x) - distribution.logNorm)
  // The fraction converges fast below the mean; above it the complement is taken.
  return x < (alpha + 1) / (alpha + beta + 2)
    ? (front * fraction(alpha, beta, x)) / alpha
    : 1 - (front * fraction(beta, alpha, 1 - x)) / beta
}

const tiny = 1e-300
const precision = 1e-10
const maxTerms = 500

const notZero = (value: number): number => (Math.abs(value) < tiny ? tiny : value)

/** The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz' method. */
const fraction = (a: number, b: number, x: number): number => {
  let c = 1
  let d = 1 / notZero(1 - ((a + b) * x) / (a + 1))
  let result = d
  for (let term = 1; term <= maxTerms; term++) {
    const even = (term * (b - term) * x) / ((a + 2 * term - 1) * (a + 2 * term))
    d = 1 / notZero(1 + even * d)
    c = notZero(1 + even / c)
    result *= d * c
    const odd = (-(a + term) * (a + b + term) * x) / ((a + 2 * term) * (a + 2 * term + 1))
    d = 1 / notZero(1 + odd * d)
    c = notZero(1 + odd / c)
    result *= d * c
    if (Math.abs(d * c - 1) < precision) break
  }
  return result
}
