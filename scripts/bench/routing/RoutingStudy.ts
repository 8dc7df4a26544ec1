/**
 * `routing-study`: how routing policies fare where gateways do not stay as they are. A day of payments, from many seeds, through the engine's own
 * decisions, windows and breakers on a virtual clock (`routing/Day.ts`): fixed order, weighted score, Thompson sampling, against an oracle that
 * knows how every gateway is at every moment.
 *
 * Regret is told by two yardsticks: approvals by the first charge, and the score that the preset weights stand for, with the gateways' true
 * values in place of measured ones. A policy that weighs fees and latency gives up approvals on purpose: the first tells how many, the
 * second how well it does what it was asked to.
 *
 * The same seeds give the same numbers on every machine; nothing here measures time. Beside the picture it writes the numbers as JSON.
 */
import * as Effect from "effect/Effect"
import { mkdirSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import { type CaseResult, type Options, progress, type Report, type Spread } from "../Harness.ts"
import * as Arrivals from "./Arrivals.ts"
import * as Day from "./Day.ts"
import * as Plot from "./Plot.ts"
import * as World from "./World.ts"

const dearestFirst = ["premium", "standard", "newcomer", "budget"].map((name) => GatewayName.make(name))

const defaultPolicy = "weighted score (default)"

/** The world lists its gateways cheapest first. */
const policies: Readonly<Record<string, Policy.PolicyData>> = {
  "fixed order, cheapest first": { policy: "fixed" },
  "fixed order, dearest first": { policy: "fixed", order: dearestFirst },
  [defaultPolicy]: {},
  "weighted score, approvals count": { scoring: { approvalFloor: 1 } },
  "weighted score, no exploration": { exploration: { share: 0 } },
  "weighted score, no optimism": { scoring: { optimism: 0 } },
  "Thompson sampling": { policy: "thompson" }
}

/** Measured, but not in the picture. Where approvals are those of all charges it is not what the engine does. */
const others: Readonly<Record<string, { readonly data: Policy.PolicyData; readonly approvals?: "all" }>> = {
  "weighted score, 1 % explored": { data: { exploration: { share: 0.01 } } },
  "weighted score, approvals from one half down": { data: { scoring: { approvalFloor: 0.5 } } },
  "weighted score; approvals of all charges": { data: { scoring: { approvalFloor: 1 } }, approvals: "all" }
}

const oracles: Readonly<Record<string, Day.Yardstick>> = { "oracle of approvals": "approval", "oracle of the score": "score" }

const yardsticks: { readonly [By in Day.Yardstick]: string } = {
  approval: "Regret in approvals by the first charge",
  score: "Regret in score, by the default weights"
}

type Results = ReadonlyMap<string, ReadonlyArray<Day.DayResult>>

/** Every policy over the days of all seeds. */
const runAll = Effect.fnUntraced(function* (seeds: number) {
  const results = new Map<string, Array<Day.DayResult>>()
  for (let seed = 1; seed <= seeds; seed++) {
    yield* progress(`routing-study: day ${seed} of ${seeds}`)
    const gateways = World.make(seed)
    const arrivals = Arrivals.make(seed)
    const fees = new Map(gateways.map((gateway) => [gateway.name, gateway.fees]))
    const days: ReadonlyArray<readonly [string, Pick<Day.DayOptions, "chooser" | "approvals">]> = [
      ...Object.entries(policies).map(([name, data]) => [name, { chooser: { policy: Policy.make(data, fees) } }] as const),
      ...Object.entries(others).map(
        ([name, { approvals, data }]) => [name, { chooser: { policy: Policy.make(data, fees) }, approvals }] as const
      ),
      ...Object.entries(oracles).map(([name, oracle]) => [name, { chooser: { oracle } }] as const)
    ]
    for (const [name, day] of days) {
      const all = results.get(name) ?? []
      results.set(name, all)
      all.push(Day.run({ seed, gateways, arrivals, ...day }))
      // Being stopped is noticed between days.
      yield* Effect.yieldNow
    }
  }
  return results
})

/** The value below which a share of the values lies, between neighbours. */
const quantile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = [...values].sort((left, right) => left - right)
  const place = share * (sorted.length - 1)
  const [low, high] = [sorted[Math.floor(place)] ?? Number.NaN, sorted[Math.ceil(place)] ?? Number.NaN]
  return low + (high - low) * (place - Math.floor(place))
}

const rangeOf = (values: ReadonlyArray<number>): Spread => ({
  median: quantile(values, 0.5),
  min: quantile(values, 0.1),
  max: quantile(values, 0.9)
})

/** Days differ far more than policies do: what the policies came to is compared day by day. */
const numbersOf = (days: ReadonlyArray<Day.DayResult>, oracles: ReadonlyArray<Day.DayResult>): Readonly<Record<string, Spread>> => {
  const over = (of: (day: Day.DayResult, index: number) => number) => rangeOf(days.map(of))
  return {
    "approved %": over(({ approved, payments }) => (100 * approved) / payments),
    "to the oracle, points": over(
      ({ approved, payments }, index) => (100 * (approved - (oracles[index]?.approved ?? Number.NaN))) / payments
    ),
    "by the first charge %": over(({ approvedFirst, payments }) => (100 * approvedFirst) / payments),
    "regret, approvals": over(({ regret }) => regret.approval.at(-1) ?? Number.NaN),
    "regret, score": over(({ regret }) => regret.score.at(-1) ?? Number.NaN),
    "fees, basis points": over(({ feeBasisPoints }) => feeBasisPoints),
    "p95 ms": over(({ p95Millis }) => p95Millis)
  }
}

/** By how much more a policy approves than the default on the same days: the mean, and its standard error. */
const againstDefault = (results: Results): ReadonlyArray<string> => {
  const defaults = results.get(defaultPolicy) ?? []
  return Object.keys({ ...policies, ...others }).flatMap((name) => {
    if (name === defaultPolicy) return []
    const points = (results.get(name) ?? []).map(
      ({ approved, payments }, index) => (100 * (approved - (defaults[index]?.approved ?? Number.NaN))) / payments
    )
    const mean = points.reduce((sum, value) => sum + value, 0) / points.length
    const squares = points.reduce((sum, value) => sum + (value - mean) ** 2, 0)
    const error = Math.sqrt(squares / (points.length * Math.max(1, points.length - 1)))
    return [`  ${name}: ${mean.toFixed(2)} points (standard error ${error.toFixed(2)})`]
  })
}

const curvesOf = (results: Results): ReadonlyArray<Plot.CurvePoint> =>
  Object.keys(policies).flatMap((policy) =>
    (["approval", "score"] as const).flatMap((by) =>
      Array.from({ length: Day.points + 1 }, (_, point) => {
        const values = (results.get(policy) ?? []).map(({ regret }) => (point === 0 ? 0 : (regret[by][point - 1] ?? 0)))
        const { max, median, min } = rangeOf(values)
        const rounded = (value: number) => Math.round(value * 10) / 10
        return {
          policy,
          yardstick: yardsticks[by],
          hour: (24 * point) / Day.points,
          median: rounded(median),
          low: rounded(min),
          high: rounded(max)
        }
      })
    )
  )

const outcomesOf = (cases: ReadonlyArray<CaseResult>): ReadonlyArray<Plot.OutcomePoint> =>
  cases.flatMap(({ name, numbers }) => {
    const [fee, approved] = [numbers["fees, basis points"], numbers["to the oracle, points"]]
    if (fee === undefined || approved === undefined) return []
    return [
      {
        policy: name,
        fee: fee.median,
        feeLow: fee.min,
        feeHigh: fee.max,
        approved: approved.median,
        approvedLow: approved.min,
        approvedHigh: approved.max
      }
    ]
  })

const write = (file: string, text: string): void => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** Runs the workload. */
export const run = ({ plot, seeds }: Options): Effect.Effect<Report> =>
  Effect.gen(function* () {
    const results = yield* runAll(seeds)
    const best = results.get("oracle of approvals") ?? []
    const cases = [...results].map(([name, days]): CaseResult => ({ name, numbers: numbersOf(days, best) }))
    const payments = Math.round(
      quantile(
        best.map((day) => day.payments),
        0.5
      )
    )
    const facts = {
      world: `${World.make(1).length} gateways, about ${payments} payments a day, of which half may be explored, ${seeds} days from the seeds 1 to ${seeds}`,
      numbers: "medians of the days [10 % - 90 %]"
    }
    const comparison = againstDefault(results)
    const curves = curvesOf(results)
    const picture = yield* Effect.promise(() =>
      Plot.svg({
        title: "Routing policies where gateways drift, fail and cost",
        subtitle: [
          `${seeds} simulated days of about ${payments.toLocaleString("en")} payments each, with outages, brown-outs,`,
          "drifting approval rates, and a gateway that gets good from noon on.",
          "Lines and points: medians of the days; bands and bars: four fifths of them."
        ],
        policies: Object.keys(policies),
        yardsticks: Object.values(yardsticks),
        curves,
        outcomes: outcomesOf(cases.filter(({ name }) => Object.hasOwn(policies, name)))
      })
    )
    const data = plot.replace(/\.svg$/, "") + ".json"
    yield* Effect.sync(() => {
      write(plot, `${picture}\n`)
      write(data, `${JSON.stringify({ facts, cases, againstDefault: comparison }, undefined, 2)}\n`)
    })
    return {
      workload: "routing-study",
      facts,
      cases,
      ratios: [],
      notes: [
        "approved, against the default on the same days:",
        ...comparison,
        "to the oracle: approved, less what the oracle of approvals had approved on the same day.",
        "regret: what the oracle's first choices were worth less what the policy's were, as the world knows it, over a day.",
        `The picture is in ${plot}, the numbers are in ${data}.`
      ]
    } satisfies Report
  })
