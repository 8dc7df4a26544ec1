/**
 * Work that many ask for at once and that is done once: whoever comes while it is under way waits for the same result.
 *
 * The work belongs to the scope and not to the one who asked first: who gives up waiting takes nothing from the others.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

export interface SingleFlight<A, E> {
  /** The result of the work that is under way for this key, or else of `work`, which begins. */
  readonly run: (key: string, work: Effect.Effect<A, E>) => Effect.Effect<A, E>
}

/** Work of the present scope. At its end work under way is interrupted, and who waits for it is too. */
export const make = Effect.fnUntraced(function* <A, E>() {
  const scope = yield* Scope.Scope
  const underWay = new Map<string, Deferred.Deferred<A, E>>()

  const begin = (key: string, work: Effect.Effect<A, E>) =>
    Effect.uninterruptibleMask((restore) => {
      const result = Deferred.makeUnsafe<A, E>()
      underWay.set(key, result)
      const done = Effect.onExit(Effect.interruptible(work), (exit) => {
        underWay.delete(key)
        return Deferred.done(result, exit)
      })
      return Effect.andThen(Effect.forkIn(done, scope), restore(Deferred.await(result)))
    })

  return {
    run: (key, work) =>
      Effect.suspend(() => {
        const known = underWay.get(key)
        return known === undefined ? begin(key, work) : Deferred.await(known)
      })
  } satisfies SingleFlight<A, E>
})
