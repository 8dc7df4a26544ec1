import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { lostAnswer } from "../../docs/examples/clock-test.ts"

describe("a host's test with a clock of its own", () => {
  it.effect("sees an outcome in doubt, then the charge that recovery learned of, sent once", () =>
    Effect.gen(function* () {
      const { seen, sent } = yield* lostAnswer
      assert.deepStrictEqual([seen[0], seen.at(-1), sent], ["in_doubt", "succeeded", 1])
      assert.isTrue(seen.slice(0, -1).every((status) => status === "in_doubt"))
      assert.deepStrictEqual(yield* lostAnswer, { seen, sent }, "the same every time")
    })
  )
})
