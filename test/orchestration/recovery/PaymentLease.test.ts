/**
 * The lease of a payment that is recovered: kept while the gateway is slow, given back at the end and when it is interrupted, and no
 * reason to interrupt or to lose anything when it is lost (I8).
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { GatewayReference, PaymentId } from "../../../src/domain/payment/Ids.ts"
import { underLease } from "../../../src/orchestration/recovery/PaymentLease.ts"
import { Lock, LockUnavailable } from "../../../src/services/Lock.ts"
import { defaults, Settings } from "../../../src/services/Settings.ts"
import { chargeRequest, declined, memory, success, testGateway, unknown } from "../../support/TestEngine.ts"
import { start, typesOf } from "../../support/TestProcess.ts"

const leaseMillis = 5_000
const settings = { recoveryLeaseMillis: leaseMillis }
const id = PaymentId.make("pay_00ff0190000000007000800000000000abcd")
const withSettings = Effect.provideService(Settings, { ...defaults, ...settings })

/** A charge that nobody knows the outcome of, old enough to be recovered. */
const inDoubt = Effect.gen(function* () {
  const process = yield* start([testGateway("a", { send: () => Effect.succeed(unknown) })])
  const { payment } = yield* process.payments.charge(chargeRequest("k1"))
  yield* TestClock.adjust("1 minute")
  return payment.id
})

const isFree = Effect.map(
  underLease(id, () => Effect.void),
  Option.isSome
)

describe("recovery of one payment that takes longer than the lease", () => {
  it.effect("is not begun a second time: one question, one request, whoever else recovers meanwhile", () => {
    const slow = testGateway("a", {
      lookup: () => Effect.as(Effect.sleep("9 seconds"), { _tag: "Absent" } as const),
      send: (intent) => Effect.delay(Effect.succeed(success(intent)), "14 seconds")
    })
    const other = testGateway("a", { lookup: () => Effect.succeed({ _tag: "Absent" }) })
    return Effect.gen(function* () {
      const payment = yield* inDoubt
      const recovering = yield* Effect.forkChild((yield* start([slow], settings)).payments.recover())
      yield* TestClock.adjust(1)
      const second = yield* start([other], settings)
      for (let round = 0; round < 4; round++) {
        assert.deepStrictEqual((yield* second.payments.recover()).results, { busy: 1 }, `round ${round}`)
        yield* TestClock.adjust(leaseMillis + 500)
      }
      yield* TestClock.adjust(leaseMillis)
      assert.deepStrictEqual((yield* Fiber.join(recovering)).results, { succeeded: 1 })
      assert.deepStrictEqual([slow.asked.length, slow.sent.length, other.asked.length, other.sent.length], [1, 1, 0, 0])
      assert.strictEqual((yield* second.payments.recover()).scanned, 0)
      assert.lengthOf(
        (yield* typesOf(payment)).filter((type) => type === "ResendPermitted"),
        1
      )
    }).pipe(Effect.provide(memory))
  })

  it.effect("whose process was suspended past the lease: the other one goes on, and the truth it held is handed in", () => {
    let isSuspended = false
    const suspended = Layer.effect(
      Lock,
      Effect.map(Lock, (lock) => Lock.of({ ...lock, extend: (...args) => (isSuspended ? Effect.never : lock.extend(...args)) }))
    )
    const answered = testGateway("a", { lookup: (intent) => Effect.delay(Effect.succeed(success(intent)), "9 seconds") })
    const blind = testGateway("a", { lookup: () => Effect.succeed(unknown) })
    return Effect.gen(function* () {
      yield* inDoubt
      isSuspended = true
      const recovering = yield* Effect.forkChild((yield* start([answered], settings)).payments.recover())
      yield* TestClock.adjust(leaseMillis + 1)
      assert.deepStrictEqual((yield* (yield* start([blind], settings)).payments.recover()).results, { unknown: 1 })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual((yield* Fiber.join(recovering)).results, { succeeded: 1 })
    }).pipe(Effect.provide(Layer.provideMerge(suspended, memory)))
  })
})

describe("whoever lost the lease of a payment", () => {
  for (const isSuspended of [false, true]) {
    it.effect(
      isSuspended
        ? "hands in the fact it learned, and starts nothing: what follows is left to recovery"
        : "or did not: starts what follows",
      () => {
        const suspended = Layer.effect(
          Lock,
          Effect.map(Lock, (lock) => Lock.of({ ...lock, extend: (...args) => (isSuspended ? Effect.never : lock.extend(...args)) }))
        )
        // The charge is declined and left open; the answer to its cancel is lost.
        const charges = { leavesOpenAfterDecline: true } as const
        const p = testGateway("a", {
          charges,
          send: (intent) =>
            Effect.succeed(intent.kind === "void" ? unknown : { ...declined("soft"), gatewayReference: GatewayReference.make("open") })
        })
        const slow = testGateway("a", { charges, lookup: (intent) => Effect.delay(Effect.succeed(success(intent)), "9 seconds") })
        const b = testGateway("b")
        return Effect.gen(function* () {
          const { payment } = yield* (yield* start([p, b])).payments.charge(chargeRequest("k1"))
          assert.strictEqual(payment.status, "processing")
          yield* TestClock.adjust("1 minute")
          const recovering = yield* Effect.forkChild((yield* start([slow, b], settings)).payments.recover())
          yield* TestClock.adjust("10 seconds")
          assert.deepStrictEqual((yield* Fiber.join(recovering)).results, { succeeded: 1 })
          const types = yield* typesOf(payment.id)
          const follows = ["OperationSucceeded", "OperationIntended", ...(isSuspended ? [] : ["OperationSucceeded"])]
          assert.deepStrictEqual(types.slice(-follows.length), follows)
          assert.lengthOf(b.sent, isSuspended ? 0 : 1)
          yield* TestClock.adjust("1 minute")
          yield* (yield* start([slow, b], settings)).payments.recover()
          assert.lengthOf(b.sent, 1)
          assert.strictEqual((yield* typesOf(payment.id)).at(-1), "OperationSucceeded")
        }).pipe(Effect.provide(Layer.provideMerge(suspended, memory)))
      }
    )
  }
})

it.effect("a decision of whoever lost the lease is not taken: no event is written (rule 10)", () => {
  const suspended = Layer.effect(
    Lock,
    Effect.map(Lock, (lock) => Lock.of({ ...lock, extend: () => Effect.never }))
  )
  const charges = { replay: "none" } as const
  const p = testGateway("a", { charges, send: () => Effect.succeed(unknown) })
  const slow = testGateway("a", { charges, lookup: () => Effect.as(Effect.sleep("9 seconds"), { _tag: "Absent" } as const) })
  const b = testGateway("b")
  return Effect.gen(function* () {
    const { payment } = yield* (yield* start([p, b])).payments.charge(chargeRequest("k1"))
    yield* TestClock.adjust("1 minute")
    const before = yield* typesOf(payment.id)
    const recovering = yield* Effect.forkChild((yield* start([slow, b], settings)).payments.recover())
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.join(recovering)
    assert.deepStrictEqual(yield* typesOf(payment.id), before)
    assert.lengthOf(b.sent, 0)
  }).pipe(Effect.provide(Layer.provideMerge(suspended, memory)))
})

describe("the lease of a payment", () => {
  it.effect("is given back when the work ends, fails, dies or is interrupted", () =>
    Effect.gen(function* () {
      const ends = [Effect.void, Effect.fail("no"), Effect.die("broken")]
      for (const end of ends) {
        yield* Effect.exit(underLease(id, () => end))
        assert.isTrue(yield* isFree)
      }
      const working = yield* Effect.forkChild(underLease(id, () => Effect.never))
      yield* TestClock.adjust(1)
      assert.isFalse(yield* isFree)
      yield* Fiber.interrupt(working)
      assert.isTrue(yield* isFree)
    }).pipe(withSettings, Effect.provide(memory))
  )

  it.effect("that is interrupted in the moment it is granted is given back too", () => {
    const slowAnswer = Layer.effect(
      Lock,
      Effect.map(Lock, (lock) =>
        Lock.of({
          ...lock,
          acquire: (options) => Effect.uninterruptible(Effect.tap(lock.acquire(options), () => Effect.sleep("1 second")))
        })
      )
    )
    return Effect.gen(function* () {
      const locks = yield* Lock
      const working = yield* Effect.forkChild(underLease(id, () => Effect.never))
      yield* TestClock.adjust(1)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(working))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(interrupting)
      const taking = yield* Effect.forkChild(locks.acquire({ key: `recovery:${id}`, owner: "other", ttlMillis: 1 }))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(taking)).owner, "other")
    }).pipe(withSettings, Effect.provide(Layer.provideMerge(slowAnswer, memory)))
  })

  it.effect("goes on being extended after its store was away for a while", () => {
    let isAway = false
    const flaky = Layer.effect(
      Lock,
      Effect.map(Lock, (lock) =>
        Lock.of({
          ...lock,
          extend: (lease, options) => (isAway ? new LockUnavailable({ key: lease.key, cause: "away" }) : lock.extend(lease, options))
        })
      )
    )
    return Effect.gen(function* () {
      const working = yield* Effect.forkChild(underLease(id, () => Effect.sleep("1 minute")))
      yield* TestClock.adjust(leaseMillis / 2)
      isAway = true
      yield* TestClock.adjust(leaseMillis / 3)
      isAway = false
      yield* TestClock.adjust("30 seconds")
      assert.isFalse(yield* isFree)
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(working)
      assert.isTrue(yield* isFree)
    }).pipe(withSettings, Effect.provide(Layer.provideMerge(flaky, memory)))
  })
})
