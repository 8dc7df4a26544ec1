/**
 * The contract of the counts of the payment repository, which velocity checks go by: what every layer that provides it has to pass.
 */
import { assert, layer as shareLayer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { EventStore } from "../../src/services/EventStore.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import * as Payments from "../support/payments.ts"
import { mustCommit, type Stores } from "./EventStore.ts"

/** Proves the counts of a layer's payment repository. `live`: with the real clock, for stores whose time is not the test clock. */
export const suite = (name: string, layer: Layer.Layer<Stores, unknown>, options: { readonly live?: boolean } = {}): void => {
  const elapse = (millis: number) => (options.live === true ? Effect.sleep(millis) : TestClock.adjust(millis))

  shareLayer(layer, { excludeTestServices: options.live ?? false })(`${name}: counts of payments`, (it) => {
    it.effect("counts the payments of a merchant, and of one of its customers, no further than the limit", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const other = Payments.newTenant()
        const withinMillis = 3_600_000
        const customers = ["c-1", "c-2", "c-1", undefined, "c-1", "Zoë O'Neil 東京"]
        for (const id of customers) {
          yield* mustCommit(Payments.firstCommit({ tenant, details: id === undefined ? {} : { customer: { id } } }))
        }
        yield* mustCommit(Payments.firstCommit({ tenant: other, details: { customer: { id: "c-1", country: "IE" } } }))
        yield* mustCommit(Payments.firstCommit({ tenant: other, details: { customer: { country: "IE" } } }))
        const count = (customer?: string, limit = 100) =>
          repository.count({ tenant, withinMillis, limit, ...(customer === undefined ? {} : { customer }) })
        assert.strictEqual(yield* count(), 6)
        assert.strictEqual(yield* count("c-1"), 3)
        assert.strictEqual(yield* count("Zoë O'Neil 東京"), 1)
        assert.strictEqual(yield* count("c-3"), 0)
        assert.deepStrictEqual([yield* count(undefined, 4), yield* count("c-1", 2), yield* count("c-1", 3)], [4, 2, 3])
        assert.strictEqual(yield* repository.count({ tenant: other, withinMillis, limit: 100 }), 2)
        assert.strictEqual(yield* repository.count({ tenant: other, customer: "c-1", withinMillis, limit: 100 }), 1)
        assert.strictEqual(yield* repository.count({ tenant: Payments.newTenant(), withinMillis, limit: 1 }), 0)
      })
    )

    it.effect("a payment counts once, whatever became of it", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenant = Payments.newTenant()
        const details = { customer: { id: "c-1" } }
        const query = { tenant, withinMillis: 3_600_000, limit: 100 }
        const first = yield* mustCommit(Payments.firstCommit({ tenant, details }))
        yield* mustCommit(Payments.commitOf(first, [Payments.declined(), Payments.failed]))
        const second = yield* mustCommit(Payments.firstCommit({ tenant, details }))
        const charged = yield* mustCommit(Payments.commitOf(second, [Payments.succeeded()]))
        yield* mustCommit(
          Payments.commitOf(charged, [Payments.cancelRequested], { claim: Payments.claimOf({ tenant, command: "cancel" }) })
        )
        assert.deepStrictEqual([yield* repository.count(query), yield* repository.count({ ...query, customer: "c-1" })], [2, 2])
      })
    )

    it.effect("counts what was created within the time, to the millisecond", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const store = yield* EventStore
        const tenant = Payments.newTenant()
        const details = { customer: { id: "c-1" } }
        const created: Array<number> = []
        for (let index = 0; index < 3; index++) {
          created.push((yield* mustCommit(Payments.firstCommit({ tenant, details }))).createdAt)
          yield* elapse(20)
        }
        const both = Effect.fnUntraced(function* (withinMillis: number) {
          const query = { tenant, withinMillis, limit: 100 }
          return [yield* repository.count(query), yield* repository.count({ ...query, customer: "c-1" })]
        })
        const [, , newest = 0] = created
        // Real time goes on between two questions: on a store of its own clock only bounds can be asked for.
        assert.deepStrictEqual(yield* both((yield* store.now) - newest + 60_000), [3, 3])
        assert.deepStrictEqual(yield* both(0), [0, 0])
        assert.deepStrictEqual(yield* both(1), [0, 0])
        if (options.live !== true) {
          assert.deepStrictEqual(yield* both(20), [0, 0])
          assert.deepStrictEqual(yield* both(21), [1, 1])
          assert.deepStrictEqual(yield* both(60), [2, 2])
          assert.deepStrictEqual(yield* both(61), [3, 3])
        }
        assert.deepStrictEqual(yield* both(365 * 24 * 3_600_000), [3, 3], "a longer time than is looked back over is shortened")
      })
    )

    it.effect("many questions at once are answered each its own", () =>
      Effect.gen(function* () {
        const repository = yield* PaymentRepository
        const tenants = Array.from({ length: 4 }, () => Payments.newTenant())
        for (const [index, tenant] of tenants.entries()) {
          for (let made = 0; made < index; made++) yield* mustCommit(Payments.firstCommit({ tenant }))
        }
        const questions = Array.from({ length: 40 }, (_, index) => tenants[index % 4]!)
        const counts = yield* Effect.forEach(questions, (tenant) => repository.count({ tenant, withinMillis: 3_600_000, limit: 10 }), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          counts,
          questions.map((_, index) => index % 4)
        )
      })
    )
  })
}
