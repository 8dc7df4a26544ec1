/**
 * One day of payments through routing. Decisions, the gateways' windows, attribution, and circuit breakers are those of the engine; gateways,
 * time and chance are simulated.
 *
 * A payment is charged at the first gateway of its plan; after a soft decline, or where nothing was sent, at the next one, as in the
 * engine: at most three charges, none after a timeout, and every charge is counted in the windows. All gateways ask the same issuer: a
 * payment is approved by those whose approval rate is above a number that belongs to the payment. So every policy meets the same
 * payments at the same times with the same luck.
 *
 * Regret is of the first choice, and counted in expectation: what the best gateway of the moment was worth less what the chosen one was, as
 * the world knows it. So luck adds no noise to it.
 */
import * as Presets from "../../../src/domain/Presets.ts"
import * as Breaker from "../../../src/domain/resilience/Breaker.ts"
import { gatewayDefault } from "../../../src/domain/resilience/BreakerSettings.ts"
import * as Attribution from "../../../src/domain/routing/Attribution.ts"
import type { GatewaySignals } from "../../../src/domain/routing/Decision.ts"
import * as GatewayWindows from "../../../src/domain/routing/GatewayWindows.ts"
import * as Chance from "../../../src/domain/routing/plan/Chance.ts"
import type { Candidate } from "../../../src/domain/routing/plan/Eligibility.ts"
import * as Failover from "../../../src/domain/routing/plan/Failover.ts"
import * as Route from "../../../src/domain/routing/plan/Route.ts"
import * as Scoring from "../../../src/domain/routing/plan/Scoring.ts"
import * as Cost from "../../../src/domain/routing/policy/Cost.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import * as Segment from "../../../src/domain/routing/Segment.ts"
import * as Sketch from "../../../src/domain/routing/Sketch.ts"
import * as ScriptedGateway from "../../../src/gateways/ScriptedGateway.ts"
import * as Signals from "../../../src/orchestration/routing/Signals.ts"
import type { Arrival } from "./Arrivals.ts"
import * as World from "./World.ts"

/** Who decides: a policy, or one who knows the world and wants approvals, or the best score by the preset weights. */
export type Chooser = { readonly policy: Policy.Policy } | { readonly oracle: Yardstick }

/** By what a choice is judged. `approval`: how likely the first charge is approved. `score`: its true score by the preset weights. */
export type Yardstick = "approval" | "score"

/** What a day came to. */
export interface DayResult {
  readonly payments: number
  /** Approved at all, and by the first charge. */
  readonly approved: number
  readonly approvedFirst: number
  /** Cumulated at the end of each of `points` equal parts of the day. */
  readonly regret: { readonly [By in Yardstick]: ReadonlyArray<number> }
  /** Of what was approved, in hundredths of a percent of the amounts. */
  readonly feeBasisPoints: number
  /** Of first charges. */
  readonly p95Millis: number
}

/** How many points the curve of a day has. */
export const points = 48

/** What a day is made of. */
export interface DayOptions {
  readonly seed: number
  readonly gateways: ReadonlyArray<World.Gateway>
  readonly arrivals: ReadonlyArray<Arrival>
  readonly chooser: Chooser
  /** Whose approvals the windows count. The engine's: `first` charges. `all`: failovers too. Default `first`. */
  readonly approvals?: "all" | "first" | undefined
}

/** Midnight in UTC. */
const startsAt = Date.UTC(2026, 0, 1)
const timeoutMillis = Presets.gatewayCall.attemptTimeoutMillis.value
const maxCharges = Presets.payment.maxCharges.value
const minimumSamples = Presets.gatewayMetrics.minimumSamples.value

/** Log-normal durations spread so much around their median; a refused connection takes so long. */
const durationSpread = 0.45
const refusedMillis = 50

/** What changes during a day. */
interface Run extends DayOptions {
  readonly windows: GatewayWindows.GatewayWindows
  readonly breakers: ReadonlyArray<Breaker.Breaker>
  readonly candidates: ReadonlyArray<Candidate>
  readonly draws: Chance.Uniform
  /** By the time of their answers. */
  readonly underway: Array<Underway>
  readonly latencies: Sketch.Sketch
  readonly tally: { approved: number; approvedFirst: number; fees: number; amounts: number; approval: number; score: number }
}

/** Runs a day. */
export const run = (options: DayOptions): DayResult => {
  const day: Run = {
    ...options,
    windows: GatewayWindows.make(),
    breakers: options.gateways.map(() => Breaker.make(gatewayDefault, startsAt)),
    candidates: options.gateways.map(({ name }) => ScriptedGateway.make(name)),
    draws: Chance.streamOf(World.seedOf(options.seed, "draws")),
    underway: [],
    latencies: Sketch.make(),
    tally: { approved: 0, approvedFirst: 0, fees: 0, amounts: 0, approval: 0, score: 0 }
  }
  const { tally } = day
  const regret: { readonly [By in Yardstick]: Array<number> } = { approval: [], score: [] }
  const draw = (until: number) => {
    while (regret.score.length < Math.floor(until)) {
      regret.approval.push(tally.approval)
      regret.score.push(tally.score)
    }
  }
  for (const arrival of options.arrivals) {
    draw((arrival.at / World.dayMillis) * points)
    settleUntil(day, startsAt + arrival.at)
    decide(day, arrival)
  }
  settleUntil(day, Number.POSITIVE_INFINITY)
  draw(points)
  return {
    payments: options.arrivals.length,
    approved: tally.approved,
    approvedFirst: tally.approvedFirst,
    regret,
    feeBasisPoints: (tally.fees * 10_000) / tally.amounts,
    p95Millis: Sketch.quantile(day.latencies, 0.95)
  }
}

const decide = (day: Run, arrival: Arrival): void => {
  const { candidates, chooser, draws, gateways, tally } = day
  const worth = gateways.map((gateway) => worthOf(gateway, arrival))
  const best = (by: Yardstick) => Math.max(...worth.map((one) => one[by]))
  const now = startsAt + arrival.at
  let plan: ReadonlyArray<number>
  if ("policy" in chooser) {
    const signals = gateways.map((_, index) => signalsOf(day, index, arrival, now))
    const { details, id: payment } = arrival
    const decision = Route.route({ payment, details, candidates, signals, policy: chooser.policy, now, random: draws() })
    plan = Failover.plan(decision).map(({ gateway }) => gateways.findIndex(({ name }) => name === gateway))
  } else {
    const by = chooser.oracle
    plan = gateways.map((_, index) => index).sort((left, right) => (worth[right]?.[by] ?? 0) - (worth[left]?.[by] ?? 0))
  }
  const chosen = worth[plan[0] ?? -1]
  tally.approval += best("approval") - (chosen?.approval ?? 0)
  tally.score += best("score") - (chosen?.score ?? 0)
  send(day, arrival, plan, 0, now)
}

const yardstick = Policy.make()
const manySamples = 1e9

/** What a gateway is worth for a payment, as the world knows it. */
const worthOf = (gateway: World.Gateway, { at, country, details }: Arrival): { readonly [By in Yardstick]: number } => {
  const { approval, availability, medianMillis } = gateway.at(at, country)
  const signals: GatewaySignals = {
    samples: manySamples,
    successRate: availability,
    approved: manySamples * approval,
    declined: manySamples * (1 - approval),
    // The 95 % quantile of the standard normal distribution.
    p95Millis: medianMillis * Math.exp(1.6449 * durationSpread),
    breaker: "closed",
    health: 1,
    failuresInRow: 0
  }
  const parts = {
    success: Scoring.success(signals, yardstick.scoring),
    latency: Scoring.latency(signals, yardstick.scoring),
    cost: Scoring.cost(Cost.entryFor(gateway.fees, details), Number(details.amount.minor), yardstick.scoring)
  }
  return { approval: availability * approval, score: Scoring.total(parts, yardstick.weights) }
}

/** Charges at a place of the plan, or at the next one where the breaker refuses. */
const send = (day: Run, arrival: Arrival, plan: ReadonlyArray<number>, place: number, now: number): void => {
  const index = plan[place] ?? -1
  const [gateway, breaker] = [day.gateways[index], day.breakers[index]]
  if (gateway === undefined || breaker === undefined || place >= maxCharges) return
  const permit = Breaker.tryAcquire(breaker, now)
  if (permit._tag === "Rejected") return send(day, arrival, plan, place + 1, now)
  const answer = answerOf(day, gateway, arrival, now)
  if (place === 0) Sketch.add(day.latencies, Sketch.binOf(answer.durationMillis))
  const endsAt = now + answer.durationMillis
  const settle = () => {
    record(day, gateway, permit, arrival, place, answer, endsAt)
    if (answer.outcome._tag === "Succeeded") count(day, gateway, arrival, place)
    else if (answer.outcome._tag !== "Unknown") send(day, arrival, plan, place + 1, endsAt)
  }
  putInOrder(day.underway, { endsAt, settle })
}

const count = ({ tally }: Run, { fees }: World.Gateway, { details }: Arrival, place: number): void => {
  const fee = Cost.entryFor(fees, details)
  tally.approved++
  if (place === 0) tally.approvedFirst++
  tally.fees += fee === undefined ? 0 : Cost.feeMinor(fee, details.amount.minor)
  tally.amounts += Number(details.amount.minor)
}

interface Answer {
  readonly outcome: Attribution.Answered
  readonly durationMillis: number
}

/** What a gateway answers to a payment. What it is asked later it answers by how it is then. */
const answerOf = ({ seed }: Run, gateway: World.Gateway, { country, number }: Arrival, now: number): Answer => {
  const own = Chance.streamOf(World.seedOf(seed, `${gateway.name} ${number}`))
  const issuer = World.seedOf(seed, `issuer ${number}`)
  const { approval, availability, medianMillis } = gateway.at(now - startsAt, country)
  if (own() >= availability) {
    return own() < 0.5
      ? { outcome: { _tag: "Unknown", reason: "timeout" }, durationMillis: timeoutMillis }
      : { outcome: { _tag: "NotSent", reason: "connection_refused" }, durationMillis: refusedMillis }
  }
  const durationMillis = Math.min(timeoutMillis, medianMillis * Math.exp(durationSpread * World.normal(own)))
  return { outcome: issuer < approval ? { _tag: "Succeeded" } : { _tag: "Declined", category: "soft" }, durationMillis }
}

/** An answer that is under way. */
interface Underway {
  readonly endsAt: number
  readonly settle: () => void
}

/** Few are under way at once. */
const putInOrder = (underway: Array<Underway>, one: Underway): void => {
  let place = underway.length
  while (place > 0 && (underway[place - 1]?.endsAt ?? 0) > one.endsAt) place--
  underway.splice(place, 0, one)
}

/** What an answer leads to may end before `now` as well. */
const settleUntil = ({ underway }: Run, now: number): void => {
  for (;;) {
    const [first] = underway
    if (first === undefined || first.endsAt > now) return
    underway.shift()
    first.settle()
  }
}

/** Tells windows and breaker, as a call of the engine does (`GatewayCall.ts`). */
const record = (
  { approvals, windows }: Run,
  gateway: World.Gateway,
  permit: Breaker.Permit,
  { details }: Arrival,
  place: number,
  { durationMillis, outcome }: Answer,
  now: number
): void => {
  const verdict = Attribution.verdictOf(outcome)
  const approval = Attribution.approvalOf({ kind: "sale", isFirst: approvals === "all" || place === 0 }, outcome)
  const segment = Segment.ofPayment(details)
  GatewayWindows.record(windows, { gateway: gateway.name, kind: "sale", verdict, approval, durationMillis, segment }, now)
  Breaker.report(permit, { verdict: verdict === "failed" ? "failure" : "success", durationMillis }, now)
}

/** The signals of a gateway, as the engine reads them (`Signals.ts`). */
const signalsOf = ({ breakers, gateways, windows }: Run, index: number, { details }: Arrival, now: number): GatewaySignals => {
  const gateway = gateways[index]?.name ?? World.nobody
  const breaker = breakers[index]
  const since = breaker === undefined ? undefined : Breaker.closedAgainAt(breaker)
  const question = { segment: Segment.code(Segment.ofPayment(details)), minimumSamples, since }
  return Signals.signalsOf(GatewayWindows.statsOf(windows, gateway, question, now), breaker, now)
}
