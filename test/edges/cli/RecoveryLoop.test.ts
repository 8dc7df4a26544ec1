/**
 * What a restarted server does about payments that were in hand when the one before it ended. The gateway takes 100 ms for each call.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as RecoveryLoop from "../../../src/edges/cli/runtime/RecoveryLoop.ts"
import * as Presets from "../../../src/domain/Presets.ts"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { defaults } from "../../../src/services/Settings.ts"
import { chargeRequest, memory, success, testGateway, type TestGateway } from "../../support/TestEngine.ts"
import { start, type TestProcess } from "../../support/TestProcess.ts"

const config = {
  engine: defaults,
  recovery: {
    onStart: true,
    intervalMillis: Presets.recovery.intervalMillis.value,
    concurrency: Presets.recovery.concurrency.value
  }
}

/** A PSP with a ledger of its own, by request key. Of the requests whose process crashes, every second one was executed. */
const psp = () => {
  const executed: Array<string> = []
  const slowly = <A>(answer: () => A) => Effect.delay(Effect.sync(answer), "100 millis")
  const execute = (intent: Intent) => {
    if (!executed.includes(intent.requestKey)) executed.push(intent.requestKey)
    return success(intent)
  }
  return {
    executed,
    crashing: testGateway("a", {
      send: (intent, nth) =>
        Effect.andThen(
          Effect.sync(() => nth % 2 === 0 && execute(intent)),
          Effect.never
        )
    }),
    gateway: () =>
      testGateway("a", {
        send: (intent) => slowly(() => execute(intent)),
        lookup: (intent) => slowly((): LookupAnswer => (executed.includes(intent.requestKey) ? success(intent) : { _tag: "Absent" }))
      })
  }
}

/** A process that has that many payments in hand when it ends, and the second until there is another. */
const crashedWith = Effect.fnUntraced(function* (count: number, crashing: TestGateway) {
  const process = yield* start([crashing], { attemptTimeoutMillis: 3_600_000 })
  for (let nth = 0; nth < count; nth++) yield* Effect.forkChild(process.payments.charge(chargeRequest(`k${nth}`)))
  yield* TestClock.adjust("1 second")
  yield* process.crash
  yield* TestClock.adjust("1 second")
  assert.lengthOf(crashing.sent, count)
})

const serving = (process: TestProcess, options: Partial<(typeof config)["recovery"]> = {}) =>
  RecoveryLoop.start({ ...config, recovery: { ...config.recovery, ...options } }).pipe(
    Effect.provideService(Payments.Payments, process.payments)
  )

const open = Effect.gen(function* () {
  const repository = yield* PaymentRepository
  return (yield* repository.openSummary).reduce((sum, { count }) => sum + count, 0)
})

/** Seconds until at most so many operations are open. */
const secondsUntil = Effect.fnUntraced(function* (left: number) {
  for (let seconds = 0; seconds < 600; seconds++) {
    if ((yield* open) <= left) return seconds
    yield* TestClock.adjust("1 second")
  }
  return Number.POSITIVE_INFINITY
})

describe("a restart with payments in hand", () => {
  for (const [name, servers] of [
    ["1,000 of them: the first is reconciled within 10 s, all within 60 s, each charged once", 1],
    ["1,000 of them and five servers at once: the same, and no event more", 5]
  ] as const) {
    it.effect(name, () => {
      const { crashing, executed, gateway } = psp()
      const gateways = Array.from({ length: servers }, gateway)
      return Effect.gen(function* () {
        yield* crashedWith(1_000, crashing)
        for (const one of gateways) yield* serving(yield* start([one]))
        const first = yield* secondsUntil(999)
        assert.isAtMost(first, 10)
        assert.isAtMost(first + (yield* secondsUntil(0)), 60)
        assert.lengthOf(executed, 1_000)
        assert.lengthOf(
          gateways.flatMap(({ sent }) => sent),
          500
        )
        const { readAll } = yield* EventStore
        const events = yield* readAll({ after: 0n, limit: 10_000 })
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* readAll({ after: 0n, limit: 10_000 }), events)
      }).pipe(Effect.provide(memory))
    })
  }

  it.effect("what may still be in the hands of another server is only asked about, and only a success counts", () => {
    const { crashing, gateway } = psp()
    const answers: ReadonlyArray<LookupAnswer> = [
      { _tag: "Absent" },
      { _tag: "Declined", category: "hard", code: "no", message: "no" },
      { _tag: "Unknown", reason: "timeout", message: "no answer" }
    ]
    const asked = gateway()
    let nth = 0
    const a = { ...asked, lookup: () => Effect.sync((): LookupAnswer => answers[nth++ % 3] ?? { _tag: "Absent" }) }
    return Effect.gen(function* () {
      yield* crashedWith(3, crashing)
      const { readAll } = yield* EventStore
      const events = yield* readAll({ after: 0n, limit: 10_000 })
      yield* serving(yield* start([a]))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(nth, 3)
      assert.deepStrictEqual(yield* readAll({ after: 0n, limit: 10_000 }), events)
      assert.lengthOf(asked.sent, 0)
    }).pipe(Effect.provide(memory))
  })

  it.effect("with onStart false: nothing before an interval has passed", () => {
    const { crashing, gateway } = psp()
    const a = gateway()
    return Effect.gen(function* () {
      yield* crashedWith(1, crashing)
      yield* serving(yield* start([a]), { onStart: false, intervalMillis: 60_000 })
      yield* TestClock.adjust("59 seconds")
      assert.lengthOf(a.asked, 0)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* open, 0)
    }).pipe(Effect.provide(memory))
  })
})

describe("the rounds", () => {
  it.effect("follow each other every 5 s at first, every interval afterwards; one that fails is followed by the next", () => {
    const at: Array<number> = []
    return Effect.gen(function* () {
      const process = yield* start([testGateway("a")])
      const failing: TestProcess["payments"] = {
        ...process.payments,
        recover: () =>
          Effect.andThen(
            Effect.clockWith((clock) => Effect.map(clock.currentTimeMillis, (now) => at.push(now / 1000))),
            Effect.die("broken")
          )
      }
      yield* RecoveryLoop.start(config).pipe(Effect.provideService(Payments.Payments, failing))
      yield* TestClock.adjust("130 seconds")
      assert.deepStrictEqual(at, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 80, 110])
    }).pipe(Effect.provide(memory))
  })
})
