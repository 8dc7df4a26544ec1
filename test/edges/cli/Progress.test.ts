/** The progress line: what it looks like, where it is shown, and how often. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Progress from "../../../src/edges/cli/Progress.ts"

const clear = "\r\u001b[2K"

const terminal = (options: { readonly isTTY?: boolean; readonly columns?: number }) => {
  const written: Array<string> = []
  return { ...options, written, write: (text: string) => written.push(text) }
}

describe("a bar", () => {
  it("grows with what is done, and is full only when all is", () => {
    const of = (done: number, total: number) => Progress.bar({ done, total })
    assert.strictEqual(of(0, 200), "[....................]   0 %")
    assert.strictEqual(of(1, 200), "[....................]   0 %")
    assert.strictEqual(of(100, 200), "[##########..........]  50 %")
    assert.strictEqual(of(199, 200), "[###################.]  99 %")
    assert.strictEqual(of(200, 200), "[####################] 100 %")
    assert.strictEqual(of(300, 200), of(200, 200))
    assert.strictEqual(of(0, 0), of(200, 200))
  })
})

describe("a progress line", () => {
  it.effect("is written over, ten times a second at the most, and removed at the end", () => {
    const at = terminal({ isTTY: true })
    const progress = Progress.on(at, { isQuiet: false })
    return Effect.gen(function* () {
      for (const text of ["one", "two", "three"]) {
        yield* progress.show(text)
        yield* TestClock.adjust(50)
      }
      yield* progress.end
      assert.deepStrictEqual(at.written, [`${clear}one`, `${clear}three`, clear])
    })
  })

  it.effect("is cut to the terminal's width: a line that wraps stays", () => {
    const narrow = terminal({ isTTY: true, columns: 10 })
    const unknown = terminal({ isTTY: true })
    return Effect.gen(function* () {
      for (const at of [narrow, unknown]) yield* Progress.on(at, { isQuiet: false }).show("x".repeat(200))
      assert.deepStrictEqual(narrow.written, [`${clear}${"x".repeat(9)}`])
      assert.deepStrictEqual(unknown.written, [`${clear}${"x".repeat(79)}`])
    })
  })

  it.effect("is not there where stderr is no terminal, or with --json", () => {
    const file = terminal({})
    const quiet = terminal({ isTTY: true })
    return Effect.gen(function* () {
      for (const progress of [Progress.on(file, { isQuiet: false }), Progress.on(quiet, { isQuiet: true })]) {
        yield* progress.show("one")
        yield* progress.end
      }
      assert.deepStrictEqual([file.written, quiet.written], [[], []])
    })
  })
})
