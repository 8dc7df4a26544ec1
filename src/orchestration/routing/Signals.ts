/**
 * What is known of the gateways when a payment is routed: their metrics for its segment, and what their circuit breakers let through.
 *
 * All of it is in the memory of this process, so reading it waits for nothing.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { OperationKind } from "../../domain/operation/Operation.ts"
import type { PaymentDetails } from "../../domain/payment/Event.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type { BreakerState } from "../../domain/resilience/Breaker.ts"
import * as BreakerName from "../../domain/resilience/BreakerName.ts"
import type { BreakerHealth } from "../../domain/resilience/Health.ts"
import type { BreakerPhase, GatewaySignals } from "../../domain/routing/Decision.ts"
import * as Segment from "../../domain/routing/Segment.ts"
import { GatewayMetrics, type GatewayStats } from "../../services/routing/GatewayMetrics.ts"
import { CircuitBreakers } from "../resilience/CircuitBreakers.ts"

/** From this score on a breaker is closed: half-open it has 0.25 + 0.3 + 0.1 + 0.1 at most. Only below it is its state asked for. */
const surelyClosed = 0.75

const phases: Record<BreakerState, BreakerPhase> = {
  closed: "closed",
  "forced-closed": "closed",
  "half-open": "half_open",
  open: "open",
  "forced-open": "open"
}

/** Digits enough to tell gateways apart, so that decisions stay small. */
const rounded = (value: number): number => Math.round(value * 10_000) / 10_000

/** The signals of gateways for a kind of charge, in their order. */
export const read = Effect.fnUntraced(function* (gateways: ReadonlyArray<GatewayName>, details: PaymentDetails, kind: OperationKind) {
  const metrics = yield* GatewayMetrics
  const breakers = yield* CircuitBreakers
  const stats = yield* metrics.statsOfAll(gateways, Segment.ofPayment(details))
  const scoreOf = yield* breakers.scores
  const scores = gateways.map((gateway) => scoreOf(gateway, kind))
  const doubtful = scores.some((score) => score < surelyClosed)
  const known = doubtful ? new Map((yield* breakers.list).map((health) => [health.name, health])) : undefined
  const now = doubtful ? yield* Clock.currentTimeMillis : 0
  return stats.map((one, index) => signalsOf(one, scores[index] ?? 1, known?.get(BreakerName.of(one.gateway, kind)), now))
})

const signalsOf = (stats: GatewayStats, score: number, breaker: BreakerHealth | undefined, now: number): GatewaySignals => {
  const phase = breaker === undefined || score >= surelyClosed ? "closed" : phases[breaker.state]
  const signals: { -readonly [Key in keyof GatewaySignals]: GatewaySignals[Key] } = {
    samples: stats.samples,
    successRate: rounded(stats.successRate),
    approved: stats.approved,
    declined: stats.declined,
    p95Millis: Math.round(stats.p95Millis),
    breaker: phase,
    health: rounded(score),
    failuresInRow: stats.consecutiveFailures,
    level: stats.segmentUsed
  }
  if (phase === "open" && breaker?.retryAt !== undefined) signals.retryAfterMillis = Math.max(0, Math.round(breaker.retryAt - now))
  return signals
}
