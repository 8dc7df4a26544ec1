/**
 * The contract of the outbox: what every layer that provides it has to pass, on what the event store of the same layer has
 * written.
 *
 * Each test begins with an empty outbox: what an earlier one left is delivered first.
 */
import { assert, layer as shareLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { initial } from "../../src/domain/payment/State.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { Outbox, type OutboxBatch } from "../../src/services/Outbox.ts"
import * as Payments from "../support/payments.ts"
import { mustCommit, type Stores } from "./EventStore.ts"

const minute = 60_000

const leaseAll = (owner: string, options: { readonly payments?: number; readonly ttlMillis?: number } = {}) =>
  Effect.flatMap(Outbox, (outbox) => outbox.lease({ owner, payments: options.payments ?? 100, ttlMillis: options.ttlMillis ?? minute }))

const leaseOne = Effect.fnUntraced(function* (owner: string, ttlMillis = minute) {
  const batches = yield* leaseAll(owner, { ttlMillis })
  assert.strictEqual(batches.length, 1)
  return batches[0]!
})

const acknowledge = (batch: OutboxBatch, upToVersion = batch.events.at(-1)!.version) =>
  Effect.flatMap(Outbox, (outbox) => outbox.acknowledge({ payment: batch.payment, token: batch.token, upToVersion }))

const retryLater = (batch: OutboxBatch, delayMillis: number) =>
  Effect.flatMap(Outbox, (outbox) => outbox.retryLater({ payment: batch.payment, token: batch.token, delayMillis }))

const versions = (batch: OutboxBatch) => batch.events.map((event) => event.version)

/** Proves a layer's outbox. `live`: with the real clock, for stores whose time is not the test clock. */
export const suite = (name: string, layer: Layer.Layer<Stores, unknown>, options: { readonly live?: boolean } = {}): void => {
  const elapse = (millis: number) => (options.live === true ? Effect.sleep(millis) : TestClock.adjust(millis))

  const empty = Effect.gen(function* () {
    const outbox = yield* Outbox
    for (let rounds = 0; rounds < 200; rounds++) {
      for (const batch of yield* leaseAll("emptier")) yield* acknowledge(batch)
      if ((yield* outbox.summary).undelivered === 0) return
      yield* elapse(10)
    }
    return assert.fail("the outbox does not become empty")
  })

  shareLayer(layer, { excludeTestServices: options.live ?? false })(`${name}: Outbox`, (it) => {
    it.effect("leases the events of a payment in version order, as the store has them", () =>
      Effect.gen(function* () {
        yield* empty
        const store = yield* EventStore
        const payment = yield* mustCommit(Payments.firstCommit())
        yield* mustCommit(Payments.commitOf(payment, [Payments.uncertain(), Payments.succeeded()]))
        const batch = yield* leaseOne("a")
        assert.strictEqual(batch.payment, payment.id)
        assert.strictEqual(batch.attempts, 0)
        assert.strictEqual(batch.tenant, payment.details.tenant)
        assert.deepStrictEqual([...batch.events], [...(yield* store.read(payment.id))])
        assert.isTrue(yield* acknowledge(batch))
        assert.deepStrictEqual(yield* leaseAll("a"), [])
      })
    )

    it.effect("a payment that is held is leased to nobody else", () =>
      Effect.gen(function* () {
        yield* empty
        yield* mustCommit(Payments.firstCommit())
        const batch = yield* leaseOne("a")
        assert.deepStrictEqual(yield* leaseAll("b"), [])
        assert.deepStrictEqual(yield* leaseAll("a"), [], "not to the holder either")
        assert.isTrue(yield* acknowledge(batch))
      })
    )

    it.effect("concurrent relays never hold one payment together", () =>
      Effect.gen(function* () {
        yield* empty
        const commits = Array.from({ length: 12 }, () => Payments.firstCommit())
        yield* Effect.forEach(commits, mustCommit)
        const owners = ["a", "b", "c", "d", "e"]
        const leased: Array<OutboxBatch> = []
        for (let round = 0; round < 12 && leased.length < 12; round++) {
          const batches = yield* Effect.forEach(owners, (owner) => leaseAll(owner, { payments: 2 }), { concurrency: "unbounded" })
          assert.isTrue(batches.every((own) => own.length <= 2))
          leased.push(...batches.flat())
        }
        assert.deepStrictEqual(
          leased.map((batch): string => batch.payment).sort(),
          commits.map((commit): string => commit.payment.id).sort()
        )
        assert.strictEqual(new Set(leased.map((batch) => `${batch.payment} ${batch.token}`)).size, 12)
        for (const batch of leased) assert.isTrue(yield* acknowledge(batch))
      })
    )

    it.effect("takes the oldest first, no more than asked for", () =>
      Effect.gen(function* () {
        yield* empty
        const ids: Array<string> = []
        for (let index = 0; index < 5; index++) {
          ids.push((yield* mustCommit(Payments.firstCommit())).id)
          yield* elapse(2)
        }
        const first = yield* leaseAll("a", { payments: 2 })
        const second = yield* leaseAll("b", { payments: 2 })
        const idsOf = (batches: ReadonlyArray<OutboxBatch>) => batches.map((batch): string => batch.payment)
        assert.deepStrictEqual(idsOf(first), ids.slice(0, 2))
        assert.deepStrictEqual(idsOf(second), ids.slice(2, 4))
        for (const batch of [...first, ...second]) assert.isTrue(yield* acknowledge(batch))
      })
    )

    it.effect("what is committed while the payment is held waits for the next lease", () =>
      Effect.gen(function* () {
        yield* empty
        const payment = yield* mustCommit(Payments.firstCommit())
        const batch = yield* leaseOne("a")
        yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
        assert.deepStrictEqual(versions(batch), [1, 2, 3])
        assert.deepStrictEqual(yield* leaseAll("b"), [], "the new row belongs to the holder too")
        assert.isTrue(yield* acknowledge(batch))
        const next = yield* leaseOne("b")
        assert.deepStrictEqual(versions(next), [4])
        assert.isTrue(yield* acknowledge(next))
      })
    )

    it.effect("acknowledging a part delivers the rest next", () =>
      Effect.gen(function* () {
        yield* empty
        yield* mustCommit(Payments.firstCommit())
        assert.isTrue(yield* acknowledge(yield* leaseOne("a"), 2))
        const rest = yield* leaseOne("b")
        assert.deepStrictEqual(versions(rest), [3])
        assert.isTrue(yield* acknowledge(rest))
      })
    )

    it.effect("an acknowledged lease is over: its token is good for nothing more", () =>
      Effect.gen(function* () {
        yield* empty
        const payment = yield* mustCommit(Payments.firstCommit())
        const batch = yield* leaseOne("a")
        assert.isTrue(yield* acknowledge(batch, 1))
        assert.isFalse(yield* acknowledge(batch))
        assert.isFalse(yield* retryLater(batch, 1000))
        const rest = yield* leaseOne("b")
        assert.deepStrictEqual([rest.payment, versions(rest)], [payment.id, [2, 3]])
        assert.isTrue(rest.token > batch.token)
        assert.isTrue(yield* acknowledge(rest))
      })
    )

    it.effect("an expired lease is taken over, and the old holder's answers count for nothing", () =>
      Effect.gen(function* () {
        yield* empty
        yield* mustCommit(Payments.firstCommit())
        const old = yield* leaseOne("a", 20)
        yield* elapse(60)
        const taken = yield* leaseOne("b")
        assert.isTrue(taken.token > old.token)
        assert.deepStrictEqual(versions(taken), versions(old))
        assert.isFalse(yield* acknowledge(old))
        assert.isFalse(yield* retryLater(old, 0))
        assert.deepStrictEqual(yield* leaseAll("c"), [], "the new holder still has it")
        assert.isTrue(yield* acknowledge(taken))
        assert.deepStrictEqual(yield* leaseAll("c"), [])
      })
    )

    it.effect("a failed delivery is counted, waits its time, and holds back only its own payment", () =>
      Effect.gen(function* () {
        yield* empty
        const failing = yield* mustCommit(Payments.firstCommit())
        const batch = yield* leaseOne("a")
        const other = yield* mustCommit(Payments.firstCommit())
        assert.isTrue(yield* retryLater(batch, 500))
        yield* mustCommit(Payments.commitOf(failing, [Payments.succeeded()]))
        const meanwhile = yield* leaseOne("a")
        assert.strictEqual(meanwhile.payment, other.id)
        assert.isTrue(yield* acknowledge(meanwhile))
        yield* elapse(600)
        const again = yield* leaseOne("a")
        assert.deepStrictEqual([again.payment, again.attempts, versions(again)], [failing.id, 1, [1, 2, 3, 4]])
        assert.isTrue(yield* retryLater(again, 0))
        const third = yield* leaseOne("b")
        assert.strictEqual(third.attempts, 2)
        assert.isTrue(yield* acknowledge(third, 3))
        const rest = yield* leaseOne("b")
        assert.deepStrictEqual([rest.attempts, versions(rest)], [0, [4]], "the next row has not failed yet")
        assert.isTrue(yield* acknowledge(rest))
      })
    )

    it.effect("a batch holds 100 events at most, the first ones", () =>
      Effect.gen(function* () {
        yield* empty
        const state = initial(Payments.newPaymentId())
        yield* mustCommit(Payments.commitOf(state, [Payments.initiated(), ...Array.from({ length: 119 }, () => Payments.cancelRequested)]))
        const first = yield* leaseOne("a")
        assert.deepStrictEqual(
          versions(first),
          Array.from({ length: 100 }, (_, index) => index + 1)
        )
        assert.isTrue(yield* acknowledge(first))
        const second = yield* leaseOne("a")
        assert.deepStrictEqual(
          versions(second),
          Array.from({ length: 20 }, (_, index) => index + 101)
        )
        assert.isTrue(yield* acknowledge(second))
      })
    )

    it.effect("sums up what is undelivered, held or not", () =>
      Effect.gen(function* () {
        yield* empty
        const outbox = yield* Outbox
        assert.deepStrictEqual(yield* outbox.summary, { undelivered: 0, oldestRecordedAt: undefined, dead: 0 })
        const first = yield* mustCommit(Payments.firstCommit())
        yield* elapse(2)
        const second = yield* mustCommit(Payments.firstCommit())
        assert.deepStrictEqual(yield* outbox.summary, { undelivered: 6, oldestRecordedAt: first.createdAt, dead: 0 })
        const batches = yield* leaseAll("a")
        assert.strictEqual((yield* outbox.summary).undelivered, 6)
        for (const batch of batches.filter((held) => held.payment === first.id)) yield* acknowledge(batch)
        assert.deepStrictEqual(yield* outbox.summary, { undelivered: 3, oldestRecordedAt: second.createdAt, dead: 0 })
        for (const batch of batches.filter((held) => held.payment === second.id)) yield* acknowledge(batch)
        assert.strictEqual((yield* outbox.summary).undelivered, 0)
      })
    )

    it.effect("a payment that was not tried is handed back without counting", () =>
      Effect.gen(function* () {
        yield* empty
        const outbox = yield* Outbox
        const payment = yield* mustCommit(Payments.firstCommit())
        const { token } = yield* leaseOne("a")
        assert.isTrue(yield* outbox.retryLater({ payment: payment.id, token, delayMillis: 0, failed: false }))
        const again = yield* leaseOne("a")
        assert.strictEqual(again.attempts, 0)
        assert.isTrue(yield* acknowledge(again))
      })
    )

    it.effect("a payment that is given up waits as a whole, what follows included, and is replayed from where it stood", () =>
      Effect.gen(function* () {
        yield* empty
        const outbox = yield* Outbox
        const payment = yield* mustCommit(Payments.firstCommit())
        assert.isTrue(yield* acknowledge(yield* leaseOne("a"), 1))
        assert.isTrue(yield* retryLater(yield* leaseOne("a"), 0))
        const batch = yield* leaseOne("a")
        assert.isTrue(yield* outbox.deadLetter({ payment: payment.id, token: batch.token, reason: "the endpoint is gone" }))
        assert.isFalse(yield* acknowledge(batch), "its lease is over")
        assert.isFalse(yield* outbox.deadLetter({ payment: payment.id, token: batch.token, reason: "again" }))
        assert.deepStrictEqual(yield* outbox.summary, { undelivered: 0, oldestRecordedAt: undefined, dead: 1 })
        yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
        const other = yield* mustCommit(Payments.firstCommit())
        const meanwhile = yield* leaseOne("b")
        assert.strictEqual(meanwhile.payment, other.id, "it holds back nobody else, and nothing of it is delivered")
        assert.isTrue(yield* acknowledge(meanwhile))
        assert.strictEqual((yield* outbox.summary).undelivered, 1)
        const [dead, ...more] = yield* outbox.deadLetters({ limit: 10 })
        assert.deepStrictEqual(more, [])
        assert.deepStrictEqual([dead?.payment, dead?.attempts, dead?.reason, dead?.undelivered], [payment.id, 1, "the endpoint is gone", 3])
        assert.isTrue(yield* outbox.replay(payment.id))
        assert.isFalse(yield* outbox.replay(payment.id), "it is alive")
        assert.deepStrictEqual(yield* outbox.deadLetters({ limit: 10 }), [])
        const replayed = yield* leaseOne("b")
        assert.deepStrictEqual([replayed.payment, replayed.attempts, versions(replayed)], [payment.id, 0, [2, 3, 4]])
        assert.isTrue(yield* acknowledge(replayed))
        assert.deepStrictEqual(yield* outbox.summary, { undelivered: 0, oldestRecordedAt: undefined, dead: 0 })
      })
    )

    it.effect("a refused commit leaves no row", () =>
      Effect.gen(function* () {
        yield* empty
        const store = yield* EventStore
        const payment = yield* mustCommit(Payments.firstCommit())
        yield* acknowledge(yield* leaseOne("a"))
        yield* mustCommit(Payments.commitOf(payment, [Payments.cancelRequested]))
        const refused = yield* store.commit(Payments.commitOf(payment, [Payments.succeeded(), Payments.cancelRequested]))
        assert.strictEqual(refused._tag, "VersionConflict")
        const batch = yield* leaseOne("a")
        assert.deepStrictEqual(
          batch.events.map((event) => event.event._tag),
          ["CancelRequested"]
        )
        assert.isTrue(yield* acknowledge(batch))
      })
    )

    it.effect("writers and relays at once: every event is delivered once, in version order", () =>
      Effect.gen(function* () {
        yield* empty
        const delivered = new Map<string, Array<number>>()
        const write = Effect.gen(function* () {
          let payment = yield* mustCommit(Payments.firstCommit())
          for (let commit = 0; commit < 4; commit++) {
            payment = yield* mustCommit(Payments.commitOf(payment, [Payments.cancelRequested]))
            yield* Effect.yieldNow
          }
        })
        const relay = (owner: string) =>
          Effect.gen(function* () {
            for (let round = 0; round < 20; round++) {
              for (const batch of yield* leaseAll(owner, { payments: 3 })) {
                yield* Effect.yieldNow
                delivered.set(batch.payment, [...(delivered.get(batch.payment) ?? []), ...versions(batch)])
                assert.isTrue(yield* acknowledge(batch))
              }
              yield* Effect.yieldNow
            }
          })
        yield* Effect.all([...Array.from({ length: 6 }, () => write), relay("a"), relay("b"), relay("c")], { concurrency: "unbounded" })
        yield* relay("a")
        assert.strictEqual(delivered.size, 6)
        for (const [payment, order] of delivered) assert.deepStrictEqual(order, [1, 2, 3, 4, 5, 6, 7], payment)
      })
    )
  })
}
