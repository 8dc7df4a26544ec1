/**
 * A host's transaction as far as the engine can see one: open or not, with callbacks for its commit. It isolates no rows.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HostTransaction } from "../../src/services/HostTransaction.ts"

const Current = Context.Reference<{ readonly afterCommit: Array<Effect.Effect<void>> } | undefined>("test/HostTransaction", {
  defaultValue: () => undefined
})

/** The transaction of the calling fiber, whoever has provided it. */
export const layer: Layer.Layer<HostTransaction> = Layer.succeed(
  HostTransaction,
  HostTransaction.of({
    isOpen: Effect.map(Current, (current) => current !== undefined),
    outside: (effect) => Effect.provideService(effect, Current, undefined),
    afterCommit: (effect) =>
      Effect.flatMap(Current, (current) => (current === undefined ? effect : Effect.sync(() => void current.afterCommit.push(effect))))
  })
)

/** Runs an effect in a transaction and commits it: what waits for the commit runs then, still in the transaction's context. */
export const inTransaction = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const afterCommit: Array<Effect.Effect<void>> = []
    return Effect.tap(effect, () => Effect.suspend(() => Effect.all(afterCommit, { discard: true }))).pipe(
      Effect.provideService(Current, { afterCommit })
    )
  })

/** Runs an effect in a transaction and rolls it back: nothing that waits for the commit runs. */
export const rolledBack = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => Effect.provideService(effect, Current, { afterCommit: [] }))
