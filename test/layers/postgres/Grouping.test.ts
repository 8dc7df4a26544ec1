/**
 * Requests that are run together, where a fiber gives way between two of its steps: nobody is forgotten, and nobody blocks the others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scheduler } from "effect"
import * as Grouping from "../../../src/layers/postgres/payment/Grouping.ts"

/** Groups that run until the test ends them; `end` ends what runs at the moment. */
const held = Effect.gen(function* () {
  const running: Array<() => void> = []
  const grouped = yield* Grouping.make<string, string>({
    run: (group) => Effect.callback((resume) => void running.push(() => resume(Effect.succeed(group)))),
    keysOf: (request) => [request],
    maxGroup: 10,
    closed: () => "closed"
  })
  const end = () => {
    for (const one of running.splice(0)) one()
  }
  /** Until all that was asked has been run. */
  const settle = Effect.gen(function* () {
    for (let turn = 0; turn < 100; turn++) {
      end()
      yield* Effect.yieldNow
    }
  })
  return { grouped, end, settle }
})

/** A fiber that gives way every so many operations, as any does every 2,048. */
const giveWay = <A, E>(effect: Effect.Effect<A, E>, operations: number) =>
  Effect.forkChild(Effect.provideService(Effect.andThen(Effect.void, effect), Scheduler.MaxOpsBeforeYield, operations), {
    startImmediately: true
  })

const everyStep = Array.from({ length: 40 }, (_, index) => index + 4)

describe("requests that are run together", () => {
  it.effect("whoever is about to wait when the last group ends is run", () =>
    Effect.forEach(
      everyStep,
      Effect.fnUntraced(function* (operations) {
        const { end, grouped, settle } = yield* held
        yield* Effect.forkChild(grouped("a"), { startImmediately: true })
        const second = yield* giveWay(grouped("b"), operations)
        end()
        yield* settle
        assert.deepStrictEqual(second.pollUnsafe(), Exit.succeed("b"), `gave way every ${operations} operations`)
      }, Effect.scoped)
    )
  )

  it.effect("whoever is interrupted before its request runs leaves the way free", () =>
    Effect.forEach(
      everyStep,
      Effect.fnUntraced(function* (operations) {
        const { grouped, settle } = yield* held
        const first = yield* giveWay(grouped("a"), operations)
        first.interruptUnsafe()
        const next = yield* Effect.forkChild(grouped("b"), { startImmediately: true })
        yield* settle
        assert.isDefined(first.pollUnsafe())
        assert.deepStrictEqual(next.pollUnsafe(), Exit.succeed("b"), `gave way every ${operations} operations`)
      }, Effect.scoped)
    )
  )
})
