/**
 * Rule 19: events are delivered at least once, those of a payment in version order, and what fails holds back only itself.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { TenantId } from "../../../src/domain/payment/Ids.ts"
import type { Payment } from "../../../src/domain/payment/State.ts"
import * as Presets from "../../../src/domain/Presets.ts"
import { MemoryStore } from "../../../src/layers/memory/MemoryStore.ts"
import * as EndpointHealth from "../../../src/orchestration/notify/EndpointHealth.ts"
import * as Relay from "../../../src/orchestration/notify/Relay.ts"
import * as Unwanted from "../../../src/orchestration/notify/Unwanted.ts"
import { HostTransaction } from "../../../src/services/HostTransaction.ts"
import { type Delivery, type Notification, Notifier } from "../../../src/services/notify/Notifier.ts"
import { Outbox } from "../../../src/services/Outbox.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import { memory } from "../../support/TestEngine.ts"

const delivered: Delivery = { _tag: "Delivered" }
const down: Delivery = { _tag: "Retry", reason: "down" }

interface Receiver {
  readonly received: Array<Notification>
  answer: (endpoint: string, notification: Notification) => Effect.Effect<Delivery>
}

/** What arrives at any endpoint, whatever is answered; the merchant's name is its endpoint, and "quiet" has none. */
const receiver = (answer: Receiver["answer"] = () => Effect.succeed(delivered)): Receiver => ({ received: [], answer })

const layerOf = (to: Receiver) =>
  Layer.merge(
    memory,
    Layer.succeed(
      Notifier,
      Notifier.of({
        endpointOf: (tenant) => (tenant === "quiet" ? undefined : tenant),
        deliver: (endpoint, notification) =>
          Effect.suspend(() => {
            to.received.push(notification)
            return to.answer(endpoint, notification)
          })
      })
    )
  )

const newPayment = (tenant = "m1") => {
  const merchant = TenantId.make(tenant)
  return mustCommit(Payments.firstCommit({ tenant: merchant }))
}
const more = (payment: Payment) => mustCommit(Payments.commitOf(payment, [Payments.cancelRequested]))
const versionsOf = (to: Receiver, payment: Payment) => to.received.filter((one) => one.payment === payment.id).map(({ version }) => version)
/** Time in steps, each followed by what was waiting for it. */
const pass = (steps: number, millis: number) => Effect.repeat(TestClock.adjust(millis), { times: steps - 1 })
const summary = Effect.flatMap(Outbox, (outbox) => outbox.summary)

describe("Relay", () => {
  it.effect("delivers the events of a payment in version order, each as it is shown, and acknowledges them", () => {
    const to = receiver()
    return Effect.gen(function* () {
      const payment = yield* more(yield* newPayment())
      const relay = yield* Relay.make()
      const report = yield* relay.runOnce
      assert.deepStrictEqual(report, { payments: 1, delivered: 4, retried: 0, postponed: 0, dead: 0, lost: 0 })
      assert.deepStrictEqual(versionsOf(to, payment), [1, 2, 3, 4])
      const [first] = to.received
      const shown = JSON.parse(first!.body)
      assert.deepStrictEqual(
        [shown.eventId, shown.paymentId, shown.version, shown.type, shown.data.details.method.token],
        [first!.id, payment.id, 1, "PaymentInitiated", "[redacted]"]
      )
      assert.notInclude(to.received.map(({ body }) => body).join(), "tok_success", "tokens are taken out")
      assert.strictEqual((yield* relay.runOnce).payments, 0)
      assert.strictEqual((yield* summary).undelivered, 0)
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("an event that cannot be read holds back its own payment, after those before it; the others are delivered", () => {
    const to = receiver()
    return Effect.gen(function* () {
      const damaged = yield* newPayment()
      const other = yield* newPayment()
      const row = (yield* MemoryStore).outbox.get(damaged.id)!
      const [first, second, third] = row.rows
      row.rows = [first!, { ...second!, event: { ...second!.event, type: "OfAnotherVersion" } }, third!]
      const relay = yield* Relay.make({ maxAttempts: 2 })
      assert.deepInclude(yield* relay.runOnce, { payments: 2, delivered: 4 })
      assert.deepStrictEqual([versionsOf(to, damaged), versionsOf(to, other)], [[1], [1, 2, 3]])
      assert.deepInclude(yield* relay.runOnce, { payments: 1, retried: 1 })
      yield* TestClock.adjust("1 hour")
      assert.deepInclude(yield* relay.runOnce, { payments: 1, dead: 1 })
      const [letter] = yield* Effect.flatMap(Outbox, (outbox) => outbox.deadLetters({ limit: 10 }))
      assert.deepInclude(letter, { payment: damaged.id, undelivered: 2 })
      assert.include(letter?.reason, "cannot be read")
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("a merchant without an endpoint here is left to other relays for a week; then nothing of it stays", () => {
    const to = receiver()
    return Effect.gen(function* () {
      const payment = yield* newPayment("quiet")
      const relay = yield* Relay.make()
      assert.strictEqual((yield* relay.runOnce).postponed, 1)
      assert.strictEqual((yield* summary).undelivered, payment.version)
      // Another relay, in a process that has an endpoint for it.
      yield* TestClock.adjust("2 seconds")
      const outbox = yield* Outbox
      const [batch] = yield* outbox.lease({ owner: "another", payments: 1, ttlMillis: 1_000 })
      assert.deepStrictEqual([batch?.payment, batch?.attempts], [payment.id, 0], "it is free, and counts as never tried")
      yield* outbox.retryLater({ payment: payment.id, token: batch!.token, delayMillis: 0, failed: false })

      const week = 7 * 86_400_000
      yield* TestClock.adjust(week - 10_000)
      assert.strictEqual((yield* relay.runOnce).postponed, 1)
      const later = yield* newPayment("quiet")
      yield* TestClock.adjust("2 hours")
      assert.deepInclude(yield* relay.runOnce, { payments: 2, delivered: 0, postponed: 1 })
      assert.strictEqual((yield* summary).undelivered, later.version)
      assert.deepStrictEqual(to.received, [])
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("where nobody receives anything, events stay free for others, and are taken off when they are a week old", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Unwanted.run(7 * 86_400_000))
      for (let nth = 0; nth < 150; nth++) yield* newPayment("quiet")
      yield* TestClock.adjust("1 day")
      const young = yield* newPayment("quiet")
      const outbox = yield* Outbox
      const free = yield* outbox.lease({ owner: "another", payments: 1_000, ttlMillis: 1_000 })
      assert.lengthOf(free, 151)
      for (const { payment, token } of free) yield* outbox.retryLater({ payment, token, delayMillis: 0, failed: false })
      yield* TestClock.adjust("6 days")
      assert.strictEqual((yield* summary).undelivered, young.version, "more than a page of them")
      yield* TestClock.adjust("25 hours")
      assert.strictEqual((yield* summary).undelivered, 0)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(memory))
  )

  it.effect("what cannot be read, and nobody receives, keeps nothing else from being taken off", () =>
    Effect.gen(function* () {
      const { outbox } = yield* MemoryStore
      for (let nth = 0; nth < Presets.relay.discardPage.value; nth++) {
        const row = outbox.get((yield* newPayment("quiet")).id)!
        row.rows = row.rows.map((one) => ({ ...one, event: { ...one.event, type: "OfAnotherVersion" } }))
      }
      const { undelivered } = yield* summary
      yield* newPayment("quiet")
      const fiber = yield* Effect.forkChild(Unwanted.run(7 * 86_400_000))
      yield* TestClock.adjust("8 days")
      assert.strictEqual((yield* summary).undelivered, undelivered)
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(memory))
  )

  it.effect("two relays at once deliver every event once, in version order, while payments go on", () => {
    const to = receiver(() => Effect.as(Effect.yieldNow, delivered))
    return Effect.gen(function* () {
      const relays = [yield* Relay.make({ concurrency: 3 }), yield* Relay.make({ concurrency: 3 })]
      const live = (start: Payment) =>
        Effect.gen(function* () {
          let payment = start
          for (let commit = 0; commit < 5; commit++) {
            payment = yield* more(payment)
            yield* Effect.yieldNow
          }
        })
      const payments = yield* Effect.all(Array.from({ length: 8 }, () => newPayment()))
      const relaying = relays.map((relay) => Effect.repeat(Effect.andThen(relay.runOnce, Effect.yieldNow), { times: 40 }))
      yield* Effect.all([...payments.map(live), ...relaying], { concurrency: "unbounded" })
      yield* relays[0]!.runOnce
      yield* relays[0]!.runOnce
      yield* relays[0]!.runOnce
      for (const payment of payments) assert.deepStrictEqual(versionsOf(to, payment), [1, 2, 3, 4, 5, 6, 7, 8])
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("a crash between the delivery and its acknowledgement delivers again", () => {
    const to = receiver((_, { version }) => (version === 3 ? Effect.never : Effect.succeed(delivered)))
    return Effect.gen(function* () {
      const payment = yield* newPayment()
      const fiber = yield* Effect.forkChild((yield* Relay.make()).runOnce)
      yield* Effect.yieldNow
      yield* TestClock.adjust(1)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(versionsOf(to, payment), [1, 2, 3])
      to.answer = () => Effect.succeed(delivered)
      const other = yield* Relay.make()
      assert.strictEqual((yield* other.runOnce).payments, 0, "the lease of the dead relay still holds")
      yield* TestClock.adjust(Presets.relay.leaseMillis.value)
      yield* other.runOnce
      assert.deepStrictEqual(versionsOf(to, payment), [1, 2, 3, 1, 2, 3])
      assert.strictEqual((yield* summary).undelivered, 0)
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("a relay whose lease is about to end stops, and one that lost it acknowledges nothing", () => {
    const slow = Presets.relay.leaseMillis.value - Presets.relay.deliveryTimeoutMillis.value
    const to = receiver(() => Effect.as(Effect.sleep(slow), delivered))
    return Effect.gen(function* () {
      const payment = yield* newPayment()
      const relay = yield* Relay.make()
      const fiber = yield* Effect.forkChild(relay.runOnce)
      yield* TestClock.adjust(slow)
      const report = yield* Fiber.join(fiber)
      assert.strictEqual(report.delivered, 1, "the second would end after the lease")
      assert.deepStrictEqual(versionsOf(to, payment), [1])
      // The next one is frozen for longer than its lease.
      to.answer = () => Effect.as(Effect.sleep(10 * slow), delivered)
      const frozen = yield* Effect.forkChild(relay.runOnce)
      yield* TestClock.adjust(Presets.relay.leaseMillis.value + 1)
      to.answer = () => Effect.succeed(delivered)
      yield* (yield* Relay.make()).runOnce
      assert.deepStrictEqual(versionsOf(to, payment), [1, 2, 2, 3])
      yield* TestClock.adjust(10 * slow)
      assert.strictEqual((yield* Fiber.join(frozen)).lost, 1)
      assert.deepStrictEqual(versionsOf(to, payment), [1, 2, 2, 3], "it did not go on")
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("an endpoint that is down gets its events when it is back, in order, and holds back no other", () => {
    const to = receiver((endpoint) => Effect.succeed(endpoint === "broken" ? down : delivered))
    return Effect.gen(function* () {
      const waiting = [yield* newPayment("broken"), yield* newPayment("broken"), yield* newPayment("broken"), yield* newPayment("broken")]
      const fiber = yield* Effect.forkChild(Relay.run({ concurrency: 2 }))
      yield* pass(20, 250)
      const fine = yield* newPayment("m1")
      yield* pass(8, 250)
      assert.deepStrictEqual(versionsOf(to, fine), [1, 2, 3])
      const tried = to.received.length
      yield* pass(600, 1000)
      const tries = to.received.length - tried
      assert.isAbove(tries, 3, "it is tried again")
      assert.isBelow(tries, 120, "but not all the time")
      to.answer = () => Effect.succeed(delivered)
      const before = to.received.length
      yield* pass(120, 60_000)
      yield* Fiber.interrupt(fiber)
      const since = to.received.slice(before)
      for (const payment of waiting) {
        assert.deepStrictEqual(
          since.filter((one) => one.payment === payment.id).map(({ version }) => version),
          [1, 2, 3]
        )
      }
      assert.strictEqual((yield* summary).undelivered, 0)
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("one event that an endpoint never takes becomes a dead letter after the attempts, and is replayed with what followed", () => {
    let poison = ""
    const to = receiver((_, { payment, version }) => Effect.succeed(payment === poison && version === 2 ? down : delivered))
    return Effect.gen(function* () {
      const outbox = yield* Outbox
      const payment = yield* newPayment()
      poison = payment.id
      const relay = yield* Relay.make({ maxAttempts: 4 })
      const fine: Array<Payment> = []
      for (let round = 0; round < 12; round++) {
        yield* relay.runOnce
        const other = yield* newPayment()
        fine.push(other)
        yield* relay.runOnce
        yield* TestClock.adjust("1 hour")
      }
      for (const other of fine) assert.deepStrictEqual(versionsOf(to, other), [1, 2, 3])
      // The try that ended the batch with version 1 is not counted: what was delivered with it had to be acknowledged.
      assert.strictEqual(versionsOf(to, payment).filter((version) => version === 2).length, 5)
      assert.notInclude(versionsOf(to, payment), 3, "nothing overtakes it")
      const [dead] = yield* outbox.deadLetters({ limit: 10 })
      assert.deepStrictEqual([dead?.payment, dead?.reason, dead?.undelivered], [payment.id, "down", 2])
      yield* more(payment)
      poison = ""
      assert.strictEqual((yield* relay.runOnce).payments, 0, "a dead letter waits for its replay")
      assert.isTrue(yield* outbox.replay(payment.id))
      yield* relay.runOnce
      assert.deepStrictEqual(versionsOf(to, payment).slice(-3), [2, 3, 4])
      assert.deepStrictEqual(yield* summary, { undelivered: 0, oldestRecordedAt: undefined, dead: 0 })
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("what an endpoint rejects is a dead letter at once; what dies in a notifier is tried again", () => {
    const to = receiver(() => Effect.succeed<Delivery>({ _tag: "Rejected", reason: "gone" }))
    return Effect.gen(function* () {
      yield* newPayment()
      const relay = yield* Relay.make()
      assert.strictEqual((yield* relay.runOnce).dead, 1)
      to.answer = () => Effect.die(new Error("a bug"))
      yield* newPayment()
      assert.strictEqual((yield* relay.runOnce).retried, 1)
      to.answer = () => Effect.succeed(delivered)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* relay.runOnce).delivered, 3)
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("a receiver's own wait is respected", () => {
    const to = receiver(() => Effect.succeed<Delivery>({ _tag: "Retry", reason: "busy", retryAfterMillis: 600_000 }))
    return Effect.gen(function* () {
      yield* newPayment()
      const relay = yield* Relay.make()
      yield* relay.runOnce
      to.answer = () => Effect.succeed(delivered)
      yield* TestClock.adjust("9 minutes")
      assert.strictEqual((yield* relay.runOnce).payments, 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* relay.runOnce).delivered, 3)
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("a relay that is stopped finishes the delivery under way, acknowledges it and starts no other", () => {
    const release = Deferred.makeUnsafe<void>()
    const to = receiver(() => Effect.as(Deferred.await(release), delivered))
    return Effect.gen(function* () {
      const payment = yield* newPayment()
      const fiber = yield* Effect.forkChild(Relay.run())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(versionsOf(to, payment), [1])
      const stopped = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* Effect.yieldNow
      yield* Deferred.succeed(release, undefined)
      yield* Fiber.join(stopped)
      assert.deepStrictEqual(versionsOf(to, payment), [1])
      assert.strictEqual((yield* summary).undelivered, 2)
      yield* (yield* Relay.make()).runOnce
      assert.deepStrictEqual(versionsOf(to, payment), [1, 2, 3], "nobody waits for the end of a lease")
    }).pipe(Effect.provide(layerOf(to)))
  })

  it.effect("does not run inside a host's transaction", () => {
    const inside = Layer.succeed(
      HostTransaction,
      HostTransaction.of({ isOpen: Effect.succeed(true), outside: (effect) => effect, afterCommit: (effect) => effect })
    )
    return Effect.gen(function* () {
      const exit = yield* Effect.exit((yield* Relay.make()).runOnce)
      assert.isTrue(Exit.hasDies(exit))
    }).pipe(Effect.provide(Layer.merge(layerOf(receiver()), inside)))
  })
})

describe("EndpointHealth", () => {
  const { pauseAfterFailures, pauseBaseMillis, pauseCapMillis } = Presets.relay
  const fail = (endpoint: EndpointHealth.Endpoint, now = 0) => EndpointHealth.ended(EndpointHealth.started(endpoint), false, now)
  const failing = (times: number) =>
    Array.from({ length: times }).reduce<EndpointHealth.Endpoint>((endpoint) => fail(endpoint), EndpointHealth.unknown)

  it("is paused after failures in a row, each time for longer, up to a cap", () => {
    assert.strictEqual(EndpointHealth.waitMillis(failing(pauseAfterFailures.value - 1), 0), 0)
    assert.strictEqual(EndpointHealth.waitMillis(failing(pauseAfterFailures.value), 0), pauseBaseMillis.value)
    assert.strictEqual(EndpointHealth.waitMillis(failing(pauseAfterFailures.value + 1), 0), 2 * pauseBaseMillis.value)
    assert.strictEqual(EndpointHealth.waitMillis(failing(1000), 0), pauseCapMillis.value)
  })

  it("after the pause one delivery at a time tries it, and one success ends it", () => {
    const paused = failing(pauseAfterFailures.value)
    assert.strictEqual(EndpointHealth.waitMillis(paused, pauseBaseMillis.value), 0)
    const trying = EndpointHealth.started(paused)
    assert.isAbove(EndpointHealth.waitMillis(trying, pauseBaseMillis.value), 0)
    assert.deepStrictEqual(EndpointHealth.ended(trying, true, 0), EndpointHealth.unknown)
  })
})
