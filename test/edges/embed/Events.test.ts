/**
 * Events handed to a function of the host: taken, rejected, too slow, or wanted by nobody.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { EventId, PaymentId, TenantId } from "../../../src/domain/payment/Ids.ts"
import * as Events from "../../../src/edges/embed/Events.ts"
import type { AegisPayOptions, PaymentEvent } from "../../../src/public/embed.ts"
import { Notifier, type Notification } from "../../../src/services/notify/Notifier.ts"

const notification: Notification = {
  id: EventId.make("01890a5d-ac96-774b-bcce-b302099a8057"),
  tenant: TenantId.make("m1"),
  payment: PaymentId.make(`pay_${"0".repeat(36)}`),
  version: 4,
  type: "OperationSucceeded",
  body: JSON.stringify({ type: "OperationSucceeded", version: 4 })
}

const deliverTo = (onEvent: NonNullable<AegisPayOptions["onEvent"]>) =>
  Notifier.use((notifier) => notifier.deliver("onEvent", notification)).pipe(Effect.provide(Events.layer(onEvent)))

describe("onEvent", () => {
  it.effect("takes an event with its merchant", () =>
    Effect.gen(function* () {
      const seen: Array<PaymentEvent> = []
      assert.deepStrictEqual(yield* deliverTo((event) => void seen.push(event)), { _tag: "Delivered" })
      assert.deepStrictEqual<unknown>(seen, [{ type: "OperationSucceeded", version: 4, merchant: "m1" }])
    })
  )

  it.effect("that throws, rejects or takes too long gets the event again", () =>
    Effect.gen(function* () {
      const throwing = () => {
        throw new Error("no")
      }
      assert.strictEqual((yield* deliverTo(throwing))._tag, "Retry")
      assert.strictEqual((yield* deliverTo(() => Promise.reject(new Error("no"))))._tag, "Retry")
      let told: AbortSignal | undefined
      const hanging = yield* Effect.forkChild(
        deliverTo((_, { signal }) => {
          told = signal
          return new Promise(() => {})
        })
      )
      yield* TestClock.adjust("14 seconds")
      assert.isFalse(told?.aborted)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(hanging))._tag, "Retry")
      assert.isTrue(told?.aborted, "it is told to stop: the event comes again")
    })
  )

  it.effect("without one nobody wants events", () =>
    Effect.gen(function* () {
      const endpoint = yield* Notifier.useSync((notifier) => notifier.endpointOf(notification.tenant))
      assert.isUndefined(endpoint)
    }).pipe(Effect.provide(Events.layer(undefined)))
  )
})
