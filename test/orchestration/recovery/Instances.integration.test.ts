/**
 * Several instances that recover the same payments on a real Postgres, at the same time and once more afterwards (I9).
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { chargeRequest, success, testGateway } from "../../support/TestEngine.ts"
import { start } from "../../support/TestProcess.ts"

const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, MemoryGatewayMetrics.layer, MemoryIds.layer).pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(TestDatabase.layer)
)

const payments = 200
const instances = 5

layer(stores, { timeout: "60 seconds", excludeTestServices: true })("several recoveries on Postgres", (it) => {
  it.effect("five of 200 payments at once, then once more: each charged once, asked about once, no event more", () => {
    const executed = new Map<string, number>()
    const execute = (intent: Intent) => {
      executed.set(intent.requestKey, (executed.get(intent.requestKey) ?? 0) + 1)
      return success(intent)
    }
    // Every second request was executed before the process ended.
    const crashing = testGateway("a", {
      send: (intent, nth) =>
        Effect.andThen(
          Effect.sync(() => nth % 2 === 0 && execute(intent)),
          Effect.never
        )
    })
    const gateway = () =>
      testGateway("a", {
        send: (intent) =>
          Effect.delay(
            Effect.sync(() => execute(intent)),
            "10 millis"
          ),
        lookup: (intent) =>
          Effect.delay(
            Effect.sync((): LookupAnswer => (executed.has(intent.requestKey) ? success(intent) : { _tag: "Absent" })),
            "5 millis"
          )
      })
    return Effect.gen(function* () {
      const crashed = yield* start([crashing], { attemptTimeoutMillis: 60_000 })
      const charging = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: payments }), (_, nth) => crashed.payments.charge(chargeRequest(`k${nth}`)), {
          concurrency: "unbounded",
          discard: true
        })
      )
      while (crashing.sent.length < payments) yield* Effect.sleep("10 millis")
      yield* crashed.crash
      yield* Fiber.await(charging)
      const gateways = Array.from({ length: instances }, gateway)
      const processes = yield* Effect.forEach(gateways, (one) => start([one]))
      const recovering = Effect.forEach(processes, (process) => process.payments.recover({ olderThanMillis: 0 }), {
        concurrency: "unbounded"
      })
      const reports = yield* recovering
      assert.isTrue(reports.every(({ results }) => results.error === undefined))
      assert.isTrue(
        reports.every(({ results }) => (results.succeeded ?? 0) > 0),
        "all of them did some of the work"
      )
      assert.lengthOf((yield* (yield* PaymentRepository).openOperations({ openedBefore: Number.MAX_SAFE_INTEGER, limit: 1 })).data, 0)
      assert.strictEqual(executed.size, payments)
      assert.isTrue([...executed.values()].every((times) => times === 1))
      assert.strictEqual(
        gateways.reduce((sum, { asked }) => sum + asked.length, 0),
        payments,
        "each payment was asked about by one instance"
      )
      const { readAll } = yield* EventStore
      const events = yield* readAll({ after: 0n, limit: 10_000 })
      const again = yield* recovering
      assert.isTrue(again.every(({ scanned }) => scanned === 0))
      assert.deepStrictEqual(yield* readAll({ after: 0n, limit: 10_000 }), events)
    })
  })
})
