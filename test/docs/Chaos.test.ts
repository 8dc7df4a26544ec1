/**
 * docs/chaos.md: its plan is one, it names every fault and every default, and its program runs and is printed as it is.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Random from "effect/Random"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import { program, run } from "../../docs/examples/chaos.ts"
import { ChaosPlan, maxCascades, maxRules, maxScripted } from "../../src/domain/chaos/ChaosPlan.ts"
import { injectionTypes, maxRequestDelayMillis, operations, targets } from "../../src/domain/chaos/Injection.ts"
import * as Presets from "../../src/domain/Presets.ts"
import * as Documents from "../support/documents.ts"

const document = Documents.read("docs/chaos.md")

describe("docs/chaos.md", () => {
  it("shows a plan that is one", () => {
    const [plan = ""] = Documents.blocksOf(document, "json")
    const decoded = Schema.decodeUnknownSync(ChaosPlan, { onExcessProperty: "error" })(JSON.parse(plan))
    assert.strictEqual(decoded.rules.length, 5)
  })

  it("names every fault, target and operation, and the defaults and bounds in force", () => {
    for (const name of [...injectionTypes, ...targets, ...operations.filter((operation) => operation !== "read")])
      assert.include(document, `\`${name}\``)
    const {
      cascadeAfterMillis,
      cascadeForMillis,
      hangMillis,
      latencyMaxMillis,
      latencyMinMillis,
      maxInjections,
      poolWaitMillis,
      retryAfterMillis
    } = Presets.chaos
    for (const [name, value] of [
      ["hangMillis", hangMillis.value],
      ["retryAfterMillis", retryAfterMillis.value],
      ["waitMillis", poolWaitMillis.value],
      ["minMillis", latencyMinMillis.value],
      ["maxMillis", latencyMaxMillis.value],
      ["forMillis", cascadeForMillis.value],
      ["afterMillis", cascadeAfterMillis.value]
    ] as const) {
      assert.include(document, `\`${name}\` (${Documents.shown(value)})`)
    }
    assert.include(document, `default ${Documents.shown(maxInjections.value)}`)
    assert.include(document, `at most ${maxRules};`)
    assert.include(document, `at most ${maxCascades}:`)
    assert.include(document, `at most ${Documents.shown(maxScripted)} single faults`)
    assert.include(document, `by at most ${Documents.shown(maxRequestDelayMillis)} ms`)
  })

  it("prints its program as it is", () => {
    assert.include(Documents.blocksOf(document, "ts"), Documents.programOf("chaos"))
  })

  it.effect("whose run is survived, and repeated with the same faults", () =>
    Effect.gen(function* () {
      const running = yield* Effect.forkChild(program)
      yield* TestClock.adjust("5 minutes")
      const first = yield* Fiber.join(running)
      assert.isAtLeast(first.injections, 1)
      assert.strictEqual(first.succeeded, 10)
      assert.strictEqual(first.charged, 10)
      assert.strictEqual(first.asked, 10 + first.injections)
      if (first.repetition === undefined) return assert.fail("nothing to repeat")
      const again = yield* Effect.forkChild(run(first.repetition))
      yield* TestClock.adjust("5 minutes")
      const { asked, charged, injections, succeeded } = yield* Fiber.join(again)
      assert.deepStrictEqual(
        { asked, charged, injections, succeeded },
        { asked: first.asked, charged: 10, injections: first.injections, succeeded: 10 }
      )
    }).pipe(Random.withSeed("chaos"))
  )
})
