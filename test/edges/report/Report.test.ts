/**
 * The report as text: what it says, that the same result gives the same bytes, and that nothing in a result becomes markup.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { ExperimentResult } from "../../../src/domain/chaos/experiment/ExperimentResult.ts"
import * as Draw from "../../../src/edges/report/charts/Draw.ts"
import { clean, escape, html, trusted } from "../../../src/edges/report/Html.ts"
import { renderHtml } from "../../../src/edges/report/Report.ts"
import * as Text from "../../../src/edges/report/Text.ts"
import * as results from "./results.ts"

const charts = ["success", "latency", "breakers", "routing", "errors", "gateway-errors", "faults", "injections"]

const written = new Map<ExperimentResult, string>()

/** The report of a result, written once. */
const reportOf = Effect.fnUntraced(function* (result: ExperimentResult) {
  const document = written.get(result) ?? (yield* renderHtml(result))
  written.set(result, document)
  return document
})

/** The figure of a chart. */
const figureOf = (document: string, id: string): string =>
  new RegExp(`<figure id="chart-${id}">[^]*?</figure>`).exec(document)?.[0] ?? assert.fail(`there is no chart ${id}`)

const picturesIn = (figure: string): number => figure.match(/<svg class="(wide|narrow)" /g)?.length ?? 0

const indexOf = (document: string, text: string): number => {
  const index = document.indexOf(text)
  assert.isAtLeast(index, 0, text)
  return index
}

describe("a report", () => {
  it.effect("says first whether it passed, then what was run, then what was asked of it", () =>
    Effect.gen(function* () {
      const document = yield* reportOf(results.passed)
      const order = [
        'class="badge good">Passed<',
        'id="definition"',
        'id="criteria"',
        'id="charts"',
        'id="steady-state"',
        'id="invariants"'
      ]
      const places = order.map((text) => indexOf(document, text))
      assert.deepStrictEqual(
        places,
        places.toSorted((a, b) => a - b)
      )
      assert.include(document, "<title>acme-eu-outage: passed - chaos experiment</title>")
      assert.notInclude(document, 'class="reasons"')
      assert.match(document, /at most 12,000 ms<\/td><td class="n">8,450 ms<\/td><td class=""><span class="good-text">met/)
    })
  )

  it.effect("gives the reasons of a failure before anything else, and names what was not met", () =>
    Effect.gen(function* () {
      const document = yield* reportOf(results.failed)
      const [badge, reasons, tiles] = ['class="badge bad">Failed<', "minSuccessRate: 83.4% is below 99%", 'class="tiles"'].map((text) =>
        indexOf(document, text)
      )
      assert.isTrue(badge! < reasons! && reasons! < tiles!)
      assert.include(document, 'at least 99 %</td><td class="n">83.4 %</td><td class=""><span class="bad-text">not met')
      assert.include(document, "nothing to measure")
      assert.include(document, "Did not hold")
      assert.match(document, /no double charge<\/th><td class=""><span class="bad-text">broken<\/span>/)
    })
  )

  it.effect("has every chart at both sizes, named and described, with its figures as a table", () =>
    Effect.gen(function* () {
      const document = yield* reportOf(results.passed)
      for (const id of charts) {
        const figure = figureOf(document, id)
        assert.strictEqual(picturesIn(figure), 2, id)
        assert.match(
          figure,
          /<svg[^>]* role="img" aria-labelledby="([\w-]+) ([\w-]+)"><title id="\1">[^<]+<\/title><desc id="\2">[^<]{20,}<\/desc>/
        )
        assert.match(figure, /<details>[^]*<table>\s*<caption>/)
      }
      assert.include(figureOf(document, "success"), "from 63.41 % (at 1.75 min) to 100 % of the charges succeeded")
      assert.include(figureOf(document, "breakers"), "1 of 3 circuit breakers opened, 2 times in all.")
    })
  )

  it.effect("has no id twice, so that nothing refers to the wrong thing", () =>
    Effect.gen(function* () {
      const ids = [...(yield* reportOf(results.passed)).matchAll(/ id="([^"]+)"/g)].map((match) => match[1])
      assert.isAbove(ids.length, 40)
      assert.strictEqual(new Set(ids).size, ids.length)
    })
  )

  it.effect("is the same, byte for byte, for the same result", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* renderHtml(results.passed), yield* reportOf(results.passed))
    })
  )

  it.effect("loads nothing and runs nothing", () =>
    Effect.gen(function* () {
      const document = yield* reportOf(results.passed)
      assert.match(
        document,
        /<meta charset="utf-8" \/>\s*<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:;/
      )
      assert.notMatch(document, /<(script|link|iframe|object|embed|img|image|use|base|form)\b| src=|xlink:href|@import|@font-face|url\(/i)
      assert.deepStrictEqual(
        [...document.matchAll(/ href="([^"]*)"/g)].map((match) => match[1]).filter((target) => !target?.startsWith("#")),
        []
      )
    })
  )

  it.effect("of an experiment that was stopped at once says so, and that there is nothing to draw", () =>
    Effect.gen(function* () {
      const document = yield* reportOf(results.empty)
      assert.include(document, 'class="badge warn">Aborted<')
      assert.include(document, "stopped by hand after 0 s")
      for (const id of charts) assert.strictEqual(picturesIn(figureOf(document, id)), 0, id)
      for (const text of ["Nothing was measured.", "No charge was routed.", "No circuit breaker was seen.", "No fault was injected."]) {
        assert.include(document, text)
      }
      assert.notInclude(document, "NaN")
      assert.notInclude(document, "undefined")
    })
  )

  it.effect("draws what there is where no charge was made", () =>
    Effect.gen(function* () {
      const document = yield* reportOf(results.silent)
      const drawn = charts.filter((id) => picturesIn(figureOf(document, id)) > 0)
      assert.deepStrictEqual(drawn, ["breakers", "routing", "faults"])
      assert.include(figureOf(document, "latency"), "No charge was answered.")
      assert.notInclude(document, "NaN")
    })
  )

  it.effect("shows markup in a result as text, wherever it stands", () =>
    Effect.gen(function* () {
      const document = yield* reportOf(results.hostile)
      assert.notMatch(document, /<(script|img)/i)
      assert.notMatch(document, /[\u0000-\u0008\u202e\ud800-\udfff]/)
      // Name, reason, description, gateways, breakers, kinds of errors and faults, invariants, criteria, times of day.
      assert.isAbove(document.split("&lt;script&gt;").length, 60)
      assert.match(figureOf(document, "breakers"), /<text [^>]*>&lt;script&gt;/)
      assert.include(figureOf(document, "errors"), "</svg>__proto__</li>")
      assert.isTrue(document.isWellFormed())
    })
  )

  it.effect("of the largest result there is stays below 4 MB", () =>
    Effect.gen(function* () {
      const document = yield* reportOf(results.largest)
      assert.isBelow(Buffer.byteLength(document), 4_000_000)
      assert.include(figureOf(document, "breakers"), "The first 24 are drawn. There were more changes than the result keeps.")
      assert.include(figureOf(document, "breakers"), "and 1,700 more")
      assert.include(figureOf(document, "routing"), "59 more gateways")
    })
  )

  it.effect("without the packages of the charts is refused, with what to install", () =>
    Effect.gen(function* () {
      const missing = Object.assign(new Error("Cannot find package 'vega'"), { code: "ERR_MODULE_NOT_FOUND" })
      const error = yield* Effect.flip(Draw.make(() => Promise.reject(missing)))
      assert.strictEqual(error.reason, "missing")
      assert.include(error.message, "npm install vega vega-lite")
      const broken = yield* Effect.flip(Draw.make(() => Promise.reject(new Error("of the wrong version"))))
      assert.strictEqual(broken.reason, "broken")
      assert.include(broken.message, "of the wrong version")
    })
  )

  it.effect("draws a breaker that opened before one that did not, whatever their names", () =>
    Effect.gen(function* () {
      const renamed: Record<string, string> = { "acme-eu.sale": "zulu.sale" }
      const { series } = results.passed
      const breakers = series.breakers.map((band) => ({ ...band, breaker: (renamed[band.breaker] ?? band.breaker) as typeof band.breaker }))
      const result: ExperimentResult = { ...results.passed, series: { ...series, breakers } }
      const [wide = ""] = figureOf(yield* renderHtml(result), "breakers").split('<svg class="narrow"')
      const names = [...wide.matchAll(/<text [^>]*>([\w-]+\.sale)<\/text>/g)].map((match) => match[1])
      assert.deepStrictEqual(names, ["zulu.sale", "bolt-payments.sale", "cedar.sale"])
    })
  )
})

describe("HTML", () => {
  it("is made of escaped text, of HTML and of lists of both", () => {
    const { text } = html`<p title="${`"'`}">${"<&>"}${trusted("<b></b>")}${["a", html`<i>${1}</i>`]}${undefined}</p>`
    assert.strictEqual(text, '<p title="&quot;&#39;">&lt;&amp;&gt;<b></b>a<i>1</i></p>')
  })

  it("holds no character that no document may hold, and none that turns the text around", () => {
    assert.strictEqual(escape("a\u0000b\u001bc\u202ed\ud83de"), "a\ufffdb\ufffdc\ufffdd\ufffde")
    assert.strictEqual(clean("tab\tline\n \u{1f600} \u00e9"), "tab\tline\n \u{1f600} \u00e9")
  })
})

describe("figures as text", () => {
  it("are whole only where they are", () => {
    assert.deepStrictEqual([1, 0, 0.5, 0.99999, 0.000001, 0.98765, null].map(Text.share), [
      "100 %",
      "0 %",
      "50 %",
      "99.99 %",
      "0.01 %",
      "98.77 %",
      "\u2013"
    ])
    assert.deepStrictEqual([0, 999, 1_000, 1_234_567, null].map(Text.count), ["0", "999", "1,000", "1,234,567", "\u2013"])
    assert.deepStrictEqual([0.25, 3, 12_400.4, null].map(Text.millis), ["0.3 ms", "3 ms", "12,400 ms", "\u2013"])
  })

  it("have a unit that suits them", () => {
    assert.deepStrictEqual([0, 500, 60_000, 300_000, 5_400_000, 86_400_000].map(Text.duration), [
      "0 ms",
      "500 ms",
      "60 s",
      "5 min",
      "90 min",
      "24 h"
    ])
    assert.strictEqual(Text.between(0, 60_000), "0 to 60 s")
    assert.strictEqual(Text.counted(1, "breaker"), "1 breaker")
  })
})
