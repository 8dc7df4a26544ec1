/**
 * The switch: start, stop, what it tells and counts; the clock it moves; and a process that it ends.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as ChaosGateway from "../../../src/gateways/chaos/ChaosGateway.ts"
import * as ChaosClock from "../../../src/orchestration/chaos/ChaosClock.ts"
import * as ChaosControl from "../../../src/orchestration/chaos/ChaosControl.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { Chaos } from "../../../src/services/chaos/Chaos.ts"
import * as VirtualSandbox from "../../gateways/chaos/virtualSandbox.ts"
import { planOf, psp } from "../../support/chaos.ts"
import { collecting } from "../../support/logs.ts"
import { alone, countsOf } from "../../support/metrics.ts"
import { chargeRequest, engineOver, memory, tenant } from "../../support/TestEngine.ts"

const sale = { target: "gateway", gateway: psp, operation: "sale" } as const
const always = planOf([{ when: { type: "random", rate: 1 }, inject: { type: "network" } }], { maxInjections: 3 })

describe("the switch", () => {
  it.effect("does nothing before it is started and after it is stopped; what it did stays to be seen", () =>
    Effect.gen(function* () {
      const chaos = yield* ChaosControl.make()
      assert.isUndefined(yield* chaos.decide(sale))
      assert.deepInclude(yield* chaos.status, { running: false, injections: 0 })
      assert.isUndefined(yield* chaos.repetition)
      yield* TestClock.adjust(5_000)
      yield* chaos.start(always)
      assert.strictEqual((yield* chaos.decide(sale))?.injection.type, "network")
      yield* TestClock.adjust(250)
      assert.deepStrictEqual(yield* chaos.stop, {
        running: false,
        plan: always,
        startedAt: 5_000,
        elapsedMillis: 250,
        injections: 1,
        remaining: 2,
        counts: [{ type: "network", target: "gateway", gateway: psp, count: 1 }],
        clockOffsetMillis: 0
      })
      yield* TestClock.adjust(250)
      assert.isUndefined(yield* chaos.decide(sale))
      assert.deepInclude(yield* chaos.status, { running: false, elapsedMillis: 250, injections: 1 })
    })
  )

  it.effect("ends by itself where whoever holds it is not heard of any more, and not while it is", () => {
    const { kept, lines } = collecting()
    return Effect.gen(function* () {
      const chaos = yield* ChaosControl.make()
      const { startedAt = -1 } = yield* chaos.start(always, { holdMillis: 15_000 })
      yield* TestClock.adjust(14_999)
      assert.deepInclude(yield* chaos.status, { running: true, lapsesInMillis: 1 })
      assert.deepInclude(yield* chaos.extend({ startedAt, holdMillis: 15_000 }), { running: true, lapsesInMillis: 15_000 })
      yield* TestClock.adjust(14_999)
      assert.isDefined(yield* chaos.decide(sale))
      yield* TestClock.adjust(60_000)
      assert.isUndefined(yield* chaos.decide(sale))
      assert.deepInclude(yield* chaos.status, { running: false, lapsed: true, elapsedMillis: 29_999, injections: 1 })
      assert.isUndefined((yield* chaos.status).lapsesInMillis)
      assert.deepInclude(
        yield* chaos.extend({ startedAt, holdMillis: 15_000 }),
        { running: false, lapsed: true },
        "what is over stays over"
      )
      assert.deepStrictEqual(
        lines.flatMap(({ annotations, level, message }) => (level === "WARN" ? [`${message} ${String(annotations["holdMillis"])}`] : [])),
        [
          "faults are injected from now on undefined",
          "no more faults are injected: whoever started them has not said for too long that they are to go on 15000"
        ]
      )
      const next = yield* chaos.start(always, { holdMillis: 1_000 })
      assert.isUndefined(next.lapsed)
      yield* chaos.extend({ startedAt, holdMillis: 3_600_000 })
      assert.strictEqual((yield* chaos.status).lapsesInMillis, 1_000, "another's plan is not extended")
      yield* chaos.start(always)
      yield* TestClock.adjust(86_400_000)
      assert.isTrue((yield* chaos.status).running, "nobody holds it")
    }).pipe(kept)
  })

  it.effect("a clock that is moved is right again when the plan lapses", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const chaos = yield* ChaosControl.make()
      const skew = planOf([{ target: "clock", when: { type: "random", rate: 1 }, inject: { type: "clock_skew", byMillis: 60_000 } }])
      yield* chaos.start(skew, { holdMillis: 5_000 })
      assert.strictEqual(chaos.clockOffset(clock), 60_000)
      yield* TestClock.adjust(5_000)
      assert.strictEqual(chaos.clockOffset(clock), 0)
      assert.deepInclude(yield* chaos.status, { running: false, lapsed: true })
    })
  )

  it.effect("starts anew with each plan, and never injects more than it may", () =>
    Effect.gen(function* () {
      const chaos = yield* ChaosControl.make({ plan: always })
      for (let run = 0; run < 2; run++) {
        const met = yield* Effect.forEach(Array.from({ length: 9 }), () => chaos.decide(sale))
        assert.lengthOf(
          met.filter((injected) => injected !== undefined),
          3
        )
        assert.deepInclude(yield* chaos.status, { injections: 3, remaining: 0 })
        yield* chaos.start(always)
        assert.deepInclude(yield* chaos.status, { injections: 0, remaining: 3, counts: [] })
      }
    })
  )

  it.effect("counts and logs every fault, by type, target and gateway", () =>
    Effect.gen(function* () {
      const { kept, lines } = collecting()
      yield* Effect.gen(function* () {
        const chaos = yield* ChaosControl.make({ plan: always })
        yield* chaos.decide(sale)
        yield* chaos.decide(sale)
        yield* chaos.decide({ target: "eventStore", operation: "commit" })
        yield* chaos.stop
      }).pipe(kept)
      assert.deepStrictEqual(yield* countsOf("aegispay_chaos_injections_total"), { "psp gateway network": 2 })
      assert.deepStrictEqual(
        lines.map(({ level, message }) => [level, message]),
        [
          ["WARN", "faults are injected from now on"],
          ["INFO", "a fault is injected"],
          ["INFO", "a fault is injected"],
          ["WARN", "no more faults are injected"]
        ]
      )
      assert.deepInclude(lines[1]?.annotations, { fault: "network", target: "gateway", gateway: "psp", operation: "sale", call: 1 })
    }).pipe(alone)
  )
})

describe("a moved clock", () => {
  const plan = planOf([
    { target: "clock", when: { type: "at", atMillis: [1_000] }, inject: { type: "clock_jump", byMillis: -3_600_000 } },
    {
      target: "clock",
      when: { type: "random", rate: 1 },
      fromMillis: 5_000,
      untilMillis: 6_000,
      inject: { type: "clock_skew", byMillis: 60_000 }
    }
  ])

  it.effect("is off on the wall, and as ever where time is measured or slept", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const chaos = yield* ChaosControl.make()
      const moved = yield* Effect.provideService(Effect.provide(Clock.Clock, ChaosClock.layer), Chaos, chaos)
      yield* TestClock.adjust(7_200_000)
      yield* chaos.start(plan)
      const offsets: Array<number> = []
      let before = moved.monotonicTimeNanosUnsafe()
      for (const millis of [0, 999, 1, 3_999, 1, 999, 1]) {
        yield* TestClock.adjust(millis)
        offsets.push(moved.currentTimeMillisUnsafe() - clock.currentTimeMillisUnsafe())
        assert.strictEqual(yield* moved.currentTimeMillis, moved.currentTimeMillisUnsafe())
        assert.strictEqual((yield* moved.currentTimeNanos) - clock.currentTimeNanosUnsafe(), BigInt(offsets.at(-1) ?? 0) * 1_000_000n)
        const now = moved.monotonicTimeNanosUnsafe()
        assert.strictEqual(now, clock.monotonicTimeNanosUnsafe())
        assert.isTrue(now >= before, "never backwards")
        before = now
      }
      assert.deepStrictEqual(offsets, [0, 0, -3_600_000, -3_600_000, -3_540_000, -3_540_000, -3_600_000])
      assert.deepStrictEqual((yield* chaos.status).counts, [
        { type: "clock_jump", target: "clock", count: 1 },
        { type: "clock_skew", target: "clock", count: 1 }
      ])
      assert.strictEqual((yield* chaos.status).clockOffsetMillis, -3_600_000)
      yield* chaos.stop
      assert.strictEqual(moved.currentTimeMillisUnsafe(), clock.currentTimeMillisUnsafe())
    })
  )

  it.effect("is the very same clock without a switch", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Effect.provide(Clock.Clock, ChaosClock.layer), yield* Clock.Clock)
    })
  )
})

describe("a crash", () => {
  for (const executed of [false, true]) {
    it.effect(
      `ends the process ${executed ? "after" : "before"} the gateway acted; another one finds out, and the customer is charged once`,
      () =>
        Effect.gen(function* () {
          const sandbox = yield* VirtualSandbox.start(["a"])
          const stores = yield* Layer.build(memory)
          const died = yield* Deferred.make<void>()
          // From then on nothing of the process goes on, and nothing of it is cleaned up.
          const crash = Effect.andThen(Deferred.succeed(died, undefined), Effect.never)
          const chaos = yield* ChaosControl.make({
            crash,
            plan: planOf([{ operations: ["sale"], when: { type: "calls", calls: [1] }, inject: { type: "crash", executed } }])
          })
          const first = yield* Scope.provide(
            Layer.build(
              Layer.provideMerge(
                engineOver(sandbox.gateways.map((gateway) => ChaosGateway.make(gateway, chaos))),
                Layer.succeedContext(stores)
              )
            ),
            yield* Scope.make()
          )
          const charge = Payments.Payments.use((payments) => payments.charge(chargeRequest("order-1")))
          const lost = yield* Effect.forkDetach(Effect.provideContext(charge, first))
          yield* TestClock.adjust(1)
          yield* Deferred.await(died)
          assert.isUndefined(lost.pollUnsafe())
          assert.lengthOf(yield* sandbox.ledger, executed ? 1 : 0)

          yield* Effect.gen(function* () {
            for (let round = 0; round < 4; round++) {
              const recovering = yield* Effect.forkChild(Payments.Payments.use((payments) => payments.recover()))
              yield* TestClock.adjust("1 minute")
              yield* Fiber.join(recovering)
            }
            const { payment } = yield* charge
            assert.strictEqual(payment.status, "succeeded")
            assert.strictEqual(payment.tenant, tenant)
            assert.lengthOf(yield* sandbox.ledger, 1)
          }).pipe(Effect.provide(Layer.provideMerge(engineOver(sandbox.gateways), Layer.succeedContext(stores))))
        })
    )
  }
})
