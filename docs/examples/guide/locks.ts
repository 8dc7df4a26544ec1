import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { WithLock } from "../../../src/index.ts"
import { Leases, Lock } from "../../../src/public/memory.ts"

/** One instance at a time closes the day; the other is told that it did not get the lock. */
const closeTheDay = (owner: string) =>
  WithLock.withLock({ key: "close-the-day", owner }, (lease) => Effect.as(Effect.yieldNow, `${owner} with token ${lease.token}`)).pipe(
    Effect.catchTag("LockNotAcquired", () => Effect.succeed(`${owner} did not get it`))
  )

export const example = Effect.all([closeTheDay("instance-1"), closeTheDay("instance-2")], { concurrency: 2 }).pipe(
  Effect.provide(Layer.provide(Lock.layer, Leases.layer))
)
