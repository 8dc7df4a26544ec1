/**
 * Bugs of commits that are written together: what a caller is told of a group that was refused, failed or got no answer.
 *
 * They need commits of several payments in one statement, which a part of the seeds has.
 */
import * as Effect from "effect/Effect"
import type { Writer } from "../../layers/postgres/payment/CommitGroup.ts"
import { evolve, type Payment, type PaymentState } from "../../domain/payment/State.ts"
import type { Commit, CommitResult } from "../../services/EventStore.ts"
import type { Bug } from "./Bug.ts"

/** Another writer over the real one; one per instance. */
const writing = (name: string, breaks: string, writer: (real: Writer) => Partial<Writer>): Bug => ({
  name,
  breaks,
  writer: (real) => ({ ...real, ...writer(real) })
})

/** Says that it is durable, and it is not. */
const pretended = (commit: Commit): CommitResult => {
  const state = commit.events.reduce<PaymentState>(
    (current, { event, occurredAt, version }) => evolve(current, { event, version, recordedAt: occurredAt }),
    commit.payment
  )
  return { _tag: "Committed", payment: state as Payment }
}

const conflict = (commit: Commit): CommitResult => ({ _tag: "VersionConflict", actualVersion: commit.payment.version + 1 })

export const lostGroupAsFailed = writing(
  "lost-group-as-failed",
  "when the answer to a group is lost, its commits are written anew, and what was written meanwhile counts as a conflict",
  (real) => {
    const lost = new Set<Commit>()
    return {
      together: (commits) =>
        Effect.tapError(real.together(commits), ({ ambiguous }) =>
          Effect.sync(() => {
            if (ambiguous) for (const commit of commits) lost.add(commit)
          })
        ),
      alone: (commit) =>
        Effect.map(real.alone(commit, false), (result) => {
          const known = result._tag === "Committed" && lost.has(commit)
          return known && result.payment.version > commit.payment.version ? conflict(commit) : result
        })
    }
  }
)

export const conflictToldToAll = writing("group-conflict-told-to-all", "when one commit of a group conflicts, all are told so", (real) => ({
  together: (commits) =>
    Effect.map(real.together(commits), (results) => (results.some((result) => result === undefined) ? commits.map(conflict) : results))
}))

export const neighboursDropped = writing(
  "neighbours-of-a-bad-row-dropped",
  "when a group fails for one of its rows, its neighbours count as written",
  (real) => ({
    together: (commits) =>
      Effect.catch(real.together(commits), (failure) =>
        failure.ambiguous || commits.length === 1
          ? Effect.fail(failure)
          : Effect.succeed(commits.map((commit, index) => (index === 0 ? undefined : pretended(commit))))
      )
  })
)

export const settledBeforeCommit = writing(
  "group-settled-before-commit",
  "the callers of a group are answered before it is written",
  (real) => ({
    together: (commits) => Effect.as(Effect.forkDetach(real.together(commits)), commits.map(pretended))
  })
)

export const answersMixedUp = writing("group-answers-mixed-up", "the callers of a group get one another's answers", (real) => ({
  together: (commits) => Effect.map(real.together(commits), (results) => [...results.slice(1), ...results.slice(0, 1)])
}))
