/**
 * Commits of concurrent payments in one statement: one round trip and one fsync for all that waited (see `Grouping.ts`).
 *
 * - A group holds at most one commit per payment and per idempotency key.
 * - A group waits only shortly for a row that another transaction holds, since everybody behind it waits as well. Then, and when
 *   a group fails for any other reason, each of its commits is written alone: one bad row harms no neighbour. What is being written
 *   alone keeps its payment and key out of the groups, so that a row held for long stops one group, not all.
 * - A commit without a row in the answer was refused; it is written alone to learn why.
 * - When the answer to a group is lost, each of its commits is repeated alone, and finds itself stored (rule 9).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type Commit, type CommitResult, EventStoreError } from "../../../services/EventStore.ts"
import { inOrder } from "./CommitStatement.ts"
import * as Grouping from "./Grouping.ts"

/** Past a hundred the fsync's share is gone and only row work is left. */
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

/** What became of a commit in its group. */
type Attempt =
  | { readonly _tag: "Written"; readonly result: CommitResult }
  | { readonly _tag: "Left"; readonly ambiguous: boolean }
  | { readonly _tag: "Closed"; readonly ambiguous: boolean }

const keysOf = ({ claim, payment }: Commit): ReadonlyArray<string> =>
  claim === undefined ? [payment.id] : [payment.id, `${claim.tenant} ${claim.key}`]

/** Groups what is committed through it. Ends with the scope: what still waits then fails, and says whether it may have been written. */
export const make = Effect.fnUntraced(function* (
  writer: Writer
): Effect.fn.Return<(commit: Commit) => Effect.Effect<CommitResult, EventStoreError>, never, Scope.Scope> {
  /** Payments and keys of what is being written alone, with how many commits. */
  const alone = new Map<string, number>()

  const isAlone = (commit: Commit) => alone.size > 0 && keysOf(commit).some((key) => alone.has(key))

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

  const run = (commits: ReadonlyArray<Commit>) => {
    const group = commits.filter((commit) => !isAlone(commit)).toSorted(inOrder)
    const written = group.length === 0 ? Effect.succeed([]) : Effect.suspend(() => writer.together(group))
    return Effect.map(Effect.exit(written), (exit) => {
      const failure = Exit.findErrorOption(exit)
      const ambiguous = Exit.isFailure(exit) && (failure._tag === "None" || failure.value.ambiguous)
      const results = Exit.isSuccess(exit) ? exit.value : []
      return commits.map((commit): Attempt => {
        const index = group.indexOf(commit)
        const result = results[index]
        return result === undefined ? { _tag: "Left", ambiguous: ambiguous && index >= 0 } : { _tag: "Written", result }
      })
    })
  }

  const attempt = yield* Grouping.make<Commit, Attempt>({
    run,
    keysOf,
    maxGroup,
    closed: (begun) => ({ _tag: "Closed", ambiguous: begun })
  })

  return (commit) =>
    Effect.flatMap(attempt(commit), (outcome) => {
      switch (outcome._tag) {
        case "Written":
          return Effect.succeed(outcome.result)
        case "Left":
          return writeAlone(commit, outcome.ambiguous)
        case "Closed": {
          const detail = "the store was closed"
          const reason = outcome.ambiguous ? { _tag: "OutcomeUnknown" as const, detail } : { _tag: "Unavailable" as const, detail }
          return Effect.fail(new EventStoreError({ operation: "EventStore.commit", reason }))
        }
      }
    })
})
