/**
 * The report in a real browser: the charts are drawn, can be read, and fit; nothing is loaded, nothing runs.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Page } from "playwright-core"
import { Experiment } from "../../../src/domain/chaos/experiment/Experiment.ts"
import type { ExperimentResult } from "../../../src/domain/chaos/experiment/ExperimentResult.ts"
import { named } from "../../../src/domain/chaos/experiment/presets/Named.ts"
import { colours } from "../../../src/edges/report/charts/Chart.ts"
import { renderHtml } from "../../../src/edges/report/Report.ts"
import * as Virtual from "../../../src/simulation/experiment/Virtual.ts"
import * as TestBrowser from "../../support/TestBrowser.ts"
import { figuresOf, type Figure } from "./figures.ts"
import * as results from "./results.ts"

/** What is to be seen of a chart: its marks by their kind, its colours, its legend. */
interface Expected {
  readonly marks: Readonly<Record<string, number>>
  readonly colours: ReadonlyArray<string>
  readonly legend: ReadonlyArray<string>
  readonly yTitle?: string
}

const criterion = "criterion, over all charges under faults: at "
const faultKinds = ["server_error", "timeout", "rate_limited"]
const stack = [colours.blue, colours.orange, colours.green]

/** How many of the counts of all slices are not zero: each is a part of a bar. */
const parts = (of: (slice: ExperimentResult["series"]["slices"][number]) => Readonly<Record<string, number>>): number =>
  results.passed.series.slices.flatMap((slice) => Object.values(of(slice))).filter((count) => count > 0).length

/** Of the result `passed`: 60 slices, 3 gateways, 8 bands of breakers, 5 spells of faults, 1 time of shade. */
const expected: Readonly<Record<string, Expected>> = {
  success: {
    marks: { line: 1, symbol: 60, rect: 1, rule: 5 },
    colours: [colours.blue],
    legend: ["succeeded", `${criterion}least 70 %`, "faults on"],
    yTitle: "succeeded (%)"
  },
  latency: {
    marks: { line: 2, symbol: 120, rect: 1, rule: 5 },
    colours: [colours.blue, colours.vermillion],
    legend: ["p50", "p95", `${criterion}most 12,000 ms`, "faults on"],
    yTitle: "answered within (ms, log scale)"
  },
  breakers: {
    marks: { rect: 9, text: 3, rule: 4 },
    colours: [colours.orange, colours.vermillion],
    legend: ["closed (calls go through)", "open (no calls)", "half open (a few calls try)", "faults on"]
  },
  routing: { marks: { area: 3, rule: 4 }, colours: stack, legend: ["acme-eu", "bolt-payments", "cedar"], yTitle: "asked first (%)" },
  errors: {
    marks: { rect: 1 + parts(({ errors }) => errors), rule: 4 },
    colours: stack.slice(0, 2),
    legend: ["gateway_unavailable", "in_doubt", "faults on"],
    yTitle: "charges"
  },
  "gateway-errors": {
    marks: { rect: 1 + parts(({ gatewayErrors }) => gatewayErrors), rule: 4 },
    colours: stack,
    legend: [...faultKinds, "faults on"],
    yTitle: "calls"
  },
  faults: { marks: { rect: 5, text: 3, rule: 4 }, colours: stack, legend: faultKinds },
  injections: {
    marks: { rect: 1 + parts(({ injections }) => injections), rule: 4 },
    colours: stack,
    legend: [...faultKinds, "faults on"],
    yTitle: "faults"
  }
}

/** A line across a chart has more pixels of its colour than this; its points alone have fewer. */
const leastPixels = 600

/** A minute of faults of every kind at every gateway. */
const experiment = Schema.decodeUnknownSync(Experiment)({ ...named.get("resilience"), durationMillis: 60_000 })

const wide = { width: 1_100, colorScheme: "light" } as const
const dark = { width: 1_100, colorScheme: "dark" } as const
const narrow = { width: 390, colorScheme: "light" } as const

/** The page is no wider than the window. */
const overflow = (page: Page): Effect.Effect<number> =>
  Effect.promise(() => page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

const drawn = (id: string, { legend, marks, yTitle }: Expected, figure: Figure) => {
  assert.strictEqual(figure.pictures, 1, `${id}: one of its pictures is shown`)
  for (const [kind, count] of Object.entries(marks)) assert.strictEqual(figure.marks[kind], count, `${id}: marks of kind ${kind}`)
  assert.deepStrictEqual(figure.withoutExtent, [], `${id}: every mark has an extent`)
  assert.deepStrictEqual(figure.outside, [], `${id}: every mark is inside its picture`)
  assert.deepStrictEqual(figure.legend, legend, id)
  assert.isAbove(figure.ticks, 3, `${id}: labels of the axes`)
  assert.deepStrictEqual(figure.axisTitles, ["time since the start (min)", ...(yTitle === undefined ? [] : [yTitle])], id)
  assert.deepStrictEqual(figure.overlapping, [], `${id}: no text of an axis covers another`)
}

TestBrowser.suites("the report in a browser", () => {
  it.effect("draws every chart, wide and narrow, light and dark, with nothing loaded and nothing run", () =>
    Effect.gen(function* () {
      const browser = yield* TestBrowser.launch
      const document = yield* renderHtml(results.passed)
      for (const [name, look] of Object.entries({ wide, dark, narrow })) {
        const { noises, page } = yield* TestBrowser.open(browser, document, look)
        assert.include(yield* Effect.promise(() => page.title()), "acme-eu-outage: passed")
        const figures = yield* figuresOf(page)
        assert.deepStrictEqual(Object.keys(figures), Object.keys(expected))
        for (const [id, figure] of Object.entries(figures)) drawn(`${name}, ${id}`, expected[id]!, figure)
        assert.strictEqual(yield* overflow(page), 0, `${name}: nothing is wider than the window`)
        assert.isAbove((yield* TestBrowser.screenshot(page, `report-${name}`)).length, 50_000)
        assert.deepStrictEqual(noises, [])
      }
    })
  )

  it.effect("draws what an experiment on virtual time found", () =>
    Effect.gen(function* () {
      const browser = yield* TestBrowser.launch
      const { name } = experiment
      const timestamps = { startedAt: "2026-11-21T12:00:00.000Z", finishedAt: "2026-11-21T12:00:01.000Z", runMillis: 1_000 }
      const document = yield* renderHtml({ ...Virtual.run(experiment), timestamps })
      for (const [kind, look] of Object.entries({ wide, dark, narrow })) {
        const { noises, page } = yield* TestBrowser.open(browser, document, look)
        assert.strictEqual(yield* Effect.promise(() => page.locator("h1").innerText()), name)
        const { errors, ...others } = yield* figuresOf(page)
        assert.isDefined(errors)
        for (const [id, figure] of Object.entries(others)) {
          assert.strictEqual(figure.pictures, 1, `${kind}, ${id}`)
          assert.isAbove(figure.marks["line"] ?? figure.marks["area"] ?? figure.marks["rect"] ?? 0, 0, `${kind}, ${id}`)
          assert.isAbove(figure.legend.length, 0, `${kind}, ${id}`)
          assert.deepStrictEqual(figure.outside, [], `${kind}, ${id}: every mark is inside its picture`)
          assert.deepStrictEqual(figure.overlapping, [], `${kind}, ${id}: no text of an axis covers another`)
        }
        assert.deepStrictEqual(others["routing"]?.legend, ["gateway-a", "gateway-b", "gateway-c"])
        assert.isAbove(others["injections"]?.marks["rect"] ?? 0, 5)
        assert.strictEqual(yield* overflow(page), 0)
        yield* TestBrowser.screenshot(page, `report-experiment-${kind}`)
        assert.deepStrictEqual(noises, [])
      }
    })
  )

  it.effect("shows the colours of every chart, and text that stands out, on white and on black", () =>
    Effect.gen(function* () {
      const browser = yield* TestBrowser.launch
      const document = yield* renderHtml(results.passed)
      const empty = yield* Effect.promise(() => browser.newPage())
      for (const look of [wide, dark]) {
        const { page } = yield* TestBrowser.open(browser, document, look)
        for (const [id, { colours }] of Object.entries(expected)) {
          const picture = page.locator(`#chart-${id} > svg.wide`)
          const pixels = yield* TestBrowser.coloursOf(empty, yield* Effect.promise(() => picture.screenshot()))
          for (const colour of colours)
            assert.isAbove(pixels[colour.toUpperCase()] ?? 0, leastPixels, `${look.colorScheme}, ${id}: ${colour}`)
          const ink = look.colorScheme === "light" ? "#1B1F24" : "#E6E9ED"
          assert.isAbove(pixels[ink] ?? 0, 30, `${look.colorScheme}, ${id}: text`)
        }
      }
    })
  )

  it.effect("shows markup in a result as text", () =>
    Effect.gen(function* () {
      const browser = yield* TestBrowser.launch
      const { noises, page } = yield* TestBrowser.open(browser, yield* renderHtml(results.hostile), wide)
      const foreign = "script, img, iframe, object, embed, link, form, image, use, foreignObject, a:not([href^='#'])"
      assert.strictEqual(yield* Effect.promise(() => page.locator(foreign).count()), 0)
      const handlers = `[...document.querySelectorAll("*")].flatMap((one) => one.getAttributeNames()).filter((name) => name.startsWith("on"))`
      assert.deepStrictEqual(yield* Effect.promise(() => page.evaluate(handlers)), [])
      assert.include(yield* Effect.promise(() => page.locator("h1").innerText()), `<script>alert("1")</script><img src=x onerror=alert(1)>`)
      assert.strictEqual(yield* overflow(page), 0)
      yield* TestBrowser.screenshot(page, "report-hostile")
      assert.deepStrictEqual(noises, [])
    })
  )

  it.effect("of a failure, of nothing and of very much fits too", () =>
    Effect.gen(function* () {
      const browser = yield* TestBrowser.launch
      const { empty, failed, largest, silent } = results
      for (const [name, result] of Object.entries({ empty, failed, largest, silent })) {
        const document = yield* renderHtml(result)
        for (const look of [wide, narrow]) {
          const { noises, page } = yield* TestBrowser.open(browser, document, look)
          assert.strictEqual(yield* overflow(page), 0, `${name}, ${look.width}`)
          for (const [id, figure] of Object.entries(yield* figuresOf(page))) {
            assert.deepStrictEqual(figure.outside, [], `${name}, ${look.width}, ${id}: every mark is inside its picture`)
            assert.deepStrictEqual(figure.overlapping, [], `${name}, ${look.width}, ${id}: no text of an axis covers another`)
          }
          if (name !== "largest") yield* TestBrowser.screenshot(page, `report-${name}-${look.width}`)
          assert.deepStrictEqual(noises, [])
        }
      }
    })
  )
})
