/**
 * `aegispay simulate`: the whole engine under faults and crashes in virtual time, seed by seed. Exit code 1 when something that has
 * to hold does not.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Campaign from "../../../simulation/campaign/Campaign.ts"
import * as Command from "../../../simulation/campaign/Command.ts"
import type * as Simulation from "../../../simulation/Simulation.ts"
import { cannotRun, notDone, orCannotRun } from "../Failure.ts"
import { print } from "../Output.ts"

export interface Input {
  readonly seeds: number
  readonly from: number
  readonly workers: number
  readonly store: Campaign.Store
  readonly exhaustive: Option.Option<number>
  readonly trace: boolean
  readonly payments: Option.Option<ReadonlyArray<number>>
  readonly faults: Option.Option<number>
  readonly crashes: Option.Option<number>
  readonly pauses: Option.Option<number>
  readonly outages: Option.Option<number>
  readonly preempt: Option.Option<number>
  readonly crashAt: Option.Option<number>
  readonly alone: boolean
  readonly recoveryOnly: boolean
}

export const run = Effect.fnUntraced(function* (input: Input) {
  if (input.trace && Option.isSome(input.exhaustive)) {
    return yield* cannotRun("--trace shows one run, --exhaustive makes many: leave one out, or name the run with --from and --crash-at")
  }
  if (input.trace) return yield* show(input)
  const [narrowed] = narrowing.filter((name) => isGiven(input[name]))
  if (narrowed !== undefined)
    return yield* cannotRun(`--${flagOf(narrowed)} narrows the one run that --trace shows: add --trace --from SEED`)
  return yield* campaign(input)
})

/** What a failing seed's command narrows its run with. */
const narrowing = ["payments", "faults", "crashes", "pauses", "outages", "preempt", "crashAt", "alone", "recoveryOnly"] as const

const isGiven = (value: Input[(typeof narrowing)[number]]): boolean => value !== false && (value === true || value._tag === "Some")

const flagOf = (name: (typeof narrowing)[number]): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

const campaign = Effect.fnUntraced(function* (input: Input) {
  const startedAt = yield* Clock.currentTimeMillis
  const { from, seeds: count, store, workers } = input
  const report = yield* orCannotRun(
    Option.match(input.exhaustive, {
      onNone: () => Command.seeds({ from, count, workers, store }),
      onSome: (seed) => Command.exhaustive({ seed, workers, store })
    })
  )
  const durationMillis = (yield* Clock.currentTimeMillis) - startedAt
  const perSecond = durationMillis === 0 ? 0 : Math.round((report.runs * 10_000) / durationMillis) / 10
  yield* print({ json: { ...report, durationMillis, perSecond }, text: textOf(report, durationMillis, perSecond) })
  if (report.failed > 0) return yield* notDone(`${report.failed} of ${report.runs} simulations broke what has to hold`)
})

const textOf = (report: Campaign.Report, durationMillis: number, perSecond: number): ReadonlyArray<string> => [
  `${report.runs} simulations in ${(durationMillis / 1000).toFixed(1)} s (${perSecond} per second), ${report.failed} failed`,
  `  ${report.payments} payments, ${report.requests} requests, ${report.commits} commits (${report.grouped} of them in groups) in ${Math.round(report.virtualMillis / 3_600_000)} virtual hours`,
  `  ${report.crashes} crashes, ${report.pauses} pauses, ${report.faults} faults of network and database`,
  ...report.failures.flatMap((failure) => [
    `seed ${failure.options.seed}:`,
    ...failure.violations.map(lineOf),
    `  to see it: ${failure.replay}`
  ])
]

const lineOf = ({ detail, invariant, payment }: Simulation.Outcome["violations"][number]): string =>
  `  ${invariant}${payment === undefined ? "" : ` ${payment}`}: ${detail}`

/** One run, with its schedule. */
const show = Effect.fnUntraced(function* (input: Input) {
  const options: Simulation.Options = {
    seed: input.from,
    trace: true,
    ...(Option.isSome(input.payments) ? { payments: input.payments.value } : {}),
    ...(Option.isSome(input.faults) ? { faults: input.faults.value } : {}),
    ...(Option.isSome(input.crashes) ? { crashes: input.crashes.value } : {}),
    ...(Option.isSome(input.pauses) ? { pauses: input.pauses.value } : {}),
    ...(Option.isSome(input.outages) ? { outages: input.outages.value } : {}),
    ...(Option.isSome(input.preempt) ? { preempt: input.preempt.value } : {}),
    ...(Option.isSome(input.crashAt) ? { crashAt: input.crashAt.value } : {}),
    ...(input.alone ? { alone: true } : {}),
    ...(input.recoveryOnly ? { recoveryOnly: true } : {})
  }
  const lab = yield* orCannotRun(Command.lab(input.store))
  const outcome = yield* Effect.sync(() => lab.run(options))
  const { stats, trace, violations } = outcome
  yield* print({
    json: outcome,
    text: [
      ...trace,
      `seed ${input.from}: ${stats.payments} payments, ${stats.requests} requests, ${stats.commits} commits (${stats.grouped} in groups), ${stats.crashes} crashes, ${stats.faults} faults, ${stats.steps} steps, run ${stats.fingerprint}`,
      ...(violations.length === 0 ? ["everything holds"] : violations.map(lineOf))
    ]
  })
  if (violations.length > 0) return yield* notDone(`seed ${input.from} broke what has to hold`)
})
