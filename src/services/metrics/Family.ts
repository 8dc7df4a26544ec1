/**
 * The metrics of the catalogue as effect's own, in the registry of the fiber or context that updates them.
 *
 * The handle of a label set is made once and kept, so an update is a look-up and an addition. What is counted anyway is not updated but read
 * when metrics are exported (`register`): then it costs its owner nothing.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { catalog, type Declaration, type LabelsOf, type Name, type Type } from "./Catalog.ts"
import { MetricsObserver, type Observe } from "./Observer.ts"

/** The most label sets of one metric. */
const maxSeries = 1_000

type NameOf<T extends Type> = { readonly [N in Name]: (typeof catalog)[N]["type"] extends T ? N : never }[Name]

type Handle = Metric.Metric<number, unknown>
type Values = Readonly<Record<string, string>>

const declarationOf = (name: Name): Declaration => catalog[name]

const counter = (name: Name, attributes: Values) =>
  Metric.counter(name, { description: catalog[name].description, attributes, incremental: true })

const gauge = (name: Name, attributes: Values) => Metric.gauge(name, { description: catalog[name].description, attributes })

const histogram = (name: Name, attributes: Values) => {
  const { boundaries = [], description } = declarationOf(name)
  return Metric.histogram(name, { description, attributes, boundaries })
}

const makers: { readonly [_ in Type]: (name: Name, attributes: Values) => Handle } = { counter, gauge, histogram }

const make = (name: Name, attributes: Values): Handle => makers[catalog[name].type](name, attributes)

/** Where an update goes: what a metric reads of a context, and nothing else, so that reading it takes no time. */
interface Destination {
  readonly context: Context.Context<never>
  readonly observe: Observe | undefined
}

/** The context of the last update, and its destination: the programs of an engine share one. */
let lastContext: Context.Context<never> | undefined
let lastDestination: Destination | undefined

const destinationOf = (context: Context.Context<never>): Destination => {
  if (lastDestination !== undefined && lastContext === context) return lastDestination
  lastContext = context
  return (lastDestination = {
    context: Context.make(Metric.MetricRegistry, Context.get(context, Metric.MetricRegistry)).pipe(
      Context.add(Metric.CurrentMetricAttributes, Context.get(context, Metric.CurrentMetricAttributes))
    ),
    observe: Context.get(context, MetricsObserver)
  })
}

/** A metric that tells the context's observer of its updates. */
const observed = (name: Name, attributes: Values): Handle => {
  const handle = make(name, attributes)
  const update = handle.updateUnsafe.bind(handle)
  const updateUnsafe = (value: number, given: Context.Context<never>): void => {
    const { context, observe } = destinationOf(given)
    update(value, context)
    observe?.(name, value, attributes)
  }
  return Object.assign(handle, { updateUnsafe })
}

/** Handles by the values of their labels, a level for each label: finding one makes no text of them. */
interface Level {
  readonly next: Map<string, Level>
  handle: Handle | undefined
}

const emptyLevel = (): Level => ({ next: new Map(), handle: undefined })

/** A metric by its labels. Values beyond the labels it has are left out, so that a whole event can be handed in. */
export const of = <N extends Name>(name: N): ((values: LabelsOf<N>) => Handle) => {
  const labels = Object.keys(declarationOf(name).labels)
  const root = emptyLevel()
  const other = observed(name, Object.fromEntries(labels.map((label) => [label, "other"])))
  let series = 0
  const add = (values: Values): Handle => {
    if (series >= maxSeries) return other
    series++
    let level = root
    for (const label of labels) {
      const value = values[label] ?? ""
      const next = level.next.get(value) ?? emptyLevel()
      level.next.set(value, next)
      level = next
    }
    return (level.handle = observed(name, Object.fromEntries(labels.map((label) => [label, values[label] ?? ""]))))
  }
  return (given) => {
    const values: Values = given
    let level: Level | undefined = root
    for (let index = 0; index < labels.length && level !== undefined; index++) level = level.next.get(values[labels[index] ?? ""] ?? "")
    return level?.handle ?? add(values)
  }
}

/** Takes series out of a registry again. */
export type Remove = () => void

/** A way to register series that are read when metrics are exported; `remove` ends all of them. */
export interface Registrar {
  readonly counter: <N extends NameOf<"counter">>(name: N, labels: LabelsOf<N>, count: (clock: Clock.Clock) => number) => Remove
  readonly gauge: <N extends NameOf<"gauge">>(name: N, labels: LabelsOf<N>, value: (clock: Clock.Clock) => number) => Remove
  readonly histogram: <N extends NameOf<"histogram">>(name: N, labels: LabelsOf<N>, state: () => Metric.HistogramState) => Remove
  readonly remove: Remove
}

/** Registers in the registry of a context. */
export const registrar = (context: Context.Context<never>): Registrar => {
  const all = new Set<Metric.Registration>()
  const register = <State>(metric: Metric.Metric<number, State>, get: (clock: Clock.Clock) => State): Remove => {
    const read = (exporting: Context.Context<never>) => get(Context.get(exporting, Clock.Clock))
    const registration = Metric.registerUnsafe(metric, context, { get: read, update: () => {}, modify: () => {} })
    all.add(registration)
    return () => {
      all.delete(registration)
      registration.remove()
    }
  }
  return {
    counter: (name, labels, count) => register(counter(name, labels), (clock) => ({ count: count(clock), incremental: true })),
    gauge: (name, labels, value) => register(gauge(name, labels), (clock) => ({ value: value(clock) })),
    histogram: (name, labels, state) => register(histogram(name, labels), state),
    remove: () => {
      for (const registration of all) registration.remove()
      all.clear()
    }
  }
}

/** Every combination of the labels' values; none where the configuration names some of them. */
const combinations = (labels: Declaration["labels"]): ReadonlyArray<Values> =>
  Object.entries(labels).reduce<ReadonlyArray<Values>>(
    (known, [label, values]) => ("configured" in values ? [] : known.flatMap((one) => values.map((value) => ({ ...one, [label]: value })))),
    [{}]
  )

/**
 * Counters whose labels have lists of values start at 0: what appears with its first increment is no increase to whoever watches, so
 * an alert would miss it (https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics).
 */
export const startAtZero: Effect.Effect<void> = Effect.withFiber((fiber) =>
  Effect.sync(() => {
    for (const name of Object.keys(catalog) as Array<Name>) {
      const { labels, type } = declarationOf(name)
      // Those of the process are read from it, and only where somebody has registered them.
      if (type !== "counter" || !name.startsWith("aegispay_")) continue
      for (const values of combinations(labels)) counter(name, values).updateUnsafe(0, fiber.context)
    }
  })
)
