/**
 * How healthy a gateway is, from its breakers: a score in [0, 1], and what it is made of.
 *
 *     0.5 x state (closed 1, half-open 0.5, open 0)
 *     + 0.3 x success rate
 *     + 0.1 x min(successes in a row / successThreshold, 1)
 *     + 0.1 x (1 - min(failures in a row / failureThreshold, 1))
 *
 * A new breaker has 0.9, one that failures opened at most 0.3. One that may be tried again (half-open, nothing counted yet) has 0.65: it
 * passes the usual minimum of 0.5, so it gets the calls by which it can recover.
 */
import type { GatewayName } from "../payment/Ids.ts"
import * as Breaker from "./Breaker.ts"
import { type BreakerName, partsOf } from "./BreakerName.ts"
import * as BreakerWindow from "./breaker/BreakerWindow.ts"

/** What a score is made of. */
export interface Signs {
  readonly state: Breaker.BreakerState
  /** Successes by calls in the window, in [0, 1]; 1 without calls. */
  readonly successRate: number
  readonly consecutiveSuccesses: number
  readonly consecutiveFailures: number
}

/** What is known of a breaker, or of a gateway over several. Counts without "total" are those of the window. */
export interface Health extends Signs {
  readonly score: number
  /** Is it not open, and its score at least `minHealthScore`? */
  readonly healthy: boolean
  readonly successCount: number
  readonly failureCount: number
  readonly slowCount: number
  readonly failureRate: number
  readonly slowRate: number
  readonly totalSuccesses: number
  readonly totalFailures: number
  readonly totalBlocked: number
  readonly openCount: number
  readonly lastFailureAt: number | undefined
}

/** One breaker's health. Times are of the clock that its breaker is used with. */
export interface BreakerHealth extends Health {
  readonly name: BreakerName
  readonly changedAt: number
  readonly reason: Breaker.TransitionReason
  /** When an open breaker becomes half-open. */
  readonly retryAt: number | undefined
}

/** A gateway's health, over its breakers. */
export interface GatewayHealth extends Health {
  readonly gateway: GatewayName
}

const stateScores: Record<Breaker.BreakerState, number> = { closed: 1, "forced-closed": 1, "half-open": 0.5, open: 0, "forced-open": 0 }

/** The score of DESIGN: in [0, 1], never lower for more successes, never higher for more failures. */
export const score = (signs: Signs, thresholds: { readonly successThreshold: number; readonly failureThreshold: number }): number =>
  0.5 * stateScores[signs.state] +
  0.3 * signs.successRate +
  0.1 * Math.min(signs.consecutiveSuccesses / thresholds.successThreshold, 1) +
  0.1 * (1 - Math.min(signs.consecutiveFailures / thresholds.failureThreshold, 1))

/** The score as of `now`, for routing: 0 where calls are refused. */
export const scoreAt = (breaker: Breaker.Breaker, now: number): number =>
  Breaker.refusesAt(breaker, now) ? 0 : score(signsOf(breaker, Breaker.stateAt(breaker, now), now), breaker.settings)

/** The score of a breaker that has seen nothing. */
export const newScore = 0.9

/** What is known of a breaker as of `now`. */
export const ofBreaker = (name: BreakerName, breaker: Breaker.Breaker, now: number): BreakerHealth => {
  const { settings, totals, window } = breaker
  const state = Breaker.stateAt(breaker, now)
  const signs = signsOf(breaker, state, now)
  const [calls, failures, slow] = state === breaker.state ? [window.calls, window.failures, window.slow] : [0, 0, 0]
  const ofSigns = score(signs, settings)
  return {
    name,
    ...signs,
    score: ofSigns,
    healthy: !refuses(state) && ofSigns >= settings.minHealthScore,
    successCount: calls - failures,
    failureCount: failures,
    slowCount: slow,
    failureRate: shareOf(failures, calls),
    slowRate: shareOf(slow, calls),
    totalSuccesses: totals.quick + totals.slow,
    totalFailures: totals.failures,
    totalBlocked: totals.blocked,
    openCount: totals.transitions.open,
    lastFailureAt: breaker.lastFailureAt,
    changedAt: breaker.changedAt,
    reason: breaker.reason,
    retryAt: state === "open" ? breaker.retryAt : undefined
  }
}

/**
 * Gateways in the order in which their breakers come. A gateway is as healthy as the worst of its breakers: state, score and runs are
 * those of the worst, counts are sums. Breakers of other dependencies are left out.
 */
export const ofGateways = (breakers: ReadonlyArray<BreakerHealth>): ReadonlyArray<GatewayHealth> => {
  const byGateway = new Map<GatewayName, GatewayHealth>()
  for (const breaker of breakers) {
    const gateway = partsOf(breaker.name)?.gateway
    if (gateway === undefined) continue
    const known = byGateway.get(gateway)
    byGateway.set(gateway, known === undefined ? gatewayOf(gateway, breaker) : both(known, breaker))
  }
  return [...byGateway.values()]
}

/** Of a gateway that has no breaker: like a breaker that has seen nothing. */
export const ofUnknown = (gateway: GatewayName): GatewayHealth => ({
  gateway,
  state: "closed",
  score: newScore,
  healthy: true,
  successRate: 1,
  consecutiveSuccesses: 0,
  consecutiveFailures: 0,
  successCount: 0,
  failureCount: 0,
  slowCount: 0,
  failureRate: 0,
  slowRate: 0,
  totalSuccesses: 0,
  totalFailures: 0,
  totalBlocked: 0,
  openCount: 0,
  lastFailureAt: undefined
})

const gatewayOf = (
  gateway: GatewayName,
  { changedAt: _changedAt, name: _name, reason: _reason, retryAt: _retryAt, ...health }: BreakerHealth
) => ({
  gateway,
  ...health
})

const both = (one: GatewayHealth, other: Health): GatewayHealth => {
  const successCount = one.successCount + other.successCount
  const failureCount = one.failureCount + other.failureCount
  const slowCount = one.slowCount + other.slowCount
  const failureRate = shareOf(failureCount, successCount + failureCount)
  return {
    gateway: one.gateway,
    state: badness[one.state] >= badness[other.state] ? one.state : other.state,
    successRate: 1 - failureRate,
    consecutiveSuccesses: Math.min(one.consecutiveSuccesses, other.consecutiveSuccesses),
    consecutiveFailures: Math.max(one.consecutiveFailures, other.consecutiveFailures),
    score: Math.min(one.score, other.score),
    healthy: one.healthy && other.healthy,
    successCount,
    failureCount,
    slowCount,
    failureRate,
    slowRate: shareOf(slowCount, successCount + failureCount),
    totalSuccesses: one.totalSuccesses + other.totalSuccesses,
    totalFailures: one.totalFailures + other.totalFailures,
    totalBlocked: one.totalBlocked + other.totalBlocked,
    openCount: one.openCount + other.openCount,
    lastFailureAt: later(one.lastFailureAt, other.lastFailureAt)
  }
}

const badness: Record<Breaker.BreakerState, number> = { "forced-closed": 0, closed: 1, "half-open": 2, open: 3, "forced-open": 4 }

/** The call that makes an open breaker half-open starts anew: what opened it says nothing any more. */
const signsOf = (breaker: Breaker.Breaker, state: Breaker.BreakerState, now: number): Signs => {
  if (state !== breaker.state) return { state, successRate: 1, consecutiveSuccesses: 0, consecutiveFailures: 0 }
  BreakerWindow.advance(breaker.window, now)
  return {
    state,
    successRate: 1 - shareOf(breaker.window.failures, breaker.window.calls),
    consecutiveSuccesses: breaker.consecutiveSuccesses,
    consecutiveFailures: breaker.consecutiveFailures
  }
}

export const refuses = (state: Breaker.BreakerState): boolean => state === "open" || state === "forced-open"

const shareOf = (part: number, all: number): number => (all === 0 ? 0 : part / all)

const later = (one: number | undefined, other: number | undefined): number | undefined =>
  one === undefined || other === undefined ? (one ?? other) : Math.max(one, other)
