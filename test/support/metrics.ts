/**
 * Metrics of one test: a registry of its own, and its counts.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"

/** Gives a test a registry that nobody else counts in. */
export const alone = Effect.provideServiceEffect(
  Metric.MetricRegistry,
  Effect.sync(() => new Map())
)

/** The counts of one metric by the values of its labels, in the order of their names: `{ "budget a": 2 }`. */
export const countsOf = (name: string): Effect.Effect<{ readonly [labels: string]: number }> =>
  Effect.map(Metric.snapshot, (all) =>
    Object.fromEntries(
      all
        .filter((one) => one.id === name)
        .map((one) => {
          const labels = Object.entries(one.attributes ?? {}).sort(([left], [right]) => (left < right ? -1 : 1))
          return [labels.map(([, value]) => value).join(" "), "count" in one.state ? Number(one.state.count) : Number.NaN]
        })
    )
  )
