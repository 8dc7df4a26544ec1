/**
 * Many simulations: a range of seeds, a crash at every operation of one, and the smallest form of a failure.
 *
 * Plain functions without a clock and without output; `Command.ts` spreads them over threads, the command line shows what they found.
 */
import type { Violation } from "../checks/Invariants.ts"
import * as Setup from "../Setup.ts"
import * as Simulation from "../Simulation.ts"

/** What simulations run over. */
export type Store = "memory" | "pglite"

/** Where simulations run. */
export interface Lab {
  readonly store: Store
  readonly run: (options: Simulation.Options) => Simulation.Outcome
}

/** Over tables in memory. */
export const inMemory: Lab = { store: "memory", run: (options) => Simulation.run(options) }

/** A seed that broke something: what, and the options that show it in the smallest form that was found. */
export interface Failure {
  readonly options: Simulation.Options
  readonly violations: ReadonlyArray<Violation>
  /** The command that shows exactly this run, with its schedule. */
  readonly replay: string
}

/** What many simulations came to. Sums of the figures of each. */
export interface Report {
  readonly runs: number
  readonly failed: number
  /** The first failures, at most `maxFailures`. */
  readonly failures: ReadonlyArray<Failure>
  readonly payments: number
  readonly requests: number
  readonly commits: number
  readonly grouped: number
  readonly faults: number
  readonly crashes: number
  readonly pauses: number
  readonly steps: number
  readonly virtualMillis: number
}

const maxFailures = 10

export const empty: Report = {
  runs: 0,
  failed: 0,
  failures: [],
  payments: 0,
  requests: 0,
  commits: 0,
  grouped: 0,
  faults: 0,
  crashes: 0,
  pauses: 0,
  steps: 0,
  virtualMillis: 0
}

/** The report of both. */
export const merge = (left: Report, right: Report): Report => ({
  runs: left.runs + right.runs,
  failed: left.failed + right.failed,
  failures: [...left.failures, ...right.failures].sort((one, other) => one.options.seed - other.options.seed).slice(0, maxFailures),
  payments: left.payments + right.payments,
  requests: left.requests + right.requests,
  commits: left.commits + right.commits,
  grouped: left.grouped + right.grouped,
  faults: left.faults + right.faults,
  crashes: left.crashes + right.crashes,
  pauses: left.pauses + right.pauses,
  steps: left.steps + right.steps,
  virtualMillis: left.virtualMillis + right.virtualMillis
})

/** Runs one and adds it to a report. A failure is reduced while there is room for it. */
const add = (report: Report, options: Simulation.Options, lab: Lab): Report => {
  const { stats, violations } = lab.run(options)
  const failed = violations.length > 0
  const failure = failed && report.failures.length < maxFailures ? [failureOf(reduce(options, violations, lab), lab)] : []
  return merge(report, { ...stats, runs: 1, failed: failed ? 1 : 0, failures: failure })
}

const failureOf = (options: Simulation.Options, lab: Lab): Failure => ({
  options,
  violations: lab.run(options).violations,
  replay: replayOf(options, lab.store)
})

/** Every `stride`-th seed of a range, from an offset. */
export const seeds = (
  range: { readonly from: number; readonly count: number; readonly offset: number; readonly stride: number },
  lab: Lab = inMemory
): Report => {
  let report = empty
  for (let index = range.offset; index < range.count; index += range.stride) report = add(report, { seed: range.from + index }, lab)
  return report
}

/** A scenario to be crashed at every operation. `together`: all payments of the seed, as it groups their commits; else the first one alone. */
export interface Scenario {
  readonly seed: number
  readonly together?: boolean
}

/** A scenario, without other crashes, pauses and outages, and looked after by recovery alone. */
export const scenario = ({ seed, together }: Scenario): Simulation.Options => ({
  seed,
  ...(together === true ? {} : { payments: [0], alone: true }),
  crashes: 0,
  pauses: 0,
  outages: 0,
  recoveryOnly: true
})

/** How many operations the instances make in the scenario of a seed until its hosts are done: so many places for a crash. */
export const operationsOf = (wanted: Scenario, lab: Lab = inMemory): number => lab.run(scenario(wanted)).stats.operations

/** Crashes the scenario of a seed at every `stride`-th operation, from an offset. */
export const exhaustive = (
  range: Scenario & { readonly operations: number; readonly offset: number; readonly stride: number },
  lab: Lab = inMemory
): Report => {
  let report = empty
  for (let operation = range.offset + 1; operation <= range.operations; operation += range.stride)
    report = add(report, { ...scenario(range), crashAt: operation }, lab)
  return report
}

/** The command that shows a run again. */
export const replayOf = (options: Simulation.Options, store: Store = "memory"): string => {
  const flags = [
    ["--seeds", 1],
    ["--from", options.seed],
    ["--store", store === "memory" ? undefined : store],
    ["--payments", options.payments?.join(",")],
    ["--faults", options.faults],
    ["--crashes", options.crashes],
    ["--pauses", options.pauses],
    ["--outages", options.outages],
    ["--preempt", options.preempt],
    ["--crash-at", options.crashAt],
    ["--alone", options.alone === true ? "" : undefined],
    ["--recovery-only", options.recoveryOnly === true ? "" : undefined]
  ] as const
  const words = flags.flatMap(([flag, value]) => (value === undefined ? [] : [`${flag} ${value}`.trim()]))
  return `aegispay simulate ${words.join(" ")} --trace`
}

/** More runs than this are not spent on making one failure smaller. */
const maxReductions = 120

/**
 * Takes away what a failure does not need: payments, crashes, pauses, outages, faults, giving way, groups of commits. What is left still breaks the same
 * invariant.
 */
export const reduce = (failing: Simulation.Options, violations: ReadonlyArray<Violation>, lab: Lab = inMemory): Simulation.Options => {
  const wanted = new Set(violations.map(({ invariant }) => invariant))
  let runs = 0
  const fails = (options: Simulation.Options): boolean =>
    ++runs <= maxReductions && lab.run(options).violations.some(({ invariant }) => wanted.has(invariant))
  let smallest = failing
  const attempt = (options: Simulation.Options): boolean => {
    if (!fails(options)) return false
    smallest = options
    return true
  }
  const { stats } = lab.run(failing)
  const all = failing.payments ?? Array.from({ length: stats.payments }, (_, index) => index)
  if (!all.some((index) => attempt({ ...smallest, payments: [index] }))) {
    for (const index of all) attempt({ ...smallest, payments: (smallest.payments ?? all).filter((other) => other !== index) })
  }
  const fewest = (name: "crashes" | "pauses" | "outages" | "faults", most: number) => {
    for (let count = 0; count < most; count = count < 4 ? count + 1 : count * 2) if (attempt({ ...smallest, [name]: count })) return
  }
  fewest("pauses", 3)
  fewest("outages", 3)
  if (failing.crashAt === undefined) fewest("crashes", stats.crashes)
  fewest("faults", stats.faults)
  if (failing.preempt === undefined && !attempt({ ...smallest, preempt: 0 }))
    attempt({ ...smallest, preempt: Setup.of(failing.seed).preempt })
  if (failing.alone === undefined) attempt({ ...smallest, alone: true })
  if (failing.recoveryOnly === undefined) attempt({ ...smallest, recoveryOnly: true })
  return smallest
}
