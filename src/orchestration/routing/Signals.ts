/**
 * What is known of the gateways when a payment is routed: their metrics for its segment, what their circuit breakers let through, and whether
 * this process has room for one more call to them.
 *
 * All of it is plain state in the memory of this process, so reading it waits for nothing.
 */
import type { PaymentDetails } from "../../domain/payment/Event.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import * as Breaker from "../../domain/resilience/Breaker.ts"
import * as Health from "../../domain/resilience/Health.ts"
import * as Presets from "../../domain/Presets.ts"
import type { BreakerPhase, GatewaySignals, RoutingDecision } from "../../domain/routing/Decision.ts"
import * as Segment from "../../domain/routing/Segment.ts"
import type { GatewayMetrics, GatewayStats } from "../../services/routing/GatewayMetrics.ts"
import type { CircuitBreakers } from "../resilience/CircuitBreakers.ts"
import { type GatewayGuards, isSaturated } from "../resilience/GatewayGuards.ts"

const phases: Record<Breaker.BreakerState, BreakerPhase> = {
  closed: "closed",
  "forced-closed": "closed",
  "half-open": "half_open",
  open: "open",
  "forced-open": "open"
}

const presetMinHealth = Presets.breaker.minHealthScore.value

/**
 * When a payment was last routed to a half-open gateway as its probe, by breaker: until the call is made the breaker knows nothing of it, and
 * every payment that is decided meanwhile would be a probe as well.
 */
const promised = new WeakMap<Breaker.Breaker, number>()

/** A promise that led to no call lapses when the breaker would give up a probe that is not answered. */
const isPromised = (breaker: Breaker.Breaker, now: number): boolean => {
  const at = promised.get(breaker)
  return at !== undefined && at >= breaker.heardAt && now - at < breaker.settings.halfOpenTimeoutMillis
}

/** Which breaker was promised a probe, and when. */
export interface PromisedProbe {
  readonly breaker: Breaker.Breaker
  readonly at: number
}

/** Remembers that a payment was made a probe, if its decision did so. `monotonic`: of the breakers' clock. */
export const promiseProbe = (
  breakers: CircuitBreakers["Service"],
  { explored, ranked: [first] }: RoutingDecision,
  { details, monotonic }: Pick<Asked, "details" | "monotonic">
): PromisedProbe | undefined => {
  if (explored !== true || first?.signals?.probe === undefined) return undefined
  const breaker = breakers.find(first.gateway, kindOf(details))
  if (breaker === undefined) return undefined
  promised.set(breaker, monotonic)
  return { breaker, at: monotonic }
}

/** There will be no such call: another payment may be the probe at once. */
export const withdrawProbe = ({ at, breaker }: PromisedProbe): void => {
  if (promised.get(breaker) === at) promised.delete(breaker)
}

const kindOf = ({ captureMethod }: PaymentDetails) => (captureMethod === "manual" ? "authorize" : "sale")

/** Digits enough to tell gateways apart, so that decisions stay small. */
const rounded = (value: number): number => Math.round(value * 10_000) / 10_000

/** Where the signals come from. */
export interface Sources {
  readonly metrics: GatewayMetrics["Service"]
  readonly breakers: CircuitBreakers["Service"]
  readonly guards: GatewayGuards["Service"]
}

/** For which payment, and when: epoch milliseconds, and those of the breakers' clock. */
export interface Asked {
  readonly details: PaymentDetails
  readonly now: number
  readonly monotonic: number
}

/** The signals of gateways for a payment's first charge, in their order. */
export const read = (
  { breakers, guards, metrics }: Sources,
  gateways: ReadonlyArray<{ readonly name: GatewayName }>,
  { details, monotonic, now }: Asked
): ReadonlyArray<GatewaySignals> => {
  const kind = kindOf(details)
  const segment = Segment.code(Segment.ofPayment(details))
  const signals: Array<GatewaySignals> = []
  for (const { name } of gateways) {
    const breaker = breakers.find(name, kind)
    const closedAgainAt = breaker === undefined ? undefined : Breaker.closedAgainAt(breaker)
    // What brought the breaker to open says nothing of the gateway that has come back.
    const since = closedAgainAt === undefined ? undefined : closedAgainAt + now - monotonic
    const known = signalsOf(metrics.statsAt(name, now, { segment, since }), breaker, monotonic)
    if (isSaturated(guards.of(name), kind, monotonic)) known.saturated = true
    signals.push(known)
  }
  return signals
}

/** `now`: of the breakers' clock. */
export const signalsOf = (
  stats: GatewayStats,
  breaker: Breaker.Breaker | undefined,
  now: number
): { -readonly [Key in keyof GatewaySignals]: GatewaySignals[Key] } => {
  const health = breaker === undefined ? Health.newScore : Health.scoreAt(breaker, now)
  const signals: { -readonly [Key in keyof GatewaySignals]: GatewaySignals[Key] } = {
    samples: stats.samples,
    successRate: rounded(stats.successRate),
    approved: stats.approved,
    declined: stats.declined,
    p95Millis: Math.round(stats.p95Millis),
    // Half-open with all its permits out it refuses as well.
    breaker: breaker === undefined ? "closed" : health === 0 ? "open" : phases[Breaker.stateAt(breaker, now)],
    health: rounded(health),
    failuresInRow: stats.consecutiveFailures,
    level: stats.segmentUsed
  }
  if (breaker === undefined) return signals
  if (breaker.settings.minHealthScore !== presetMinHealth) signals.minHealth = breaker.settings.minHealthScore
  if (signals.breaker === "closed") return signals
  if (breaker.state === "open" && signals.breaker === "open") signals.retryAfterMillis = Math.max(0, Math.round(breaker.retryAt - now))
  const probe = signals.breaker === "half_open" ? Breaker.probeWanted(breaker, now) : undefined
  if (probe !== undefined && !isPromised(breaker, now)) signals.probe = probe
  return signals
}
