/**
 * Results of experiments, made up: for what a report shows, and for what it must survive.
 */
import * as Schema from "effect/Schema"
import type {
  BreakerBand,
  CriterionResult,
  Figures,
  InjectionBand,
  SteadyState
} from "../../../src/domain/chaos/experiment/ExperimentResult.ts"
import { ExperimentResult } from "../../../src/domain/chaos/experiment/ExperimentResult.ts"
import type { Slice } from "../../../src/domain/chaos/experiment/Measures.ts"

type Encoded = typeof ExperimentResult.Encoded

/** Fails where a made-up result is none. */
const result = (encoded: Encoded): ExperimentResult => Schema.decodeUnknownSync(ExperimentResult)(encoded)

const latency = (p50: number | null, scale = 3): Figures["latency"] =>
  p50 === null
    ? { average: null, p50, p95: null, p99: null, max: null }
    : { average: p50 * 1.2, p50, p95: p50 * scale, p99: p50 * scale * 1.4, max: p50 * scale * 2 }

const figures = (charges: number, successRate: number | null, p50: number | null): Figures => {
  const succeeded = Math.round(charges * 0.95 * (successRate ?? 0))
  const declined = Math.round(charges * 0.05)
  const inDoubt = Math.round((charges - succeeded - declined) / 3)
  const failed = charges - succeeded - declined - inDoubt
  return { charges, succeeded, declined, failed, inDoubt, successRate, finalSuccessRate: successRate, latency: latency(p50) }
}

const criterion = (name: string, unit: CriterionResult["unit"], limit: number, measured: number | null, met: boolean): CriterionResult => ({
  name,
  bound: name.startsWith("min") ? "at_least" : "at_most",
  unit,
  limit,
  measured,
  met
})

const steady = (fromMillis: number, toMillis: number, held: boolean): SteadyState => ({
  fromMillis,
  toMillis,
  figures: figures(500, held ? 0.998 : 0.9, 120),
  criteria: [criterion("minSuccessRate", "share", 0.99, held ? 0.998 : 0.9, held)],
  held
})

const gateways = ["acme-eu", "bolt-payments", "cedar"]
const seconds = (value: number) => value * 1_000

/** Faults from 60 s to 180 s, of which those at acme-eu end at 150 s. */
const outageSlices = (): ReadonlyArray<typeof Slice.Encoded> =>
  Array.from({ length: 60 }, (_, index) => {
    const from = index * 5
    const wave = (index * 7919) % 13
    const faulty = from >= 60 && from < 180
    const isOpen = (from >= 75 && from < 105) || (from >= 115 && from < 150)
    const charges = 40 + wave
    const failed = faulty ? (isOpen ? 2 : 9 + (wave % 4)) : wave === 3 ? 1 : 0
    const declined = 2
    const inDoubt = faulty && !isOpen ? 3 : 0
    const succeeded = charges - failed - declined - inDoubt
    const atAcme = isOpen ? 0 : Math.round(charges * 0.6)
    const atBolt = Math.round((charges - atAcme) * 0.7)
    return {
      fromMillis: seconds(from),
      charges,
      succeeded,
      declined,
      failed,
      inDoubt,
      successRate: succeeded / (succeeded + failed + inDoubt),
      latency: { p50: faulty ? 180 + 9 * wave : 110 + wave, p95: faulty && !isOpen ? 4_000 + 700 * wave : 300 + 10 * wave },
      firstChoices: { "acme-eu": atAcme, "bolt-payments": atBolt, cedar: charges - atAcme - atBolt },
      errors: failed + inDoubt === 0 ? {} : { gateway_unavailable: failed, in_doubt: inDoubt },
      gatewayErrors: faulty ? { timeout: 4 + (wave % 3), server_error: 6, rate_limited: wave % 2 } : {},
      injections: faulty ? { timeout: 4 + (wave % 3), server_error: 6, rate_limited: wave % 2 } : {}
    }
  })

const band = (gateway: string, state: BreakerBand["state"], from: number, to: number) => ({
  gateway,
  breaker: `${gateway}.sale`,
  state,
  fromMillis: seconds(from),
  toMillis: seconds(to)
})

const window = (label: string, kind: string, gateway: string | null, from: number, to: number): typeof InjectionBand.Encoded => ({
  label,
  kind,
  gateway,
  fromMillis: seconds(from),
  toMillis: seconds(to)
})

const outage: Encoded = {
  version: 1,
  experiment: {
    name: "acme-eu-outage",
    description: "One of three gateways times out and answers 503, for two minutes; charges go to the other two.",
    seed: 7,
    mode: "virtual",
    durationMillis: seconds(300),
    definitionHash: "9f2c4e6a8b0d1f35",
    gateways,
    summary: [
      "9 charges a second from 200 customers",
      "acme-eu: 30% of the calls time out, 50% are answered with 503, from 60 s to 150 s",
      "bolt-payments: 429 in bursts of 10 s, from 120 s to 180 s"
    ]
  },
  timestamps: { startedAt: "2026-11-21T17:00:00.000Z", finishedAt: "2026-11-21T17:00:01.418Z", runMillis: 1_418 },
  verdict: { outcome: "passed", reasons: [] },
  criteria: [
    criterion("minSuccessRate", "share", 0.7, 0.834, true),
    criterion("minFinalSuccessRate", "share", 0.85, 0.902, true),
    criterion("maxP95LatencyMillis", "ms", 12_000, 8_450, true),
    criterion("maxBreakerOpens", "count", 10, 2, true)
  ],
  invariants: [
    { name: "no_double_charge", status: "held", detail: "2,700 payments, 2,494 charges in the ledgers of 3 gateways, none twice." },
    { name: "every_charge_is_known", status: "held", detail: "The gateways' ledgers and the payments agree." },
    { name: "clocks_agree", status: "not_checked", detail: "The experiment moves no clock." }
  ],
  figures: figures(2_700, 0.924, 131),
  totals: {
    requests: 3_120,
    charges: 2_700,
    duplicates: 135,
    captures: 140,
    cancels: 20,
    refunds: 125,
    followUpsFailed: 4,
    recovered: 21,
    unsettled: 0,
    gatewayCalls: 3_481,
    failovers: 301,
    injections: 270,
    breakerOpens: 2
  },
  errors: { gateway_unavailable: 176, in_doubt: 30 },
  gatewayErrors: { server_error: 144, timeout: 114, rate_limited: 12 },
  injections: { server_error: 144, timeout: 114, rate_limited: 12 },
  firstChoices: { "acme-eu": 1_230, "bolt-payments": 1_029, cedar: 441 },
  gateways: gateways.map((gateway, index) => ({
    gateway,
    firstChoices: [1_230, 1_029, 441][index] ?? 0,
    calls: [1_560, 1_300, 621][index] ?? 0,
    errors: index === 0 ? { server_error: 144, timeout: 114 } : index === 1 ? { rate_limited: 12 } : {},
    injections: index === 0 ? { server_error: 144, timeout: 114 } : index === 1 ? { rate_limited: 12 } : {},
    breakerOpens: index === 0 ? 2 : 0,
    latency: latency(90 + 20 * index, index === 0 ? 40 : 3)
  })),
  steadyState: { before: steady(0, seconds(60), true), after: steady(seconds(210), seconds(300), true) },
  series: {
    sliceMillis: seconds(5),
    slices: outageSlices(),
    breakers: [
      band("acme-eu", "closed", 0, 75),
      band("acme-eu", "open", 75, 105),
      band("acme-eu", "half-open", 105, 115),
      band("acme-eu", "open", 115, 145),
      band("acme-eu", "half-open", 145, 152),
      band("acme-eu", "closed", 152, 300),
      band("bolt-payments", "closed", 0, 300),
      band("cedar", "closed", 0, 300)
    ],
    breakersCut: false,
    injections: [
      window("acme-eu: timeouts", "timeout", "acme-eu", 60, 150),
      window("acme-eu: answers of 503", "server_error", "acme-eu", 60, 150),
      ...[120, 140, 160].map((from) => window("bolt-payments: 429 in bursts", "rate_limited", "bolt-payments", from, from + 10))
    ],
    phases: [
      { name: "steady_before", fromMillis: 0, toMillis: seconds(60) },
      { name: "faults", fromMillis: seconds(60), toMillis: seconds(180) },
      { name: "recovering", fromMillis: seconds(180), toMillis: seconds(210) },
      { name: "steady_after", fromMillis: seconds(210), toMillis: seconds(270) },
      { name: "settling", fromMillis: seconds(270), toMillis: seconds(300) }
    ]
  }
}

/** An outage that was survived. */
export const passed = result(outage)

/** The same, but for what it was to reach and to keep. */
export const failed = result({
  ...outage,
  verdict: {
    outcome: "failed",
    reasons: [
      { code: "criterion", message: "minSuccessRate: 83.4% is below 99%" },
      { code: "steady_state_after", message: "after the faults the success rate was 90%, below 99%" }
    ]
  },
  criteria: [criterion("minSuccessRate", "share", 0.99, 0.834, false), criterion("maxP95LatencyMillis", "ms", 2_000, null, false)],
  invariants: [{ name: "no_double_charge", status: "broken", detail: "payment p-1 was charged at acme-eu and at cedar" }],
  steadyState: { before: steady(0, seconds(60), true), after: steady(seconds(210), seconds(300), false) }
})

const zero = Object.fromEntries(Object.keys(outage.totals).map((name) => [name, 0])) as unknown as Encoded["totals"]

/** Stopped before anything happened: nothing was counted, no slice, no band. */
export const empty = result({
  ...outage,
  experiment: { ...outage.experiment, description: "", summary: [] },
  verdict: { outcome: "aborted", reasons: [{ code: "aborted", message: "stopped by hand after 0 s" }] },
  criteria: [],
  invariants: [],
  figures: figures(0, null, null),
  totals: { ...zero, gatewayCalls: null, failovers: null },
  errors: {},
  gatewayErrors: {},
  injections: {},
  firstChoices: {},
  gateways: [],
  steadyState: { before: null, after: null },
  series: { ...outage.series, slices: [], breakers: [], injections: [], phases: [] }
})

/** Slices without a single charge, as when everybody was stopped. */
export const silent = result({
  ...outage,
  series: {
    ...outage.series,
    slices: outageSlices().map((slice) => ({
      ...slice,
      charges: 0,
      succeeded: 0,
      declined: 0,
      failed: 0,
      inDoubt: 0,
      successRate: null,
      latency: { p50: null, p95: null },
      firstChoices: {},
      errors: {},
      gatewayErrors: {},
      injections: {}
    }))
  }
})

const script = `<script>alert("1")</script>`
const nasty = `${script}<img src=x onerror=alert(1)>"'&\u0000\u202egnp.\ud800 url(#a) id="b"`

/** Text that would be markup, wherever a result holds text; and names that no schema lets through. */
export const hostile: ExperimentResult = (() => {
  const gateway = nasty as ExperimentResult["experiment"]["gateways"][number]
  const counts = { [nasty.slice(0, 60)]: 3, ["__proto__"]: 2, constructor: 1 }
  return {
    ...passed,
    experiment: { ...passed.experiment, name: nasty, description: nasty, summary: [nasty], gateways: [gateway], definitionHash: nasty },
    timestamps: { startedAt: nasty, finishedAt: nasty, runMillis: 1 },
    verdict: { outcome: "failed", reasons: [{ code: "invariant", message: nasty }] },
    criteria: [{ name: nasty, bound: "at_most", unit: "count", limit: 1, measured: 2, met: false }],
    invariants: [{ name: nasty, status: "broken", detail: nasty }],
    errors: counts,
    gatewayErrors: counts,
    injections: counts,
    firstChoices: { [gateway]: 3 },
    gateways: passed.gateways.map((one) => ({ ...one, gateway })),
    series: {
      ...passed.series,
      slices: passed.series.slices.map((slice) => ({
        ...slice,
        firstChoices: { [gateway]: slice.charges },
        errors: counts,
        gatewayErrors: counts,
        injections: counts
      })),
      breakers: passed.series.breakers.map((band) => ({ ...band, gateway, breaker: nasty as typeof band.breaker })),
      injections: passed.series.injections.map((band) => ({ ...band, gateway, label: nasty, kind: nasty }))
    }
  }
})()

/** As much of everything as a result may hold. */
export const largest: ExperimentResult = (() => {
  const name = (prefix: string, index: number) => `${prefix}-${index}`.padEnd(60, "x")
  const names = (prefix: string, many: number) => Array.from({ length: many }, (_, index) => name(prefix, index))
  const counts = (prefix: string, index: number) =>
    Object.fromEntries(names(prefix, 64).map((one, at) => [one, (index * 31 + at * 17) % 97]))
  const all = names("gateway", 64)
  const day = 86_400_000
  const sliceMillis = day / 240
  return result({
    ...outage,
    experiment: {
      ...outage.experiment,
      durationMillis: day,
      gateways: all,
      description: "d".repeat(1_000),
      summary: Array.from({ length: 50 }, () => "s".repeat(300))
    },
    verdict: { outcome: "failed", reasons: Array.from({ length: 200 }, () => ({ code: "criterion" as const, message: "r".repeat(500) })) },
    criteria: Array.from({ length: 20 }, () => criterion("minSuccessRate", "share", 0.99, 0.5, false)),
    invariants: names("invariant", 100).map((one) => ({ name: one, status: "broken" as const, detail: "d".repeat(2_000) })),
    errors: counts("error", 1),
    gatewayErrors: counts("error", 2),
    injections: counts("injection", 3),
    firstChoices: counts("gateway", 4),
    gateways: all.map((gateway, index) => ({
      gateway,
      firstChoices: index,
      calls: index,
      errors: counts("error", index),
      injections: counts("injection", index),
      breakerOpens: index,
      latency: latency(100 + index)
    })),
    series: {
      sliceMillis,
      slices: Array.from({ length: 240 }, (_, index) => ({
        ...outageSlices()[index % 60]!,
        fromMillis: index * sliceMillis,
        firstChoices: counts("gateway", index),
        errors: counts("error", index),
        gatewayErrors: counts("error", index + 1),
        injections: counts("injection", index)
      })),
      breakers: Array.from({ length: 2_000 }, (_, index) => ({
        gateway: all[index % 64]!,
        breaker: `${all[index % 64]!}.sale`,
        state: (["closed", "open", "half-open"] as const)[index % 3]!,
        fromMillis: Math.floor(index / 64) * 2_700_000,
        toMillis: Math.floor(index / 64) * 2_700_000 + 2_700_000
      })),
      breakersCut: true,
      injections: Array.from({ length: 500 }, (_, index) => ({
        label: `fault ${index}`.padEnd(200, "y"),
        kind: name("injection", index % 64),
        gateway: all[index % 64]!,
        fromMillis: index * 100_000,
        toMillis: index * 100_000 + 60_000
      })),
      phases: outage.series.phases
    }
  })
})()
