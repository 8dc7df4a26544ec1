/**
 * The contract of the event store: what every layer that provides it has to pass.
 *
 * The suite shares one store among its tests, so each test looks at payments, keys and gateways of its own.
 */
import { assert, layer as shareLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as TestClock from "effect/testing/TestClock"
import type { StoredEvent } from "../../src/domain/payment/Event.ts"
import type { GatewayName, PaymentId } from "../../src/domain/payment/Ids.ts"
import { replay } from "../../src/domain/payment/Replay.ts"
import { initial, type Payment } from "../../src/domain/payment/State.ts"
import { openOperations } from "../../src/domain/payment/Status.ts"
import * as View from "../../src/domain/payment/View.ts"
import { EventStore, type Commit, type CommitResult } from "../../src/services/EventStore.ts"
import { Lock } from "../../src/services/Lock.ts"
import { Outbox } from "../../src/services/Outbox.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as Payments from "../support/payments.ts"

export type Stores = EventStore | PaymentRepository | Outbox

/** How a layer is run. `live`: with the real clock, for stores whose time is not the test clock. */
export interface SuiteOptions<R> {
  readonly live?: boolean
  /** Deletes the event with version 2 of a payment behind the store's back. */
  readonly damage?: (payment: PaymentId) => Effect.Effect<void, unknown, R>
}

/** The state after a commit that has to succeed. */
const committed = (result: CommitResult): Payment => {
  if (result._tag !== "Committed") return assert.fail(`Committed expected, ${result._tag} found`)
  return result.payment
}

/** Commits and answers the state; fails the test when the store refuses. */
export const mustCommit = (commit: Commit) =>
  Effect.map(
    Effect.flatMap(EventStore, (store) => store.commit(commit)),
    committed
  )

const count = (results: ReadonlyArray<CommitResult>, tag: CommitResult["_tag"]) => results.filter((result) => result._tag === tag).length

const replayed = (id: PaymentId, events: ReadonlyArray<StoredEvent>): Payment => {
  const state = Result.getOrThrow(replay(id, events))
  return state._tag === "Payment" ? state : assert.fail(`${id} has no events`)
}

/** Rows of the outbox that nobody holds; they are freed again at once. */
const outboxVersions = Effect.fnUntraced(function* (payment: PaymentId) {
  const outbox = yield* Outbox
  const batches = yield* outbox.lease({ owner: "inspector", payments: 1000, ttlMillis: 60_000 })
  for (const batch of batches) yield* outbox.acknowledge({ payment: batch.payment, token: batch.token, upToVersion: 0 })
  return batches.filter((batch) => batch.payment === payment).flatMap((batch) => batch.events.map((event) => event.version))
})

const openOf = Effect.fnUntraced(function* (gateway: GatewayName) {
  const repository = yield* PaymentRepository
  const page = yield* repository.openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, gateway, limit: 1000 })
  return page.data
})

/** Everything the store shows of a payment. */
const shown = Effect.fnUntraced(function* (payment: PaymentId, gateway: GatewayName) {
  const store = yield* EventStore
  const repository = yield* PaymentRepository
  return {
    events: yield* store.read(payment),
    view: Option.getOrUndefined(yield* repository.get({ id: payment })),
    open: (yield* openOf(gateway)).filter((open) => open.payment === payment),
    outbox: yield* outboxVersions(payment)
  }
})

const nothing = { events: [], view: undefined, open: [], outbox: [] }

/** Proves a layer's event store, together with what it keeps in step. */
export const suite = <R = never>(name: string, layer: Layer.Layer<Stores | R, unknown>, options: SuiteOptions<R | Stores> = {}): void => {
  shareLayer(layer, { excludeTestServices: options.live ?? false })(`${name}: EventStore`, (it) => {
    it.effect("a commit appends its events and answers the state after them", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const commit = Payments.firstCommit()
        const before = yield* store.now
        const payment = yield* mustCommit(commit)
        const after = yield* store.now
        const events = yield* store.read(commit.payment.id)
        assert.deepStrictEqual(
          events.map(({ paymentId: _id, recordedAt: _at, ...event }) => event),
          [...commit.events]
        )
        assert.isTrue(events.every((event) => event.paymentId === commit.payment.id))
        assert.isTrue(events.every((event) => event.recordedAt >= before && event.recordedAt <= after))
        assert.deepStrictEqual(payment, replayed(commit.payment.id, events))
        assert.strictEqual(payment.version, 3)
      })
    )

    it.effect("a commit keeps projection, claim, open operations and outbox in step", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const commit = Payments.firstCommit({ gateway })
        const payment = yield* mustCommit(commit)
        const first = yield* shown(payment.id, gateway)
        assert.deepStrictEqual(first.view, View.ofPayment(payment))
        assert.strictEqual(first.open.length, 1)
        assert.deepStrictEqual(first.open[0], {
          payment: payment.id,
          operation: Payments.operationNumber(1),
          gateway,
          account: Payments.account,
          kind: "sale",
          status: "processing",
          openedAt: payment.operations[0]!.intendedAt
        })
        assert.deepStrictEqual(first.outbox, [1, 2, 3])
        const { tenant, key } = commit.claim
        const claim = Option.getOrThrow(yield* repository.findClaim({ tenant, key }))
        assert.deepStrictEqual(claim, { ...commit.claim, payment: payment.id, claimedAt: claim.claimedAt })
        assert.strictEqual(claim.claimedAt, payment.createdAt)

        const done = yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
        const second = yield* shown(payment.id, gateway)
        assert.deepStrictEqual(second.view, View.ofPayment(done))
        assert.strictEqual(second.view?.status, "succeeded")
        assert.deepStrictEqual(second.open, [])
        assert.deepStrictEqual(second.outbox, [1, 2, 3, 4])
      })
    )

    it.effect("an outcome that settles nothing leaves the operation open with its new status", () =>
      Effect.gen(function* () {
        const gateway = Payments.newGateway()
        const payment = yield* mustCommit(Payments.firstCommit({ gateway }))
        yield* mustCommit(Payments.commitOf(payment, [Payments.uncertain()]))
        const open = yield* openOf(gateway)
        assert.deepStrictEqual(
          open.map((operation) => [operation.status, operation.openedAt]),
          [["unknown", payment.createdAt]]
        )
      })
    )

    it.effect("an outcome and the next intent in one commit close the one operation and open the other", () =>
      Effect.gen(function* () {
        const gateway = Payments.newGateway()
        const payment = yield* mustCommit(Payments.firstCommit({ gateway }))
        yield* mustCommit(
          Payments.commitOf(payment, [
            Payments.declined(1, "gateway_error"),
            Payments.intended({ payment: payment.id, number: 2, gateway })
          ])
        )
        assert.deepStrictEqual(
          (yield* openOf(gateway)).map((operation) => Number(operation.operation)),
          [2]
        )
      })
    )

    it.effect("an old version is refused and nothing is written", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const payment = yield* mustCommit(Payments.firstCommit({ gateway }))
        yield* mustCommit(Payments.commitOf(payment, [Payments.uncertain()]))
        const before = yield* shown(payment.id, gateway)
        const claim = Payments.claimOf({ command: "refund" })
        const stale = Payments.commitOf(payment, [Payments.intended({ payment: payment.id, number: 2, gateway })], { claim })
        assert.deepStrictEqual(yield* store.commit(stale), { _tag: "VersionConflict", actualVersion: 4 })
        assert.deepStrictEqual(yield* shown(payment.id, gateway), before)
        assert.isTrue(Option.isNone(yield* repository.findClaim(claim)), "the key stays unclaimed")
      })
    )

    it.effect("a version the history has not reached is refused", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const payment = yield* mustCommit(Payments.firstCommit())
        const ahead = { ...payment, version: 7 }
        assert.deepStrictEqual(yield* store.commit(Payments.commitOf(ahead, [Payments.cancelRequested])), {
          _tag: "VersionConflict",
          actualVersion: 3
        })
        const unknown = { ...payment, id: Payments.newPaymentId() }
        assert.deepStrictEqual(yield* store.commit(Payments.commitOf(unknown, [Payments.cancelRequested])), {
          _tag: "VersionConflict",
          actualVersion: 0
        })
        assert.deepStrictEqual(yield* store.read(unknown.id), [])
      })
    )

    it.effect("of 20 concurrent commits from one version exactly one wins", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const payment = yield* mustCommit(Payments.firstCommit())
        const commits = Array.from({ length: 20 }, () => Payments.commitOf(payment, [Payments.cancelRequested]))
        const results = yield* Effect.forEach(commits, store.commit, { concurrency: "unbounded" })
        assert.strictEqual(count(results, "Committed"), 1)
        assert.strictEqual(count(results, "VersionConflict"), 19)
        assert.isTrue(results.every((result) => result._tag !== "VersionConflict" || result.actualVersion === 4))
        const winner = commits[results.findIndex((result) => result._tag === "Committed")]!
        const events = yield* store.read(payment.id)
        assert.strictEqual(events.length, 4)
        assert.strictEqual(events[3]?.eventId, winner.events[0]?.eventId)
      })
    )

    it.effect("of 20 concurrent first commits of one payment exactly one wins", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const state = initial(Payments.newPaymentId())
        const commits = Array.from({ length: 20 }, () => Payments.commitOf(state, Payments.charging({ payment: state.id })))
        const results = yield* Effect.forEach(commits, store.commit, { concurrency: "unbounded" })
        assert.strictEqual(count(results, "Committed"), 1)
        assert.strictEqual(count(results, "VersionConflict"), 19)
        assert.strictEqual((yield* store.read(state.id)).length, 3)
      })
    )

    it.effect("a stale writer of two events keeps neither", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const gateway = Payments.newGateway()
        const state = initial(Payments.newPaymentId())
        const payment = yield* mustCommit(Payments.commitOf(state, [Payments.initiated(), Payments.screened]))
        const other = Payments.commitOf(payment, [Payments.cancelRequested])
        const stale = Payments.commitOf(payment, [Payments.intended({ payment: payment.id, gateway }), Payments.succeeded()])
        yield* mustCommit(other)
        assert.deepStrictEqual(yield* store.commit(stale), { _tag: "VersionConflict", actualVersion: 3 })
        const events = yield* store.read(payment.id)
        assert.deepStrictEqual(
          events.map((event) => event.event._tag),
          ["PaymentInitiated", "PaymentScreened", "CancelRequested"]
        )
        assert.deepStrictEqual(yield* openOf(gateway), [])
      })
    )

    it.effect("of two payments that claim one key exactly one is written", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const tenant = Payments.newTenant()
        const key = Payments.newKey()
        const gateways = [Payments.newGateway(), Payments.newGateway()]
        const commits = gateways.map((gateway) => Payments.firstCommit({ tenant, key, gateway }))
        const results = yield* Effect.forEach(commits, store.commit, { concurrency: "unbounded" })
        const won = results.findIndex((result) => result._tag === "Committed")
        assert.strictEqual(count(results, "Committed"), 1)
        const refused = results[1 - won]
        if (refused?._tag !== "KeyTaken") return assert.fail(`KeyTaken expected, ${refused?._tag} found`)
        const repository = yield* PaymentRepository
        assert.deepStrictEqual(refused.claim, Option.getOrThrow(yield* repository.findClaim({ tenant, key })))
        assert.strictEqual(refused.claim.payment, commits[won]?.payment.id)
        assert.strictEqual(refused.claim.fingerprint, commits[won]?.claim.fingerprint)
        const loser = commits[1 - won]!.payment.id
        assert.deepStrictEqual(yield* shown(loser, gateways[1 - won]!), nothing)
        // The head was not written either: the payment can still begin.
        yield* mustCommit(Payments.commitOf(initial(loser), Payments.charging({ payment: loser, details: { tenant } })))
      })
    )

    it.effect("of 20 payments that claim one key exactly one is written", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const key = Payments.newKey()
        const commits = Array.from({ length: 20 }, () => Payments.firstCommit({ tenant, key }))
        const results = yield* Effect.forEach(commits, store.commit, { concurrency: "unbounded" })
        assert.strictEqual(count(results, "Committed"), 1)
        assert.strictEqual(count(results, "KeyTaken"), 19)
        assert.strictEqual((yield* repository.list({ tenant, limit: 200 })).data.length, 1)
      })
    )

    it.effect("one key belongs to each tenant on its own", () =>
      Effect.gen(function* () {
        const key = Payments.newKey()
        yield* mustCommit(Payments.firstCommit({ tenant: Payments.newTenant(), key }))
        yield* mustCommit(Payments.firstCommit({ tenant: Payments.newTenant(), key }))
      })
    )

    it.effect("a later command of the same payment cannot take a key again", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const gateway = Payments.newGateway()
        const first = Payments.firstCommit({ gateway })
        const payment = yield* mustCommit(first)
        const before = yield* shown(payment.id, gateway)
        const again = yield* store.commit(
          Payments.commitOf(payment, [Payments.intended({ payment: payment.id, number: 2, kind: "refund", gateway })], {
            claim: { ...first.claim, command: "refund", operation: Payments.operationNumber(2) }
          })
        )
        if (again._tag !== "KeyTaken") return assert.fail(`KeyTaken expected, ${again._tag} found`)
        assert.deepStrictEqual(again.claim, { ...first.claim, payment: payment.id, claimedAt: payment.createdAt })
        assert.deepStrictEqual(yield* shown(payment.id, gateway), before)
      })
    )

    it.effect("repeating a commit answers Committed and doubles nothing", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const repository = yield* PaymentRepository
        const gateway = Payments.newGateway()
        const first = Payments.firstCommit({ gateway })
        const payment = yield* mustCommit(first)
        const before = yield* shown(payment.id, gateway)
        const claim = yield* repository.findClaim(first.claim)
        assert.deepStrictEqual(yield* mustCommit(first), payment)
        assert.deepStrictEqual(yield* shown(payment.id, gateway), before)
        assert.deepStrictEqual(yield* repository.findClaim(first.claim), claim)

        const second = Payments.commitOf(payment, [Payments.uncertain(), Payments.succeeded()])
        const done = yield* mustCommit(second)
        yield* mustCommit(Payments.commitOf(done, [Payments.cancelRequested]))
        assert.deepStrictEqual(yield* mustCommit(second), done, "the state after its own events, although others followed")
        assert.deepStrictEqual(yield* mustCommit(first), payment)
        assert.strictEqual((yield* store.read(payment.id)).length, 6)
        assert.deepStrictEqual(yield* outboxVersions(payment.id), [1, 2, 3, 4, 5, 6])
      })
    )

    it.effect("a commit of which the store has only a part is not one's own: it is refused", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const payment = yield* mustCommit(Payments.firstCommit())
        const part = Payments.commitOf(payment, [Payments.uncertain()])
        yield* mustCommit(part)
        const whole = { payment, events: [...part.events, ...Payments.following({ ...payment, version: 4 }, [Payments.succeeded()])] }
        assert.deepStrictEqual(yield* store.commit(whole), { _tag: "VersionConflict", actualVersion: 4 })
        assert.strictEqual((yield* store.read(payment.id)).length, 4)
      })
    )

    it.effect("the same commit sent several times at once is written once and always answered Committed", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const commit = Payments.firstCommit()
        const results = yield* Effect.forEach([1, 2, 3, 4, 5], () => store.commit(commit), { concurrency: "unbounded" })
        assert.strictEqual(count(results, "Committed"), 5)
        assert.strictEqual((yield* store.read(commit.payment.id)).length, 3)
      })
    )

    it.effect("reads from a version on, and nothing of a payment that does not exist", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const payment = yield* mustCommit(Payments.firstCommit())
        const all = yield* store.read(payment.id)
        assert.deepStrictEqual(yield* store.read(payment.id, { fromVersion: 1 }), all)
        assert.deepStrictEqual(yield* store.read(payment.id, { fromVersion: 3 }), all.slice(2))
        assert.deepStrictEqual(yield* store.read(payment.id, { fromVersion: 4 }), [])
        assert.deepStrictEqual(yield* store.read(Payments.newPaymentId()), [])
      })
    )

    it.effect("many events fit into one commit", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const state = initial(Payments.newPaymentId())
        const events = [Payments.initiated(), ...Array.from({ length: 149 }, () => Payments.cancelRequested)]
        yield* mustCommit(Payments.commitOf(state, events))
        const read = yield* store.read(state.id)
        assert.deepStrictEqual(
          read.map((event) => event.version),
          Array.from({ length: 150 }, (_, index) => index + 1)
        )
      })
    )

    it.effect("random histories: what is read is what was committed, and projection and open operations follow from it", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const repository = yield* PaymentRepository
        for (let seed = 1; seed <= 25; seed++) {
          const gateway = Payments.newGateway()
          const id = Payments.newPaymentId()
          const written: Array<unknown> = []
          let state: Payment | undefined
          for (const batch of Payments.randomHistory({ payment: id, seed, gateway })) {
            const commit = Payments.commitOf(state ?? initial(id), batch)
            state = yield* mustCommit(commit)
            written.push(...commit.events)
          }
          const read = yield* store.read(id)
          assert.deepStrictEqual(
            read.map(({ paymentId: _id, recordedAt: _at, ...event }): unknown => event),
            written,
            `seed ${seed}`
          )
          const payment = replayed(id, read)
          assert.deepStrictEqual(state, payment, `seed ${seed}`)
          assert.deepStrictEqual(yield* repository.get({ id }), Option.some(View.ofPayment(payment)), `seed ${seed}`)
          const expected = openOperations(payment).filter((operation) => operation.intent.gateway === gateway)
          assert.deepStrictEqual(
            (yield* openOf(gateway)).map((open) => [open.operation, open.kind, open.status, open.openedAt]).sort(byFirst),
            expected.map((operation) => [
              operation.intent.number,
              operation.intent.kind,
              View.statusOfOperation(operation),
              operation.intendedAt
            ]),
            `seed ${seed}`
          )
        }
      })
    )

    it.effect("a missing version halts the reading of that payment, and of no other", () =>
      Effect.gen(function* () {
        if (options.damage === undefined) return
        const store = yield* EventStore
        const payment = yield* mustCommit(Payments.firstCommit())
        const other = yield* mustCommit(Payments.firstCommit())
        yield* options.damage(payment.id)
        const error = yield* Effect.flip(store.read(payment.id))
        if (error._tag !== "EventContinuityError") return assert.fail(`EventContinuityError expected, ${error.message}`)
        assert.deepStrictEqual([error.paymentId, error.expectedVersion, error.actualVersion], [payment.id, 2, 3])
        const fromTwo = yield* Effect.flip(store.read(payment.id, { fromVersion: 2 }))
        assert.strictEqual(fromTwo._tag, "EventContinuityError")
        assert.strictEqual((yield* store.read(payment.id, { fromVersion: 3 })).length, 1)
        assert.strictEqual((yield* store.read(other.id)).length, 3)
      })
    )

    it.effect("reads all payments by global position, page by page", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const start = yield* lastPosition
        const commits = Array.from({ length: 10 }, () => Payments.firstCommit())
        yield* Effect.forEach(
          commits,
          (commit) => Effect.flatMap(mustCommit(commit), (payment) => mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))),
          {
            concurrency: "unbounded"
          }
        )
        const all = yield* store.readAll({ after: start, limit: 10_000 })
        assert.strictEqual(all.length, 40)
        assert.isTrue(
          all.every((row, index) => index === 0 || row.position > all[index - 1]!.position),
          "ascending positions"
        )
        assert.isTrue(all.every((row) => row.position > start))
        for (const commit of commits) {
          const own = all.map((row) => row.event).filter((event) => event.paymentId === commit.payment.id)
          assert.deepStrictEqual(own, [...(yield* store.read(commit.payment.id))])
        }
        const paged: Array<(typeof all)[number]> = []
        for (;;) {
          const page = yield* store.readAll({ after: paged.at(-1)?.position ?? start, limit: 7 })
          assert.isAtMost(page.length, 7)
          if (page.length === 0) break
          paged.push(...page)
        }
        assert.deepStrictEqual(paged, [...all])
      })
    )

    it.effect("the store's time does not depend on the process's and does not run backwards", () =>
      Effect.gen(function* () {
        const store = yield* EventStore
        const first = yield* store.now
        yield* options.live === true ? Effect.sleep(5) : TestClock.adjust(5)
        const payment = yield* mustCommit(Payments.firstCommit())
        assert.isAbove(payment.createdAt, first)
        assert.isAtLeast(yield* store.now, payment.createdAt)
      })
    )
  })
}

const byFirst = (left: ReadonlyArray<unknown>, right: ReadonlyArray<unknown>) => Number(left[0]) - Number(right[0])

const lastPosition = Effect.gen(function* () {
  const store = yield* EventStore
  let position = 0n
  for (;;) {
    const page = yield* store.readAll({ after: position, limit: 10_000 })
    if (page.length === 0) return position
    position = page.at(-1)!.position
  }
})

/** Proves that a commit under a lease is refused once the lease is lost, and only then. */
export const fenceSuite = (
  name: string,
  layer: Layer.Layer<EventStore | Lock, unknown>,
  options: { readonly live?: boolean } = {}
): void => {
  const elapse = (millis: number) => (options.live === true ? Effect.sleep(millis) : TestClock.adjust(millis))
  const held = Effect.fnUntraced(function* (ttlMillis: number) {
    const lock = yield* Lock
    const payment = yield* mustCommit(Payments.firstCommit())
    const lease = yield* lock.acquire({ key: `payment:${payment.id}`, owner: "first", ttlMillis })
    const commit = Payments.commitOf(payment, [Payments.cancelRequested], { lease: { key: lease.key, token: lease.token } })
    return { lock, payment, lease, commit }
  })
  const refusedWith = Effect.fnUntraced(function* (commit: Commit) {
    const store = yield* EventStore
    assert.deepStrictEqual(yield* store.commit(commit), { _tag: "LeaseLost" })
    assert.strictEqual((yield* store.read(commit.payment.id)).length, commit.payment.version, "nothing was written")
  })

  shareLayer(layer, { excludeTestServices: options.live ?? false })(`${name}: EventStore under a lease`, (it) => {
    it.effect("the holder commits, and its repetition is recognised after the lease has gone", () =>
      Effect.gen(function* () {
        const { lock, lease, commit } = yield* held(60_000)
        const payment = yield* mustCommit(commit)
        assert.isTrue(yield* lock.release(lease))
        assert.deepStrictEqual(yield* mustCommit(commit), payment)
      })
    )

    it.effect("after a release it is refused", () =>
      Effect.gen(function* () {
        const { lock, lease, commit } = yield* held(60_000)
        yield* lock.release(lease)
        yield* refusedWith(commit)
      })
    )

    it.effect("after the lease has expired it is refused, and also when somebody else holds it", () =>
      Effect.gen(function* () {
        const { lock, lease, commit } = yield* held(20)
        yield* elapse(60)
        yield* refusedWith(commit)
        const newer = yield* lock.acquire({ key: lease.key, owner: "second", ttlMillis: 60_000 })
        assert.isTrue(newer.token > lease.token)
        yield* refusedWith(commit)
        yield* mustCommit({ ...commit, lease: { key: newer.key, token: newer.token } })
      })
    )

    it.effect("a lease nobody has is refused", () =>
      Effect.gen(function* () {
        const { commit } = yield* held(60_000)
        yield* refusedWith({ ...commit, lease: { key: "nobody", token: 1n } })
      })
    )

    it.effect("a fact is committed without a lease", () =>
      Effect.gen(function* () {
        const { payment } = yield* held(20)
        yield* mustCommit(Payments.commitOf(payment, [Payments.succeeded()]))
      })
    )
  })
}
