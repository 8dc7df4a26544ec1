/**
 * Trying again: what ends it, what it waits for, what it counts. On virtual time and a fixed seed.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Equal, Exit, Fiber, Random, Result } from "effect"
import { TestClock } from "effect/testing"
import type { ErrorClass, RetryStrategy } from "../../../src/domain/resilience/RetryStrategy.ts"
import * as Retry from "../../../src/orchestration/resilience/Retry.ts"
import * as RetryBudget from "../../../src/orchestration/resilience/RetryBudget.ts"
import { alone, countsOf } from "../../support/metrics.ts"

const strategy: RetryStrategy = { kind: "exponential", retries: 3, baseMillis: 1_000, factor: 2, capMillis: 10_000, jitter: 0 }
const transient: ErrorClass = { _tag: "Transient" }
const permanent: ErrorClass = { _tag: "Permanent" }

/** Errors are their own classes. A program that fails with these one after the other and then succeeds; and when it was run. */
const failing = (...errors: ReadonlyArray<ErrorClass>) => {
  const at: Array<number> = []
  const attempt = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    at.push(now)
    const error = errors[at.length - 1]
    return error === undefined ? Effect.succeed("done" as const) : Effect.fail(error)
  })
  return { at, attempt }
}

/** Runs it to its end, over an hour. */
const run = Effect.fnUntraced(function* (
  attempt: Effect.Effect<"done", ErrorClass>,
  options: Partial<Retry.RetryOptions<ErrorClass>> = {}
) {
  const running = yield* Effect.forkChild(
    Effect.result(Retry.run(attempt, { name: "rates", strategy, classify: (error) => error, ...options }))
  )
  yield* TestClock.adjust("1 hour")
  const result = yield* Fiber.join(running)
  return result._tag === "Success" ? result.success : result.failure
})

const counts = Effect.gen(function* () {
  return {
    attempts: yield* countsOf("aegispay_retry_attempts_total"),
    success: yield* countsOf("aegispay_retry_success_total"),
    failure: yield* countsOf("aegispay_retry_failure_total"),
    exhausted: yield* countsOf("aegispay_retry_exhausted_total")
  }
})

describe("retry", () => {
  it.effect("what succeeds at once is run once and counted nowhere", () =>
    Effect.gen(function* () {
      const { at, attempt } = failing()
      assert.strictEqual(yield* run(attempt), "done")
      assert.deepStrictEqual(at, [0])
      assert.deepStrictEqual(yield* counts, { attempts: {}, success: {}, failure: {}, exhausted: {} })
    }).pipe(alone)
  )

  it.effect("again: after a first failure that is no attempt of its own, what came of the last one", () =>
    Effect.gen(function* () {
      const after = Effect.fnUntraced(function* (first: ErrorClass, ...errors: ReadonlyArray<ErrorClass>) {
        const { at, attempt } = failing(...errors)
        const running = yield* Effect.forkChild(Retry.again(attempt, first, { name: "rates", strategy, classify: (error) => error }))
        yield* TestClock.adjust("1 hour")
        return [yield* Fiber.join(running), at.length] as const
      })
      assert.deepStrictEqual(yield* after(permanent), [Result.fail(permanent), 0])
      assert.deepStrictEqual(yield* after(transient), [Result.succeed("done" as const), 1])
      assert.deepStrictEqual(yield* after(transient, permanent), [Result.fail(permanent), 1])
      assert.deepStrictEqual(yield* after(transient, transient, transient, transient), [Result.fail(transient), 3])
    }).pipe(alone)
  )

  it.effect("a defect is not tried again, also where an error stands beside it; nor is an interruption", () =>
    Effect.gen(function* () {
      let attempts = 0
      const ends = (cause: Cause.Cause<ErrorClass>) =>
        Effect.exit(
          Retry.run(
            Effect.suspend(() => (attempts++, Effect.failCause(cause))),
            { name: "rates", strategy, classify: (error) => error }
          )
        )
      const both = Cause.combine(Cause.fail(transient), Cause.die("bug"))
      const unchanged = (exit: Exit.Exit<string, ErrorClass>, cause: Cause.Cause<unknown>) =>
        Exit.isFailure(exit) && Equal.equals(exit.cause, cause)
      for (const cause of [Cause.die("bug"), both, Cause.interrupt()]) assert.isTrue(unchanged(yield* ends(cause), cause))
      assert.strictEqual(attempts, 3)
    }).pipe(alone)
  )

  it.effect("waits as the strategy says between attempts, until one succeeds", () =>
    Effect.gen(function* () {
      const { at, attempt } = failing(transient, transient, transient)
      assert.strictEqual(yield* run(attempt), "done")
      assert.deepStrictEqual(at, [0, 1_000, 3_000, 7_000])
      assert.deepStrictEqual(yield* counts, { attempts: { rates: 3 }, success: { rates: 1 }, failure: {}, exhausted: {} })
    }).pipe(alone)
  )

  it.effect("an error that is permanent ends it, at once or after retries", () =>
    Effect.gen(function* () {
      const first = failing(permanent)
      assert.strictEqual(yield* run(first.attempt), permanent)
      assert.lengthOf(first.at, 1)
      assert.deepStrictEqual((yield* counts).failure, {}, "nothing was retried")
      const later = failing(transient, permanent)
      assert.strictEqual(yield* run(later.attempt), permanent)
      assert.lengthOf(later.at, 2)
      assert.deepStrictEqual(yield* counts, { attempts: { rates: 1 }, success: {}, failure: { rates: 1 }, exhausted: {} })
    }).pipe(alone)
  )

  it.effect("an open breaker ends it: nothing waits for a breaker", () =>
    Effect.gen(function* () {
      const first = failing({ _tag: "BreakerOpen" })
      assert.deepStrictEqual(yield* run(first.attempt), { _tag: "BreakerOpen" })
      assert.lengthOf(first.at, 1)
      const later = failing(transient, { _tag: "BreakerOpen" })
      yield* run(later.attempt)
      assert.lengthOf(later.at, 2)
      assert.deepStrictEqual((yield* counts).exhausted, {}, "no retry was sent")
      const sent = failing(transient, transient, { _tag: "BreakerOpen" })
      yield* run(sent.attempt)
      assert.deepStrictEqual((yield* counts).exhausted, { "breaker_open rates": 1 })
    }).pipe(alone)
  )

  it.effect(
    "a breaker that would still be open after the wait ends it before the wait; what was not sent is neither counted nor paid for",
    () =>
      Effect.gen(function* () {
        const budget = RetryBudget.make({ earnPerCall: 0, maxTokens: 2 })
        const openUntil = (millis: number) => (waitMillis: number) =>
          Effect.map(Clock.currentTimeMillis, (now) => now + waitMillis < millis)
        const refused = failing(transient, transient)
        const ended = yield* Effect.forkChild(
          Effect.result(
            Effect.ensuring(
              Retry.run(refused.attempt, { name: "rates", strategy, classify: (error) => error, budget, refusedAfter: openUntil(60_000) }),
              Effect.map(Clock.currentTimeMillis, (now) => refused.at.push(now))
            )
          )
        )
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* Fiber.join(ended))._tag, "Failure")
        assert.deepStrictEqual(refused.at, [0, 0], "one attempt, and the end at once")
        const later = failing(transient, { _tag: "BreakerOpen" })
        yield* run(later.attempt, { budget })
        assert.lengthOf(later.at, 2)
        assert.strictEqual(budget.balance, 2_000)
        assert.deepStrictEqual(yield* counts, { attempts: {}, success: {}, failure: {}, exhausted: {} })
        const inTime = failing(transient)
        const now = yield* Clock.currentTimeMillis
        assert.strictEqual(yield* run(inTime.attempt, { budget, refusedAfter: openUntil(now + 1_000) }), "done")
        assert.strictEqual(budget.balance, 1_000)
      }).pipe(alone)
  )

  it.effect("after the strategy's last retry the last error is the answer", () =>
    Effect.gen(function* () {
      const last: ErrorClass = { _tag: "Transient", retryAfterMillis: 1 }
      const { at, attempt } = failing(transient, transient, transient, last, permanent)
      assert.strictEqual(yield* run(attempt), last)
      assert.lengthOf(at, 4)
      assert.deepStrictEqual((yield* counts).exhausted, { "attempts rates": 1 })
      const none = failing(transient)
      yield* run(none.attempt, { strategy: { ...strategy, retries: 0 } })
      assert.lengthOf(none.at, 1)
      assert.deepStrictEqual((yield* counts).exhausted, { "attempts rates": 1 }, "without retries none can be exhausted")
    }).pipe(alone)
  )

  it.effect("a wait that the other side asks for is kept in full, above the cap too; a shorter one does not shorten the delay", () =>
    Effect.gen(function* () {
      const { at, attempt } = failing({ _tag: "Transient", retryAfterMillis: 60_000 }, { _tag: "Transient", retryAfterMillis: 5 })
      assert.strictEqual(yield* run(attempt), "done")
      assert.deepStrictEqual(at, [0, 60_000, 62_000])
    })
  )

  it.effect("no attempt starts at or after the deadline, and none is waited for that would", () =>
    Effect.gen(function* () {
      const within = (millis: number) => Effect.map(Clock.currentTimeMillis, (now) => millis - now)
      const { at, attempt } = failing(transient, transient, transient)
      assert.strictEqual(yield* run(attempt, { deadline: within(3_001) }), transient)
      assert.deepStrictEqual(at, [0, 1_000, 3_000])
      const { at: none, attempt: asked } = failing({ _tag: "Transient", retryAfterMillis: 3_600_000 })
      const started = yield* Clock.currentTimeMillis
      yield* run(asked, { deadline: within(started + 30_000) })
      assert.lengthOf(none, 1)
      assert.deepStrictEqual((yield* counts).exhausted, { "deadline rates": 2 })
    }).pipe(alone)
  )

  it.effect("a budget is shared by all who call: a dead service gets one retry for five calls once the stock is gone", () =>
    Effect.gen(function* () {
      const budget = RetryBudget.make({ earnPerCall: 0.2, maxTokens: 2 })
      let attempts = 0
      const dead = Effect.suspend(() => {
        attempts++
        return Effect.fail(transient)
      })
      for (let call = 0; call < 101; call++) yield* run(dead, { budget })
      assert.strictEqual(attempts, 101 + 2 + 20)
      const { attempts: made, exhausted } = yield* counts
      assert.deepStrictEqual(made, { rates: 22 })
      assert.strictEqual(exhausted["budget rates"], 101)
    }).pipe(alone)
  )

  it.effect("what cannot be retried takes nothing from the budget", () =>
    Effect.gen(function* () {
      const budget = RetryBudget.make({ earnPerCall: 0, maxTokens: 1 })
      yield* run(failing(permanent).attempt, { budget })
      yield* run(failing(transient).attempt, { budget, deadline: Effect.succeed(0) })
      assert.strictEqual(yield* run(failing(transient).attempt, { budget }), "done")
      assert.strictEqual(yield* run(failing(transient).attempt, { budget }), transient)
    })
  )

  it.effect("interrupted while it waits it makes no further attempt", () =>
    Effect.gen(function* () {
      const { at, attempt } = failing(transient, transient)
      const running = yield* Effect.forkChild(Retry.run(attempt, { name: "rates", strategy, classify: (error) => error }))
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(running)
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(at, 1)
    })
  )

  it.effect("the same seed waits the same, another one does not", () =>
    Effect.gen(function* () {
      const spread = { ...strategy, jitter: 0.5 }
      const of = Effect.fnUntraced(function* (seed: string) {
        const { at, attempt } = failing(transient, transient, transient)
        const started = yield* Clock.currentTimeMillis
        yield* Random.withSeed(run(attempt, { strategy: spread }), seed)
        return at.map((time) => time - started)
      })
      const once = yield* of("a")
      assert.deepStrictEqual(yield* of("a"), once)
      assert.notDeepEqual(yield* of("b"), once)
    })
  )
})

describe("a strategy as a schedule", () => {
  it.effect("repeats as often and waits as long", () =>
    Effect.gen(function* () {
      for (const [of, expected] of [
        [{ ...strategy, kind: "linear" }, [0, 1_000, 3_000, 6_000]],
        [{ ...strategy, kind: "immediate", retries: 2 }, [0, 0, 0]],
        [Retry.paymentProvider, 3],
        [Retry.fraudDetection, 2],
        [Retry.database, 3]
      ] as const) {
        const { at, attempt } = failing(...Array.from({ length: 20 }, () => transient))
        const started = yield* Clock.currentTimeMillis
        const running = yield* Effect.forkChild(Effect.exit(Effect.retry(attempt, Retry.schedule(of))))
        yield* TestClock.adjust("1 hour")
        yield* Fiber.join(running)
        const times = at.map((time) => time - started)
        if (typeof expected === "number") assert.lengthOf(times, expected)
        else assert.deepStrictEqual(times, [...expected])
      }
    })
  )

  it("the named ones are the required ones", () => {
    const figures = ({ baseMillis, capMillis, kind, retries }: RetryStrategy) => [kind, retries + 1, baseMillis, capMillis]
    assert.deepStrictEqual(figures(Retry.paymentProvider), ["exponential", 3, 2_000, 30_000])
    assert.deepStrictEqual(figures(Retry.fraudDetection), ["exponential", 2, 1_000, 10_000])
    assert.deepStrictEqual(figures(Retry.database), ["exponential", 3, 500, 5_000])
  })
})
