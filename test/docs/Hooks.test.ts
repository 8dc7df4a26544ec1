/**
 * docs/hooks.md: it names every kind with its limits, and its program runs and is printed as it is.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { shop } from "../../docs/examples/hooks.ts"
import { HookKind } from "../../src/domain/hooks/HookKind.ts"
import { maxHooksPerKind } from "../../src/domain/hooks/Records.ts"
import * as Presets from "../../src/domain/Presets.ts"
import { defaults } from "../../src/services/hooks/HookSettings.ts"
import * as Documents from "../support/documents.ts"

const document = Documents.read("docs/hooks.md")

describe("docs/hooks.md", () => {
  it("names every kind, in the order of the code, and its limits", () => {
    const kinds = Documents.rowsOf(document).flatMap(([name = ""]) => /^`(\w+)`$/.exec(name)?.[1] ?? [])
    assert.deepStrictEqual(kinds, [...HookKind.literals, ...HookKind.literals])
    for (const kind of HookKind.literals) {
      const { eachMillis, totalMillis } = defaults.limits[kind]
      const limits = [Documents.shown(eachMillis), Documents.shown(totalMillis), "ms"]
      assert.deepInclude(Documents.rowsNamed(document, `\`${kind}\``), limits, kind)
    }
  })

  it("names the bounds that hold", () => {
    const { collectMax, maxAbandoned, minConfidence, queue } = Presets.hooks
    assert.include(document, `At most ${maxHooksPerKind} hooks of a kind; ${Documents.shown(queue.value)} events`)
    assert.include(document, `${Documents.shown(collectMax.value)} observations`)
    assert.include(document, `cannot be interrupted ${maxAbandoned.value} runs`)
    assert.include(document, `\`minConfidence\`, ${minConfidence.value}`)
    assert.deepStrictEqual([defaults.onValidationFailure, defaults.onFraudFailure], ["accept", "block"])
  })

  it("prints the example as it is", () => {
    assert.include(Documents.blocksOf(document, "ts"), Documents.programOf("hooks"))
  })

  it.effect("its example blocks the listed customer", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* shop, { first: "succeeded", second: "blocked_by_fraud_check", sent: 1 })
    })
  )
})
