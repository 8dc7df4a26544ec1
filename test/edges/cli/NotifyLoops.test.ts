import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Result } from "effect"
import { TestClock } from "effect/testing"
import { TenantId } from "../../../src/domain/payment/Ids.ts"
import type { Development } from "../../../src/edges/cli/runtime/Development.ts"
import * as Notifications from "../../../src/edges/cli/runtime/Notifications.ts"
import { keptUp, relay, restartMillis } from "../../../src/edges/cli/runtime/NotifyLoops.ts"
import * as Config from "../../../src/edges/config/Config.ts"
import * as LogNotifier from "../../../src/layers/memory/notify/LogNotifier.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import { memory } from "../../support/TestEngine.ts"

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

describe("a server", () => {
  const { notifications } = Result.getOrThrow(
    Config.decode({ input: { database: { dataDir: "./data" } }, environment: {}, source: "file" })
  )
  const endpoint = { merchant: TenantId.make("m1"), url: "https://shop.example/events", secrets: [] }

  it("without an endpoint leaves events to other processes on its database; only the development set-up logs them", () => {
    const receives = (endpoints: ReadonlyArray<typeof endpoint>, development?: Development) =>
      Notifications.receives({ config: { notifications: { ...notifications, endpoints } }, development })
    assert.isFalse(receives([]))
    assert.isTrue(receives([endpoint]))
    assert.isTrue(receives([], { dataDir: "./data", apiKey: Redacted.make("aegis_dev_key_0001") }))
  })

  it.effect("that receives nothing takes nothing off before it is old", () =>
    Effect.gen(function* () {
      yield* mustCommit(Payments.firstCommit())
      const fiber = yield* Effect.forkChild(relay({ receives: false, discardAfterMillis: notifications.discardAfterMillis }))
      const undelivered = Effect.map((yield* Outbox).summary, (summary) => summary.undelivered)
      yield* TestClock.adjust("167 hours")
      assert.isAbove(yield* undelivered, 0)
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* undelivered, 0)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(Layer.merge(memory, LogNotifier.layer)))
  )
})
