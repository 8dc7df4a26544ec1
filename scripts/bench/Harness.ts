/**
 * What the workloads share: repeated, alternated measurements and their statistics.
 *
 * The absolute numbers of a shared machine swing by a factor of two within minutes; what is measured side by side swings together. So all
 * cases of a workload are measured once per round, the order turns by one place each round, and what is compared is compared
 * within its round: a ratio is the median of the rounds' ratios, never a quotient of two medians.
 */
import * as Effect from "effect/Effect"

/** Named numbers of one measurement. The unit is in the name. */
export type Sample = Readonly<Record<string, number>>

/** What is measured, once per round. */
export interface Case {
  readonly name: string
  readonly measure: Effect.Effect<Sample>
}

/** Median and range of one number over the rounds. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** One case's numbers over all rounds. */
export interface CaseResult {
  readonly name: string
  readonly numbers: Readonly<Record<string, Spread>>
}

/** A ratio between two cases of one round, over all rounds. */
export interface Ratio extends Spread {
  readonly name: string
}

/** What a workload hands back. */
export interface Report {
  readonly workload: string
  readonly facts: Readonly<Record<string, string>>
  readonly cases: ReadonlyArray<CaseResult>
  readonly ratios: ReadonlyArray<Ratio>
  readonly notes: ReadonlyArray<string>
}

/** Options of a run; every workload takes what concerns it. */
export interface Options {
  readonly rounds: number
  readonly seconds: number
  /** Payments at a time; empty: what the workload takes by itself. */
  readonly concurrency: ReadonlyArray<number>
  readonly payments: number
  readonly inFlight: number
  /** Calls that the workloads sketch and routing record before they measure. */
  readonly calls: number
  /** Times that gateways take to answer, in milliseconds; 0 is always measured. */
  readonly gatewayMillis: ReadonlyArray<number>
  /** Payments that arrive per second. */
  readonly rates: ReadonlyArray<number>
  /** Megabytes of log that an embedded server has had before it is measured; 0: none. */
  readonly walMegabytes: number
  /** Only the cases whose name contains it; empty: all. */
  readonly only: string
  /** Days of the routing study. */
  readonly seeds: number
  /** Where it writes its picture. */
  readonly plot: string
}

/** Tells how far a run is, on stderr: stdout has the results. */
export const progress = (text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    process.stderr.write(`${text}\n`)
  })

/** The middle of sorted values, and the smallest and largest. At least one value. */
export const spreadOf = (values: ReadonlyArray<number>): Spread => {
  const sorted = [...values].sort((left, right) => left - right)
  const at = (index: number) => sorted[index] ?? Number.NaN
  const middle = Math.floor(sorted.length / 2)
  const median = sorted.length % 2 === 1 ? at(middle) : (at(middle - 1) + at(middle)) / 2
  return { median, min: at(0), max: at(sorted.length - 1) }
}

/**
 * Measures every case once per round, beginning each round with the next case. Answers the samples by case, in round order. One
 * round more is made at the beginning and thrown away: the engine takes some thousand payments to be compiled.
 */
export const alternate = Effect.fnUntraced(function* (title: string, cases: ReadonlyArray<Case>, rounds: number) {
  const samples = new Map<string, Array<Sample>>(cases.map(({ name }) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    yield* progress(`${title}: ${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}`)
    for (let index = 0; index < cases.length; index++) {
      const current = cases[(index + round) % cases.length]
      if (current === undefined) continue
      const sample = yield* current.measure
      if (round > 0) samples.get(current.name)?.push(sample)
    }
  }
  return samples
})

/** Statistics of every case. */
export const resultsOf = (samples: ReadonlyMap<string, ReadonlyArray<Sample>>): ReadonlyArray<CaseResult> =>
  [...samples].map(([name, all]) => ({
    name,
    numbers: Object.fromEntries(
      Object.keys(all[0] ?? {}).map((number) => [number, spreadOf(all.map((sample) => sample[number] ?? Number.NaN))])
    )
  }))

/** How many times `of` is as large as `over`, round by round. */
export const ratioOf = (
  samples: ReadonlyMap<string, ReadonlyArray<Sample>>,
  options: { readonly name: string; readonly of: string; readonly over: string; readonly number: string }
): Ratio => {
  const numbers = (name: string) => (samples.get(name) ?? []).map((sample) => sample[options.number] ?? Number.NaN)
  const divisors = numbers(options.over)
  return { name: options.name, ...spreadOf(numbers(options.of).map((value, round) => value / (divisors[round] ?? Number.NaN))) }
}

/** Work done in a time. CPU is that of this process: user and system. */
export interface Throughput {
  readonly count: number
  readonly perSecond: number
  readonly cpuMillisEach: number
}

/** Repeats an effect on `concurrency` fibers until the time is over and what has begun is done. */
export const repeatFor = Effect.fnUntraced(function* <E, R>(options: {
  readonly one: Effect.Effect<void, E, R>
  readonly concurrency: number
  readonly seconds: number
}) {
  const started = performance.now()
  const cpu = process.cpuUsage()
  const until = started + options.seconds * 1000
  let count = 0
  const loop = Effect.gen(function* () {
    while (performance.now() < until) {
      yield* options.one
      count++
    }
  })
  yield* Effect.all(
    Array.from({ length: options.concurrency }, () => loop),
    { concurrency: "unbounded", discard: true }
  )
  const seconds = (performance.now() - started) / 1000
  const { system, user } = process.cpuUsage(cpu)
  return { count, perSecond: count / seconds, cpuMillisEach: (user + system) / 1000 / count } satisfies Throughput
})
