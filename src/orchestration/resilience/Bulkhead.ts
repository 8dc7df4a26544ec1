/**
 * A bulkhead: lets so many programs run at a time and so many wait in line, in the order they came.
 *
 * One that is slow or dead then holds so many fibers, connections and permissions to send, and no more. A place is given back however
 * its program ends, and handed to whoever waits longest.
 *
 * Where a place is free, entering and leaving change one number: no fiber, no timer, no queue.
 *
 * **Gotchas**: a program that is inside and enters the same bulkhead again may wait for itself.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { admission, type BulkheadLimits } from "../../domain/resilience/Bulkhead.ts"

/** Its state; made by `make`, changed by `within` alone. */
export interface Bulkhead {
  readonly limits: BulkheadLimits
  active: number
  /** In the order they came. */
  readonly waiting: Set<Place>
}

/** One program's place: it has it, or waits for it. Before it comes it has none: `held` is false, `wake` is undefined. */
export interface Place {
  held: boolean
  wake: (() => void) | undefined
}

/** An empty bulkhead. */
export const make = (limits: BulkheadLimits): Bulkhead => ({ limits, active: 0, waiting: new Set() })

/** Would a program that comes now have to wait, or be turned away? */
export const isFull = ({ active, limits, waiting }: Bulkhead): boolean =>
  admission({ active, waiting: waiting.size }, limits, { urgent: false }) !== "enter"

/** Why a program was not let in: the queue was full, or it had waited as long as it may. */
export type Refused = "full" | "waited"

/** How a program enters, what happens instead where it cannot, and its place: a new one for every run. */
export interface Visit<A, E, R> extends Place {
  /** Waits behind the others however long the queue is: for what must not be refused and is bounded elsewhere. Default false. */
  readonly urgent?: boolean
  /** How long it may wait, in milliseconds; asked for only where it has to. Default: `maxWaitMillis` of the limits. */
  readonly maxWaitMillis?: Effect.Effect<number>
  readonly orElse: (refused: Refused) => Effect.Effect<A, E, R>
}

/** Runs a program inside. Interrupted, or ended in any other way, it gives its place back; one that still waits leaves the line. */
export const within = <A, E, R, A2, E2, R2>(
  bulkhead: Bulkhead,
  visit: Visit<A2, E2, R2>,
  program: Effect.Effect<A, E, R>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  // The finalizer is there before the place is taken: an interruption between two steps loses no place.
  Effect.onExitPrimitive(
    Effect.suspend((): Effect.Effect<A | A2, E | E2, R | R2> => {
      const { active, limits, waiting } = bulkhead
      switch (admission({ active, waiting: waiting.size }, limits, { urgent: visit.urgent ?? false })) {
        case "enter":
          visit.held = true
          bulkhead.active++
          return program
        case "wait":
          waiting.add(visit)
          return Effect.flatMap(waitFor(visit, bulkhead), (): Effect.Effect<A | A2, E | E2, R | R2> =>
            visit.held ? program : visit.orElse("waited")
          )
        case "refuse":
          return visit.orElse("full")
      }
    }),
    () => {
      if (visit.held) leave(bulkhead)
      else bulkhead.waiting.delete(visit)
      visit.held = false
      return undefined
    }
  )

/** Ends when the place is held, or when the wait is over: whoever waits no longer is not in line. */
const waitFor = <A, E, R>(visit: Visit<A, E, R>, bulkhead: Bulkhead) =>
  Effect.flatMap(visit.maxWaitMillis ?? Effect.succeed(bulkhead.limits.maxWaitMillis), (maxWaitMillis) =>
    Effect.callback<void>((resume) => {
      if (visit.held) return resume(Effect.void)
      visit.wake = () => resume(Effect.void)
      return undefined
    }).pipe(
      Effect.timeoutOption(Duration.millis(Math.max(0, maxWaitMillis))),
      Effect.andThen(Effect.sync(() => void bulkhead.waiting.delete(visit)))
    )
  )

/** Hands the place on, to whoever waits longest, or leaves it free. */
const leave = (bulkhead: Bulkhead): void => {
  const [next] = bulkhead.waiting
  if (next === undefined) {
    bulkhead.active--
    return
  }
  bulkhead.waiting.delete(next)
  next.held = true
  next.wake?.()
}
