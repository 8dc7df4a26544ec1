/**
 * What circuit breakers tell each other within one process: for tests, and for several engines in one host.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { BreakerName } from "../../../domain/resilience/BreakerName.ts"
import { type BreakerEntry, BreakerStore } from "../../../services/resilience/BreakerStore.ts"

/** Beyond this many breakers the automatic entry told longest ago is forgotten. */
const maxEntries = 10_000

interface Kept extends Omit<BreakerEntry, "openForMillis"> {
  readonly openUntil: number
}

const isForced = ({ state }: Kept): boolean => state === "forced-open" || state === "forced-closed"

const monotonicMillis = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** Entries in the order in which they were told. */
export const layer: Layer.Layer<BreakerStore> = Layer.sync(BreakerStore, () => {
  const entries = new Map<BreakerName, Kept>()
  let lastVersion = 0

  const asOf = (now: number, { openUntil, ...entry }: Kept): BreakerEntry => ({
    ...entry,
    openForMillis: entry.state === "open" ? openUntil - now : 0
  })

  const forgetOldest = () => {
    for (const [name, entry] of entries) if (!isForced(entry)) return entries.delete(name)
  }

  return BreakerStore.of({
    tell: ({ openForMillis, ...news }) =>
      Effect.map(Effect.all([monotonicMillis, Clock.currentTimeMillis]), ([now, wall]) => {
        const held = entries.get(news.name)
        if (held !== undefined && isForced(held) && !news.byPerson) return asOf(now, held)
        if (held === undefined && entries.size >= maxEntries) forgetOldest()
        const version = Math.max(lastVersion + 1, Math.floor(wall * 1_000))
        lastVersion = version
        const orderVersion = news.byPerson ? version : (held?.orderVersion ?? 0)
        const entry: Kept = { ...news, version, orderVersion, openUntil: now + openForMillis }
        entries.delete(news.name)
        entries.set(news.name, entry)
        return asOf(now, entry)
      }),
    all: Effect.map(monotonicMillis, (now) => [...entries.values()].map((entry) => asOf(now, entry)))
  })
})
