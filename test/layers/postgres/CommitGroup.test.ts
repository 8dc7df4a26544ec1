/**
 * How commits are put together, with a writer that the test holds: who is written alone, who waits, and what a failure of a
 * group does to each of its members.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as CommitGroup from "../../../src/layers/postgres/payment/CommitGroup.ts"
import { fold } from "../../../src/layers/postgres/payment/CommitStatement.ts"
import { type Commit, type CommitResult, EventStoreError } from "../../../src/services/EventStore.ts"
import * as Payments from "../../support/payments.ts"

const Marker = Context.Reference<string>("test/Marker", { defaultValue: () => "nobody" })

type Together = ReadonlyArray<CommitResult | undefined>

interface Write {
  readonly commits: ReadonlyArray<Commit>
  readonly ambiguous: boolean | undefined
  readonly marker: string
  readonly end: Deferred.Deferred<Together, { readonly ambiguous: boolean } | EventStoreError>
}

const committed = (commit: Commit): CommitResult => ({ _tag: "Committed", payment: fold(commit, 1_000) })
const conflict: CommitResult = { _tag: "VersionConflict", actualVersion: 9 }
const unavailable = new EventStoreError({ operation: "EventStore.commit", reason: { _tag: "Unavailable", detail: "test" } })

/** Writes that wait until the test ends them. */
const held = Effect.gen(function* () {
  const writes: Array<Write> = []
  const write = Effect.fnUntraced(function* (commits: ReadonlyArray<Commit>, ambiguous: boolean | undefined) {
    const end = yield* Deferred.make<Together, { readonly ambiguous: boolean } | EventStoreError>()
    writes.push({ commits, ambiguous, marker: yield* Marker, end })
    return yield* Deferred.await(end)
  })
  const commit = yield* CommitGroup.make({
    alone: (one, ambiguous) =>
      write([one], ambiguous).pipe(
        Effect.map(([result]) => result ?? conflict),
        Effect.mapError((error) => (error instanceof EventStoreError ? error : unavailable))
      ),
    together: (commits) =>
      write(commits, undefined).pipe(Effect.mapError((error) => (error instanceof EventStoreError ? { ambiguous: false } : error)))
  })
  const start = (one: Commit) => Effect.forkChild(Effect.exit(commit(one)), { startImmediately: true })
  /** The write with this number, from 0, once it has begun. */
  const begun = Effect.fnUntraced(function* (number: number) {
    for (let turns = 0; turns < 100 && writes.length <= number; turns++) yield* Effect.yieldNow
    return writes[number] ?? assert.fail(`there is no write ${number}`)
  })
  const succeed = ({ commits, end }: Write) => Deferred.succeed(end, commits.map(committed))
  return { writes, start, begun, succeed }
})

const committedExit = (commit: Commit) => Exit.succeed(committed(commit))
const some = (count: number) => Array.from({ length: count }, () => Payments.firstCommit())
const idsOf = (commits: ReadonlyArray<Commit>) => commits.map(({ payment }) => payment.id).toSorted()

describe("groups of commits", () => {
  it.effect("a caller without company is written alone; who comes meanwhile is written together", () =>
    Effect.gen(function* () {
      const { begun, start, succeed, writes } = yield* held
      const [first, ...rest] = some(6)
      assert.isDefined(first)
      const leader = yield* start(first)
      const others = yield* Effect.forEach(rest, start)
      assert.deepStrictEqual(idsOf((yield* begun(0)).commits), [first.payment.id])
      assert.lengthOf(writes, 1, "everybody else waits")
      yield* succeed(yield* begun(0))
      assert.deepStrictEqual(yield* Fiber.join(leader), committedExit(first))
      const group = yield* begun(1)
      assert.deepStrictEqual(idsOf(group.commits), idsOf(rest))
      yield* succeed(group)
      assert.deepStrictEqual(yield* Effect.forEach(others, Fiber.join), rest.map(committedExit))
      assert.lengthOf(writes, 2)
    }).pipe(Effect.scoped)
  )

  it.effect("holds at most a hundred, and at most one per payment and key", () =>
    Effect.gen(function* () {
      const { begun, start, succeed } = yield* held
      const [first, twice, ...rest] = some(150)
      assert.isDefined(first)
      assert.isDefined(twice)
      const key = { ...Payments.firstCommit(), ...(twice.claim === undefined ? {} : { claim: twice.claim }) }
      const waiting = [twice, twice, key, ...rest]
      const fibers = yield* Effect.forEach([first, ...waiting], start)
      let written = 0
      for (let number = 0; written < waiting.length + 1; number++) {
        const write = yield* begun(number)
        assert.isAtMost(write.commits.length, 100)
        assert.lengthOf(new Set(idsOf(write.commits)), write.commits.length)
        assert.lengthOf(new Set(write.commits.map(({ claim }) => claim?.key)), write.commits.length)
        written += write.commits.length
        yield* succeed(write)
      }
      for (const exit of yield* Effect.forEach(fibers, Fiber.join)) assert.isTrue(Exit.isSuccess(exit))
    }).pipe(Effect.scoped)
  )

  it.effect("a refused commit is asked for its reason alone, and its neighbours are done", () =>
    Effect.gen(function* () {
      const { begun, start, succeed } = yield* held
      const [first, refused, fine] = some(3)
      assert.isDefined(first)
      assert.isDefined(refused)
      assert.isDefined(fine)
      yield* start(first)
      const [refusedFiber, fineFiber] = [yield* start(refused), yield* start(fine)]
      yield* succeed(yield* begun(0))
      const group = yield* begun(1)
      yield* Deferred.succeed(
        group.end,
        group.commits.map((commit) => (commit === refused ? undefined : committed(commit)))
      )
      assert.deepStrictEqual(yield* Fiber.join(fineFiber), committedExit(fine))
      const again = yield* begun(2)
      assert.deepStrictEqual([again.commits, again.ambiguous], [[refused], false])
      yield* Deferred.succeed(again.end, [conflict])
      assert.deepStrictEqual(yield* Fiber.join(refusedFiber), Exit.succeed(conflict))
    }).pipe(Effect.scoped)
  )

  for (const ambiguous of [true, false]) {
    it.effect(`of a group that fails each is written alone (it may have been written: ${ambiguous})`, () =>
      Effect.gen(function* () {
        const { begun, start, succeed, writes } = yield* held
        const [first, ...rest] = some(4)
        assert.isDefined(first)
        yield* start(first)
        const fibers = yield* Effect.forEach(rest, start)
        yield* succeed(yield* begun(0))
        yield* Deferred.fail((yield* begun(1)).end, { ambiguous })
        yield* begun(4)
        assert.deepStrictEqual(idsOf(writes.slice(2).flatMap(({ commits }) => commits)), idsOf(rest))
        assert.isTrue(writes.slice(2).every((write) => write.commits.length === 1 && write.ambiguous === ambiguous))
        const [bad, ...good] = writes.slice(2)
        assert.isDefined(bad)
        yield* Deferred.fail(bad.end, unavailable)
        yield* Effect.forEach(good, succeed)
        const exits = yield* Effect.forEach(fibers, Fiber.join)
        assert.lengthOf(exits.filter(Exit.isSuccess), 2, "one bad commit harms no neighbour")
      }).pipe(Effect.scoped)
    )
  }

  it.effect("a commit of which no statement can be made harms no neighbour", () =>
    Effect.gen(function* () {
      const [first, broken, neighbour, later] = [
        Payments.firstCommit(),
        Payments.firstCommit(),
        Payments.firstCommit(),
        Payments.firstCommit()
      ]
      const checked = (commits: ReadonlyArray<Commit>) => {
        if (commits.includes(broken)) throw new Error("no statement")
        return Effect.as(Effect.yieldNow, commits.map(committed))
      }
      const commit = yield* CommitGroup.make({
        alone: (one) =>
          Effect.map(
            Effect.suspend(() => checked([one])),
            ([result]) => result ?? conflict
          ),
        together: checked
      })
      const start = (one: Commit) => Effect.forkChild(Effect.exit(commit(one)), { startImmediately: true })
      const settle = Effect.forEach(Array.from({ length: 100 }), () => Effect.yieldNow)
      const fibers = [yield* start(first), yield* start(broken), yield* start(neighbour)] as const
      yield* settle
      const [, fails, follows] = fibers.map((fiber) => fiber.pollUnsafe())
      assert.isTrue(fails !== undefined && Exit.isSuccess(fails) && Exit.hasDies(fails.value))
      assert.deepStrictEqual(follows, Exit.succeed(committedExit(neighbour)))
      const last = yield* start(later)
      yield* settle
      assert.deepStrictEqual(last.pollUnsafe(), Exit.succeed(committedExit(later)))
    }).pipe(Effect.scoped)
  )

  it.effect("what is written alone keeps its payment out of the groups, and stops nobody else", () =>
    Effect.gen(function* () {
      const { begun, start, succeed, writes } = yield* held
      const [first, stuck, neighbour, ...rest] = some(6)
      assert.isDefined(first)
      assert.isDefined(stuck)
      assert.isDefined(neighbour)
      yield* start(first)
      yield* Effect.forEach([stuck, neighbour], start)
      yield* succeed(yield* begun(0))
      yield* Deferred.fail((yield* begun(1)).end, { ambiguous: false })
      yield* begun(3)
      // Another commit of the stuck payment goes alone at once, while groups go on.
      yield* start(stuck)
      const fibers = yield* Effect.forEach(rest, start)
      assert.deepStrictEqual((yield* begun(4)).commits, [stuck])
      yield* succeed(yield* begun(5))
      yield* succeed(yield* begun(6))
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), rest.map(committedExit))
      assert.lengthOf(
        writes.filter(({ commits }) => commits.includes(stuck)),
        3
      )
    }).pipe(Effect.scoped)
  )

  it.effect("who waits while its payment begins to be written alone goes alone too", () =>
    Effect.gen(function* () {
      const { begun, start, succeed } = yield* held
      const [first, stuck, later] = some(3)
      assert.isDefined(first)
      assert.isDefined(stuck)
      assert.isDefined(later)
      yield* start(stuck)
      yield* Effect.forEach([first, later], start)
      const sibling = yield* start(stuck)
      // The leader fails and goes on alone, while its sibling waits in the next group.
      yield* Deferred.fail((yield* begun(0)).end, { ambiguous: true })
      const writes = [yield* begun(1), yield* begun(2)]
      const group = writes.find(({ commits }) => commits.length > 1) ?? assert.fail("there is no group")
      assert.deepStrictEqual(idsOf(group.commits), idsOf([first, later]))
      yield* succeed(group)
      const alone = yield* begun(3)
      assert.deepStrictEqual([alone.commits, alone.ambiguous], [[stuck], false])
      yield* succeed(alone)
      assert.deepStrictEqual(yield* Fiber.join(sibling), committedExit(stuck))
    }).pipe(Effect.scoped)
  )

  it.effect("a caller that leaves is not written, if it has not been taken yet; a leader that leaves hands over", () =>
    Effect.gen(function* () {
      const { begun, start, succeed, writes } = yield* held
      const [first, left, stays] = some(3)
      assert.isDefined(first)
      assert.isDefined(left)
      assert.isDefined(stays)
      const leader = yield* start(first)
      const leaver = yield* start(left)
      const stayer = yield* start(stays)
      yield* Fiber.interrupt(leaver)
      yield* begun(0)
      yield* Fiber.interrupt(leader)
      const next = yield* begun(1)
      assert.deepStrictEqual(next.commits, [stays])
      yield* succeed(next)
      assert.deepStrictEqual(yield* Fiber.join(stayer), committedExit(stays))
      assert.lengthOf(writes, 2)
      const idle = yield* start(left)
      yield* succeed(yield* begun(2))
      assert.deepStrictEqual(yield* Fiber.join(idle), committedExit(left), "and the next caller without company is written at once")
    }).pipe(Effect.scoped)
  )

  it.effect("a group runs in the context of the store, not in that of a caller", () =>
    Effect.gen(function* () {
      const { begun, start, succeed } = yield* held
      const [first, ...rest] = some(3)
      assert.isDefined(first)
      const inCaller = Effect.provideService(Marker, "caller")
      yield* inCaller(start(first))
      const fibers = yield* Effect.forEach(rest, (commit) => inCaller(start(commit)))
      yield* succeed(yield* begun(0))
      const group = yield* begun(1)
      assert.strictEqual(group.marker, "nobody")
      yield* succeed(group)
      yield* Effect.forEach(fibers, Fiber.join)
    }).pipe(Effect.scoped)
  )

  it.effect("closing tells who waits that nothing was written, and who was being written that it may have been", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { begun, start, succeed } = yield* Scope.provide(held, scope)
      const [first, taken, other, late] = some(4)
      assert.isDefined(first)
      assert.isDefined(taken)
      assert.isDefined(other)
      assert.isDefined(late)
      yield* start(first)
      const inGroup = [yield* start(taken), yield* start(other)]
      yield* succeed(yield* begun(0))
      yield* begun(1)
      const waits = yield* start(late)
      yield* Scope.close(scope, Exit.void)
      const reasonOf = (exit: Exit.Exit<CommitResult, EventStoreError>) => {
        const error = Exit.findErrorOption(exit)
        return error._tag === "Some" ? error.value.reason._tag : "no error"
      }
      assert.deepStrictEqual((yield* Effect.forEach(inGroup, Fiber.join)).map(reasonOf), ["OutcomeUnknown", "OutcomeUnknown"])
      assert.strictEqual(reasonOf(yield* Fiber.join(waits)), "Unavailable")
    }).pipe(Effect.scoped)
  )
})
