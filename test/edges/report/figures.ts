/**
 * The figures of a report as a browser shows them.
 */
import * as Effect from "effect/Effect"
import type { Page } from "playwright-core"

/** A chart as it is shown. Marks are those of data, not of axes. */
export interface Figure {
  /** How many of its pictures are shown. */
  readonly pictures: number
  /** How many marks there are, by kind: `line`, `area`, `rect`, `symbol`, `text`, `rule`. */
  readonly marks: Readonly<Record<string, number>>
  /** Marks that are nowhere to be seen. */
  readonly withoutExtent: ReadonlyArray<string>
  /** Marks and texts that reach out of their picture. */
  readonly outside: ReadonlyArray<string>
  readonly legend: ReadonlyArray<string>
  readonly ticks: number
  readonly axisTitles: ReadonlyArray<string>
  /** Pairs of texts of axes that cover each other. */
  readonly overlapping: ReadonlyArray<string>
}

/** All figures that are charts, by their ids. */
export const figuresOf = (page: Page): Effect.Effect<Readonly<Record<string, Figure>>> =>
  Effect.promise(() => page.evaluate<Readonly<Record<string, Figure>>>(program))

/** Runs in the browser, in its own language: the project is compiled without the types of a browser. */
const program = `(() => {
  const slack = 1.5
  const boxOf = (element) => element.getBoundingClientRect()
  const isShown = (element) => boxOf(element).width > 0
  const crosses = (a, b) => a.left < b.right - slack && b.left < a.right - slack && a.top < b.bottom - slack && b.top < a.bottom - slack
  const figure = (element) => {
    const [picture, ...more] = [...element.querySelectorAll(":scope > svg")].filter(isShown)
    const found = { pictures: picture === undefined ? 0 : 1 + more.length, marks: {}, withoutExtent: [], outside: [], legend: [], ticks: 0, axisTitles: [], overlapping: [] }
    found.legend = [...element.querySelectorAll(".legend li")].filter(isShown).map((item) => item.textContent.trim())
    if (picture === undefined) return found
    const frame = boxOf(picture)
    const inside = (box) =>
      box.left >= frame.left - slack && box.right <= frame.right + slack && box.top >= frame.top - slack && box.bottom <= frame.bottom + slack
    for (const group of picture.querySelectorAll("g.role-mark[class*='mark-']")) {
      const kind = /mark-(\\w+)/.exec(group.getAttribute("class"))[1]
      if (kind === "group") continue
      const all = [...group.querySelectorAll(":scope > path, :scope > rect, :scope > line, :scope > text")]
      const isPhase = kind === "text" && all.some((one) => one.getAttribute("font-size") === "11px")
      if (!isPhase) found.marks[kind] = (found.marks[kind] ?? 0) + all.length
      for (const mark of all) {
        const box = boxOf(mark)
        const name = kind + " " + (mark.textContent || mark.getAttribute("d") || mark.getAttribute("transform"))
        if (!(box.width > 0 || box.height > 0)) found.withoutExtent.push(name.slice(0, 80))
        if (!inside(box)) found.outside.push(name.slice(0, 80))
      }
    }
    const labels = [...picture.querySelectorAll(".role-axis-label text")].filter((one) => one.getAttribute("opacity") !== "0")
    const titles = [...picture.querySelectorAll(".role-axis-title text")].filter((one) => one.textContent.trim() !== "")
    found.ticks = labels.length
    found.axisTitles = titles.map((one) => one.textContent)
    const texts = [...labels, ...titles]
    for (const one of texts) if (!inside(boxOf(one))) found.outside.push("text " + one.textContent)
    texts.forEach((one, index) => {
      for (const other of texts.slice(index + 1)) {
        if (crosses(boxOf(one), boxOf(other))) found.overlapping.push(one.textContent + " / " + other.textContent)
      }
    })
    return found
  }
  return Object.fromEntries([...document.querySelectorAll("figure[id^='chart-']")].map((one) => [one.id.slice("chart-".length), figure(one)]))
})()`
