/**
 * Commits of an instance written as the Postgres layer writes them: its own grouping (`CommitGroup.ts`) over the simulated tables, so
 * that commits of several payments are one statement, and each is written alone where that fails.
 *
 * Statements are slow, so that others wait meanwhile and make a group. What was sent to the server is carried out whole, whatever becomes of the
 * process that sent it. What can go wrong with a group: the connection is lost before it; it waits in vain for a row that another transaction
 * holds; one of its rows is bad and the server refuses all of them; some of its commits conflict; its answer is lost, and it
 * was written, never is, or is written a little later, while its commits are already written alone.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as CommitGroup from "../../layers/postgres/payment/CommitGroup.ts"
import { type Commit, type CommitResult, EventStoreError } from "../../services/EventStore.ts"
import * as Chance from "./Chance.ts"
import type { Faults } from "./Faults.ts"
import type { Kernel, Process } from "./Kernel.ts"

/** Commits that go through it are grouped. */
export type Grouped = (commit: Commit) => Effect.Effect<CommitResult, EventStoreError>

export interface GroupedOptions {
  readonly kernel: Kernel
  readonly faults: Faults
  /** The instance, and the database's own process. */
  readonly process: Process
  readonly server: Process
  /** The longest a statement takes, in milliseconds. */
  readonly statementMillis: number
  /** Makes one commit durable, or says why not. Its own events are found again. */
  readonly write: (commit: Commit) => Effect.Effect<CommitResult>
  /** Is the payment at the version from which the commit was decided? */
  readonly isCurrent: (commit: Commit) => boolean
  /** A broken writer in place of the real one. */
  readonly spoil: ((writer: CommitGroup.Writer) => CommitGroup.Writer) | undefined
  /** Told how many commits a statement holds. */
  readonly onStatement: (commits: number) => void
}

/** How often a commit is written alone, and how long between. */
const maxTries = 3
const againMillis = 100
/** How long a group waits for a row. */
const lockMillis = 100
/** The latest a statement is carried out whose connection is gone. */
const latestMillis = 1_500

/** What a statement wrote of each commit: its result, or nothing where it was refused. */
type Written = ReadonlyArray<CommitResult | undefined>

export const make = (options: GroupedOptions): Effect.Effect<Grouped, never, Scope.Scope> => {
  const writer: CommitGroup.Writer = writerOf(options)
  return CommitGroup.make(options.spoil?.(writer) ?? writer)
}

const writerOf = (options: GroupedOptions): CommitGroup.Writer => {
  const { faults, isCurrent, kernel, process, server, statementMillis, write } = options
  /** Commits with a bad row: the server refuses them, together with others and then alone. */
  const bad = new Set<Commit>()
  const travel = Effect.suspend(() => Effect.sleep(Chance.between(faults.draw, Math.floor(statementMillis / 3), statementMillis)))
  const failure = (tag: "Unavailable" | "OutcomeUnknown") =>
    new EventStoreError({ operation: "EventStore.commit", reason: { _tag: tag, detail: "simulated" } })

  /** A statement for several: what does not get through its gate leaves no row, and harms no other. */
  const many = (commits: ReadonlyArray<Commit>): Effect.Effect<Written> =>
    Effect.forEach(commits, (commit) =>
      Effect.suspend(() => {
        if (!isCurrent(commit)) return Effect.undefined
        return Effect.map(write(commit), (result) => (result._tag === "Committed" ? result : undefined))
      })
    )

  /** The server carries out what was sent, also where its sender is gone by then. */
  const carryOut = <A>(statement: Effect.Effect<A>) =>
    Effect.callback<A>((resume) => {
      kernel.fork(server, statement, (exit) => kernel.post(process, () => resume(exit)))
    })

  /** The answer is lost: written, or written later, or never. */
  const unanswered = <A>(statement: Effect.Effect<A>) =>
    Effect.suspend(() => {
      const how = faults.draw()
      if (how < 0.4) return Effect.asVoid(carryOut(statement))
      if (how < 0.7) kernel.after(Chance.between(faults.draw, 1, latestMillis), server, () => void kernel.fork(server, statement))
      return Effect.void
    })

  return {
    together: Effect.fnUntraced(function* (commits: ReadonlyArray<Commit>) {
      options.onStatement(commits.length)
      yield* travel
      if (faults.strikes("unavailable")) return yield* Effect.fail({ ambiguous: false })
      if (faults.strikes("locked")) return yield* Effect.andThen(Effect.sleep(lockMillis), Effect.fail({ ambiguous: false }))
      const refused = commits.find(() => faults.strikes("badRow"))
      if (refused !== undefined) {
        bad.add(refused)
        return yield* Effect.fail({ ambiguous: false })
      }
      if (faults.strikes("unacknowledged")) {
        yield* unanswered(many(commits))
        yield* travel
        return yield* Effect.fail({ ambiguous: true })
      }
      const written = yield* carryOut(many(commits))
      yield* travel
      return written
    }),
    alone: Effect.fnUntraced(function* (commit: Commit, maybeWritten: boolean) {
      let ambiguous = maybeWritten
      for (let tries = 1; tries <= maxTries; tries++) {
        yield* travel
        if (bad.delete(commit)) break
        if (faults.strikes("unavailable")) yield* Effect.sleep(againMillis)
        else if (faults.strikes("unacknowledged")) {
          ambiguous = true
          yield* unanswered(write(commit))
          yield* travel
        } else {
          const result = yield* carryOut(write(commit))
          yield* travel
          return result
        }
      }
      return yield* failure(ambiguous ? "OutcomeUnknown" : "Unavailable")
    })
  }
}
