/**
 * Processes that share stores: several engines in one test, each with its own gateways, clock and end.
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { PaymentId } from "../../src/domain/payment/Ids.ts"
import type { PaymentEvent } from "../../src/domain/payment/Event.ts"
import * as Background from "../../src/orchestration/operation/Background.ts"
import * as Payments from "../../src/orchestration/payment/Payments.ts"
import { EventStore } from "../../src/services/EventStore.ts"
import type { Gateway } from "../../src/services/Gateway.ts"
import { defaults, type EngineSettings, Settings } from "../../src/services/Settings.ts"
import { fingerprints, gatewaysOf } from "./TestEngine.ts"

/** One process: its payments, and its sudden end, which waits for nothing. */
export interface TestProcess {
  readonly payments: (typeof Payments.Payments)["Service"]
  readonly crash: Effect.Effect<void>
}

/** A process over the ambient stores. What it has in hand when it ends is lost, like in a crash. */
export const start = Effect.fnUntraced(function* (gateways: ReadonlyArray<Gateway>, settings: Partial<EngineSettings> = {}) {
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const sudden = Layer.provide(
    Background.layer,
    Layer.succeed(Settings, { ...defaults, sendWindowMillis: 0, attemptTimeoutMillis: 0, storeWaitMillis: 0, allowUnsafeGateways: true })
  )
  const layer = Payments.layerEngine.pipe(
    Layer.provide(Layer.mergeAll(gatewaysOf(...gateways), fingerprints, sudden)),
    Layer.provide(Layer.succeed(Settings, { ...defaults, ...settings, allowUnsafeGateways: true }))
  )
  const context = yield* Layer.buildWithScope(layer, scope)
  return { payments: Context.get(context, Payments.Payments), crash: Scope.close(scope, Exit.void) } satisfies TestProcess
})

/** The history of a payment. */
export const eventsOf = Effect.fnUntraced(function* (id: PaymentId) {
  const store = yield* EventStore
  return (yield* store.read(id)).map(({ event }): PaymentEvent => event)
})

/** The types of the events of a payment. */
export const typesOf = (id: PaymentId) => Effect.map(eventsOf(id), (events) => events.map((event) => event._tag))

/** A clock that runs ahead of another one: `wall` and `monotonic` in milliseconds, each on its own. */
export const skewed = (clock: Clock.Clock, by: { wall: number; monotonic: number }): Clock.Clock => {
  const millis = () => clock.currentTimeMillisUnsafe() + by.wall
  const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(Math.round(by.wall * 1e6))
  const monotonicNanos = () => clock.monotonicTimeNanosUnsafe() + BigInt(Math.round(by.monotonic * 1e6))
  const own: Partial<Clock.Clock> = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: monotonicNanos,
    monotonicTimeNanos: Effect.sync(monotonicNanos)
  }
  return Object.assign(Object.create(clock), own)
}
