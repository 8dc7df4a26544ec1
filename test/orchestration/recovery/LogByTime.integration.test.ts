/** The log from a moment on, on Postgres, whose positions are made of transaction ids. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { eventsSince } from "../../../src/orchestration/recovery/LogByTime.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { mustCommit } from "../../contracts/EventStore.ts"
import * as Payments from "../../support/payments.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"

const stores = Postgres.layer.pipe(Layer.provideMerge(Migrations.layer), Layer.provideMerge(TestDatabase.layer))

const versionsSince = (since: number) =>
  Effect.flatMap(eventsSince(since), (events) =>
    Effect.map(Stream.runCollect(events), (all) => [...all].map(({ paymentId, version }) => `${paymentId} ${version}`))
  )

layer(stores, { excludeTestServices: true })("the log from a moment on", (it) => {
  it.effect("has every event recorded from then on, once, in order; none before; none of the future", () =>
    Effect.gen(function* () {
      const store = yield* EventStore
      assert.deepStrictEqual(yield* versionsSince(0), [], "of an empty log")
      const make = Effect.forEach(Array.from({ length: 30 }), () =>
        Effect.flatMap(mustCommit(Payments.firstCommit()), (payment) => mustCommit(Payments.commitOf(payment, [Payments.succeeded()])))
      )
      const before = yield* make
      yield* Effect.sleep("5 millis")
      const now = yield* store.now
      yield* Effect.sleep("5 millis")
      const after = yield* make
      const expected = (payments: typeof after) => payments.flatMap(({ id }) => [1, 2, 3, 4].map((version) => `${id} ${version}`))
      assert.deepStrictEqual(yield* versionsSince(now), expected(after))
      assert.deepStrictEqual(yield* versionsSince(0), expected([...before, ...after]))
      assert.deepStrictEqual(yield* versionsSince((yield* store.now) + 60_000), [])
    })
  )
})
