/**
 * The catalogue of metrics: its names, and that it is what docs/metrics.md says and what the registry gets.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as Catalog from "../../../src/services/metrics/Catalog.ts"
import * as Family from "../../../src/services/metrics/Family.ts"

const all: ReadonlyArray<[string, Catalog.Declaration]> = Object.entries(Catalog.catalog)

/** Each test has its own registry. */
const alone = Effect.provideServiceEffect(
  Metric.MetricRegistry,
  Effect.sync(() => new Map())
)

const sourceOf = (values: Catalog.Labels[string]): string =>
  "configured" in values ? values.configured : values.map((value) => `\`${value}\``).join(", ")

/** The tables of docs/metrics.md. */
const documented = Object.entries<Readonly<Record<string, Catalog.Declaration>>>(Catalog.subjects)
  .flatMap(([subject, metrics]) => [
    `### ${subject}`,
    "",
    "| metric | type, unit | labels | meaning |",
    "| --- | --- | --- | --- |",
    ...Object.entries(metrics).map(([name, { description, labels, type, unit }]) => {
      const shown = Object.entries(labels).map(([label, values]) => `\`${label}\`: ${sourceOf(values)}`)
      return `| \`${name}\` | ${type}, ${unit} | ${shown.join("; ")} | ${description} |`
    }),
    ""
  ])
  .join("\n")
  .trim()

describe("the catalogue of metrics", () => {
  it("is what the documentation shows", () => {
    const text = readFileSync(fileURLToPath(new URL("../../../docs/metrics.md", import.meta.url)), "utf8")
    const [, shown] = /<!-- metrics -->\n([\s\S]*)\n<!-- end of metrics -->/.exec(text) ?? []
    assert.strictEqual(shown?.trim(), documented)
  })

  it("names metrics as Prometheus wants them: counters end in _total, and nothing else does", () => {
    for (const [name, { description, labels, type }] of all) {
      assert.match(name, /^(aegispay|process|nodejs)(_[a-z0-9]+)+$/)
      assert.strictEqual(name.endsWith("_total"), type === "counter", name)
      assert.notMatch(name, /_(bucket|sum|count|info_total)$/)
      assert.isNotEmpty(description)
      for (const label of Object.keys(labels)) assert.match(label, /^[a-z]+$/, `${name}: ${label}`)
      assert.notProperty(labels, "le")
    }
  })

  it("says of every label where its values come from: no ids, no keys", () => {
    const labels = new Set(all.flatMap(([, metric]) => Object.keys(metric.labels)))
    const unbounded = /^(id|payment|operation|key|merchant|tenant|customer|reference|token|url|path|address|message|event)$/
    assert.isEmpty([...labels].filter((label) => unbounded.test(label)))
    for (const [name, metric] of all) {
      for (const values of Object.values(metric.labels))
        assert.isTrue("configured" in values || new Set(values).size === values.length, name)
    }
  })

  it("gives histograms rising bounds, and only histograms", () => {
    for (const [name, { boundaries, type }] of all) {
      assert.strictEqual(boundaries !== undefined, type === "histogram", name)
      if (boundaries !== undefined)
        assert.deepStrictEqual(
          [...new Set(boundaries)].sort((a, b) => a - b),
          [...boundaries]
        )
    }
  })

  it.effect("counters whose labels have lists of values are there from the start", () =>
    Effect.gen(function* () {
      yield* Family.startAtZero
      const series = yield* Metric.snapshot
      const of = (id: string) => series.filter((one) => one.id === id)
      assert.isTrue(series.every(({ state, type }) => type === "Counter" && "count" in state && state.count === 0))
      assert.lengthOf(of("aegispay_event_gaps_total"), 1)
      assert.lengthOf(of("aegispay_payments_total"), 10)
      assert.lengthOf(of("aegispay_gateway_calls_total"), 0)
      assert.lengthOf(of("process_cpu_seconds_total"), 0)
      const gaps = Family.of("aegispay_event_gaps_total")({})
      yield* Metric.update(gaps, 1)
      yield* Family.startAtZero
      assert.deepInclude(yield* Metric.value(gaps), { count: 1 })
      assert.lengthOf(yield* Metric.snapshot, series.length)
    }).pipe(alone)
  )

  it.effect("series that are read end with their registrar", () =>
    Effect.gen(function* () {
      const registrar = Family.registrar(yield* Effect.context())
      registrar.counter("aegispay_breaker_recoveries_total", { breaker: "a" }, () => 3)
      const removeOne = registrar.gauge("aegispay_breaker_health", { breaker: "a" }, () => 0.5)
      assert.deepStrictEqual(
        (yield* Metric.snapshot).map(({ id, state }) => [id, "count" in state ? state.count : "value" in state ? state.value : undefined]),
        [
          ["aegispay_breaker_recoveries_total", 3],
          ["aegispay_breaker_health", 0.5]
        ]
      )
      removeOne()
      assert.lengthOf(yield* Metric.snapshot, 1)
      registrar.remove()
      assert.isEmpty(yield* Metric.snapshot)
    }).pipe(alone)
  )
})
