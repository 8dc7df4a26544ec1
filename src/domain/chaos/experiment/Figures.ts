/**
 * Figures made of what was noted: rates and latencies of charges, slices of time, bands of breakers.
 */
import type { GatewayName } from "../../payment/Ids.ts"
import type { BreakerState } from "../../resilience/Breaker.ts"
import { type BreakerName, of as breakerOf } from "../../resilience/BreakerName.ts"
import type { BreakerBand, Figures } from "./ExperimentResult.ts"
import type { Counts, Latency, Slice } from "./Measures.ts"
import * as Recorder from "./Recorder.ts"

/** Counts in the order of their names. */
export const countsOf = (counts: ReadonlyMap<string, number>): Counts =>
  Object.fromEntries([...counts].sort(([left], [right]) => (left < right ? -1 : 1)))

/** The smallest value that a share `q` of the values does not exceed (nearest rank). */
const quantile = (sorted: ReadonlyArray<number>, q: number): number | null => sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? null

/** Two decimals: a result is read by people too. */
const rounded = (value: number): number => Math.round(value * 100) / 100

/** Four decimals of a share, never rounded up: what is just below a limit does not meet it, and one failure of many is not none. */
const rate = (part: number, whole: number): number | null => (whole === 0 ? null : Math.floor((part * 10_000) / whole) / 10_000)

/** Of latencies in any order. */
export const latencyOf = (latencies: ReadonlyArray<number>): Latency => {
  const sorted = Float64Array.from(latencies).sort()
  const values = [...sorted]
  return {
    average: values.length === 0 ? null : rounded(values.reduce((total, value) => total + value, 0) / values.length),
    p50: quantile(values, 0.5),
    p95: quantile(values, 0.95),
    p99: quantile(values, 0.99),
    max: values.at(-1) ?? null
  }
}

const latenciesOf = (charges: ReadonlyArray<Recorder.Charge>): ReadonlyArray<number> =>
  charges.flatMap(({ answeredAt, askedAt }) => (answeredAt === undefined ? [] : [answeredAt - askedAt]))

const answersOf = (charges: ReadonlyArray<Recorder.Charge>) => {
  const counts = { succeeded: 0, declined: 0, failed: 0, in_doubt: 0 }
  for (const { answer } of charges) if (answer !== undefined) counts[answer]++
  return { succeeded: counts.succeeded, declined: counts.declined, failed: counts.failed, inDoubt: counts.in_doubt }
}

/** Succeeded of those that the customer's bank did not refuse. */
const successRate = ({ failed, inDoubt, succeeded }: { readonly succeeded: number; readonly failed: number; readonly inDoubt: number }) =>
  rate(succeeded, succeeded + failed + inDoubt)

/** How the charges went that were asked for within a time. */
export const figuresOf = (
  recorder: Recorder.Recorder,
  { fromMillis, toMillis }: { readonly fromMillis: number; readonly toMillis: number }
): Figures => {
  const charges = recorder.charges.filter(({ askedAt }) => askedAt >= fromMillis && askedAt < toMillis)
  const answers = answersOf(charges)
  const ended = (end: Recorder.End) => charges.filter((charge) => charge.end === end).length
  const succeeded = ended("succeeded")
  return {
    charges: charges.length,
    ...answers,
    successRate: successRate(answers),
    finalSuccessRate: rate(succeeded, succeeded + ended("failed") + ended("unsettled")),
    latency: latencyOf(latenciesOf(charges))
  }
}

/** Why charges were answered neither with success nor with a decline. */
export const errorsOf = (charges: ReadonlyArray<Recorder.Charge>): Counts => {
  const errors = new Map<string, number>()
  for (const { error } of charges) if (error !== undefined) Recorder.count(errors, error)
  return countsOf(errors)
}

/** Which gateways were asked first. */
export const firstChoicesOf = (charges: ReadonlyArray<Recorder.Charge>): Slice["firstChoices"] => {
  const choices = new Map<string, number>()
  for (const { firstChoice } of charges) if (firstChoice !== undefined) Recorder.count(choices, firstChoice)
  return countsOf(choices)
}

/** The time series. */
export const slicesOf = (recorder: Recorder.Recorder): ReadonlyArray<Slice> => {
  const bySlice = groupedBy(recorder.charges, ({ askedAt }) => Math.floor(askedAt / recorder.sliceMillis))
  return recorder.slices.map(({ gatewayErrors, injections }, index) => {
    const charges = bySlice.get(index) ?? []
    const answers = answersOf(charges)
    const { p50, p95 } = latencyOf(latenciesOf(charges))
    return {
      fromMillis: index * recorder.sliceMillis,
      charges: charges.length,
      ...answers,
      successRate: successRate(answers),
      latency: { p50, p95 },
      firstChoices: firstChoicesOf(charges),
      errors: errorsOf(charges),
      gatewayErrors: countsOf(gatewayErrors),
      injections: countsOf(injections)
    }
  })
}

const shownAs: { readonly [State in BreakerState]: BreakerBand["state"] } = {
  closed: "closed",
  open: "open",
  "half-open": "half-open",
  "forced-open": "open",
  "forced-closed": "closed"
}

/** The states of breakers until a time, in the order of the gateways. A gateway whose breakers never changed has one band, that of its sales. */
export const breakerBandsOf = (
  recorder: Recorder.Recorder,
  gateways: ReadonlyArray<GatewayName>,
  untilMillis: number
): ReadonlyArray<BreakerBand> => {
  const changes = groupedBy(
    recorder.breakers.filter(({ at }) => at < untilMillis),
    ({ gateway }) => gateway
  )
  return gateways.flatMap((gateway) => {
    const byBreaker = groupedBy(changes.get(gateway) ?? [], ({ breaker }) => breaker)
    if (byBreaker.size === 0) byBreaker.set(breakerOf(gateway, "sale"), [])
    return [...byBreaker]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .flatMap(([breaker, own]) => bandsOf(gateway, breaker, own, untilMillis))
  })
}

const bandsOf = (
  gateway: GatewayName,
  breaker: BreakerName,
  changes: ReadonlyArray<Recorder.BreakerChange>,
  untilMillis: number
): ReadonlyArray<BreakerBand> => {
  const bands: Array<BreakerBand> = []
  let state = shownAs[changes[0]?.from ?? "closed"]
  let fromMillis = 0
  const end = (toMillis: number) => {
    const last = bands.at(-1)
    // A probe that fails at once leaves no time between two bands of one state.
    if (toMillis > fromMillis && last?.state === state) bands[bands.length - 1] = { ...last, toMillis }
    else if (toMillis > fromMillis) bands.push({ gateway, breaker, state, fromMillis, toMillis })
  }
  for (const change of changes) {
    end(change.at)
    state = shownAs[change.to]
    fromMillis = Math.max(fromMillis, change.at)
  }
  end(untilMillis)
  return bands
}

const groupedBy = <A, K>(values: ReadonlyArray<A>, keyOf: (value: A) => K): Map<K, Array<A>> => {
  const groups = new Map<K, Array<A>>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group === undefined) groups.set(keyOf(value), [value])
    else group.push(value)
  }
  return groups
}
