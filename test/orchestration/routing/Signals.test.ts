/**
 * The signals of gateways between two decisions: they stay the same objects while the same is known, and what is kept is what would be read anew.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { GatewayName } from "../../../src/domain/payment/Ids.ts"
import * as BreakerName from "../../../src/domain/resilience/BreakerName.ts"
import * as Pause from "../../../src/domain/resilience/Pause.ts"
import * as Segment from "../../../src/domain/routing/Segment.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import { CircuitBreakers } from "../../../src/orchestration/resilience/CircuitBreakers.ts"
import * as GatewayGuards from "../../../src/orchestration/resilience/GatewayGuards.ts"
import * as Signals from "../../../src/orchestration/routing/Signals.ts"
import { GatewayMetrics } from "../../../src/services/routing/GatewayMetrics.ts"
import { details as detailsOf } from "../../support/payments.ts"

const details = detailsOf({})
const names = ["a", "b"].map((name) => GatewayName.make(name))
const [a] = names as [GatewayName]
const breaker = BreakerName.of(a, "sale")

const services = Layer.merge(MemoryGatewayMetrics.layer, GatewayGuards.layer)

const call = (gateway: GatewayName, country: string) =>
  GatewayMetrics.use((metrics) =>
    metrics.record({
      gateway,
      kind: "sale",
      verdict: "healthy",
      approval: "approved",
      durationMillis: 200,
      segment: { ...Segment.ofPayment(details), country }
    })
  )

/** Reads with readers that have read before, and checks it with such as have not. */
const reading = Effect.gen(function* () {
  const guards = yield* GatewayGuards.GatewayGuards
  const sources = { metrics: yield* GatewayMetrics, breakers: yield* CircuitBreakers }
  const gateways = names.map((name) => ({ name }))
  const readers = Signals.readersOf(guards, gateways)
  return Effect.clockWith((clock) =>
    Effect.sync(() => {
      const asked = { details, now: clock.currentTimeMillisUnsafe(), monotonic: Number(clock.monotonicTimeNanosUnsafe()) / 1e6 }
      const signals = Signals.read(sources, readers, asked)
      assert.deepStrictEqual(signals, Signals.read(sources, Signals.readersOf(guards, gateways), asked))
      return signals
    })
  )
})

describe("Signals", () => {
  it.effect("of a gateway of which nothing new is known they stay the same; a call changes them, and the minute's end", () =>
    Effect.gen(function* () {
      const read = yield* reading
      yield* call(a, "DE")
      const first = yield* read
      assert.deepStrictEqual(
        (yield* read).map((one, index) => one === first[index]),
        [true, false],
        "b was never called: nothing is kept of it"
      )
      yield* call(a, "FR")
      const second = yield* read
      assert.deepStrictEqual([first[0]?.samples, second[0]?.samples], [1, 2])
      yield* TestClock.adjust("61 minutes")
      assert.strictEqual((yield* read)[0]?.samples, 0)
    }).pipe(Effect.provide(services))
  )

  it.effect("a breaker that opens, is half-open and closed again shows at once, and so does its health", () =>
    Effect.gen(function* () {
      const read = yield* reading
      const breakers = yield* CircuitBreakers
      yield* call(a, "DE")
      yield* breakers.protect(breaker, Effect.void)
      const phase = Effect.map(read, ([first]) => first?.breaker)
      assert.strictEqual(yield* phase, "closed")
      const healthy = (yield* read)[0]?.health ?? Number.NaN
      yield* Effect.exit(breakers.protect(breaker, Effect.fail("down")))
      assert.isBelow((yield* read)[0]?.health ?? Number.NaN, healthy)
      yield* breakers.forceOpen(breaker)
      assert.strictEqual(yield* phase, "open")
      yield* breakers.reset(breaker)
      assert.strictEqual(yield* phase, "closed")
      for (let failure = 0; failure < 5; failure++) yield* Effect.exit(breakers.protect(breaker, Effect.fail("down")))
      assert.strictEqual(yield* phase, "open")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual(yield* phase, "half_open")
    }).pipe(Effect.provide(services))
  )

  it.effect("a pause that the gateway asked for shows at once, and its end", () =>
    Effect.gen(function* () {
      const read = yield* reading
      yield* call(a, "DE")
      const saturated = Effect.map(read, ([first]) => first?.saturated)
      assert.isUndefined(yield* saturated)
      const { pauses } = (yield* GatewayGuards.GatewayGuards).of(a)
      Pause.begin(pauses, "sale", { millis: 5_000, now: Number(yield* Clock.monotonicTimeNanos) / 1e6 })
      assert.isTrue(yield* saturated)
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(yield* saturated)
    }).pipe(Effect.provide(services))
  )
})
