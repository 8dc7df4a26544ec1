/**
 * docs/resilience.md: its keys, defaults and units are those in force, its configuration is one, its program runs and is printed as it is.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { report } from "../../docs/examples/resilience.ts"
import * as Presets from "../../src/domain/Presets.ts"
import * as Config from "../../src/edges/config/Config.ts"
import * as Resilience from "../../src/edges/config/Resilience.ts"
import * as Documents from "../support/documents.ts"

const document = Documents.read("docs/resilience.md")

const { breaker, bulkhead, conflicts, degradation, gatewayCall, lock, retryBudget } = Presets

/** What stands behind each key of the configuration, and each option of a program. */
const documented: Readonly<Record<string, Presets.Preset<unknown>>> = {
  ...Object.fromEntries(Object.entries(breaker).map(([key, preset]) => [`breakers.${key}`, preset])),
  "retries.strategy": gatewayCall.retryKind,
  "retries.maxRetries": gatewayCall.retries,
  "retries.baseMillis": gatewayCall.retryBaseMillis,
  "retries.capMillis": gatewayCall.retryCapMillis,
  "retries.factor": gatewayCall.retryFactor,
  "retries.jitter": gatewayCall.retryJitter,
  "retries.attemptTimeoutMillis": gatewayCall.attemptTimeoutMillis,
  "retries.sendWindowMillis": gatewayCall.sendWindowMillis,
  "retries.connectLimitMillis": gatewayCall.connectLimitMillis,
  "retries.budget.earnPerCall": retryBudget.earnPerCall,
  "retries.budget.maxTokens": retryBudget.maxTokens,
  "bulkheads.concurrency": bulkhead.concurrency,
  "bulkheads.queue": bulkhead.queue,
  "bulkheads.maxWaitMillis": bulkhead.maxWaitMillis,
  intervalMillis: degradation.checkEveryMillis,
  timeoutMillis: degradation.checkTimeoutMillis,
  recoverEveryMillis: degradation.recoverEveryMillis,
  recoverTimeoutMillis: degradation.recoverTimeoutMillis,
  criticalAfter: degradation.criticalAfter,
  healthyAfter: degradation.healthyAfter,
  staleAfterChecks: degradation.staleAfterChecks,
  ttlMillis: lock.ttlMillis,
  "strategy.retries": conflicts.retries,
  "strategy.baseMillis": conflicts.retryBaseMillis,
  "strategy.factor": conflicts.retryFactor,
  "strategy.capMillis": conflicts.retryCapMillis,
  "strategy.jitter": conflicts.retryJitter
}

/** Keys of the sections that are no figures with a preset. */
const withoutPreset = ["breakers.share", "breakers.gateways", "breakers.operations", "bulkheads.gateways", "retries.budget"]

describe("docs/resilience.md", () => {
  it("names every key with its default and unit", () => {
    for (const [key, { unit, value }] of Object.entries(documented)) {
      const figures = Documents.rowsNamed(document, `\`${key}\``).map(([value, unit]) => [value, unit])
      assert.deepInclude(figures, [Documents.shown(value), unit], key)
    }
  })

  it("knows every key of the configuration", () => {
    const sections = { breakers: Resilience.Breakers, bulkheads: Resilience.Bulkheads, retries: Resilience.Retries }
    for (const [section, { fields }] of Object.entries(sections)) {
      for (const field of Object.keys(fields)) {
        const key = `${section}.${field}`
        assert.isTrue(key in documented || (withoutPreset.includes(key) && document.includes(`\`${key}`)), key)
      }
    }
  })

  it("its configuration is taken", () => {
    const [json = ""] = Documents.blocksOf(document, "json")
    const config = Config.decode({ input: JSON.parse(json), environment: { STRIPE_SECRET_KEY: "sk_test_1" } })
    if (Result.isFailure(config)) assert.fail(config.failure.message)
    assert.strictEqual(config.success.engine.breakers.byName?.["stripe-eu.refund"]?.failureThreshold, 3)
  })

  it("prints the example as it is", () => {
    assert.include(Documents.blocksOf(document, "ts"), Documents.programOf("resilience"))
  })

  it.effect("its example answers without the source of rates", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* report, { rate: 1.1, tier: "degraded" })
    })
  )
})
