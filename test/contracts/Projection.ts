/**
 * The contract of the projection: what every layer that provides it has to pass, on what the event store of the same layer has
 * written.
 */
import { assert, layer as shareLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { GatewayName, type PaymentId } from "../../src/domain/payment/Ids.ts"
import { initial, type Payment, type PaymentState } from "../../src/domain/payment/State.ts"
import * as View from "../../src/domain/payment/View.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import { Projection } from "../../src/services/Projection.ts"
import * as Rebuild from "../../src/orchestration/recovery/Rebuild.ts"
import * as Payments from "../support/payments.ts"
import { mustCommit } from "./EventStore.ts"

type Services = EventStore | PaymentRepository | Projection

/** What a hand in the tables may do to the projection of a payment. */
export interface Damage<R> {
  readonly status: (payment: PaymentId) => Effect.Effect<unknown, unknown, R>
  readonly view: (payment: PaymentId) => Effect.Effect<unknown, unknown, R>
  /** Forgets its open operations. */
  readonly noOpen: (payment: PaymentId) => Effect.Effect<unknown, unknown, R>
  /** Lists operations that are not open, and one that is with another status. */
  readonly strangeOpen: (payment: PaymentId) => Effect.Effect<unknown, unknown, R>
  /** Takes the second event away. */
  readonly history: (payment: PaymentId) => Effect.Effect<unknown, unknown, R>
  /** Takes the whole projection away, where it can be gone without the events. */
  readonly all?: (payment: PaymentId) => Effect.Effect<unknown, unknown, R>
}

/** A payment of random events. */
const live = Effect.fnUntraced(function* (seed: number, gateway: GatewayName) {
  const id = Payments.newPaymentId()
  let state: PaymentState = initial(id)
  for (const events of Payments.randomHistory({ payment: id, seed, gateway })) {
    state = yield* mustCommit(Payments.commitOf(state, events))
  }
  return state as Payment
})

/** What readers see of a payment. */
const seen = Effect.fnUntraced(function* (id: PaymentId) {
  const repository = yield* PaymentRepository
  const view = Option.getOrUndefined(yield* repository.get({ id }))
  const open: Array<unknown> = []
  let cursor: string | undefined
  do {
    const page = yield* repository.openOperations({
      openedBefore: Number.MAX_SAFE_INTEGER / 2,
      limit: 1000,
      ...(cursor === undefined ? {} : { cursor })
    })
    open.push(...page.data.filter((operation) => operation.payment === id))
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return { view, open: open.sort((left, right) => JSON.stringify(left).localeCompare(JSON.stringify(right))) }
})

/** Proves a layer's projection. `live`: with the real clock, for stores whose time is not the test clock. */
export const suite = <R = never>(
  name: string,
  layer: Layer.Layer<Services | R, unknown>,
  options: { readonly damage: Damage<R>; readonly live?: boolean }
): void => {
  const { damage } = options
  const kinds = [damage.status, damage.view, damage.noOpen, damage.strangeOpen, ...(damage.all === undefined ? [] : [damage.all])]

  shareLayer(layer, { excludeTestServices: options.live ?? false })(`${name}: Projection`, (it) => {
    it.effect("random histories, damaged in every way: rebuilt, they are what the live projection was, field by field", () =>
      Effect.gen(function* () {
        const projection = yield* Projection
        for (let seed = 1; seed <= 60; seed++) {
          const payment = yield* live(seed, Payments.newGateway())
          const before = yield* seen(payment.id)
          assert.deepStrictEqual(before.view, View.ofPayment(payment))
          assert.deepStrictEqual(yield* projection.compare(payment.id), [], "the live projection is what the events say")
          const kind = kinds[seed % kinds.length]!
          yield* kind(payment.id)
          const parts = yield* projection.compare(payment.id)
          if (kind !== damage.noOpen || before.open.length > 0) assert.isNotEmpty(parts, `seed ${seed}`)
          assert.deepStrictEqual(yield* projection.rebuild(payment.id), parts)
          assert.deepStrictEqual(yield* seen(payment.id), before, `seed ${seed}`)
          assert.deepStrictEqual(yield* projection.rebuild(payment.id), [], "the second time there is nothing to do")
        }
      })
    )

    it.effect("a rebuild of everything reports what it did, and a second one changes nothing", () =>
      Effect.gen(function* () {
        const payments = yield* Effect.forEach([101, 102, 103, 104], (seed) => live(seed, Payments.newGateway()))
        const before = yield* Effect.forEach(payments, ({ id }) => seen(id))
        yield* damage.status(payments[0]!.id)
        yield* damage.view(payments[1]!.id)
        const dry = yield* Rebuild.rebuild({ dryRun: true })
        assert.deepStrictEqual(dry.differences.map(({ payment }) => payment).sort(), [payments[0]!.id, payments[1]!.id].sort())
        const told: Array<number> = []
        const first = yield* Rebuild.rebuild({ onProgress: ({ scanned }) => Effect.sync(() => told.push(scanned)) })
        assert.strictEqual(first.rewritten, 2)
        assert.strictEqual(first.damaged, 0)
        assert.strictEqual(first.scanned, first.rewritten + first.unchanged)
        assert.strictEqual(told.at(-1), first.scanned)
        const second = yield* Rebuild.rebuild()
        assert.deepStrictEqual(
          { ...second, durationMillis: 0 },
          {
            scanned: first.scanned,
            rewritten: 0,
            unchanged: first.scanned,
            damaged: 0,
            differences: [],
            damages: [],
            durationMillis: 0
          }
        )
        assert.deepStrictEqual(yield* Effect.forEach(payments, ({ id }) => seen(id)), before)
      })
    )

    it.effect("pages name every payment once, in an order that stays", () =>
      Effect.gen(function* () {
        const projection = yield* Projection
        const made = yield* Effect.forEach([1, 2, 3, 4, 5], () => Effect.map(mustCommit(Payments.firstCommit()), ({ id }) => id))
        const all = Effect.fnUntraced(function* (limit: number) {
          const ids: Array<PaymentId> = []
          let cursor: string | undefined
          do {
            const page = yield* projection.payments({ limit, ...(cursor === undefined ? {} : { cursor }) })
            assert.isAtMost(page.data.length, limit)
            ids.push(...page.data)
            cursor = page.nextCursor
          } while (cursor !== undefined)
          return ids
        })
        const ids = yield* all(2)
        assert.deepStrictEqual([...new Set(ids)], ids)
        assert.deepStrictEqual(yield* all(1000), ids)
        for (const id of made) assert.include(ids, id)
        assert.deepStrictEqual(yield* projection.payments({ limit: 2, cursor: "nonsense, larger than any id" }), {
          data: [],
          nextCursor: undefined
        })
      })
    )

    it.effect("a damaged history is listed and left as it is; the others go on", () =>
      Effect.gen(function* () {
        const [begun, other] = [yield* mustCommit(Payments.firstCommit()), yield* mustCommit(Payments.firstCommit())]
        const broken = yield* mustCommit(Payments.commitOf(begun, [Payments.uncertain()]))
        const before = yield* seen(broken.id)
        yield* damage.history(broken.id)
        yield* damage.status(other.id)
        const report = yield* Rebuild.rebuild()
        assert.strictEqual(report.damaged, 1)
        assert.deepStrictEqual(
          report.damages.map(({ payment }) => payment),
          [broken.id]
        )
        assert.match(report.damages[0]!.message, /version 2 expected, 3 found/)
        assert.deepInclude(
          report.differences.map(({ payment }) => payment),
          other.id
        )
        assert.deepStrictEqual(yield* seen(broken.id), before)
      })
    )

    it.effect("commits meanwhile win: projections are those of the newest version", () =>
      Effect.gen(function* () {
        const payments = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () => mustCommit(Payments.firstCommit()))
        const committing = Effect.forEach(
          payments,
          Effect.fnUntraced(function* (first: Payment) {
            let payment = first
            for (let commit = 0; commit < 12; commit++) {
              const event =
                commit % 3 === 0
                  ? Payments.intended({ payment: payment.id, number: payment.operations.length + 1, kind: "refund", target: 1 })
                  : commit % 3 === 1
                    ? Payments.uncertain(payment.operations.length)
                    : Payments.succeeded(payment.operations.length)
              payment = yield* mustCommit(Payments.commitOf(payment, [event]))
              yield* Effect.yieldNow
            }
            return payment
          }),
          { concurrency: "unbounded" }
        )
        const damaging = Effect.forEach(payments, (payment, index) => Effect.repeat(kinds[index % 4]!(payment.id), { times: 5 }), {
          concurrency: 2
        })
        const [after] = yield* Effect.all([committing, damaging, Effect.repeat(Rebuild.rebuild(), { times: 3 })], {
          concurrency: "unbounded"
        })
        yield* Rebuild.rebuild()
        const projection = yield* Projection
        const store = yield* EventStore
        for (const payment of after) {
          assert.strictEqual((yield* store.read(payment.id)).length, payment.version, "no commit was lost")
          assert.deepStrictEqual((yield* seen(payment.id)).view, View.ofPayment(payment))
          assert.deepStrictEqual(yield* projection.compare(payment.id), [])
        }
      })
    )
  })
}
