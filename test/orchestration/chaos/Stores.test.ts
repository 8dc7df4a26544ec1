/**
 * The event store and the locks with faults, through the engine: what is refused is not written, what is lost is found again, and a lease
 * that is said to be lost is.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import type { Injection, Operation, Target } from "../../../src/domain/chaos/Injection.ts"
import * as ChaosControl from "../../../src/orchestration/chaos/ChaosControl.ts"
import * as ChaosEventStore from "../../../src/orchestration/chaos/ChaosEventStore.ts"
import * as ChaosLock from "../../../src/orchestration/chaos/ChaosLock.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { Chaos } from "../../../src/services/chaos/Chaos.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { Lock } from "../../../src/services/Lock.ts"
import { planOf } from "../../support/chaos.ts"
import * as Intents from "../../support/payments.ts"
import { chargeRequest, engineOver, memory, testGateway } from "../../support/TestEngine.ts"
import * as TestHostTransaction from "../../support/TestHostTransaction.ts"

/** A plan that injects this into these calls. */
const at = (target: Target, operation: Operation, inject: Injection, calls: ReadonlyArray<number> = [1]) =>
  planOf([{ target, operations: [operation], when: { type: "calls", calls }, inject }])

const withPlan = (plan: ReturnType<typeof planOf>) => ChaosControl.layer({ plan })

const faulty = Layer.merge(ChaosEventStore.layer, ChaosLock.layer)
const stores = (plan: ReturnType<typeof planOf>) => Layer.provideMerge(Layer.provideMerge(faulty, memory), withPlan(plan))

const charge = Payments.Payments.use((payments) => payments.charge(chargeRequest("order-1")))

const whileTimePasses = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const running = yield* Effect.forkChild(program)
    yield* TestClock.adjust("2 minutes")
    return yield* Fiber.join(running)
  })

describe("an event store with faults", () => {
  for (const [inject, tag] of [
    [{ type: "network" }, "Unavailable"],
    [{ type: "pool_exhausted", waitMillis: 500 }, "Unavailable"],
    [{ type: "response_lost" }, "OutcomeUnknown"]
  ] as const) {
    it.effect(`${inject.type}: the intent's commit is answered ${tag}, and the same key charges once`, () => {
      const gateway = testGateway("a")
      return Effect.gen(function* () {
        const error = yield* whileTimePasses(Effect.flip(charge))
        assert.strictEqual(error._tag === "EventStoreError" && error.reason._tag, tag)
        const store = yield* EventStore
        const written = yield* store.readAll({ after: 0n, limit: 10 })
        assert.strictEqual(written.length > 0, tag === "OutcomeUnknown", "written or not, as the answer allows")
        assert.lengthOf(gateway.sent, 0, "nothing is sent by an intent that is not known to be durable")
        yield* whileTimePasses(Effect.exit(charge))
        yield* whileTimePasses(Payments.Payments.use((payments) => payments.recover({ olderThanMillis: 0 })))
        const { payment } = yield* whileTimePasses(charge)
        assert.strictEqual(payment.status, "succeeded")
        assert.strictEqual(new Set(gateway.sent.map(({ requestKey }) => requestKey)).size, 1)
      }).pipe(Effect.provide(Layer.provideMerge(engineOver([gateway]), stores(at("eventStore", "commit", inject)))))
    })
  }

  it.effect("an outcome whose commits fail is kept and stored later", () => {
    const gateway = testGateway("a")
    return Effect.gen(function* () {
      const { payment } = yield* whileTimePasses(charge)
      assert.include(["processing", "succeeded"], payment.status)
      const after = yield* whileTimePasses(charge)
      assert.strictEqual(after.payment.status, "succeeded")
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.provide(Layer.provideMerge(engineOver([gateway]), stores(at("eventStore", "commit", { type: "network" }, [2, 3, 4])))))
  })

  it.effect("slow: answers late, and as ever", () =>
    Effect.gen(function* () {
      const store = yield* EventStore
      const asking = yield* Effect.forkChild(store.now)
      yield* TestClock.adjust(699)
      assert.isUndefined(asking.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isNumber(yield* Fiber.join(asking))
    }).pipe(Effect.provide(stores(at("eventStore", "now", { type: "latency", minMillis: 700, maxMillis: 700 }))))
  )

  it.effect("reads that fail are unavailable", () =>
    Effect.gen(function* () {
      const store = yield* EventStore
      const payment = Intents.newPaymentId()
      for (const failed of [yield* Effect.flip(store.read(payment)), yield* Effect.flip(store.readAll({ after: 0n, limit: 1 }))]) {
        assert.isTrue(failed._tag === "EventStoreError" && failed.reason._tag === "Unavailable" && failed.isRetryable)
      }
      assert.lengthOf(yield* store.read(payment), 0)
    }).pipe(Effect.provide(stores(at("eventStore", "read", { type: "network" }, [1, 2]))))
  )

  it.effect("inside a host's transaction commits pass: its connection is not ours to break", () =>
    Effect.gen(function* () {
      const chaos = yield* Chaos
      const prepare = Payments.Payments.use((payments) => payments.prepare(chargeRequest("order-1")))
      yield* TestHostTransaction.rolledBack(prepare)
      assert.deepStrictEqual((yield* chaos.status).counts, [])
      const error = yield* Effect.flip(Payments.Payments.use((payments) => payments.prepare(chargeRequest("order-2"))))
      assert.strictEqual(error._tag, "EventStoreError")
    }).pipe(
      Effect.provide(
        engineOver([testGateway("a")]).pipe(
          Layer.provideMerge(Layer.provideMerge(faulty, Layer.provideMerge(TestHostTransaction.layer, memory))),
          Layer.provideMerge(withPlan(at("eventStore", "commit", { type: "network" })))
        )
      )
    )
  )
})

describe("locks with faults", () => {
  const options = { key: "k", owner: "one", ttlMillis: 10_000 }

  it.effect("busy: whoever waits waits its time, then it is another's", () =>
    Effect.gen(function* () {
      const locks = yield* Lock
      const acquiring = yield* Effect.forkChild(Effect.flip(locks.acquire({ ...options, waitMillis: 300 })))
      yield* TestClock.adjust(299)
      assert.isUndefined(acquiring.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepInclude(yield* Fiber.join(acquiring), { _tag: "LockNotAcquired", key: "k", owner: "one", waitedMillis: 300 })
      assert.strictEqual((yield* locks.acquire(options)).key, "k")
    }).pipe(Effect.provide(stores(at("lock", "acquire", { type: "lock_busy" }))))
  )

  it.effect("a lease that is said to be lost is lost: the next holder has a newer token", () =>
    Effect.gen(function* () {
      const locks = yield* Lock
      const lease = yield* locks.acquire(options)
      assert.strictEqual((yield* Effect.flip(locks.extend(lease, { ttlMillis: 10_000 })))._tag, "LeaseLost")
      const next = yield* locks.acquire({ ...options, owner: "two" })
      assert.isTrue(next.token > lease.token)
      assert.strictEqual((yield* Effect.flip(locks.extend(lease, { ttlMillis: 10_000 })))._tag, "LeaseLost", "for good")
    }).pipe(Effect.provide(stores(at("lock", "extend", { type: "lease_lost" }))))
  )

  it.effect("not reachable: nothing is acquired, and nothing released", () =>
    Effect.gen(function* () {
      const locks = yield* Lock
      assert.strictEqual((yield* Effect.flip(locks.acquire(options)))._tag, "LockUnavailable")
      const lease = yield* locks.acquire(options)
      assert.strictEqual((yield* Effect.flip(locks.release(lease)))._tag, "LockUnavailable")
      assert.strictEqual((yield* Effect.flip(locks.acquire({ ...options, owner: "two" })))._tag, "LockNotAcquired", "still held")
      assert.isTrue(yield* locks.release(lease))
    }).pipe(
      Effect.provide(
        stores(
          planOf([
            { target: "lock", operations: ["acquire"], when: { type: "calls", calls: [1] }, inject: { type: "network" } },
            { target: "lock", operations: ["release"], when: { type: "calls", calls: [1] }, inject: { type: "network" } }
          ])
        )
      )
    )
  )
})

describe("without a switch", () => {
  it.effect("store and locks are the very same objects, and with one that has no plan they answer as ever", () =>
    Effect.gen(function* () {
      const inner = yield* Layer.build(memory)
      const same = yield* Effect.provideContext(Layer.build(faulty), inner)
      assert.strictEqual(Context.get(same, EventStore), Context.get(inner, EventStore))
      assert.strictEqual(Context.get(same, Lock), Context.get(inner, Lock))
      const other = yield* Layer.build(faulty).pipe(Effect.provideContext(inner), Effect.provide(ChaosControl.layer()))
      assert.notStrictEqual(Context.get(other, EventStore), Context.get(inner, EventStore))
      assert.isNumber(yield* Context.get(other, EventStore).now)
      assert.isTrue(
        yield* Effect.flatMap(
          Context.get(other, Lock).acquire({ key: "k", owner: "o", ttlMillis: 1_000 }),
          Context.get(other, Lock).release
        )
      )
    })
  )
})
