/**
 * Bulkheads: never more inside than there is room for, in the order they came, and no place is ever lost.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Random, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as Bulkhead from "../../../src/orchestration/resilience/Bulkhead.ts"

const limits = { concurrency: 2, queue: 2, maxWaitMillis: 1_000 }

type How = Partial<Bulkhead.Visit<string, never, never>>

/** Of somebody who has not come yet; who is turned away answers why. */
const visit = (how: How = {}): Bulkhead.Visit<string, never, never> => ({
  held: false,
  wake: undefined,
  orElse: (refused) => Effect.succeed(refused),
  ...how
})

/** Programs that go through one bulkhead, and what became of each. */
const scene = (of: Bulkhead.Bulkhead = Bulkhead.make(limits)) => {
  const log: Array<string> = []
  const enter = (name: string, seconds: number, how: How = {}) =>
    Effect.forkChild(
      Bulkhead.within(
        of,
        visit({ orElse: (refused) => Effect.sync(() => (log.push(`${name} ${refused}`), refused)), ...how }),
        Effect.gen(function* () {
          log.push(`${name} in`)
          yield* Effect.sleep(`${seconds} seconds`)
          log.push(`${name} out`)
          return name
        })
      ),
      { startImmediately: true }
    )
  return { log, enter, isEmpty: () => of.active === 0 && of.waiting.size === 0, of }
}

describe("a bulkhead", () => {
  it.effect("lets in as many as there is room for, the next ones wait in the order they came, the others are turned away", () =>
    Effect.gen(function* () {
      const { enter, isEmpty, log } = scene(Bulkhead.make({ ...limits, maxWaitMillis: 60_000 }))
      for (const name of ["a", "b", "c", "d", "e"]) yield* enter(name, 10)
      assert.deepStrictEqual(log, ["a in", "b in", "e full"])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(log.slice(3), ["a out", "c in", "b out", "d in"])
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(isEmpty())
    })
  )

  it.effect("nobody overtakes who waits: not even into a place that was just left", () =>
    Effect.gen(function* () {
      const { enter, log, of } = scene(Bulkhead.make({ concurrency: 1, queue: 2, maxWaitMillis: 60_000 }))
      yield* enter("a", 10)
      yield* enter("b", 10)
      yield* TestClock.adjust("10 seconds")
      yield* enter("c", 1)
      assert.deepStrictEqual(log, ["a in", "a out", "b in"])
      assert.strictEqual(of.active, 1)
      yield* TestClock.adjust("11 seconds")
      assert.deepStrictEqual(log.slice(3), ["b out", "c in", "c out"])
    })
  )

  it.effect("whoever has waited as long as it may is turned away, and leaves the line", () =>
    Effect.gen(function* () {
      const { enter, isEmpty, log, of } = scene()
      yield* enter("a", 10)
      yield* enter("b", 10)
      yield* enter("c", 1)
      yield* enter("d", 1, { maxWaitMillis: Effect.succeed(300) })
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(log.slice(2), ["d waited"])
      yield* TestClock.adjust("700 millis")
      assert.deepStrictEqual(log.slice(3), ["c waited"])
      assert.strictEqual(of.waiting.size, 0)
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(isEmpty())
    })
  )

  it.effect("nothing may be waited for: turned away at once, in line or not", () =>
    Effect.gen(function* () {
      const { enter, log } = scene()
      yield* enter("a", 10)
      yield* enter("b", 10)
      const waiting = yield* enter("c", 1, { maxWaitMillis: Effect.succeed(-5) })
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* Fiber.join(waiting), "waited")
      assert.deepStrictEqual(log.slice(2), ["c waited"])
    })
  )

  it.effect("what is urgent waits however long the line is, behind it", () =>
    Effect.gen(function* () {
      const { enter, log } = scene(Bulkhead.make({ concurrency: 1, queue: 0, maxWaitMillis: 60_000 }))
      yield* enter("a", 10)
      yield* enter("b", 1)
      yield* enter("c", 1, { urgent: true })
      yield* enter("d", 1, { urgent: true })
      assert.deepStrictEqual(log, ["a in", "b full"])
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(log.slice(2), ["a out", "c in", "c out", "d in", "d out"])
    })
  )

  it.effect("a place is given back by whoever fails, dies or is interrupted inside", () =>
    Effect.gen(function* () {
      const { enter, isEmpty, of } = scene()
      yield* Effect.exit(Bulkhead.within(of, visit(), Effect.fail("no")))
      yield* Effect.exit(Bulkhead.within(of, visit(), Effect.die("bug")))
      const thrown = Effect.suspend((): Effect.Effect<string> => {
        throw new Error("bug")
      })
      yield* Effect.exit(Bulkhead.within(of, visit(), thrown))
      const inside = yield* enter("a", 100)
      assert.strictEqual(of.active, 1)
      yield* Fiber.interrupt(inside)
      assert.isTrue(isEmpty())
    })
  )

  it.effect("whoever is interrupted in line leaves it; its turn is the next one's", () =>
    Effect.gen(function* () {
      const { enter, isEmpty, log } = scene(Bulkhead.make({ concurrency: 1, queue: 2, maxWaitMillis: 60_000 }))
      yield* enter("a", 10)
      const b = yield* enter("b", 10)
      yield* enter("c", 10)
      yield* Fiber.interrupt(b)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(log, ["a in", "a out", "c in"])
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(isEmpty())
    })
  )

  it.effect("interrupted in the moment its turn comes it hands the place on", () =>
    Effect.gen(function* () {
      const of = Bulkhead.make({ concurrency: 1, queue: 2, maxWaitMillis: 60_000 })
      const gate = yield* Deferred.make<void>()
      const a = yield* Effect.forkChild(Bulkhead.within(of, visit(), Deferred.await(gate)), { startImmediately: true })
      const b = yield* Effect.forkChild(Bulkhead.within(of, visit(), Effect.never), { startImmediately: true })
      const c = yield* Effect.forkChild(Bulkhead.within(of, visit(), Effect.succeed("c")), { startImmediately: true })
      yield* Effect.yieldNow
      // Both in one step of this fiber: b is given the place and interrupted before it runs again.
      Deferred.doneUnsafe(gate, Effect.void)
      b.interruptUnsafe()
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(b)))
      yield* Fiber.join(a)
      assert.strictEqual(yield* Fiber.join(c), "c")
      assert.strictEqual(of.active, 0)
    })
  )

  it.effect("whoever is interrupted between any two steps of entering leaves no place behind", () =>
    Effect.gen(function* () {
      const of = Bulkhead.make(limits)
      const interrupted = Effect.fnUntraced(function* (operations: number, turns: number) {
        const entering = Effect.provideService(Bulkhead.within(of, visit(), Effect.never), Scheduler.MaxOpsBeforeYield, operations)
        const fiber = yield* Effect.forkChild(entering, { startImmediately: true })
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(of.active, 0, `gave way every ${operations} operations, interrupted after ${turns} turns`)
      })
      for (const operations of [3, 4, 5, 6, 7]) for (const turns of [0, 1, 2, 3]) yield* interrupted(operations, turns)
    })
  )

  for (const seed of ["1", "2", "3", "4", "5"]) {
    it.effect(`whatever comes, waits, leaves and is interrupted (seed ${seed}): never more inside than allowed, all places come back`, () =>
      Effect.gen(function* () {
        const of = Bulkhead.make({ concurrency: 3, queue: 4, maxWaitMillis: 50 })
        let inside = 0
        let most = 0
        let entered = 0
        const program = Effect.gen(function* () {
          const millis = yield* Random.nextIntBetween(0, 60)
          // Begun and counted in one step: whoever is interrupted right after it is counted out again.
          yield* Effect.acquireUseRelease(
            Effect.sync(() => {
              inside++
              entered++
              most = Math.max(most, inside)
            }),
            () => Effect.sleep(millis),
            () => Effect.sync(() => inside--)
          )
          return "done"
        })
        const fibers: Array<Fiber.Fiber<string>> = []
        for (let step = 0; step < 400; step++) {
          const urgent = (yield* Random.next) < 0.1
          fibers.push(yield* Effect.forkChild(Bulkhead.within(of, visit({ urgent }), program)))
          // Of the youngest ones, which may be at any step.
          if ((yield* Random.next) < 0.5) fibers[fibers.length - (yield* Random.nextIntBetween(1, 4))]?.interruptUnsafe()
          if ((yield* Random.next) < 0.5) yield* TestClock.adjust(yield* Random.nextIntBetween(0, 30))
        }
        yield* TestClock.adjust("1 minute")
        for (const fiber of fibers) yield* Fiber.await(fiber)
        assert.strictEqual(most, 3)
        assert.isAbove(entered, 100)
        assert.strictEqual(of.active, 0)
        assert.strictEqual(of.waiting.size, 0)
        assert.isAbove(yield* Clock.currentTimeMillis, 0)
      }).pipe(Random.withSeed(seed), Effect.provideService(Scheduler.MaxOpsBeforeYield, 3))
    )
  }
})
