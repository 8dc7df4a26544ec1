/**
 * A statement that answers concurrent callers together (see `Grouping.ts`): a read, or a write that may be repeated.
 *
 * It is sent after it was asked for, so it sees whatever was committed before. Inside a host's transaction it goes alone, on the
 * transaction's own connection.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { SqlClient } from "effect/sql/SqlClient"
import { EventStoreError } from "../../../services/EventStore.ts"
import { isInTransaction } from "../SqlErrors.ts"
import * as Grouping from "./Grouping.ts"

interface Options<Asked, Found> {
  /** What a failure is named after. */
  readonly operation: string
  /** A statement answers at most one caller per key, where it would change a row twice; absent: any number. */
  readonly keyOf?: (asked: Asked) => string
  readonly maxGroup: number
  /** Answers every caller of a group, in the order given. */
  readonly run: (group: ReadonlyArray<Asked>) => Effect.Effect<ReadonlyArray<Found>, EventStoreError>
}

/** Groups what is asked through it, until the scope closes. */
export const make = <Asked, Found>(
  sql: SqlClient,
  { keyOf, maxGroup, operation, run }: Options<Asked, Found>
): Effect.Effect<(asked: Asked) => Effect.Effect<Found, EventStoreError>, never, Scope.Scope> => {
  type Answer = Exit.Exit<Found, EventStoreError>
  const unanswered = (detail: string): Answer => Exit.fail(new EventStoreError({ operation, reason: { _tag: "Unavailable", detail } }))
  const runAll = (group: ReadonlyArray<Asked>) =>
    Effect.map(Effect.exit(run(group)), (exit): ReadonlyArray<Answer> =>
      Exit.isSuccess(exit) ? exit.value.map((found) => Exit.succeed(found)) : group.map(() => Exit.failCause(exit.cause))
    )
  return Effect.map(
    Grouping.make<Asked, Answer>({
      run: runAll,
      keysOf: keyOf === undefined ? () => [] : (asked) => [keyOf(asked)],
      maxGroup,
      closed: () => unanswered("the store was closed")
    }),
    (grouped) => (asked) =>
      Effect.flatMap(isInTransaction(sql), (inside) =>
        Effect.flatten(inside ? Effect.map(runAll([asked]), ([answer]) => answer ?? unanswered("no answer")) : grouped(asked))
      )
  )
}
