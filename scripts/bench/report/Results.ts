/**
 * Results of runs: what `npm run bench -- --json` writes, put together and compared.
 */
import { type Options, type Report, type Spread, spreadOf } from "../Harness.ts"

/** One run. `at`: when it ended, ISO 8601. */
export interface Results {
  readonly at: string
  readonly commit: string
  readonly machine: Readonly<Record<string, string>>
  readonly options: Options
  readonly reports: ReadonlyArray<Report>
}

/** A workload with what it was measured on. */
export interface Measured {
  readonly at: string
  readonly commit: string
  readonly machine: Readonly<Record<string, string>>
  readonly rounds: number
  readonly seconds: number
  readonly report: Report
}

/** The last measurement of each workload, in the order in which they first came. */
export const merge = (measured: ReadonlyArray<Measured>, results: ReadonlyArray<Results>): ReadonlyArray<Measured> => {
  const byName = new Map(measured.map((one) => [one.report.workload, one]))
  for (const { at, commit, machine, options, reports } of results)
    for (const report of reports)
      byName.set(report.workload, { at, commit, machine, rounds: options.rounds, seconds: options.seconds, report })
  return [...byName.values()]
}

/** A number of a case. */
export const numberOf = (
  measured: ReadonlyArray<Measured>,
  wanted: { readonly workload: string; readonly of: string | RegExp; readonly number: string }
): Spread | undefined =>
  measured
    .find(({ report }) => report.workload === wanted.workload)
    ?.report.cases.find(({ name }) => (typeof wanted.of === "string" ? name === wanted.of : wanted.of.test(name)))?.numbers[wanted.number]

/** A ratio by its name. */
export const ratioOf = (
  measured: ReadonlyArray<Measured>,
  wanted: { readonly workload: string; readonly name: string }
): Spread | undefined =>
  measured.find(({ report }) => report.workload === wanted.workload)?.report.ratios.find(({ name }) => name === wanted.name)

/** A number of a case, before and after. */
export interface Difference {
  readonly workload: string
  readonly name: string
  readonly number: string
  readonly base: Spread
  readonly now: Spread
  /** How many times the base is it now, round by round. */
  readonly ratio: Spread
}

/** One round: the base and what is compared with it, measured one after the other. */
export interface Round {
  readonly base: Results
  readonly now: Results
}

/** Every number that both have in every round. */
export const differences = (rounds: ReadonlyArray<Round>): ReadonlyArray<Difference> => {
  const [first] = rounds
  if (first === undefined) return []
  return first.now.reports.flatMap(({ cases, workload }) =>
    cases.flatMap(({ name, numbers }) =>
      Object.keys(numbers).flatMap((number): ReadonlyArray<Difference> => {
        const medians = rounds.map((round) => ({
          base: medianOf(round.base, { workload, name, number }),
          now: medianOf(round.now, { workload, name, number })
        }))
        if (!medians.every(({ base, now }) => Number.isFinite(base) && Number.isFinite(now))) return []
        const spread = (of: (median: { readonly base: number; readonly now: number }) => number) => spreadOf(medians.map(of))
        const ratio = spread(({ base, now }) => (base === now ? 1 : now / base))
        return [{ workload, name, number, base: spread(({ base }) => base), now: spread(({ now }) => now), ratio }]
      })
    )
  )
}

const medianOf = (results: Results, wanted: { readonly workload: string; readonly name: string; readonly number: string }): number =>
  results.reports.find(({ workload }) => workload === wanted.workload)?.cases.find(({ name }) => name === wanted.name)?.numbers[
    wanted.number
  ]?.median ?? Number.NaN
