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

/** One program's place: it has it, or waits for it. */
interface Place {
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

/** How a program enters, and what happens instead where it cannot. */
export interface Entrance<A, E, R> {
  /** Waits behind the others however long the queue is: for what must not be refused and is bounded elsewhere. Default false. */
  readonly urgent?: boolean
  /** How long it may wait, in milliseconds; asked for only where it has to. Default: `maxWaitMillis` of the limits. */
  readonly maxWaitMillis?: Effect.Effect<number>
  readonly orElse: (refused: Refused) => Effect.Effect<A, E, R>
}

/** Runs a program inside. Interrupted, or ended in any other way, it gives its place back; one that still waits leaves the line. */
export const within = <A, E, R, A2, E2, R2>(
  bulkhead: Bulkhead,
  entrance: Entrance<A2, E2, R2>,
  program: Effect.Effect<A, E, R>
): Effect.Effect<A | A2, E | E2, R | R2> =>
  Effect.suspend(() => {
    const place: Place = { held: false, wake: undefined }
    // The finalizer is there before the place is taken: an interruption between two steps loses no place.
    return Effect.onExitPrimitive(
      Effect.suspend((): Effect.Effect<A | A2, E | E2, R | R2> => {
        const { active, limits, waiting } = bulkhead
        switch (admission({ active, waiting: waiting.size }, limits, { urgent: entrance.urgent ?? false })) {
          case "enter":
            place.held = true
            bulkhead.active++
            return program
          case "wait":
            waiting.add(place)
            return Effect.flatMap(waitFor(place, bulkhead, entrance), (): Effect.Effect<A | A2, E | E2, R | R2> =>
              place.held ? program : entrance.orElse("waited")
            )
          case "refuse":
            return entrance.orElse("full")
        }
      }),
      () => {
        if (place.held) leave(bulkhead)
        else bulkhead.waiting.delete(place)
        return undefined
      }
    )
  })

/** Ends when the place is held, or when the wait is over: whoever waits no longer is not in line. */
const waitFor = <A, E, R>(place: Place, bulkhead: Bulkhead, entrance: Entrance<A, E, R>) =>
  Effect.flatMap(entrance.maxWaitMillis ?? Effect.succeed(bulkhead.limits.maxWaitMillis), (maxWaitMillis) =>
    Effect.callback<void>((resume) => {
      if (place.held) return resume(Effect.void)
      place.wake = () => resume(Effect.void)
      return undefined
    }).pipe(
      Effect.timeoutOption(Duration.millis(Math.max(0, maxWaitMillis))),
      Effect.andThen(Effect.sync(() => void bulkhead.waiting.delete(place)))
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
