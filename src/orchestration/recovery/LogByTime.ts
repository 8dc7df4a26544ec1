/**
 * The events of all payments recorded from a moment on, in the order of the global log.
 *
 * The log is ordered by position, and nearly by time: where a moment lies is found by halving, in about a hundred reads of one event.
 *
 * **Gotchas**: transactions overlap, so events of the same moment may stand on both sides of it. Ask from somewhat earlier.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { StoredEvent } from "../../domain/payment/Event.ts"
import { EventStore } from "../../services/EventStore.ts"

const pageSize = 500

/** Events recorded from `since` on (database time, epoch milliseconds), in pages as they are consumed. Ends at the newest. */
export const eventsSince = Effect.fnUntraced(function* (since: number) {
  const store = yield* EventStore
  const isBefore = (position: bigint) =>
    Effect.map(store.readAll({ after: position, limit: 1 }), ([first]) => first !== undefined && first.event.recordedAt < since)
  let low = 0n
  let high = 1n
  while (yield* isBefore(high)) {
    low = high
    high *= 2n
  }
  while (high - low > 1n) {
    const middle = (low + high) / 2n
    if (yield* isBefore(middle)) low = middle
    else high = middle
  }
  return Stream.paginate(low, (after) =>
    Effect.map(store.readAll({ after, limit: pageSize }), (page) => {
      const events: ReadonlyArray<StoredEvent> = page.map(({ event }) => event).filter(({ recordedAt }) => recordedAt >= since)
      return [events, Option.fromUndefinedOr(page.at(-1)?.position)] as const
    })
  )
})
