/**
 * Figures of an outage, from what was asked, answered and sent.
 */
import type { PaymentView } from "../../../src/domain/payment/View.ts"
import type { Transition } from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import type { Call } from "../Engine.ts"
import type { Asked } from "./Load.ts"

/** The parts of a run. */
export type PhaseName = "before" | "during" | "after"

/** From `from` to before `to`, in epoch milliseconds. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** What became of the payments that were asked for in a phase. Shares in [0, 1]; `NaN` of nothing. */
export interface PhaseFigures {
  readonly seconds: number
  readonly payments: number
  /** Share that was answered as succeeded. */
  readonly succeededAtOnce: number
  /** Answered as neither succeeded nor failed: the outcome was not known. */
  readonly inDoubt: number
  /** Of those, who had been sent to the gateway that went down and got no answer from it. */
  readonly unanswered: number
  readonly failed: number
  /** Share that has succeeded in the end. */
  readonly succeeded: number
  /** Where they were charged in the end, by gateway. */
  readonly shares: ReadonlyMap<string, number>
  /** What the providers took for each, in minor units. */
  readonly meanFeeMinor: number
  readonly p50Millis: number
  readonly p95Millis: number
  readonly failovers: number
}

/**
 * What is known when the run is over. `final`: the payments as they are in the store; `fees`: by payment, from the providers' lists;
 * `unanswered`: payments with a request that the gateway that went down never answered.
 */
export interface Known {
  readonly asked: ReadonlyArray<Asked>
  readonly final: ReadonlyMap<string, PaymentView>
  readonly fees: ReadonlyMap<string, number>
  readonly unanswered: ReadonlySet<string>
  readonly gateways: ReadonlyArray<string>
}

/** The figures of a phase. */
export const ofPhase = ({ asked, fees, final, gateways, unanswered }: Known, { from, to }: Span): PhaseFigures => {
  const own = asked.filter(({ askedAt }) => askedAt >= from && askedAt < to)
  const ended = own.flatMap(({ answer }) => (answer === undefined ? [] : [final.get(answer.id) ?? answer]))
  const paid = ended.filter(({ status }) => status === "succeeded")
  const durations = own.map(({ durationMillis }) => durationMillis).sort((left, right) => left - right)
  const doubtful = own.flatMap(({ answer }) => (answer === undefined || isEnd(answer) ? [] : [answer.id as string]))
  const atOnce = own.filter(({ answer }) => answer?.status === "succeeded").length
  return {
    seconds: (to - from) / 1_000,
    payments: own.length,
    succeededAtOnce: atOnce / own.length,
    inDoubt: doubtful.length,
    unanswered: doubtful.filter((id) => unanswered.has(id)).length,
    failed: own.length - atOnce - doubtful.length,
    succeeded: paid.length / own.length,
    shares: new Map(gateways.map((name) => [name, paid.filter(({ gateway }) => gateway === name).length / paid.length])),
    meanFeeMinor: paid.reduce((sum, { id }) => sum + (fees.get(id) ?? Number.NaN), 0) / paid.length,
    p50Millis: quantile(durations, 0.5),
    p95Millis: quantile(durations, 0.95),
    failovers: ended.reduce((sum, { operations }) => sum + new Set(operations.map(({ gateway }) => gateway)).size - 1, 0)
  }
}

const isEnd = ({ status }: PaymentView): boolean => status === "succeeded" || status === "failed"

/** The smallest value that at least the share `q` does not exceed; of sorted values. */
const quantile = (sorted: ReadonlyArray<number>, q: number): number => sorted[Math.max(0, Math.ceil(sorted.length * q) - 1)] ?? Number.NaN

/** The share of a gateway in the payments that were asked for in a time and have been answered. */
export const shareOf = (asked: ReadonlyArray<Asked>, gateway: string, { from, to }: Span): number => {
  const own = asked.filter(({ askedAt }) => askedAt >= from && askedAt < to)
  return own.filter(({ answer }) => answer?.gateway === gateway).length / own.length
}

/** The calls that a breaker let through to a gateway that was down, up to the moment when it opened or the outage ended. */
export interface Round {
  /** A closed breaker's, or the probes of a half-open one. */
  readonly kind: "closed" | "half_open"
  readonly calls: number
  /** When the breaker opened; `undefined`: it had not when the outage ended. */
  readonly openedAt: number | undefined
}

/** A breaker tells the time of a transition in whole milliseconds, after the fact. */
const toleranceMillis = 5

/**
 * The rounds of an outage, in order. `calls` and `transitions` are those of the gateway that was down. Calls that were under way when it went
 * down and met it are in the first round; one that succeeded did not meet it.
 */
export const roundsOf = (calls: ReadonlyArray<Call>, transitions: ReadonlyArray<Transition>, outage: Span): ReadonlyArray<Round> => {
  const met = calls.filter(
    ({ endedAt, outcome, sentAt }) => outcome !== "Succeeded" && sentAt < outage.to && (endedAt === undefined || endedAt >= outage.from)
  )
  const openings = transitions.filter(({ at, to }) => to === "open" && at >= outage.from).map(({ at }) => at)
  const roundOf = (call: Call) => openings.filter((at) => call.sentAt > at + toleranceMillis).length
  return [...Map.groupBy(met, roundOf)]
    .sort(([left], [right]) => left - right)
    .map(([round, { length }]) => ({ kind: round === 0 ? "closed" : "half_open", calls: length, openedAt: openings[round] }))
}
