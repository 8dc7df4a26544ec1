/**
 * What is known of the gateways when a payment is routed: their metrics for its segment, and what their circuit breakers let through.
 *
 * All of it is in the memory of this process, so reading it waits for nothing.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { OperationKind } from "../../domain/operation/Operation.ts"
import type { PaymentDetails } from "../../domain/payment/Event.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import type { BreakerState } from "../../domain/resilience/Breaker.ts"
import * as BreakerName from "../../domain/resilience/BreakerName.ts"
import type { BreakerHealth } from "../../domain/resilience/Health.ts"
import type { BreakerPhase, GatewaySignals } from "../../domain/routing/Decision.ts"
import * as Segment from "../../domain/routing/Segment.ts"
import type { GatewayMetrics, GatewayStats } from "../../services/routing/GatewayMetrics.ts"
import type { CircuitBreakers } from "../resilience/CircuitBreakers.ts"

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

/** Where the signals come from. */
export interface Sources {
  readonly metrics: GatewayMetrics["Service"]
  readonly breakers: CircuitBreakers["Service"]
  readonly clock: Clock.Clock
}

/** The signals of gateways for a kind of charge, in their order. */
export const read = Effect.fnUntraced(function* (
  { breakers, clock, metrics }: Sources,
  gateways: ReadonlyArray<GatewayName>,
  details: PaymentDetails,
  kind: OperationKind
) {
  const stats = yield* metrics.statsOfAll(gateways, Segment.ofPayment(details))
  const scoreOf = yield* breakers.scores
  const signals: Array<GatewaySignals> = []
  let known: ReadonlyMap<BreakerName.BreakerName, BreakerHealth> | undefined
  for (const one of stats) {
    const score = scoreOf(one.gateway, kind)
    if (score >= surelyClosed) {
      signals.push(signalsOf(one, score, "closed"))
      continue
    }
    known ??= new Map((yield* breakers.list).map((health) => [health.name, health]))
    const breaker = known.get(BreakerName.of(one.gateway, kind))
    // Half-open with all its permits out it refuses as well.
    const phase = breaker === undefined ? "closed" : score === 0 ? "open" : phases[breaker.state]
    const opensIn = phase === "open" && breaker?.retryAt !== undefined ? breaker.retryAt - clock.currentTimeMillisUnsafe() : undefined
    const own = signalsOf(one, score, phase)
    signals.push(opensIn === undefined ? own : { ...own, retryAfterMillis: Math.max(0, Math.round(opensIn)) })
  }
  return signals
})

const signalsOf = (stats: GatewayStats, score: number, breaker: BreakerPhase): GatewaySignals => ({
  samples: stats.samples,
  successRate: rounded(stats.successRate),
  approved: stats.approved,
  declined: stats.declined,
  p95Millis: Math.round(stats.p95Millis),
  breaker,
  health: rounded(score),
  failuresInRow: stats.consecutiveFailures,
  level: stats.segmentUsed
})
