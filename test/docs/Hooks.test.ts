/**
 * docs/hooks.md: it names every kind with its limits, and its program runs and is printed as it is.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { shop } from "../../docs/examples/hooks.ts"
import { HookKind } from "../../src/domain/hooks/HookKind.ts"
import { maxHooksPerKind } from "../../src/domain/hooks/Records.ts"
import * as Presets from "../../src/domain/Presets.ts"
import { defaults } from "../../src/services/hooks/HookSettings.ts"

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8")
const document = read("docs/hooks.md")
const shown = (value: number): string => value.toLocaleString("en")

describe("docs/hooks.md", () => {
  it("names every kind, in the order of the code, and its limits", () => {
    const kinds = [...document.matchAll(/^\| `(\w+)` \|/gm)].map(([, kind]) => kind)
    assert.deepStrictEqual(kinds, [...HookKind.literals, ...HookKind.literals])
    for (const kind of HookKind.literals) {
      const { eachMillis, totalMillis } = defaults.limits[kind]
      assert.include(document, `\n| \`${kind}\` | ${shown(eachMillis)} | ${shown(totalMillis)} | ms |`)
    }
  })

  it("names the bounds that hold", () => {
    const { collectMax, maxAbandoned, minConfidence, queue } = Presets.hooks
    assert.include(document, `At most ${maxHooksPerKind} hooks of a kind; ${shown(queue.value)} events`)
    assert.include(document, `${shown(collectMax.value)} observations`)
    assert.include(document, `cannot be interrupted ${maxAbandoned.value} runs`)
    assert.include(document, `\`minConfidence\`, ${minConfidence.value}`)
    assert.deepStrictEqual([defaults.onValidationFailure, defaults.onFraudFailure], ["accept", "block"])
  })

  it("prints the example as it is", () => {
    const example = read("docs/examples/hooks.ts")
      .replaceAll('"../../src/index.ts"', '"aegispay"')
      .replaceAll(/"\.\.\/\.\.\/src\/public\/(\w+)\.ts"/g, '"aegispay/$1"')
    assert.include(document, `\`\`\`ts\n${example}\`\`\``)
  })

  it.effect("its example blocks the listed customer", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* shop, { first: "succeeded", second: "blocked_by_fraud_check", sent: 1 })
    })
  )
})
