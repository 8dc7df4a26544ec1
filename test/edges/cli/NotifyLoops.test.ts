import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { keptUp, restartMillis } from "../../../src/edges/cli/runtime/NotifyLoops.ts"

describe("a loop that is kept up", () => {
  it.effect("goes on after a defect, after a pause, and ends when it is stopped", () =>
    Effect.gen(function* () {
      let runs = 0
      let released = 0
      const loop = Effect.suspend(() => (++runs < 3 ? Effect.die(new Error("broken")) : Effect.never)).pipe(
        Effect.ensuring(Effect.sync(() => (released += 1)))
      )
      const fiber = yield* Effect.forkChild(keptUp("the loop", loop))
      yield* TestClock.adjust(restartMillis - 1)
      assert.strictEqual(runs, 1)
      yield* TestClock.adjust(1 + restartMillis)
      assert.strictEqual(runs, 3)
      yield* TestClock.adjust(10 * restartMillis)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([runs, released], [3, 3])
    })
  )
})
