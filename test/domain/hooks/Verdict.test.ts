import { assert, describe, it } from "@effect/vitest"
import { HookName } from "../../../src/domain/hooks/HookKind.ts"
import { combine, type FraudAction, type RecordedVerdict } from "../../../src/domain/hooks/Verdict.ts"

const verdict = (hook: string, action: FraudAction, score?: number): RecordedVerdict => ({
  hook: HookName.make(hook),
  action,
  ...(score === undefined ? {} : { score })
})

const said = (verdicts: ReadonlyArray<RecordedVerdict>, blockAtScore?: number): string => {
  const { action, by, score } = combine(verdicts, blockAtScore)
  return `${action} ${score} by ${by?.hook}`
}

describe("what fraud checks say together", () => {
  it("any block blocks, wherever it stands, and the highest score wins, whoever gave it", () => {
    const actions: ReadonlyArray<FraudAction> = ["allow", "flag", "block"]
    for (const first of actions) {
      for (const second of actions) {
        for (const third of actions) {
          const all = [verdict("one", first, 10), verdict("two", second, 90), verdict("three", third)]
          const worst = actions.findLast((action) => [first, second, third].includes(action))
          const { action, by, score } = combine(all)
          assert.strictEqual(action, worst)
          assert.strictEqual(score, 90)
          assert.strictEqual(by, action === "allow" ? undefined : all.find((one) => one.action === action))
        }
      }
    }
  })

  it("says nothing where nothing was said", () => {
    assert.deepStrictEqual(combine([]), { action: "allow" })
  })

  it("a score blocks from where the settings say, and is told by whom", () => {
    const all = [verdict("low", "flag", 79.9), verdict("high", "allow", 80)]
    assert.strictEqual(said(all, 80), "block 80 by high")
    assert.strictEqual(said(all, 80.1), "flag 80 by low")
    assert.strictEqual(said(all), "flag 80 by low")
    assert.strictEqual(said([verdict("one", "block"), ...all], 80), "block 80 by one")
    assert.strictEqual(said([verdict("zero", "allow", 0)], 0), "block 0 by zero")
  })
})
