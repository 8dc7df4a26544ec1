/**
 * Metrics: what counts, and that label sets stay bounded.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { CurrencyCode } from "../../src/domain/Currency.ts"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { GatewayName, GatewayReference } from "../../src/domain/payment/Ids.ts"
import * as Metrics from "../../src/services/Metrics.ts"

const succeeded: Outcome = {
  _tag: "Succeeded",
  gatewayReference: GatewayReference.make("r"),
  amount: { currency: CurrencyCode.make("EUR"), minor: 1n },
  named: true
}
const lost: Outcome = { _tag: "Unknown", reason: "timeout", message: "no answer" }

/** The series of one metric: its labels and its count. */
const series = (name: string) =>
  Effect.map(Metric.snapshot, (all) =>
    all
      .filter((one) => one.id === name)
      .map((one) => ({ labels: one.attributes ?? {}, count: "count" in one.state ? Number(one.state.count) : undefined }))
  )

/** Each test has its own registry. */
const alone = Effect.provideServiceEffect(
  Metric.MetricRegistry,
  Effect.sync(() => new Map())
)

describe("Metrics", () => {
  it.effect("a call is counted by gateway, kind and outcome, and its duration by gateway and kind", () =>
    Effect.gen(function* () {
      const call = { gateway: GatewayName.make("a"), kind: "sale", durationMillis: 120 } as const
      yield* Metrics.gatewayCall({ ...call, outcome: succeeded })
      yield* Metrics.gatewayCall({ ...call, outcome: succeeded })
      yield* Metrics.gatewayCall({ ...call, outcome: lost })
      assert.deepStrictEqual(yield* series("aegispay_gateway_calls_total"), [
        { labels: { gateway: "a", kind: "sale", outcome: "Succeeded" }, count: 2 },
        { labels: { gateway: "a", kind: "sale", outcome: "Unknown" }, count: 1 }
      ])
      assert.deepStrictEqual(yield* series("aegispay_gateway_call_duration_milliseconds"), [
        { labels: { gateway: "a", kind: "sale" }, count: 3 }
      ])
    }).pipe(alone)
  )

  it.effect("a call that did not do what it was to do is counted by the category of its decline or the reason of the trouble", () =>
    Effect.gen(function* () {
      const call = { gateway: GatewayName.make("a"), kind: "sale", durationMillis: 1 } as const
      const outcomes: ReadonlyArray<Outcome> = [
        succeeded,
        { _tag: "Pending", gatewayReference: GatewayReference.make("r") },
        { _tag: "Declined", category: "soft", code: "51", message: "no" },
        { _tag: "Declined", category: "soft", code: "61", message: "no" },
        { _tag: "NotSent", reason: "breaker_open", message: "no" },
        lost
      ]
      for (const outcome of outcomes) yield* Metrics.gatewayCall({ ...call, outcome })
      assert.deepStrictEqual(yield* series("aegispay_gateway_errors_total"), [
        { labels: { gateway: "a", category: "soft" }, count: 2 },
        { labels: { gateway: "a", category: "breaker_open" }, count: 1 },
        { labels: { gateway: "a", category: "timeout" }, count: 1 }
      ])
    }).pipe(alone)
  )

  it.effect("a version conflict is counted as a result and as a conflict", () =>
    Effect.gen(function* () {
      yield* Metrics.committed("Committed")
      yield* Metrics.committed("VersionConflict")
      assert.strictEqual((yield* series("aegispay_commits_total")).length, 2)
      assert.deepStrictEqual(yield* series("aegispay_commit_conflicts_total"), [{ labels: {}, count: 1 }])
    }).pipe(alone)
  )

  it.effect("beyond 1,000 label sets the rest is counted as other", () =>
    Effect.gen(function* () {
      for (let index = 0; index < 1_500; index++) yield* Metrics.httpRequest({ route: `/never/${index}`, status: 200, durationMillis: 1 })
      const all = yield* series("aegispay_http_requests_total")
      assert.strictEqual(all.length, 1_001)
      assert.strictEqual(all.find((one) => "route" in one.labels && one.labels["route"] === "other")?.count, 500)
    }).pipe(alone)
  )
})
