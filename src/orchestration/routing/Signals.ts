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
import { type GatewayGuard, type GatewayGuards, isSaturated } from "../resilience/GatewayGuards.ts"

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
}

/** A gateway that is read for every decision. */
export interface Reader {
  readonly name: GatewayName
  readonly guard: GatewayGuard
  /** What was known of it last, kept where neither time nor place would have it otherwise: while the same is known they stay the same. */
  kept: { readonly breaker: Breaker.Breaker | undefined; readonly stats: GatewayStats; readonly signals: GatewaySignals } | undefined
}

/** The readers of these gateways, in their order. */
export const readersOf = (
  guards: GatewayGuards["Service"],
  gateways: ReadonlyArray<{ readonly name: GatewayName }>
): ReadonlyArray<Reader> => gateways.map(({ name }) => ({ name, guard: guards.of(name), kept: undefined }))

/** For which payment, and when: epoch milliseconds, and those of the breakers' clock. */
export interface Asked {
  readonly details: PaymentDetails
  readonly now: number
  readonly monotonic: number
}

/** The signals of gateways for a payment's first charge, in their order. */
export const read = (
  { breakers, metrics }: Sources,
  readers: ReadonlyArray<Reader>,
  { details, monotonic, now }: Asked
): ReadonlyArray<GatewaySignals> => {
  const kind = kindOf(details)
  const segment = Segment.code(Segment.ofPayment(details))
  const always = { segment }
  const signals: Array<GatewaySignals> = []
  for (const reader of readers) {
    const breaker = breakers.find(reader.name, kind)
    const closedAgainAt = breaker === undefined ? undefined : Breaker.closedAgainAt(breaker)
    // What brought the breaker to open says nothing of the gateway that has come back.
    const asked = closedAgainAt === undefined ? always : { segment, since: closedAgainAt + now - monotonic }
    const stats = metrics.statsAt(reader.name, now, asked)
    const health = healthOf(breaker, monotonic)
    const { kept } = reader
    if (isSaturated(reader.guard, kind, monotonic)) signals.push({ ...signalsOf(stats, breaker, monotonic), saturated: true })
    else if (kept !== undefined && kept.stats === stats && kept.breaker === breaker && isAsKept(kept.signals, breaker, health))
      signals.push(kept.signals)
    else {
      const known = signalsOf(stats, breaker, monotonic)
      reader.kept = known.breaker === "closed" ? { breaker, stats, signals: known } : undefined
      signals.push(known)
    }
  }
  return signals
}

/** What is kept is of a closed breaker: of such only the health changes. */
const isAsKept = (kept: GatewaySignals, breaker: Breaker.Breaker | undefined, health: number): boolean =>
  (breaker === undefined || phases[breaker.state] === "closed") && kept.health === health

const healthOf = (breaker: Breaker.Breaker | undefined, now: number): number =>
  rounded(breaker === undefined ? Health.newScore : Health.scoreAt(breaker, now))

/** `now`: of the breakers' clock. */
export const signalsOf = (stats: GatewayStats, breaker: Breaker.Breaker | undefined, now: number): GatewaySignals => {
  const health = healthOf(breaker, now)
  const signals: { -readonly [Key in keyof GatewaySignals]: GatewaySignals[Key] } = {
    samples: stats.samples,
    successRate: rounded(stats.successRate),
    approved: stats.approved,
    declined: stats.declined,
    p95Millis: Math.round(stats.p95Millis),
    // Half-open with all its permits out it refuses as well.
    breaker: breaker === undefined ? "closed" : health === 0 ? "open" : phases[Breaker.stateAt(breaker, now)],
    health,
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
