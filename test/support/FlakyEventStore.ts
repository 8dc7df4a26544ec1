/**
 * An event store whose commits fail as a test says, over the one it decorates.
 *
 * `before`: unavailable, nothing is written. `lost`: it is written, the answer is that the outcome is unknown. `unknown`: nothing
 * is written, and the answer is that the outcome is unknown. `conflict`: another writer's events come first.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Commit, EventStore, EventStoreError } from "../../src/services/EventStore.ts"

export type Failure = "before" | "lost" | "unknown"

/** What a test decides: for every commit, in order from 1, a failure, something to do first, or nothing. */
export interface FlakyScript {
  /** How many commits were asked for. */
  commits: number
  onCommit: (commit: Commit, nth: number) => Effect.Effect<Failure | undefined, never, EventStore>
}

/** Lets every commit pass until a test sets `onCommit`. */
export const script = (): FlakyScript => ({ commits: 0, onCommit: () => Effect.undefined })

export const storeError = (tag: "Unavailable" | "OutcomeUnknown"): EventStoreError =>
  new EventStoreError({ operation: "EventStore.commit", reason: { _tag: tag, detail: "scripted" } })

/** The ambient event store with the scripted failures. */
export const layer = (flaky: FlakyScript): Layer.Layer<EventStore, never, EventStore> =>
  Layer.effect(
    EventStore,
    Effect.map(EventStore, (store) =>
      EventStore.of({
        ...store,
        commit: (commit) =>
          Effect.gen(function* () {
            const failure = yield* Effect.provideService(flaky.onCommit(commit, ++flaky.commits), EventStore, store)
            if (failure === "before") return yield* storeError("Unavailable")
            if (failure === "unknown") return yield* storeError("OutcomeUnknown")
            const result = yield* store.commit(commit)
            if (failure === "lost") return yield* storeError("OutcomeUnknown")
            return result
          })
      })
    )
  )
