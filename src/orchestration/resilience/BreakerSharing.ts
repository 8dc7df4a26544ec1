/**
 * How the circuit breakers of several instances agree, in the background of all of them.
 *
 * Every instance judges by its own calls and tells the store what it found out: opened (and for how long yet), closed again, forced,
 * reset. Every round it tells what is new, then follows what others told. No call waits for it, and while the store is away every
 * instance goes on by itself; the first failure of a series is logged, and its end.
 *
 * **Details**
 * - The newest news of a breaker wins, in the order of the store. So the instance that opens it opens it everywhere, and the one whose
 *   probes succeed closes it everywhere.
 * - A person's order (forced, reset) wins over what breakers find out, before and after; among orders the newest wins.
 * - What was found out here and is not told yet is told before anything is followed. An open time that is over meanwhile is not told.
 * - Half-open is not told: with the open time in common every instance becomes so by itself, and its first failure or its successes end
 *   it for all.
 * - A forced state that the store has lost is told again.
 *
 * **Gotchas**: between two rounds instances may differ; each of them probes with up to `halfOpenMaxAttempts` calls at once. An instance
 * whose own network is broken opens the breakers of all, for one open time after the other.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Presets from "../../domain/Presets.ts"
import * as Breaker from "../../domain/resilience/Breaker.ts"
import { type BreakerEntry, type BreakerNews, BreakerStore } from "../../services/resilience/BreakerStore.ts"
import { type Live, monotonicMillis } from "./BreakerCalls.ts"
import type { Entry } from "./BreakerRegistry.ts"

/** Exchanges once, then every `everyMillis` until the scope closes. Never fails. */
export const start = Effect.fnUntraced(function* ({ changed, entryFor, registry }: Live, everyMillis: number) {
  const store = yield* BreakerStore
  const instance = yield* newInstance

  const followNow = (entry: Entry, told: BreakerEntry) =>
    Effect.flatMap(now, (now) => {
      const { breaker } = entry
      const { changes, state } = breaker
      know(entry, told)
      Breaker.follow(breaker, { state: told.state, forMillis: told.openForMillis }, now)
      return breaker.changes === changes ? Effect.void : changed(entry, state)
    })

  const tell = Effect.fnUntraced(function* (entry: Entry) {
    const { breaker } = entry
    const { changes } = breaker
    const news = newsOf(entry, instance, yield* now)
    if (news === undefined) return void (entry.untold = false)
    const inForce = yield* store.tell(news)
    // What has changed meanwhile is told with the next round.
    if (breaker.changes !== changes) return
    entry.untold = false
    if (inForce.instance === instance) know(entry, inForce)
    else yield* followNow(entry, inForce)
  })

  const follow = Effect.fnUntraced(function* (told: BreakerEntry) {
    const entry = registry.byName.get(told.name) ?? (told.state === "closed" ? undefined : entryFor(told.name, yield* Clock.Clock))
    if (entry === undefined || entry.untold || told.version <= entry.version) return
    // What a breaker found out ends an order only where a newer order has ended it before, which this instance has missed.
    if (isForced(entry.breaker) && told.orderVersion <= entry.orderVersion) return
    yield* followNow(entry, told)
  })

  const round = Effect.gen(function* () {
    for (const entry of [...registry.byName.values()]) if (entry.untold) yield* tell(entry)
    const all = yield* store.all
    for (const told of all) yield* follow(told)
    const orders = new Map<string, number>(all.map(({ name, orderVersion }) => [name, orderVersion]))
    for (const entry of registry.byName.values()) {
      if (!isForced(entry.breaker) || (orders.get(entry.name) ?? 0) >= entry.orderVersion) continue
      entry.untold = true
      entry.byPerson = true
    }
  })

  const guarded = guard(round)
  yield* guarded
  yield* Effect.forkScoped(Effect.delay(Effect.repeat(guarded, Schedule.spaced(everyMillis)), everyMillis))
})

/** 96 random bits: two instances never have the same. */
const newInstance = Effect.map(Effect.all(Array.from({ length: 3 }, () => Random.nextIntBetween(0, 2 ** 32 - 1))), (parts) =>
  parts.map((part) => part.toString(16).padStart(8, "0")).join("")
)

const now = Effect.map(Clock.Clock, monotonicMillis)

const know = (entry: Entry, { orderVersion, version }: BreakerEntry): void => {
  entry.version = version
  entry.orderVersion = orderVersion
}

const isForced = ({ state }: Breaker.Breaker): boolean => state === "forced-open" || state === "forced-closed"

/** What is to be told of a breaker; `undefined` when it is nothing to others any more. */
const newsOf = ({ breaker, byPerson, name }: Entry, instance: string, now: number): BreakerNews | undefined => {
  const state = Breaker.stateAt(breaker, now)
  // An order to reset stays one, though the breaker has opened and become half-open since.
  if (state === "half-open") return byPerson ? { name, state: "closed", openForMillis: 0, byPerson, instance } : undefined
  return { name, state, openForMillis: state === "open" ? breaker.retryAt - now : 0, byPerson, instance }
}

/** With a time limit; tells of the first failure and of the first success after it. */
const guard = <E>(round: Effect.Effect<void, E>): Effect.Effect<void> => {
  let inTrouble = false
  return round.pipe(
    Effect.timeout(Presets.breakers.shareLimitMillis.value),
    Effect.matchCauseEffect({
      onFailure: (cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.void
        const first = !inTrouble
        inTrouble = true
        return first ? Effect.logWarning("circuit breakers cannot be shared; every instance decides by itself", cause) : Effect.void
      },
      onSuccess: () => {
        const recovered = inTrouble
        inTrouble = false
        return recovered ? Effect.logInfo("circuit breakers are shared again") : Effect.void
      }
    })
  )
}
