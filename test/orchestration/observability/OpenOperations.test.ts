/**
 * The gauges of open operations.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import * as OpenOperations from "../../../src/orchestration/observability/OpenOperations.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { EventStoreError } from "../../../src/services/EventStore.ts"
import type { LookupAnswer } from "../../../src/services/Gateway.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import * as Logs from "../../support/logs.ts"
import { alone } from "../../support/metrics.ts"
import { chargeRequest, engine, pending, success, testGateway } from "../../support/TestEngine.ts"

/** Count and age in seconds of each gateway. */
const gauges = Effect.map(Metric.snapshot, (all) => {
  const of = (id: string): Readonly<Record<string, number>> =>
    Object.fromEntries(
      all.flatMap((one) => (one.id === id && "value" in one.state ? [[one.attributes?.["gateway"], Number(one.state.value)]] : []))
    )
  const ages = Object.entries(of("aegispay_oldest_open_operation_age_milliseconds"))
  return { open: of("aegispay_open_operations"), seconds: Object.fromEntries(ages.map(([name, millis]) => [name, millis / 1_000])) }
})

describe("open operations", () => {
  it.effect("are counted by gateway; the oldest ages between the looks, and while there are none its age is 0", () => {
    let answer = false
    const a = testGateway("a", {
      send: () => Effect.succeed(pending),
      lookup: (intent) => Effect.sync(() => (answer ? success(intent) : (pending as LookupAnswer)))
    })
    return Effect.gen(function* () {
      const { charge, recover } = yield* Payments.Payments
      yield* OpenOperations.start({ everyMillis: 15_000 })
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* gauges, { open: { a: 0, b: 0 }, seconds: { a: 0, b: 0 } })
      yield* charge(chargeRequest("k1"))
      yield* TestClock.adjust("10 seconds")
      yield* charge(chargeRequest("k2"))
      assert.deepStrictEqual((yield* gauges).open, { a: 0, b: 0 })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* gauges, { open: { a: 2, b: 0 }, seconds: { a: 20, b: 0 } })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual((yield* gauges).seconds, { a: 25, b: 0 })
      answer = true
      yield* TestClock.adjust("5 minutes")
      yield* recover({})
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(yield* gauges, { open: { a: 0, b: 0 }, seconds: { a: 0, b: 0 } })
    }).pipe(Effect.scoped, Effect.provide(engine([a, testGateway("b")])), alone)
  })

  it.effect("while the database is away the oldest goes on ageing; that is logged once, and its end", () => {
    const { kept, lines } = Logs.collecting()
    const a = testGateway("a", { send: () => Effect.succeed(pending) })
    return Effect.gen(function* () {
      const { charge } = yield* Payments.Payments
      const repository = yield* PaymentRepository
      let away = false
      const unavailable = new EventStoreError({ operation: "openSummary", reason: { _tag: "Unavailable", detail: "away" } })
      const flaky = { ...repository, openSummary: Effect.suspend(() => (away ? Effect.fail(unavailable) : repository.openSummary)) }
      yield* charge(chargeRequest("k1"))
      yield* OpenOperations.start({ everyMillis: 15_000 }).pipe(Effect.provideService(PaymentRepository, flaky))
      yield* TestClock.adjust("1 second")
      away = true
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* gauges, { open: { a: 1 }, seconds: { a: 601 } })
      away = false
      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(
        lines.map(({ level, message }) => [level, message]),
        [
          ["WARN", "the number of open operations cannot be measured; trying again"],
          ["INFO", "the number of open operations is measured again"]
        ]
      )
    }).pipe(Effect.scoped, Effect.provide(engine([a])), alone, kept)
  })

  it.effect("end with their scope", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(OpenOperations.start())
      assert.deepStrictEqual(yield* gauges, { open: {}, seconds: {} })
    }).pipe(Effect.provide(engine([testGateway("a")])), alone)
  )
})
