/**
 * Requests that are run together, where a fiber gives way between two of its steps: nobody is forgotten, and nobody blocks the others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import * as Grouping from "../../../src/layers/postgres/payment/Grouping.ts"

/** Groups that run until the test ends them; `end` ends what runs at the moment. A group with a "!" in it ends at once. */
const held = Effect.gen(function* () {
  const running: Array<() => void> = []
  const log: Array<string> = []
  const grouped = yield* Grouping.make<string, string>({
    run: (group) =>
      Effect.callback((resume) => {
        log.push(`sent ${group.join("")}`)
        if (group.includes("!")) return resume(Effect.succeed(group))
        running.push(() => resume(Effect.succeed(group)))
      }),
    keysOf: (request) => [request],
    maxGroup: 10,
    closed: () => "closed"
  })
  const end = () => {
    for (const one of running.splice(0)) one()
  }
  /** Until all that was asked has been run. */
  const settle = Effect.gen(function* () {
    for (let turn = 0; turn < 100; turn++) {
      end()
      yield* Effect.yieldNow
    }
  })
  /** Callers that ask one after the other, and what each is told. */
  const ask = (names: string) =>
    Effect.forEach(names.split(""), (name) =>
      Effect.forkChild(
        Effect.tap(grouped(name), (answer) => Effect.sync(() => void log.push(`told ${answer}`))),
        { startImmediately: true }
      )
    )
  return { ask, grouped, end, log, settle }
})

/** A fiber that gives way every so many operations, as any does every 2,048. */
const giveWay = <A, E>(effect: Effect.Effect<A, E>, operations: number) =>
  Effect.forkChild(Effect.provideService(Effect.andThen(Effect.void, effect), Scheduler.MaxOpsBeforeYield, operations), {
    startImmediately: true
  })

const everyStep = Array.from({ length: 40 }, (_, index) => index + 4)

describe("requests that are run together", () => {
  it.effect("whoever is about to wait when the last group ends is run", () =>
    Effect.forEach(
      everyStep,
      Effect.fnUntraced(function* (operations) {
        const { end, grouped, settle } = yield* held
        yield* Effect.forkChild(grouped("a"), { startImmediately: true })
        const second = yield* giveWay(grouped("b"), operations)
        end()
        yield* settle
        assert.deepStrictEqual(second.pollUnsafe(), Exit.succeed("b"), `gave way every ${operations} operations`)
      }, Effect.scoped)
    )
  )

  it.effect("whoever is interrupted before its request runs leaves the way free", () =>
    Effect.forEach(
      everyStep,
      Effect.fnUntraced(function* (operations) {
        const { grouped, settle } = yield* held
        const first = yield* giveWay(grouped("a"), operations)
        first.interruptUnsafe()
        const next = yield* Effect.forkChild(grouped("b"), { startImmediately: true })
        yield* settle
        assert.isDefined(first.pollUnsafe())
        assert.deepStrictEqual(next.pollUnsafe(), Exit.succeed("b"), `gave way every ${operations} operations`)
      }, Effect.scoped)
    )
  )

  it.effect("where half a group waits it is sent before those before it are told, and otherwise after", () =>
    Effect.gen(function* () {
      const { ask, end, log, settle } = yield* held
      yield* ask("a")
      yield* ask("bcd")
      end()
      yield* Effect.yieldNow
      assert.deepStrictEqual(log.splice(0), ["sent a", "told a", "sent bcd"])
      yield* ask("efgh")
      end()
      yield* Effect.yieldNow
      assert.deepStrictEqual(log.splice(0), ["told b", "told c", "told d", "sent efgh"])
      yield* ask("ijklm")
      end()
      yield* Effect.yieldNow
      assert.deepStrictEqual(log.splice(0), ["sent ijklm", "told e", "told f", "told g", "told h"])
      yield* settle
      assert.deepStrictEqual(log, ["told i", "told j", "told k", "told l", "told m"])
    }).pipe(Effect.scoped)
  )

  it.effect("whoever is told while the next group runs is told where that group has left", () =>
    Effect.forEach(
      Array.from({ length: 20 }, (_, index) => index + 1),
      Effect.fnUntraced(function* (step) {
        let left = 0
        const scheduler = new Scheduler.MixedScheduler()
        scheduler.shouldYield = () => left > 0 && --left === 0
        const { ask, end, grouped, settle } = yield* Effect.provideService(held, Scheduler.Scheduler, scheduler)
        yield* ask("a")
        const told = yield* ask("b")
        end()
        yield* Effect.yieldNow
        const leaving = yield* ask("cdefg")
        left = step
        end()
        left = 0
        for (const fiber of leaving) fiber.interruptUnsafe()
        yield* settle
        assert.deepStrictEqual(told[0]?.pollUnsafe(), Exit.succeed("b"), `gave way at step ${step}`)
        const next = yield* Effect.forkChild(grouped("h"), { startImmediately: true })
        yield* settle
        assert.deepStrictEqual(next.pollUnsafe(), Exit.succeed("h"), `gave way at step ${step}`)
      }, Effect.scoped)
    )
  )

  it.effect("whoever is told while the next group runs is told where that group ends at once", () =>
    Effect.gen(function* () {
      const { ask, end, log, settle } = yield* held
      yield* ask("a")
      yield* ask("b")
      end()
      yield* Effect.yieldNow
      yield* ask("cdef!")
      end()
      yield* settle
      assert.deepStrictEqual(log.slice(3), ["sent cdef!", "told b", "told c", "told d", "told e", "told f", "told !"])
    }).pipe(Effect.scoped)
  )

  for (const when of ["made", "run"] as const) {
    it.effect(`a defect that appears while a group is ${when} is told to its callers, and who waits behind it is run`, () =>
      Effect.gen(function* () {
        const running: Array<() => void> = []
        const grouped = yield* Grouping.make<string, string>({
          run: (group) => {
            const broken = group.includes("!")
            if (broken && when === "made") throw new Error("broken")
            return broken ? Effect.die("broken") : Effect.callback((resume) => void running.push(() => resume(Effect.succeed(group))))
          },
          keysOf: (request) => [request === "!" ? "b" : request],
          maxGroup: 10,
          closed: () => "closed"
        })
        const ask = (name: string) => Effect.forkChild(grouped(name), { startImmediately: true })
        const settle = Effect.gen(function* () {
          for (let turn = 0; turn < 100; turn++) {
            for (const end of running.splice(0)) end()
            yield* Effect.yieldNow
          }
        })
        yield* ask("a")
        const [broken, neighbour, behind] = [yield* ask("!"), yield* ask("c"), yield* ask("b")]
        yield* settle
        for (const fiber of [broken, neighbour]) {
          const exit = fiber.pollUnsafe()
          assert.isTrue(exit !== undefined && Exit.hasDies(exit))
        }
        assert.deepStrictEqual(behind.pollUnsafe(), Exit.succeed("b"))
        const later = yield* ask("d")
        yield* settle
        assert.deepStrictEqual(later.pollUnsafe(), Exit.succeed("d"))
      }).pipe(Effect.scoped)
    )
  }

  it.effect("an answer that is there is told when everything closes before it was", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { ask, end } = yield* Scope.provide(held, scope)
      yield* ask("a")
      const known = yield* ask("b")
      end()
      yield* Effect.yieldNow
      const unknown = yield* ask("cdefg")
      end()
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Fiber.joinAll(known), ["b"])
      assert.deepStrictEqual(yield* Fiber.joinAll(unknown), ["closed", "closed", "closed", "closed", "closed"])
    })
  )

  for (const running of ["alone", "in a group"] as const) {
    it.effect(`whoever comes when everything is closed, and what ran ${running} has not ended, is told so`, () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const { ask, end, settle } = yield* Scope.provide(held, scope)
        yield* ask("a")
        if (running === "in a group") {
          yield* ask("b")
          end()
          yield* Effect.yieldNow
        }
        yield* Scope.close(scope, Exit.void)
        const late = yield* ask("cd")
        yield* settle
        assert.deepStrictEqual(
          late.map((fiber) => fiber.pollUnsafe()),
          [Exit.succeed("closed"), Exit.succeed("closed")]
        )
      })
    )
  }
})
