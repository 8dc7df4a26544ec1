/**
 * Commits of concurrent payments in one statement: one round trip and one fsync for all that waited.
 *
 * There is no timer. Who comes while nothing is being written is written at once, a group of one, by its own fiber. Whoever comes meanwhile
 * waits; when the write ends, everything that waits is written together, and so on until nobody waits. So a single caller pays
 * nothing, and the groups grow with the load.
 *
 * - A group holds at most one commit per payment and per idempotency key: a second one waits for the next group.
 * - A group waits only shortly for a row that another transaction holds, since everybody behind it waits as well. Then, and when
 *   a group fails for any other reason, each of its commits is written alone: one bad row harms no neighbour. What is written
 *   alone keeps its payment and key out of the groups until it is done, so that a row held for long stops one group, not all.
 * - A commit without a row in the answer was refused; it is written alone to learn why.
 * - When the answer to a group is lost, each of its commits is repeated alone, and finds itself stored (rule 9).
 */
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type Commit, type CommitResult, EventStoreError } from "../../../services/EventStore.ts"
import { inOrder } from "./CommitStatement.ts"

/** The most commits of a group: past a hundred the fsync's share is gone and only row work is left. */
const maxGroup = 100

/** How commits are written. */
export interface Writer {
  /** One commit, to its end. `ambiguous`: it may have been written already, by a group whose answer was lost. */
  readonly alone: (commit: Commit, ambiguous: boolean) => Effect.Effect<CommitResult, EventStoreError>
  /** Many, tried once. `undefined` for a commit that was refused. */
  readonly together: (
    commits: ReadonlyArray<Commit>
  ) => Effect.Effect<ReadonlyArray<CommitResult | undefined>, { readonly ambiguous: boolean }>
}

interface Waiting {
  readonly commit: Commit
  readonly result: Deferred.Deferred<CommitResult, EventStoreError>
}

const keysOf = ({ claim, payment }: Commit): ReadonlyArray<string> =>
  claim === undefined ? [payment.id] : [payment.id, `${claim.tenant} ${claim.key}`]

const operation = "EventStore.commit"

/** Groups what is committed through it. Ends with the scope: what still waits then fails, and says whether it may have been written. */
export const make = Effect.fnUntraced(function* (
  writer: Writer
): Effect.fn.Return<(commit: Commit) => Effect.Effect<CommitResult, EventStoreError>, never, Scope.Scope> {
  const context = yield* Effect.context<Scope.Scope>()
  const scope = yield* Effect.scope
  const waiting: Array<Waiting> = []
  /** In a group that is being written. */
  let writing: ReadonlyArray<Waiting> = []
  /** Payments and keys of what is being written alone, with how many commits. */
  const alone = new Map<string, number>()
  let busy = false

  const isAlone = (commit: Commit) => keysOf(commit).some((key) => alone.has(key))

  /** From here on, not from when its fiber first runs, the commit is known to be written alone. */
  const writeAlone = (commit: Commit, ambiguous: boolean) => {
    const keys = keysOf(commit)
    for (const key of keys) alone.set(key, (alone.get(key) ?? 0) + 1)
    const release = Effect.sync(() => {
      for (const key of keys) {
        const left = (alone.get(key) ?? 1) - 1
        if (left === 0) alone.delete(key)
        else alone.set(key, left)
      }
    })
    return Effect.ensuring(writer.alone(commit, ambiguous), release)
  }

  /** In the scope and the context of the store, whoever started it: nothing of a caller belongs to a group. */
  const inBackground = (effect: Effect.Effect<unknown>) =>
    Effect.forkIn(
      Effect.updateContext(effect, (_: Context.Context<never>) => context),
      scope
    )

  const settleAlone = ({ commit, result }: Waiting, ambiguous: boolean) =>
    inBackground(Effect.exit(Effect.onExit(writeAlone(commit, ambiguous), (exit) => Deferred.done(result, exit))))

  /** The next group in order of arrival. What shares a payment or key with a commit that is written alone goes alone too. */
  const take = (): { readonly group: Array<Waiting>; readonly apart: Array<Waiting> } => {
    const group: Array<Waiting> = []
    const apart: Array<Waiting> = []
    const later: Array<Waiting> = []
    const taken = new Set<string>()
    for (const item of waiting.splice(0)) {
      const keys = keysOf(item.commit)
      if (isAlone(item.commit)) apart.push(item)
      else if (group.length >= maxGroup || keys.some((key) => taken.has(key))) later.push(item)
      else group.push(item)
      for (const key of keys) taken.add(key)
    }
    waiting.push(...later)
    return { group: group.toSorted((left, right) => inOrder(left.commit, right.commit)), apart }
  }

  /** Tries a group once. What it did not get through is written alone. */
  const tryOnce = (group: ReadonlyArray<Commit>) =>
    Effect.map(Effect.exit(writer.together(group)), (exit) => {
      const failure = Exit.findErrorOption(exit)
      const ambiguous = Exit.isFailure(exit) && (failure._tag === "None" || failure.value.ambiguous)
      return { results: Exit.isSuccess(exit) ? exit.value : [], ambiguous }
    })

  const writeNext = Effect.fnUntraced(function* () {
    const { apart, group } = take()
    writing = group
    for (const item of apart) yield* settleAlone(item, false)
    if (group.length > 0) {
      const { ambiguous, results } = yield* tryOnce(group.map(({ commit }) => commit))
      for (const [index, item] of group.entries()) {
        const result = results[index]
        if (result !== undefined) Deferred.doneUnsafe(item.result, Effect.succeed(result))
        else yield* settleAlone(item, ambiguous)
      }
    }
    writing = []
    return true
  })

  /** Writes group after group until nobody waits. The look and the end are one step: nobody begins to wait between them. */
  const drain = Effect.repeat(
    Effect.suspend(() => {
      if (waiting.length > 0) return writeNext()
      busy = false
      return Effect.succeed(false)
    }),
    { while: (more) => more }
  )

  const handOver = Effect.suspend(() => {
    if (waiting.length > 0) return inBackground(drain)
    busy = false
    return Effect.void
  })

  const wait = (commit: Commit) =>
    Effect.suspend(() => {
      const item: Waiting = { commit, result: Deferred.makeUnsafe() }
      waiting.push(item)
      return Effect.onInterrupt(Deferred.await(item.result), () =>
        Effect.sync(() => {
          const index = waiting.indexOf(item)
          if (index >= 0) waiting.splice(index, 1)
        })
      )
    })

  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      const detail = "the store was closed"
      const unwritten = new EventStoreError({ operation, reason: { _tag: "Unavailable", detail } })
      const unknown = new EventStoreError({ operation, reason: { _tag: "OutcomeUnknown", detail } })
      for (const { result } of waiting.splice(0)) Deferred.doneUnsafe(result, Effect.fail(unwritten))
      for (const { result } of writing) Deferred.doneUnsafe(result, Effect.fail(unknown))
    })
  )

  return (commit) =>
    Effect.suspend(() => {
      if (isAlone(commit)) return writeAlone(commit, false)
      if (busy) return wait(commit)
      busy = true
      return Effect.flatMap(Effect.ensuring(tryOnce([commit]), handOver), ({ ambiguous, results: [result] }) =>
        result === undefined ? writeAlone(commit, ambiguous) : Effect.succeed(result)
      )
    })
})
