/**
 * Thompson sampling: the success of every gateway is drawn from the distribution of what is known of it, and the best score wins. A gateway
 * that is known to be worse is hardly ever tried, one that little is known of often: exploration ends by itself where everything is known.
 */
import type { GatewaySignals, ScoreParts } from "../Decision.ts"
import type { ScoringSettings } from "../policy/Policy.ts"
import * as BetaDistribution from "./BetaDistribution.ts"
import * as Scoring from "./Scoring.ts"

/** A gateway whose success is drawn. `rest`: what the other parts add to its score. */
interface Arm {
  readonly distribution: BetaDistribution.Beta
  readonly factor: number
  readonly rest: number
}

const armOf = (signals: GatewaySignals, parts: ScoreParts, weights: ScoreParts, settings: ScoringSettings): Arm => {
  const { alpha, beta } = Scoring.availability(signals, settings)
  const scale = Math.min(1, mostCalls / (alpha + beta))
  return {
    distribution: BetaDistribution.make(alpha * scale, beta * scale),
    factor: weights.success * Scoring.approvalFactor(signals, settings),
    rest: parts.latency * weights.latency + parts.cost * weights.cost
  }
}

/** More calls than a window has tell no more; beyond what a float can tell apart the density would be no number. */
const mostCalls = 1e9

/** The density of the first is looked at in so many places: with 48 the probability is known within a percent. */
const places = 48
/** Within so many deviations of its mean. */
const deviations = 5

/**
 * The probability that the first has the best score: the integral, over what is drawn for it, of the probability that all others draw
 * less, by the midpoint rule.
 */
export const probabilityOfFirst = (
  candidates: ReadonlyArray<{ readonly signals: GatewaySignals; readonly parts: ScoreParts }>,
  weights: ScoreParts,
  settings: ScoringSettings
): number => {
  const [first, ...others] = candidates.map(({ parts, signals }) => armOf(signals, parts, weights, settings))
  if (first === undefined || others.length === 0 || first.factor <= 0) return 1
  const { distribution } = first
  const from = Math.max(0, distribution.mean - deviations * distribution.deviation)
  const step = (Math.min(1, distribution.mean + deviations * distribution.deviation) - from) / places
  let mass = 0
  let won = 0
  for (let place = 0; place < places; place++) {
    const drawn = from + (place + 0.5) * step
    const density = BetaDistribution.density(distribution, drawn)
    mass += density
    let probability = density
    for (const other of others) {
      if (probability === 0) break
      const needed = first.rest + drawn * first.factor - other.rest
      probability *= other.factor > 0 ? BetaDistribution.below(other.distribution, needed / other.factor) : needed > 0 ? 1 : 0
    }
    won += probability
  }
  return mass > 0 ? Math.min(1, won / mass) : 1
}
