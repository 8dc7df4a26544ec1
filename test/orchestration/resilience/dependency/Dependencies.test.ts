/**
 * Watching dependencies, on virtual time.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Presets from "../../../../src/domain/Presets.ts"
import { Dependencies, DependencyRefused, layer } from "../../../../src/orchestration/resilience/dependency/Dependencies.ts"
import type { HealthProbe } from "../../../../src/services/resilience/HealthProbe.ts"

/** A dependency that answers what it is told to, and tells when it was asked and recovered. */
const scripted = (probe: Partial<HealthProbe> = {}) => {
  const told = { answer: Effect.succeed("ok") as HealthProbe["check"], checkedAt: [] as Array<number>, recoveredAt: [] as Array<number> }
  const noted = (times: Array<number>) => Effect.map(Clock.currentTimeMillis, (at) => void times.push(at))
  return {
    told,
    probe: {
      name: "d",
      check: Effect.andThen(
        noted(told.checkedAt),
        Effect.suspend(() => told.answer)
      ),
      recover: noted(told.recoveredAt),
      ...probe
    } satisfies HealthProbe
  }
}

const down = Effect.fail(new Cause.UnknownError(undefined, "connection refused"))

const provided = <A, E>(effect: Effect.Effect<A, E, Dependencies | Scope.Scope>) =>
  effect.pipe(
    Effect.provide(layer),
    Effect.provideServiceEffect(
      Metric.MetricRegistry,
      Effect.sync(() => new Map())
    )
  )

const metricsOf = Effect.map(Metric.snapshot, (all) =>
  Object.fromEntries(
    all
      .filter(({ id }) => id.startsWith("aegispay_dependency"))
      .map(({ attributes, id, state }) => [
        `${id} ${Object.values(attributes ?? {}).join(" ")}`,
        "value" in state ? Number(state.value) : "count" in state ? Number(state.count) : undefined
      ])
  )
)

describe("Dependencies", () => {
  it.effect("checks at once, then every 30 s", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const { probe, told } = scripted()
      yield* dependencies.register(probe)
      assert.strictEqual(yield* dependencies.level("d"), "unknown")
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* dependencies.level("d"), "healthy")
      yield* TestClock.adjust("90 seconds")
      assert.deepStrictEqual(told.checkedAt, [0, 30_000, 60_000, 90_000])
      assert.deepStrictEqual(told.recoveredAt, [])
    }).pipe(provided)
  )

  it.effect("a probe says how many checks make a level, and after how many missing ones nothing is known", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const { probe, told } = scripted({ criticalAfter: 1, healthyAfter: 1, staleAfterChecks: 2, timeoutMillis: 600_000 })
      yield* dependencies.register(probe)
      yield* TestClock.adjust(0)
      told.answer = down
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* dependencies.level("d"), "critical")
      told.answer = Effect.succeed("ok")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* dependencies.level("d"), "healthy")
      told.answer = Effect.never
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* dependencies.level("d"), "healthy")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* dependencies.level("d"), "unknown")
    }).pipe(provided)
  )

  it.effect("goes down and comes back: levels, changes as they happen, what the last failure said", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const { probe, told } = scripted()
      const seen = yield* Effect.forkChild(Stream.runCollect(Stream.take(dependencies.changes, 5)), { startImmediately: true })
      yield* dependencies.register(probe)
      yield* TestClock.adjust("10 seconds")
      told.answer = down
      yield* TestClock.adjust("80 seconds")
      const [health] = yield* dependencies.list
      assert.deepInclude(health, { name: "d", importance: "required", level: "critical", failures: 4, lastFailure: "connection refused" })
      assert.deepInclude(health, { since: 90_000, checkedAt: 90_000, recoveries: 1, recoverAt: 210_000, durationMillis: 0 })
      assert.strictEqual(yield* dependencies.overall, "critical")
      told.answer = Effect.succeed("ok")
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* dependencies.overall, "healthy")
      assert.deepStrictEqual(yield* Fiber.join(seen), [
        { dependency: "d", from: "unknown", to: "healthy", at: 0 },
        { dependency: "d", from: "healthy", to: "degraded", at: 30_000 },
        { dependency: "d", from: "degraded", to: "critical", at: 90_000 },
        { dependency: "d", from: "critical", to: "degraded", at: 120_000 },
        { dependency: "d", from: "degraded", to: "healthy", at: 150_000 }
      ])
    }).pipe(provided)
  )

  it.effect("tries to recover when it becomes critical, then every 2 min, and checks right after", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const { probe, told } = scripted()
      told.answer = down
      yield* dependencies.register(probe)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(told.recoveredAt, [60_000, 180_000, 300_000])
      assert.deepStrictEqual(
        told.checkedAt.filter((at) => at === 180_000),
        [180_000, 180_000]
      )
    }).pipe(provided)
  )

  it.effect("a recovery that helps is seen at once, not with the next check", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const { probe, told } = scripted()
      told.answer = down
      yield* dependencies.register({ ...probe, recover: Effect.sync(() => (told.answer = Effect.succeed("ok"))) })
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* dependencies.level("d"), "degraded")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* dependencies.level("d"), "healthy")
    }).pipe(provided)
  )

  it.effect("a check or a recovery that hangs, dies or fails ends after its time and counts as failed; checking goes on", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const { probe, told } = scripted({ recover: Effect.never })
      yield* dependencies.register(probe)
      yield* TestClock.adjust(0)
      const failures: Array<string | undefined> = []
      for (const answer of [Effect.never, Effect.die(new Error("broken")), Effect.fail("no text"), down]) {
        told.answer = answer
        yield* TestClock.adjust("35 seconds")
        failures.push((yield* dependencies.list)[0]?.lastFailure)
      }
      assert.deepStrictEqual(failures, ["no answer within 5000 ms", "broken", "no text", "connection refused"])
      assert.strictEqual(yield* dependencies.level("d"), "critical")
      told.answer = Effect.succeed("ok")
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* dependencies.level("d"), "healthy")
      assert.strictEqual((yield* metricsOf)["aegispay_dependency_recoveries_total d failed"], 1)
    }).pipe(provided)
  )

  it.effect("an optional one that is critical degrades the whole; without a way to recover it is only checked", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const rates = scripted({ name: "rates", importance: "optional" })
      const { recover: _, ...probe } = rates.probe
      rates.told.answer = down
      yield* dependencies.register(scripted({ name: "database" }).probe)
      yield* dependencies.register(probe)
      yield* TestClock.adjust("4 minutes")
      assert.strictEqual(yield* dependencies.overall, "degraded")
      assert.deepStrictEqual(
        (yield* dependencies.list).map(({ level, name, recoveries }) => [name, level, recoveries]),
        [
          ["database", "healthy", 0],
          ["rates", "critical", 0]
        ]
      )
    }).pipe(provided)
  )

  it.effect("can be checked on demand, one check at a time", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      let inside = 0
      const check = Effect.acquireUseRelease(
        Effect.sync(() => assert.strictEqual(++inside, 1)),
        () => Effect.as(Effect.sleep("1 second"), "impaired" as const),
        () => Effect.sync(() => inside--)
      )
      yield* dependencies.register(scripted({ check }).probe)
      const asked = yield* Effect.forkChild(Effect.all([dependencies.check("d"), dependencies.check("d")], { concurrency: 2 }))
      yield* TestClock.adjust("3 seconds")
      const [first, second] = yield* Fiber.join(asked)
      assert.deepStrictEqual([first.level, second.level, second.durationMillis], ["degraded", "degraded", 1_000])
      assert.strictEqual((yield* Effect.flip(dependencies.check("e")))._tag, "DependencyNotFound")
    }).pipe(provided)
  )

  it.effect("is there for the time of its scope, and no longer checked after", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const { probe, told } = scripted()
      const scope = yield* Scope.make()
      yield* Scope.provide(dependencies.register(probe), scope)
      yield* TestClock.adjust("30 seconds")
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(told.checkedAt, 2)
      assert.deepStrictEqual(yield* dependencies.list, [])
      assert.strictEqual(yield* dependencies.level("d"), "unknown")
      assert.strictEqual((yield* metricsOf)["aegispay_dependency_level d"], 3)
      yield* dependencies.register(probe)
    }).pipe(provided)
  )

  it.effect("has a name of its own, of a few letters, and there are not too many", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const refused = (name: string) =>
        Effect.map(Effect.flip(dependencies.register(scripted({ name }).probe)), (error) => {
          assert.instanceOf(error, DependencyRefused)
          return error.problem
        })
      for (const name of ["", "A", "with blank", "-x", "x".repeat(65)]) assert.strictEqual(yield* refused(name), "name")
      yield* dependencies.register(scripted().probe)
      assert.strictEqual(yield* refused("d"), "taken")
      for (let count = 1; count < Presets.degradation.maxDependencies.value; count++) {
        yield* dependencies.register(scripted({ name: `d${count}` }).probe)
      }
      assert.strictEqual(yield* refused("one-more"), "full")
    }).pipe(provided)
  )

  it.effect("is counted: checks by result, its level, attempts to recover", () =>
    Effect.gen(function* () {
      const dependencies = yield* Dependencies
      const { probe, told } = scripted()
      yield* dependencies.register(probe)
      yield* TestClock.adjust("10 seconds")
      told.answer = down
      yield* TestClock.adjust("80 seconds")
      assert.deepStrictEqual(yield* metricsOf, {
        "aegispay_dependency_checks_total d ok": 1,
        "aegispay_dependency_checks_total d failed": 4,
        "aegispay_dependency_level d": 2,
        "aegispay_dependency_recoveries_total d done": 1
      })
    }).pipe(provided)
  )
})
