import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Degradation, Dependencies, WithLock } from "../../src/index.ts"
import { Leases, Lock } from "../../src/public/memory.ts"

const live: Effect.Effect<number, Error> = Effect.fail(new Error("the source of rates is away"))
const cached = Effect.succeed(1.1)

/** The rate of today: live, or else the last known one. */
const rate = Degradation.run({ dependency: "rates", primary: live, degraded: cached })

/** One instance at a time writes the report; the others fail with `LockNotAcquired`. */
export const report = WithLock.withLock({ key: "daily-report", owner: "instance-1" }, () =>
  Effect.map(rate, ({ tier, value }) => ({ rate: value, tier }))
).pipe(Effect.provide(Layer.mergeAll(Dependencies.layer, Layer.provide(Lock.layer, Leases.layer))))
