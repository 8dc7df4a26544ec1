/**
 * What hooks leave behind on a real Postgres: blocked, enriched and examined payments, their keys, and their projection.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { type PaymentId, uuidOfPayment } from "../../../src/domain/payment/Ids.ts"
import { replay } from "../../../src/domain/payment/Replay.ts"
import * as View from "../../../src/domain/payment/View.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../../src/services/EventStore.ts"
import type { Hook } from "../../../src/services/hooks/Hooks.ts"
import { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { eventsOf, only, registryOf } from "../../support/hooks.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { chargeRequest, engineOver, testGateway, tenant } from "../../support/TestEngine.ts"

const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, MemoryGatewayMetrics.layer, MemoryIds.layer).pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(TestDatabase.layer)
)

const blocking: Hook = {
  kind: "fraud_check",
  name: "blocked-list",
  run: ({ payment }) =>
    Effect.succeed(
      payment.metadata["customer"] === "listed" ? { action: "block", score: 99, code: "listed" } : { action: "allow", score: 1 }
    )
}
const enriching: Hook = {
  kind: "enrichment",
  name: "bin-table",
  run: () => Effect.succeed({ method: { country: "DE", brand: "visa" }, metadata: { segment: "gold" } })
}

/** What the projection shows is what the events say. */
const agrees = Effect.fnUntraced(function* (id: PaymentId) {
  const shown = yield* (yield* PaymentRepository).get({ id })
  const state = yield* Effect.fromResult(replay(id, yield* (yield* EventStore).read(id)))
  assert.strictEqual(shown._tag, "Some")
  if (shown._tag === "Some" && state._tag === "Payment") assert.deepStrictEqual(shown.value, View.ofPayment(state))
})

layer(stores, { timeout: "60 seconds", excludeTestServices: true })("hooks on Postgres", (it) => {
  it.effect("a blocked payment is one commit with its claim, and nothing open; its key answers it again, 50 callers at once", () => {
    const gateway = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const request = chargeRequest("hooks-blocked", { metadata: { customer: "listed" } })
      const answers = yield* Effect.all(
        Array.from({ length: 50 }, () => payments.charge(request)),
        { concurrency: "unbounded" }
      )
      const ids = new Set(answers.map(({ payment }) => payment.id))
      assert.strictEqual(ids.size, 1)
      assert.lengthOf(
        answers.filter(({ replayed }) => !replayed),
        1
      )
      assert.isTrue(answers.every(({ operation, payment }) => payment.status === "failed" && operation === undefined))
      const [id] = [...ids]
      if (id === undefined) return
      yield* agrees(id)
      const sql = yield* SqlClient.SqlClient
      const uuid = uuidOfPayment(id)
      const [rows] = yield* sql<{ readonly events: bigint; readonly claims: bigint; readonly open: bigint }>`select
        (select count(*) from aegispay.events where payment = ${uuid}::uuid) as events,
        (select count(*) from aegispay.claims where payment = ${uuid}::uuid and operation is null) as claims,
        (select count(*) from aegispay.open_operations where payment = ${uuid}::uuid) as open`
      assert.deepStrictEqual([Number(rows?.events), Number(rows?.claims), Number(rows?.open)], [3, 1, 0])
      const [blocked] = only(yield* eventsOf(id), "PaymentBlocked")
      assert.strictEqual(blocked?.verdicts?.[0]?.score, 99)
      assert.lengthOf(gateway.sent, 0)
    }).pipe(Effect.provide(engineOver([gateway]).pipe(Layer.provideMerge(registryOf([blocking])))))
  })

  it.effect("an enriched payment is charged once, and its projection is what its events say", () => {
    const gateway = testGateway("a")
    return Effect.gen(function* () {
      const payments = yield* Payments
      const { payment } = yield* payments.charge(chargeRequest("hooks-enriched", { metadata: { order: "1" } }))
      assert.deepInclude(payment, { status: "succeeded", metadata: { order: "1", segment: "gold" } })
      yield* agrees(payment.id)
      const history = yield* payments.history({ id: payment.id, tenant })
      assert.deepStrictEqual(
        history.map(({ event }) => event._tag),
        ["PaymentInitiated", "PaymentScreened", "PaymentEnriched", "OperationIntended", "OperationSucceeded"]
      )
      assert.lengthOf(gateway.sent, 1)
    }).pipe(Effect.provide(engineOver([gateway]).pipe(Layer.provideMerge(registryOf([blocking, enriching])))))
  })
})
