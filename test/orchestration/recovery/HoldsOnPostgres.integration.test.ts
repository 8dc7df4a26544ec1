/** Authorizations that their gateway ended, on a real Postgres: many instances ask together, and each is ended once. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as PostgresLock from "../../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../../src/layers/postgres/Postgres.ts"
import { Payments } from "../../../src/orchestration/payment/Payments.ts"
import type { Gateway } from "../../../src/services/Gateway.ts"
import * as TestDatabase from "../../support/TestDatabase.ts"
import { chargeRequest, engineOver, tenant, testGateway } from "../../support/TestEngine.ts"

const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, MemoryGatewayMetrics.layer, MemoryIds.layer).pipe(
  Layer.provideMerge(Migrations.layer),
  Layer.provideMerge(TestDatabase.layer)
)

layer(stores, { timeout: "60 seconds", excludeTestServices: true })("on Postgres", (it) => {
  it.effect("four instances end twenty authorizations that are over, each once, and leave those that hold", () => {
    const over = new Set<string>()
    const scripted = testGateway("a", {
      hold: ({ requestKey }) =>
        Effect.delay(
          Effect.sync(() => ({ _tag: over.has(requestKey) ? ("Released" as const) : ("Held" as const) })),
          "5 millis"
        )
    })
    // The clock is the database's: every authorization is past its validity at once.
    const gateway: Gateway = { ...scripted, capabilities: { ...scripted.capabilities, authorizationValidityMillis: 0 } }
    const instance = engineOver([gateway])
    return Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const payments = yield* Payments
      const made = yield* Effect.forEach(
        Array.from({ length: 25 }, (_, nth) => `hold-${nth}`),
        (under) => Effect.map(payments.charge(chargeRequest(under, { captureMethod: "manual" })), ({ payment }) => payment),
        { concurrency: 5 }
      )
      for (const { requestKey } of scripted.sent.slice(0, 20)) over.add(requestKey)
      yield* Effect.sleep("10 millis")
      const instances = Array.from({ length: 4 }, () => Payments.use((other) => other.expire()).pipe(Effect.provide(Layer.fresh(instance))))
      const reports = yield* Effect.all(instances, { concurrency: "unbounded" })
      assert.deepStrictEqual(
        reports.flatMap(({ errors }) => errors),
        []
      )
      const sum = (result: "released" | "held") => reports.reduce((total, { holds }) => total + (holds[result] ?? 0), 0)
      assert.strictEqual(sum("released"), 20)
      assert.isAtLeast(sum("held"), 5)
      assert.lengthOf(
        scripted.sent.filter(({ kind }) => kind === "void"),
        20
      )
      const statuses = yield* Effect.forEach(made, ({ id }) => Effect.map(payments.get({ id, tenant }), ({ status }) => status))
      assert.deepStrictEqual(
        [statuses.filter((one) => one === "cancelled").length, statuses.filter((one) => one === "authorized").length],
        [20, 5]
      )
      const [left] = yield* sql<{
        readonly count: bigint
        readonly asked: bigint
      }>`select count(*) as count, count(asked_at) as asked from aegispay.holds`
      assert.deepStrictEqual([Number(left?.count), Number(left?.asked)], [5, 5])
    }).pipe(Effect.provide(instance))
  })
})
