/**
 * Fetched exchange rates in the memory of one process; a restart forgets them.
 *
 * Bounded: beyond `maxAnswers` the one that was fetched longest ago goes. What is too old for an emergency is not read any more, and is
 * removed every 5 min.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Presets from "../../../domain/Presets.ts"
import type { FetchedRates } from "../../../domain/rates/RateTable.ts"
import { RateCache } from "../../../services/rates/RateCache.ts"

/** Default to the presets `rates`. */
export interface RateCacheOptions {
  readonly idleMillis?: number
  readonly keepMillis?: number
  readonly maxAnswers?: number
}

interface Entry {
  readonly rates: FetchedRates
  readonly writtenAt: number
  warmUntil: number
}

const make = Effect.fnUntraced(function* (options: RateCacheOptions) {
  const { idleMillis = Presets.rates.idleMillis.value, keepMillis = Presets.rates.emergencyMillis.value } = options
  const { maxAnswers = Presets.rates.maxAnswers.value } = options
  /** In the order of their writing. */
  const entries = new Map<string, Entry>()
  const isOver = ({ writtenAt }: Entry, now: number) => now - writtenAt > keepMillis

  const cleanUp = Effect.map(Clock.currentTimeMillis, (now) => {
    for (const [key, entry] of entries) {
      if (!isOver(entry, now)) break
      entries.delete(key)
    }
  })
  yield* Effect.forkScoped(Effect.schedule(cleanUp, Schedule.spaced(Presets.rates.cleanUpIntervalMillis.value)))

  return RateCache.of({
    read: (key) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const entry = entries.get(key)
        if (entry === undefined || isOver(entry, now)) return undefined
        const warm = now < entry.warmUntil
        if (warm) entry.warmUntil = now + idleMillis
        return { rates: entry.rates, warm }
      }),
    write: (key, rates) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        entries.delete(key)
        entries.set(key, { rates, writtenAt: now, warmUntil: now + idleMillis })
        const oldest = entries.size > maxAnswers ? entries.keys().next().value : undefined
        if (oldest !== undefined) entries.delete(oldest)
      })
  })
})

/** An empty cache. */
export const layer: Layer.Layer<RateCache> = Layer.effect(RateCache, make({}))

/** An empty cache with other limits. */
export const layerWith = (options: RateCacheOptions): Layer.Layer<RateCache> => Layer.effect(RateCache, make(options))
