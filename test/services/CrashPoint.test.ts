/**
 * Places where a test ends the process: what comes after one is not begun before it was reached, and where nobody waits there is nothing of it.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import * as CrashPoint from "../../src/services/CrashPoint.ts"

const steps = Effect.gen(function* () {
  const seen: Array<string> = []
  const step = (name: string) => Effect.sync(() => void seen.push(name))
  const program = CrashPoint.before("operation/before-call", Effect.as(step("sent"), "answer"))
  return { seen, step, program }
})

it.effect("a point is reached before what comes after it, once", () =>
  Effect.gen(function* () {
    const { program, seen, step } = yield* steps
    const answer = yield* Effect.provideService(program, CrashPoint.CrashPoint, (point) => step(point))
    assert.strictEqual(answer, "answer")
    assert.deepStrictEqual(seen, ["operation/before-call", "sent"])
  })
)

it.effect("where the process ends at a point, nothing after it is begun", () =>
  Effect.gen(function* () {
    const { program, seen } = yield* steps
    const exit = yield* Effect.exit(Effect.provideService(program, CrashPoint.CrashPoint, () => Effect.die("ended")))
    assert.isTrue(Exit.isFailure(exit))
    assert.deepStrictEqual(seen, [])
  })
)

it.effect("without anybody at the points there is only the program", () =>
  Effect.gen(function* () {
    const { program, seen } = yield* steps
    assert.strictEqual(yield* program, "answer")
    assert.deepStrictEqual(seen, ["sent"])
  })
)
