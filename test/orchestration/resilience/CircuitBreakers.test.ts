/**
 * Circuit breakers as programs use them: permits, protection, orders, health, transitions and metrics, on virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as BreakerNames from "../../../src/domain/resilience/BreakerName.ts"
import * as BreakerSettings from "../../../src/domain/resilience/BreakerSettings.ts"
import * as CircuitBreakers from "../../../src/orchestration/resilience/CircuitBreakers.ts"

const { BreakerName } = BreakerNames
const name = BreakerName.make("rates")
const gateway = (text: string) => GatewayName.make(text)
const nameOf = (text: string, kind: Parameters<typeof BreakerNames.of>[1] = "sale") => BreakerNames.of(gateway(text), kind)

const down = Effect.fail("down" as const)

/** Calls through the breaker; answers how each ended. */
const call = Effect.fnUntraced(function* <A, E>(effect: Effect.Effect<A, E>, of = name) {
  const breakers = yield* CircuitBreakers.CircuitBreakers
  return yield* Effect.exit(breakers.protect(of, effect))
})

const fail = (times: number, of = name) => Effect.replicateEffect(call(down, of), times, { discard: true })
const succeed = (times: number, of = name) => Effect.replicateEffect(call(Effect.void, of), times, { discard: true })

const stateOf = (of = name) =>
  Effect.gen(function* () {
    const breakers = yield* CircuitBreakers.CircuitBreakers
    return (yield* breakers.list).find((health) => health.name === of)?.state
  })

const refusal = (exit: Exit.Exit<unknown, unknown>) => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return error instanceof CircuitBreakers.BreakerOpen ? error : undefined
}

const layer = CircuitBreakers.layer()

describe("protect", () => {
  it.effect("five failures in a row open it; then nothing is run and the refusal says when to come back", () =>
    Effect.gen(function* () {
      yield* fail(4)
      assert.strictEqual(yield* stateOf(), "closed")
      yield* fail(1)
      yield* TestClock.adjust("20 seconds")
      let ran = false
      const refused = refusal(yield* call(Effect.sync(() => (ran = true))))
      assert.isFalse(ran)
      assert.deepInclude(refused, { breaker: name, state: "open", retryInMillis: 40_000 })
      assert.strictEqual(refused?.message, "circuit breaker rates is open and refused the call; try again in 40000 ms")
    }).pipe(Effect.provide(layer))
  )
})
