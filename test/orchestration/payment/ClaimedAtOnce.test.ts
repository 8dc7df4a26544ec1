/**
 * Keys that are claimed at once, on the stores in memory; and what makes an engine look first.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as BreakerName from "../../../src/domain/resilience/BreakerName.ts"
import * as Policy from "../../../src/domain/routing/policy/Policy.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { CircuitBreakers } from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import type { CustomRule } from "../../../src/services/routing/RoutingPolicy.ts"
import { eur } from "../../support/payments.ts"
import { chargeRequest, memory, testGateway } from "../../support/TestEngine.ts"
import { charge, inEngine, newKey, suite, warm } from "./claimedAtOnce.ts"

const b = GatewayName.make("b")

suite("memory", memory)

describe("a key is looked up first", () => {
  it.effect("where no commit was answered for a second", () =>
    inEngine(({ counted }) =>
      Effect.gen(function* () {
        yield* TestClock.adjust("999 millis")
        assert.deepInclude(yield* counted(charge(newKey())), { lookUps: 0 })
        yield* TestClock.adjust("1 second")
        assert.deepInclude(yield* counted(charge(newKey())), { lookUps: 1 })
        assert.deepInclude(yield* counted(charge(newKey())), { lookUps: 0 })
      })
    ).pipe(Effect.provide(memory))
  )

  it.effect("by whoever prepares a payment", () =>
    inEngine(({ counted }) =>
      Effect.gen(function* () {
        const payments = yield* Payments
        assert.deepInclude(yield* counted(payments.prepare(chargeRequest(newKey()))), { lookUps: 1 })
      })
    ).pipe(Effect.provide(memory))
  )

  it.effect("where a host's own routing rule would see the request", () =>
    inEngine(({ counted, routing }) =>
      Effect.gen(function* () {
        let seen = 0
        const rule: CustomRule = { name: "own", decide: () => (seen++, undefined) }
        routing.customRules = [rule]
        const under = newKey()
        assert.deepInclude(yield* counted(charge(under)), { lookUps: 1 })
        assert.deepInclude(yield* counted(charge(under)), { lookUps: 1, commits: 0 })
        assert.strictEqual(seen, 1)
      })
    ).pipe(Effect.provide(memory))
  )
})

describe("a repeated request", () => {
  it.effect("waits 5 s for one that cannot be claimed, then is told when to come back", () =>
    inEngine(({ flaky, gateway, passing }) =>
      Effect.gen(function* () {
        const under = newKey()
        const claimed = yield* Deferred.make<void>()
        flaky.onCommit = () => Effect.as(Deferred.await(claimed), undefined)
        const first = yield* Effect.forkChild(charge(under))
        yield* TestClock.adjust("1 second")
        const second = yield* Effect.forkChild(Effect.flip(charge(under)))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* Fiber.join(second))._tag, "RequestInProgress")
        flaky.onCommit = passing
        yield* Deferred.succeed(claimed, undefined)
        assert.isFalse((yield* Fiber.join(first)).replayed)
        assert.isTrue((yield* charge(under)).replayed)
        assert.lengthOf(gateway.sent, 2)
      })
    ).pipe(Effect.provide(memory))
  )

  it.effect("is nobody's probe: the next payment is that of a gateway that is half-open", () =>
    inEngine(
      ({ counted, gateway, routing }) =>
        Effect.gen(function* () {
          routing.policy = Policy.make({ exploration: { share: 0 } })
          const breakers = yield* CircuitBreakers
          const small = { amount: eur(2_000n) }
          const under = newKey()
          yield* charge(under, small)
          const down = breakers.protect(BreakerName.of(gateway.name, "sale"), Effect.fail("down"))
          yield* Effect.replicateEffect(Effect.exit(down), 5, { discard: true })
          yield* TestClock.adjust("60 seconds")
          // Too large for a probe.
          assert.strictEqual((yield* warm).payment.gateway, b)
          const again = yield* counted(charge(under, small))
          assert.deepInclude(again, { lookUps: 0, commits: 1 })
          assert.isTrue(again.value.replayed)
          assert.strictEqual((yield* charge(newKey(), small)).payment.gateway, gateway.name)
        }),
      [testGateway(b)]
    ).pipe(Effect.provide(memory))
  )
})
