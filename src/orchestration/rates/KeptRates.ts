/**
 * The cache as a quote sees it: it answers in time or not at all, and what this process fetched itself stands in for it.
 *
 * Without that a cache that is away would send every quote to the sources. What stands in does not slide: it is warm for one idle time.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Presets from "../../domain/Presets.ts"
import type { Known } from "../../domain/rates/Quote.ts"
import type { FetchedRates } from "../../domain/rates/RateTable.ts"
import * as Metrics from "../../services/Metrics.ts"
import { RateCache, RateCacheUnavailable } from "../../services/rates/RateCache.ts"

/** Reads and writes that do not fail. */
export interface KeptRates {
  readonly read: (key: string) => Effect.Effect<Known | undefined>
  readonly write: (key: string, rates: FetchedRates) => Effect.Effect<void>
}

const timeoutMillis = Presets.rates.cacheTimeoutMillis.value

/** Over the cache in context. */
export const make = Effect.gen(function* () {
  const cache = yield* RateCache
  const own = new Map<string, FetchedRates>()
  let isAway = false

  const keepOwn = (key: string, rates: FetchedRates) => {
    own.delete(key)
    own.set(key, rates)
    const oldest = own.size > Presets.rates.maxAnswers.value ? own.keys().next().value : undefined
    if (oldest !== undefined) own.delete(oldest)
  }
  const ownOf = (key: string) =>
    Effect.map(Clock.currentTimeMillis, (now): Known | undefined => {
      const rates = own.get(key)
      return rates === undefined ? undefined : { rates, warm: now - rates.fetchedAt < Presets.rates.idleMillis.value }
    })

  /** Told when it goes and when it comes back: a line for every quote would be no help. */
  const told = (away: boolean, message: string) =>
    Effect.suspend(() => {
      if (away === isAway) return Effect.void
      isAway = away
      return away ? Effect.logWarning(message) : Effect.logInfo(message)
    })

  const asked = <A, B>(
    operation: RateCacheUnavailable["operation"],
    answer: Effect.Effect<A, RateCacheUnavailable>,
    otherwise: Effect.Effect<B>
  ): Effect.Effect<A | B> =>
    answer.pipe(
      Effect.timeoutOrElse({
        duration: timeoutMillis,
        orElse: () => Effect.fail(new RateCacheUnavailable({ operation, cause: new Error(`no answer within ${timeoutMillis} ms`) }))
      }),
      Effect.tap(() => told(false, "the cache of the exchange rates answers again")),
      Effect.catch((error) =>
        Effect.all([Metrics.rateCacheFailed({ action: operation }), told(true, error.message)], { discard: true }).pipe(
          Effect.andThen(otherwise)
        )
      )
    )

  return {
    read: (key) => asked("read", cache.read(key), ownOf(key)),
    write: (key, rates) =>
      Effect.suspend(() => {
        keepOwn(key, rates)
        return asked("write", cache.write(key, rates), Effect.void)
      })
  } satisfies KeptRates
})
