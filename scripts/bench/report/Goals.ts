/**
 * The goals of performance, each beside what was measured. Those that say `x` are ratios within the rounds of one run; the others are this
 * machine's.
 */
import type { Spread } from "../Harness.ts"
import { type Measured, numberOf, ratioOf } from "./Results.ts"

/** A goal. `measured`: `undefined` where its workload was not run, or without the peer. */
export interface Goal {
  readonly number: number
  readonly what: string
  readonly unit: string
  readonly better: "more" | "less"
  readonly target: number
  readonly stretch: number
  readonly measured: Spread | undefined
}

/** What came of a goal. `unclear`: the median does it, not every round. */
export type Verdict = "not measured" | "missed" | "unclear" | "met" | "met, stretch too"

/** By the median and by the worst round. */
export const verdictOf = ({ better, measured, stretch, target }: Goal): Verdict => {
  if (measured === undefined || !Number.isFinite(measured.median)) return "not measured"
  const worst = better === "more" ? measured.min : measured.max
  const does = (value: number, bound: number) => (better === "more" ? value >= bound : value <= bound)
  if (!does(measured.median, target)) return "missed"
  if (!does(worst, target)) return "unclear"
  return does(worst, stretch) ? "met, stretch too" : "met"
}

const cte = "pg, one CTE per transaction"

/** The peers of the second goal: name, target, stretch. */
const rivals = [
  ["pg, statement by statement", 4, 8],
  [cte, 1.7, 3],
  ["Emmett", 4, 8],
  ["pg-boss", 5, 10],
  ["DBOS", 12, 22],
  ["effect workflow", 15, 30]
] as const

/** All goals. */
export const goals = (all: ReadonlyArray<Measured>): ReadonlyArray<Goal> => {
  const ratio = (workload: string, name: string) => ratioOf(all, { workload, name })
  const ours = (number: string) => numberOf(all, { workload: "peers", of: "AegisPay, c=64", number })
  const less = (number: number, what: string, unit: string, target: number, stretch: number, measured: Spread | undefined): Goal => ({
    number,
    what,
    unit,
    better: "less",
    target,
    stretch,
    measured
  })
  const more = (...goal: Parameters<typeof less>): Goal => ({ ...less(...goal), better: "more" })
  const latency = (number: string, rate: number) => ratio("latency", `${number}: AegisPay / ${cte}, ${rate}/s`)
  const inFlight = (number: string) => numberOf(all, { workload: "memory", of: / in flight, Postgres$/, number })
  const limit = ratio("pgbench", "payments/s: AegisPay, c=256 / one CTE per transaction, 32 clients")
  return [
    more(1, "payments/s at 256 at a time, against pgbench with one CTE per transaction and 32 clients", "x", 1.4, 2.4, limit),
    ...rivals.map(([name, target, stretch]) =>
      more(2, `payments/s at 64 at a time, against ${name}`, "x", target, stretch, ratio("peers", `payments/s: AegisPay / ${name}, c=64`))
    ),
    less(3, "Node CPU per payment", "ms", 0.1, 0.05, ours("Node CPU ms")),
    less(4, "Postgres CPU per payment", "ms", 0.06, 0.045, ours("Postgres CPU ms")),
    less(4, "fsyncs per payment at 64 at a time", "", 0.05, 0.03, ours("fsyncs")),
    less(4, "WAL per payment", "KB", 3.4, 2.6, ours("WAL KB")),
    less(5, `added latency at 150/s, p50, against ${cte}`, "x", 1.1, 1, latency("p50 ms", 150)),
    less(5, `the same, p99`, "x", 1.1, 1, latency("p99 ms", 150)),
    less(6, "added latency at 1000/s, p50", "ms", 2, 1.6, numberOf(all, { workload: "latency", of: "AegisPay, 1000/s", number: "p50 ms" })),
    less(6, `the same, p99, against ${cte}`, "x", 2, 1.3, latency("p99 ms", 1000)),
    more(7, `payments/s of one caller, against ${cte}`, "x", 0.7, 0.9, ratio("peers", `payments/s: AegisPay / ${cte}, c=1`)),
    less(8, "heap per payment in flight", "KB", 5, 3, scaled(inFlight("bytes per payment"), 1 / 1024)),
    less(8, "RSS with 10,000 in flight", "MB", 300, 200, inFlight("RSS MB")),
    less(
      9,
      "a breaker's call inside a fiber",
      "ns",
      600,
      400,
      numberOf(all, { workload: "breaker", of: "protect", number: "ns per call" })
    ),
    less(
      10,
      "a rate limit inside a fiber",
      "ns",
      300,
      150,
      numberOf(all, { workload: "limiter", of: "check, token_bucket", number: "ns per check" })
    ),
    less(10, "adding to the sketch", "ns", 20, 15, numberOf(all, { workload: "sketch", of: "sketch", number: "add ns" })),
    less(10, "a quantile of the sketch", "us", 0.6, 0.45, numberOf(all, { workload: "sketch", of: "sketch", number: "q99 us" })),
    less(
      11,
      "a routing decision over 10 gateways with all signals",
      "us",
      3,
      1.5,
      numberOf(all, { workload: "routing", of: /^select, 1e7 /, number: "us per decision" })
    ),
    more(
      12,
      "outbox rows/s, one drainer, decoded",
      "thousand",
      30,
      60,
      scaled(numberOf(all, { workload: "outbox", of: "relay", number: "rows/s" }), 1 / 1000)
    )
  ]
}

const scaled = (spread: Spread | undefined, by: number): Spread | undefined =>
  spread === undefined ? undefined : { median: spread.median * by, min: spread.min * by, max: spread.max * by }
