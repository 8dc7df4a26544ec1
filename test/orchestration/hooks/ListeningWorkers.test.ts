/** Workers of a listener's queue, where a fiber gives way between two of its steps: none is lost, and no event stays behind. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Scheduler } from "effect"
import { initial } from "../../../src/domain/payment/State.ts"
import { fold } from "../../../src/layers/postgres/payment/CommitStatement.ts"
import * as Listening from "../../../src/orchestration/hooks/Listening.ts"
import { ActiveHooks } from "../../../src/orchestration/hooks/Registry.ts"
import { registryOf } from "../../support/hooks.ts"
import * as Payments from "../../support/payments.ts"

const settle = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, { discard: true })

describe("the workers of a listener", () => {
  it.effect("are there for what comes after a publisher was interrupted at any step", () =>
    Effect.forEach(
      Array.from({ length: 40 }, (_, index) => index + 4),
      (operations) => {
        const heard: Array<string> = []
        const hook = { kind: "event_listener", name: "listener", run: () => Effect.sync(() => void heard.push("event")) } as const
        return Effect.gen(function* () {
          const registry = yield* ActiveHooks
          if (!Listening.hasListeners(registry)) return assert.fail("there is a listener")
          const commit = Payments.firstCommit()
          const after = fold(commit, 1_000)
          const publish = Listening.publish(registry, { before: initial(after.id), after, events: commit.events }, () => Effect.void)
          for (let publisher = 0; publisher < 3; publisher++) {
            const interrupted = yield* Effect.forkChild(
              Effect.provideService(Effect.andThen(Effect.void, publish), Scheduler.MaxOpsBeforeYield, operations),
              { startImmediately: true }
            )
            interrupted.interruptUnsafe()
            yield* settle
          }
          heard.length = 0
          yield* publish
          yield* settle
          assert.isAtLeast(heard.length, commit.events.length, `gave way every ${operations} operations`)
        }).pipe(Effect.provide(registryOf([hook])))
      },
      { discard: true }
    )
  )
})
