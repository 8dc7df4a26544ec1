/** What reconciliation does about money that only one of the two sides knows of. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import type { GatewayRecord, LookupAnswer } from "../../../src/services/Gateway.ts"
import { GatewayName, GatewayReference } from "../../../src/domain/payment/Ids.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import * as Reconciliation from "../../../src/orchestration/recovery/Reconciliation.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import { defaults, Settings } from "../../../src/services/Settings.ts"
import { collecting } from "../../support/logs.ts"
import { chargeRequest, engine, tenant, testGateway, unknown } from "../../support/TestEngine.ts"

const hour = 3_600_000
const listing = (records: ReadonlyArray<GatewayRecord>, lookup?: LookupAnswer) => ({
  ...testGateway("a", lookup === undefined ? {} : { lookup: () => Effect.succeed(lookup) }),
  list: () => Stream.fromIterable(records)
})
const charge = Payments.Payments.use((payments) => Effect.map(payments.charge(chargeRequest("k")), ({ payment }) => payment.id))
const everything = { gateway: GatewayName.make("a"), from: 0, to: hour }

describe("a success of ours that the gateway does not have", () => {
  it.effect("neither in its list nor when asked, late enough: a person has to look, once", () =>
    Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const id = yield* charge
      yield* TestClock.adjust("1 hour")
      const dry = yield* payments.reconcile({ ...everything, dryRun: true })
      assert.deepInclude<object>(dry.counts, { Missing: 1 })
      assert.strictEqual((yield* payments.get({ id, tenant })).status, "succeeded")
      assert.deepInclude<object>((yield* payments.reconcile(everything)).counts, { Missing: 1 })
      const after = yield* payments.get({ id, tenant })
      assert.deepInclude<object>(after, { status: "needs_review", amountCaptured: 4990 })
      assert.deepStrictEqual(
        after.reviews.map(({ operation, reason }) => [operation, reason]),
        [[1, "contradiction"]]
      )
      yield* payments.reconcile(everything)
      assert.strictEqual((yield* payments.get({ id, tenant })).version, after.version)
    }).pipe(Effect.provide(engine([listing([], { _tag: "Absent" })])))
  )

  it.effect("and that it gives no answer about: nothing is changed", () =>
    Effect.gen(function* () {
      const payments = yield* Payments.Payments
      const id = yield* charge
      yield* TestClock.adjust("1 hour")
      assert.deepInclude<object>((yield* payments.reconcile(everything)).counts, { Missing: 1 })
      assert.strictEqual((yield* payments.get({ id, tenant })).status, "succeeded")
    }).pipe(Effect.provide(engine([listing([], unknown)])))
  )

  it.effect("made and recorded long after the range is not read", () => {
    let read = 0
    return Effect.gen(function* () {
      const store = yield* EventStore
      yield* charge
      yield* TestClock.adjust("30 days")
      for (let nth = 0; nth < 700; nth++) {
        yield* Payments.Payments.use((payments) => payments.charge(chargeRequest(`later-${nth}`)))
      }
      const counting = EventStore.of({
        ...store,
        readAll: (options) => Effect.tap(store.readAll(options), (page) => Effect.sync(() => void (read += page.length)))
      })
      yield* Reconciliation.reconcile(everything).pipe(
        Effect.provideService(EventStore, counting),
        Effect.provideService(Settings, defaults)
      )
      assert.isBelow(read, 600, "one page of 500, and what it took to find where the range begins")
    }).pipe(Effect.provide(engine([listing([], unknown)])))
  })
})

it.effect("money at the gateway that is no payment's of ours is an error in the log, each, and all of it is in the report", () => {
  const orphan = (nth: number): GatewayRecord => ({
    kind: "charge",
    reference: `somebody-elses-${nth}`,
    gatewayReference: GatewayReference.make(`ch_${nth}`),
    createdAt: 1,
    answer: { _tag: "Succeeded", gatewayReference: GatewayReference.make(`ch_${nth}`), amount: chargeRequest("k").amount, named: true }
  })
  const records = Array.from({ length: 1_200 }, (_, nth) => orphan(nth))
  const { kept, lines } = collecting()
  return Effect.gen(function* () {
    const report = yield* Payments.Payments.use((payments) => payments.reconcile(everything))
    assert.lengthOf(report.findings, 1_200)
    const errors = lines.filter(({ level }) => level === "ERROR")
    assert.lengthOf(errors, 1_200)
    assert.include(errors[0]!.message, "has a charge ch_0 (succeeded, holds money) that is no payment's of ours: not_our_reference")
  }).pipe(kept, Effect.provide(engine([listing(records)])))
})
