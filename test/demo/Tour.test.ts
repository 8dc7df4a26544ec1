/**
 * What makes the demo fail: sections that say so, break off, take too long or check nothing.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import type { Section, Stage } from "../../scripts/demo/Section.ts"
import { sections } from "../../scripts/demo/Sections.ts"
import * as Tour from "../../scripts/demo/Tour.ts"

const holds = { name: "it holds", holds: true, detail: "as it should" }

const sectionOf = (name: string, run: Section["run"]): Section => ({
  name,
  title: `About ${name}`,
  shows: ["What is to be seen."],
  sabotage: "something is taken away",
  run
})

const runAll = Effect.fnUntraced(function* (all: ReadonlyArray<Section>, sabotaged: ReadonlyArray<string> = []) {
  const lines: Array<string> = []
  const fiber = yield* Effect.forkChild(Tour.run({ sections: all, sabotaged: new Set(sabotaged), say: (line) => void lines.push(line) }), {
    startImmediately: true
  })
  yield* TestClock.adjust("2 minutes")
  const result = yield* Fiber.join(fiber)
  return { result, lines, last: Tour.summary(result).at(-1) }
})

describe("running sections", () => {
  it.effect("passes where every check of every section holds, and shows what they say", () =>
    Effect.gen(function* () {
      const speaking = sectionOf("one", ({ say }) =>
        Effect.sync(() => {
          say("live")
          return [holds, holds]
        })
      )
      const { last, lines, result } = yield* runAll([speaking, sectionOf("two", () => Effect.succeed([holds]))])
      assert.isTrue(result.passed)
      assert.include(last, "passed: 2 sections, 3 checks")
      assert.includeMembers(lines, ["== 1 of 2: About one [one]", "   live", "   ok      it holds: as it should"])
    })
  )

  const failing: ReadonlyArray<readonly [string, Section["run"], string]> = [
    ["a check that does not hold", () => Effect.succeed([holds, { ...holds, holds: false }]), "as it should"],
    ["no checks at all", () => Effect.succeed([]), ""],
    ["a failure", () => Effect.fail("no database"), "no database"],
    ["a defect", () => Effect.die(new Error("a bug")), "a bug"],
    ["more time than there is", () => Effect.never, ""]
  ]
  for (const [name, run, detail] of failing) {
    it.effect(`fails with ${name}, and shows the other sections all the same`, () =>
      Effect.gen(function* () {
        const { last, lines, result } = yield* runAll([sectionOf("broken", run), sectionOf("fine", () => Effect.succeed([holds]))])
        assert.isFalse(result.passed)
        assert.deepStrictEqual(
          result.sections.map(({ passed }) => passed),
          [false, true]
        )
        assert.include(last, "FAILED: broken (1 of 2 sections)")
        assert.include(lines.join("\n"), detail)
      })
    )
  }

  it.effect("tells a section alone that it is sabotaged, and the viewer too", () =>
    Effect.gen(function* () {
      const seen: Array<boolean> = []
      const looking = (name: string) =>
        sectionOf(name, ({ sabotaged }: Stage) => Effect.sync(() => (seen.push(sabotaged), [{ ...holds, holds: !sabotaged }])))
      const { last, lines } = yield* runAll([looking("one"), looking("two")], ["two"])
      assert.deepStrictEqual(seen, [false, true])
      assert.include(lines.join("\n"), "SABOTAGED: something is taken away")
      assert.include(last, "FAILED: two")
    })
  )

  it("names of sections are short and differ", () => {
    const names = sections.map(({ name }) => name)
    assert.strictEqual(new Set(names).size, names.length)
    for (const name of names) assert.match(name, /^[a-z-]{3,12}$/)
  })
})
