/**
 * Answers by way of primary, degraded and fallback.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Degradation from "../../../../src/orchestration/resilience/dependency/Degradation.ts"
import { Dependencies, layer } from "../../../../src/orchestration/resilience/dependency/Dependencies.ts"

const provided = <A, E>(effect: Effect.Effect<A, E, Dependencies | Scope.Scope>) =>
  effect.pipe(
    Effect.provide(layer),
    Effect.provideServiceEffect(
      Metric.MetricRegistry,
      Effect.sync(() => new Map())
    )
  )

/** Ways that say that they were tried, and fail where they are named in `failing`. */
const waysOf = (...failing: ReadonlyArray<string>) => {
  const tried: Array<string> = []
  const way = (name: string) =>
    Effect.suspend(() => {
      tried.push(name)
      return failing.includes(name) ? Effect.fail(`${name} failed`) : Effect.succeed(`${name} rate`)
    })
  return { tried, ways: { dependency: "rates", primary: way("primary"), degraded: way("degraded"), fallback: way("fallback") } }
}

const makeCritical = Effect.gen(function* () {
  yield* (yield* Dependencies).register({ name: "rates", check: Effect.fail("down") })
  yield* TestClock.adjust("1 minute")
})

describe("Degradation.run", () => {
  it.effect("the primary answers, and nothing else is tried", () =>
    Effect.gen(function* () {
      const { tried, ways } = waysOf()
      assert.deepStrictEqual(yield* Degradation.run(ways), { value: "primary rate", tier: "primary", failures: [] })
      assert.deepStrictEqual(tried, ["primary"])
    }).pipe(provided)
  )

  it.effect("each failure leads on to the next way and is kept", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Degradation.run(waysOf("primary").ways), {
        value: "degraded rate",
        tier: "degraded",
        failures: [{ tier: "primary", error: "primary failed" }]
      })
      const last = yield* Degradation.run(waysOf("primary", "degraded").ways)
      assert.strictEqual(last.tier, "fallback")
      assert.deepStrictEqual(
        last.failures.map(({ error }) => error),
        ["primary failed", "degraded failed"]
      )
    }).pipe(provided)
  )

  it.effect("when no way leads to an answer all of their failures are told", () =>
    Effect.gen(function* () {
      const failed = yield* Effect.flip(Degradation.run(waysOf("primary", "degraded", "fallback").ways))
      assert.instanceOf(failed, Degradation.AllTiersFailed)
      assert.deepStrictEqual(
        failed.failures.map(({ error, tier }) => [tier, error]),
        [
          ["primary", "primary failed"],
          ["degraded", "degraded failed"],
          ["fallback", "fallback failed"]
        ]
      )
      assert.include(failed.message, "no answer without rates either (primary: primary failed; degraded: degraded failed")
      const alone = yield* Effect.flip(
        Degradation.run({ dependency: "rates", primary: Effect.fail(new Cause.UnknownError(undefined, "no")) })
      )
      assert.include(alone.message, "(primary: no)")
    }).pipe(provided)
  )

  it.effect("while the dependency is critical the primary is the last that is tried", () =>
    Effect.gen(function* () {
      yield* makeCritical
      const { tried, ways } = waysOf()
      assert.strictEqual((yield* Degradation.run(ways)).tier, "degraded")
      assert.deepStrictEqual(tried, ["degraded"])
      const last = yield* Degradation.run(waysOf("degraded", "fallback").ways)
      assert.deepStrictEqual([last.tier, last.failures.map(({ tier }) => tier)], ["primary", ["degraded", "fallback"]])
      const { degraded: _, fallback: _fallback, ...alone } = waysOf().ways
      assert.strictEqual((yield* Degradation.run(alone)).tier, "primary")
    }).pipe(provided)
  )

  it.effect("a defect is no failure of a way", () =>
    Effect.gen(function* () {
      const { tried, ways } = waysOf()
      const exit = yield* Effect.exit(Degradation.run({ ...ways, primary: Effect.die("broken") }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.deepStrictEqual(tried, [])
    }).pipe(provided)
  )

  it.effect("answers are counted by the way they came", () =>
    Effect.gen(function* () {
      yield* Degradation.run(waysOf().ways)
      yield* Degradation.run(waysOf("primary").ways)
      yield* Effect.ignore(Degradation.run(waysOf("primary", "degraded", "fallback").ways))
      const counts = (yield* Metric.snapshot)
        .filter(({ id }) => id === "aegispay_degradation_answers_total")
        .map(({ attributes, state }) => [attributes, "count" in state ? Number(state.count) : 0])
      assert.deepStrictEqual(counts, [
        [{ dependency: "rates", tier: "primary" }, 1],
        [{ dependency: "rates", tier: "degraded" }, 1],
        [{ dependency: "rates", tier: "none" }, 1]
      ])
    }).pipe(provided)
  )
})
