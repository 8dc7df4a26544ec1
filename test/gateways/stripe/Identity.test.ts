/** Whose key it is, where the first who asks leaves: the question is never lost, so nothing waits for it for ever. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"
import { TestClock } from "effect/testing"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as StripeIdentity from "../../../src/gateways/stripe/StripeIdentity.ts"

describe("the question whose key it is", () => {
  it.effect("goes on where whoever asked first is interrupted at any step", () =>
    Effect.gen(function* () {
      for (const operations of Array.from({ length: 60 }, (_, index) => index + 4)) {
        const identity = StripeIdentity.make({
          gateway: GatewayName.make("stripe"),
          accountId: "acct_1",
          get: () => Effect.succeed({ status: 200, text: '{"id":"acct_1","object":"account"}', headers: {} }),
          limitMillis: 1_000
        })
        const first = yield* Effect.forkChild(Effect.provideService(identity.atStart, Scheduler.MaxOpsBeforeYield, operations), {
          startImmediately: true
        })
        first.interruptUnsafe()
        const next = yield* Effect.forkChild(identity.hindrance, { startImmediately: true })
        for (let turn = 0; turn < 50; turn++) yield* Effect.yieldNow
        yield* TestClock.adjust(1_000)
        assert.isDefined(next.pollUnsafe())
        assert.isTrue(identity.isBelieved(), `interrupted where it gave way every ${operations} operations`)
      }
    })
  )
})
