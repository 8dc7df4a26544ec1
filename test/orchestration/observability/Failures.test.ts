/**
 * What is counted of commands that fail, of histories with a gap, and of conflicts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as MemoryStore from "../../../src/layers/memory/MemoryStore.ts"
import * as Failures from "../../../src/orchestration/observability/Failures.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import * as FlakyEventStore from "../../support/FlakyEventStore.ts"
import * as Logs from "../../support/logs.ts"
import { alone, countsOf } from "../../support/metrics.ts"
import { chargeRequest, engine, engineOver, key, memory, tenant, testGateway } from "../../support/TestEngine.ts"

const errors = Effect.map(countsOf("aegispay_errors_total"), (counts) =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0))
)

describe("failed commands", () => {
  it.effect("are counted by category; success, a decline and a caller who left are not", () =>
    Effect.gen(function* () {
      const { capture, charge, get, refund } = yield* Payments.Payments
      const { payment } = yield* charge(chargeRequest("k"))
      assert.deepStrictEqual(yield* errors, {})
      yield* Effect.flip(charge(chargeRequest("k", { captureMethod: "manual" })))
      yield* Effect.flip(capture({ tenant, key: key("c"), id: payment.id }))
      yield* Effect.flip(refund({ tenant, key: key("r"), id: payment.id, amount: 5_000n }))
      yield* Effect.flip(get({ tenant: "m2" as typeof tenant, id: payment.id }))
      assert.deepStrictEqual(yield* errors, { key_reused: 1, refused: 2, not_found: 1 })
    }).pipe(Effect.provide(engine([testGateway("a")])), alone)
  )

  it.effect("of the store are counted by what the caller may do; a defect is one category", () => {
    const flaky = FlakyEventStore.script()
    const failures = ["before", "unknown"] as const
    flaky.onCommit = (_, nth) => (nth <= 2 ? Effect.succeed(failures[nth - 1]) : Effect.die(new Error("broken")))
    const layer = engineOver([testGateway("a")]).pipe(Layer.provideMerge(FlakyEventStore.layer(flaky)), Layer.provideMerge(memory))
    return Effect.gen(function* () {
      const { charge } = yield* Payments.Payments
      for (const under of ["k1", "k2", "k3"]) yield* Effect.exit(charge(chargeRequest(under)))
      assert.deepStrictEqual(yield* errors, { store_unavailable: 1, store_outcome_unknown: 1, defect: 1 })
    }).pipe(Effect.provide(layer), alone)
  })

  it.effect("a caller who left is no failure", () =>
    Effect.gen(function* () {
      const { charge } = yield* Payments.Payments
      const charging = yield* Effect.forkChild(charge(chargeRequest("k")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(charging)
      assert.deepStrictEqual(yield* errors, {})
      yield* TestClock.adjust("1 minute")
      yield* Effect.exit(Failures.counted(Effect.interrupt))
      assert.deepStrictEqual(yield* errors, {})
    }).pipe(Effect.provide(engine([testGateway("a", { send: () => Effect.delay(Effect.succeed(gone), "20 seconds") })])), alone)
  )
})

const gone = { _tag: "Unknown", reason: "timeout", message: "gone" } as const

describe("a history with a gap", () => {
  it.effect("is counted each time it is met, and logged with its payment: from 0, so that the first one is an increase", () => {
    const { kept, lines } = Logs.collecting()
    return Effect.gen(function* () {
      const { capture, charge, history } = yield* Payments.Payments
      const tables = yield* MemoryStore.MemoryStore
      assert.deepStrictEqual(yield* countsOf("aegispay_event_gaps_total"), { "": 0 })
      const { payment } = yield* charge(chargeRequest("k", { captureMethod: "manual" }))
      tables.payments.get(payment.id)?.events.splice(1, 1)
      const refused = yield* Effect.flip(capture({ tenant, key: key("c"), id: payment.id }))
      assert.strictEqual(refused._tag, "EventContinuityError")
      yield* Effect.flip(history({ tenant, id: payment.id }))
      assert.deepStrictEqual(yield* countsOf("aegispay_event_gaps_total"), { "": 2 })
      assert.deepStrictEqual(yield* errors, { history_damaged: 2 })
      assert.deepStrictEqual(
        lines.map(({ annotations, level }) => [level, annotations["payment"]]),
        [
          ["ERROR", payment.id],
          ["ERROR", payment.id]
        ]
      )
    }).pipe(Effect.provide(engine([testGateway("a")])), alone, kept)
  })
})

describe("conflicts of a payment", () => {
  const counts = Effect.gen(function* () {
    const [met, again, exhausted, resolved] = [
      yield* countsOf("aegispay_update_conflicts_total"),
      yield* countsOf("aegispay_update_retries_total"),
      yield* countsOf("aegispay_updates_exhausted_total"),
      yield* countsOf("aegispay_update_conflict_duration_milliseconds")
    ]
    return [met, again, exhausted, resolved].map((one) => one["payment"] ?? 0)
  })

  /** Answers as if somebody else had been faster. */
  const faster = (times: number) => {
    let left = times
    const contended = Layer.effect(
      EventStore,
      Effect.map(EventStore, (store) =>
        EventStore.of({
          ...store,
          commit: (commit) =>
            Effect.suspend((): ReturnType<typeof store.commit> =>
              commit.claim?.command === "capture" && left-- > 0
                ? Effect.succeed({ _tag: "VersionConflict", actualVersion: commit.payment.version + 1 })
                : store.commit(commit)
            )
        })
      )
    )
    return engineOver([testGateway("a")]).pipe(Layer.provideMerge(contended), Layer.provideMerge(memory))
  }

  const capture = Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const { payment } = yield* payments.charge(chargeRequest("k", { captureMethod: "manual" }))
    const capturing = yield* Effect.forkChild(Effect.exit(payments.capture({ tenant, key: key("c"), id: payment.id })))
    yield* TestClock.adjust("10 seconds")
    return yield* Fiber.join(capturing)
  })

  it.effect("are counted, and how long they took to resolve", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* capture)._tag, "Success")
      assert.deepStrictEqual(yield* counts, [2, 2, 0, 1])
    }).pipe(Effect.provide(faster(2)), alone)
  )

  it.effect("in every attempt are counted as exhausted", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* capture)._tag, "Failure")
      assert.deepStrictEqual(yield* counts, [6, 5, 1, 0])
      assert.deepStrictEqual(yield* errors, { conflicts: 1 })
    }).pipe(Effect.provide(faster(100)), alone)
  )
})
