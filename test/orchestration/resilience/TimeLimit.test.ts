/**
 * A time limit: everybody has the whole time and no more, one timer serves all, and nothing is left of what has ended.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Random, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as TimeLimit from "../../../src/orchestration/resilience/TimeLimit.ts"

/** What ends by itself answers that, the others "over". */
const within = <A>(limit: TimeLimit.TimeLimit, program: Effect.Effect<A>) =>
  Clock.clockWith((clock) =>
    TimeLimit.within(limit, program, { clock, ended: (exit: Exit.Exit<A>): Exit.Exit<A | "over"> => exit, over: () => "over" as const })
  )

/** Programs within one limit of a second, and when each was answered what. */
const scene = (limit = TimeLimit.make(1_000)) => {
  const log: Array<string> = []
  const begin = (name: string, program: Effect.Effect<string>) =>
    Effect.forkChild(
      within(limit, program).pipe(
        Effect.flatMap((answer) => Effect.map(Clock.currentTimeMillis, (now) => void log.push(`${name} ${answer} ${now}`)))
      ),
      { startImmediately: true }
    )
  const isIdle = () => limit.running.size === 0 && limit.timer === undefined
  return { log, begin, isIdle, limit }
}

const after = (millis: number) => Effect.as(Effect.sleep(millis), "done")

describe("a time limit", () => {
  it.effect("ends whoever has had the whole time, and answers the others what they answered", () =>
    Effect.gen(function* () {
      const { begin, isIdle, log } = scene()
      yield* begin("a", after(5_000))
      yield* begin("b", after(300))
      yield* TestClock.adjust(400)
      yield* begin("c", after(999))
      yield* begin("d", after(5_000))
      yield* TestClock.adjust(599)
      assert.deepStrictEqual(log, ["b done 300"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(log, ["b done 300", "a over 1000"])
      yield* TestClock.adjust(400)
      assert.deepStrictEqual(log.slice(2), ["c done 1399", "d over 1400"])
      assert.isTrue(isIdle())
    })
  )

  it.effect("has one timer for all, and none while nobody runs", () =>
    Effect.gen(function* () {
      const sleeps: Array<number> = []
      const clock = yield* Clock.Clock
      const counting: Clock.Clock = Object.create(clock, {
        sleep: { value: (duration: Parameters<Clock.Clock["sleep"]>[0]) => (sleeps.push(1), clock.sleep(duration)) }
      }) as Clock.Clock
      const { begin, isIdle, limit, log } = scene()
      const all = Effect.forEach(Array.from({ length: 100 }), (_, index) => begin(`${index}`, Effect.never))
      yield* Effect.provideService(all, Clock.Clock, counting)
      assert.strictEqual(limit.running.size, 100)
      assert.lengthOf(sleeps, 1)
      yield* TestClock.adjust(1_000)
      assert.lengthOf(log, 100)
      assert.isTrue(isIdle())
      yield* begin("again", after(300))
      const timer = limit.timer
      yield* TestClock.adjust(300)
      assert.strictEqual(log.at(-1), "again done 1300")
      assert.isTrue(isIdle())
      assert.isDefined(timer?.pollUnsafe(), "the timer has ended with the last one")
    })
  )

  it.effect("what ends at once has no timer at all", () =>
    Effect.gen(function* () {
      const { begin, isIdle, limit, log } = scene()
      const fiber = yield* begin("a", Effect.succeed("done"))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(log, ["a done 0"])
      assert.isTrue(isIdle())
      const exit = yield* Effect.exit(within(limit, Effect.die("broken")))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
    })
  )

  it.effect("is kept wherever the fiber of whoever began gives way, also when its program has ended by then", () =>
    Effect.gen(function* () {
      for (const operations of Array.from({ length: 40 }, (_, index) => index + 4)) {
        const limit = TimeLimit.make(1_000)
        const quick = Effect.provideService(Effect.as(Effect.yieldNow, "done"), Scheduler.MaxOpsBeforeYield, 2_048)
        const first = within(limit, quick)
        assert.strictEqual(yield* Effect.provideService(first, Scheduler.MaxOpsBeforeYield, operations), "done")
        const next = yield* Effect.forkChild(within(limit, Effect.never), { startImmediately: true })
        yield* TestClock.adjust(1_000)
        const message = `a limit that nobody keeps, after a fiber gave way every ${operations} operations`
        assert.deepStrictEqual(next.pollUnsafe(), Exit.succeed("over"), message)
        assert.isTrue(limit.running.size === 0 && limit.timer === undefined)
      }
    })
  )

  it.effect("is kept for those who begin while one whose time is over cannot be interrupted yet", () =>
    Effect.gen(function* () {
      const { begin, isIdle, log } = scene()
      yield* begin("stubborn", Effect.uninterruptible(after(5_000)))
      yield* TestClock.adjust(2_000)
      yield* begin("b", Effect.never)
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(log, ["b over 3000"])
      yield* TestClock.adjust(2_000)
      assert.deepStrictEqual(log, ["b over 3000", "stubborn over 5000"])
      assert.isTrue(isIdle())
    })
  )

  it.effect("a program that cannot be interrupted is waited for; what it answers is too late", () =>
    Effect.gen(function* () {
      const { begin, isIdle, log } = scene()
      yield* begin("a", Effect.uninterruptible(after(1_500)))
      yield* begin("b", after(5_000))
      yield* TestClock.adjust(1_499)
      assert.deepStrictEqual(log, ["b over 1000"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(log, ["b over 1000", "a over 1500"])
      assert.isTrue(isIdle())
    })
  )

  it.effect("whoever is interrupted takes its program along, and has waited for its end", () =>
    Effect.gen(function* () {
      const { begin, isIdle, limit, log } = scene()
      const closing = Effect.onInterrupt(after(5_000), () =>
        Effect.andThen(
          Effect.sleep(100),
          Effect.sync(() => log.push("closed"))
        )
      )
      const fiber = yield* begin("a", closing)
      yield* begin("b", after(5_000))
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
      assert.isUndefined(interrupting.pollUnsafe())
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(log, ["closed"])
      assert.isDefined(interrupting.pollUnsafe())
      assert.strictEqual(limit.running.size, 1)
      yield* TestClock.adjust(900)
      assert.deepStrictEqual(log, ["closed", "b over 1000"])
      assert.isTrue(isIdle())
    })
  )

  it.effect("whoever was interrupted before it begins to wait ends its program as well", () =>
    Effect.gen(function* () {
      const { isIdle, limit } = scene()
      let ended = false
      const until = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (ended = true)))
      const caller = Effect.withFiber((self) => {
        const interrupted = Effect.sync(() => self.interruptUnsafe())
        return within(limit, Effect.andThen(interrupted, until))
      })
      const exit = yield* Fiber.await(yield* Effect.forkChild(caller))
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.isTrue(ended)
      assert.isTrue(isIdle())
    })
  )

  it.effect("answers as a limit of its own would, whatever the times", () =>
    Effect.gen(function* () {
      const own: Array<string> = []
      const { begin, isIdle, log } = scene()
      for (let index = 0; index < 200; index++) {
        const [lasts, pause] = [yield* Random.nextIntBetween(1, 1_999), yield* Random.nextIntBetween(0, 300)]
        yield* begin(`${index}`, after(lasts))
        const began = yield* Clock.currentTimeMillis
        own.push(lasts < 1_000 ? `${index} done ${began + lasts}` : `${index} over ${began + 1_000}`)
        yield* TestClock.adjust(pause)
      }
      yield* TestClock.adjust(1_000)
      assert.sameMembers(log, own)
      assert.isTrue(isIdle())
    }).pipe(Random.withSeed(7))
  )
})
