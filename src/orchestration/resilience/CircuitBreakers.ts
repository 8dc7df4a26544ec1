/**
 * The circuit breakers of a process, by name: made when they are first asked for, isolated from each other.
 *
 * `tryAcquire` and `report` are plain state behind one thin effect each: no scope, span, queue or metric update per call. Metrics are
 * read from that state when they are exported; the stream of transitions is written only when there is one.
 *
 * **Details**
 * - Settings are those of the name, else of its gateway, else the default. They are taken when the breaker is made.
 * - At most `maxBreakers`. A further one takes the place of the closed one that was used longest ago, so an open one is kept.
 * - Time is the monotonic clock's: a stepped wall clock neither opens nor closes anything. What people read is in epoch milliseconds.
 * - A permit is given back by `report` alone. Whoever uses `tryAcquire` has to report on every exit, interruption included; `protect` does.
 *
 * ```ts
 * const breakers = yield* CircuitBreakers
 * const rates = yield* breakers.protect(BreakerName.make("exchange-rates"), fetchRates)
 * ```
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { OperationKind } from "../../domain/operation/Operation.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import * as Breaker from "../../domain/resilience/Breaker.ts"
import { BreakerName, partsOf } from "../../domain/resilience/BreakerName.ts"
import * as BreakerSettings from "../../domain/resilience/BreakerSettings.ts"
import * as Health from "../../domain/resilience/Health.ts"
import * as Metrics from "../../services/Metrics.ts"
import type { BreakerStore } from "../../services/resilience/BreakerStore.ts"
import * as BreakerCalls from "./BreakerCalls.ts"
import { BreakerOpen, monotonicMillis } from "./BreakerCalls.ts"
import * as Registry from "./BreakerRegistry.ts"
import * as BreakerSharing from "./BreakerSharing.ts"

export { BreakerOpen }

/** No breaker of that name has been used or forced. */
export class BreakerNotFound extends Schema.TaggedError<BreakerNotFound>()("BreakerNotFound", { breaker: BreakerName }) {
  override get message(): string {
    return `there is no circuit breaker "${this.breaker}"; breakers are named <gateway>.<kind of operation> and exist once they were used`
  }
}

/** A breaker changed its state. `at`: epoch milliseconds. */
export interface Transition {
  readonly breaker: BreakerName
  readonly from: Breaker.BreakerState
  readonly to: Breaker.BreakerState
  readonly reason: Breaker.TransitionReason
  readonly at: number
}

/** Which settings hold for which breaker, and how many breakers there may be. */
export interface BreakersOptions {
  /** Default: `BreakerSettings.gatewayDefault`. */
  readonly settings?: BreakerSettings.BreakerSettings | undefined
  readonly byGateway?: { readonly [gateway: string]: BreakerSettings.BreakerSettings } | undefined
  readonly byName?: { readonly [name: string]: BreakerSettings.BreakerSettings } | undefined
  /** Breakers that are there from the start, so that they can be listed and forced before they are used. */
  readonly names?: ReadonlyArray<BreakerName> | undefined
  /** Default: preset `breakers.maxBreakers`. */
  readonly maxBreakers?: number | undefined
}

/**
 * - `tryAcquire`: a permit to call, or a refusal with the time until another try is worth it.
 * - `report`: how a permitted call ended. Exactly once per permit.
 * - `protect`: runs an effect under a permit, or fails with `BreakerOpen` and does not run it. `classify` judges how it ended; by default a
 *   failure or defect is a failure. Interruption is always `ignored`. A time limit belongs inside: outside it is an interruption.
 * - `guard`: the same for a call of a gateway that is made once, and that says itself what comes of a refusal.
 * - `transitions`: from the moment it is run on. Bounded: a reader that is too slow misses the oldest.
 * - `list`: every breaker's health, by name. Times in epoch milliseconds, as everywhere here.
 * - `allHealth`: of every gateway that has a breaker. `health`: of one gateway, over its breakers or for one kind; of one without a breaker:
 *   that of a new one. `healthyGateways`: not open, and with at least this score (default: each breaker's `minHealthScore`).
 * - `find`: the breaker itself, to be read and not changed: routing asks for it with every payment. `undefined`: there is none yet.
 * - `reset`, `forceOpen`, `forceClosed`: a person's orders; they answer the breaker as it is then.
 */
export class CircuitBreakers extends Context.Service<
  CircuitBreakers,
  {
    readonly tryAcquire: (name: BreakerName) => Effect.Effect<Breaker.Permit | Breaker.Rejected>
    readonly report: (permit: Breaker.Permit, call: Breaker.CallReport) => Effect.Effect<void>
    readonly protect: <A, E, R>(
      name: BreakerName,
      effect: Effect.Effect<A, E, R>,
      classify?: (exit: Exit.Exit<A, E>) => Breaker.Verdict
    ) => Effect.Effect<A, E | BreakerOpen, R>
    readonly guard: <A, E, R, E2>(call: BreakerCalls.GuardedCall<A, E, R, E2>, clock: Clock.Clock) => Effect.Effect<A, E | E2, R>
    readonly transitions: Stream.Stream<Transition>
    readonly list: Effect.Effect<ReadonlyArray<Health.BreakerHealth>>
    readonly allHealth: Effect.Effect<ReadonlyArray<Health.GatewayHealth>>
    readonly health: (gateway: GatewayName, kind?: OperationKind) => Effect.Effect<Health.GatewayHealth>
    readonly healthyGateways: (minScore?: number) => Effect.Effect<ReadonlyArray<GatewayName>>
    readonly find: (gateway: GatewayName, kind: OperationKind) => Readonly<Breaker.Breaker> | undefined
    readonly reset: (name: BreakerName) => Effect.Effect<Health.BreakerHealth, BreakerNotFound>
    readonly forceOpen: (name: BreakerName) => Effect.Effect<Health.BreakerHealth, BreakerNotFound>
    readonly forceClosed: (name: BreakerName) => Effect.Effect<Health.BreakerHealth, BreakerNotFound>
  }
>()("aegispay/orchestration/resilience/CircuitBreakers") {}

/** How instances tell each other. */
export interface SharingOptions {
  /** Between two exchanges with the store. Default: preset `breakers.shareEveryMillis` (1,000). */
  readonly shareEveryMillis?: number | undefined
}

/** Breakers of this process alone. */
export const layer = (options: BreakersOptions = {}): Layer.Layer<CircuitBreakers> =>
  Layer.effect(
    CircuitBreakers,
    Effect.map(make(options), ({ service }) => service)
  )

/** Breakers that follow those of other instances through a store (see `BreakerSharing`). When it is built it waits up to 5 s for what is in force. */
export const layerShared = (options: BreakersOptions & SharingOptions = {}): Layer.Layer<CircuitBreakers, never, BreakerStore> =>
  Layer.effect(
    CircuitBreakers,
    Effect.gen(function* () {
      const { changed, entryFor, registry, service } = yield* make(options)
      const everyMillis = options.shareEveryMillis ?? Presets.breakers.shareEveryMillis.value
      yield* BreakerSharing.start({ registry, entryFor, changed }, everyMillis)
      return service
    })
  )

const make = Effect.fnUntraced(function* (options: BreakersOptions) {
  const registry = Registry.make({
    settingsOf: settingsOf(options),
    maxBreakers: options.maxBreakers ?? Presets.breakers.maxBreakers.value
  })
  const context = yield* Effect.context()
  const hub = yield* PubSub.sliding<Transition>(Presets.breakers.transitionsKept.value)

  const entryFor = (name: BreakerName, clock: Clock.Clock): Registry.Entry => {
    const known = registry.byName.get(name)
    if (known !== undefined) return known
    const entry = Registry.add(registry, name, monotonicMillis(clock))
    const { breaker } = entry
    entry.removeSeries = Metrics.breakerSeries(context, name, {
      totals: breaker.totals,
      now: (clock) => {
        const now = monotonicMillis(clock)
        return { state: Breaker.stateAt(breaker, now), score: Health.ofBreaker(name, breaker, now).score }
      }
    })
    return entry
  }

  /** Tells of a transition that has just been made. */
  const changed = (entry: Registry.Entry, from: Breaker.BreakerState, byPerson = false): Effect.Effect<void> =>
    Effect.uninterruptible(
      Effect.suspend(() => {
        const { reason, state: to } = entry.breaker
        // An order that nobody was told of yet stays one when the breaker goes on by itself.
        entry.byPerson = byPerson || (entry.untold && entry.byPerson)
        entry.untold = reason !== "told" && (to !== "half-open" || entry.byPerson)
        return Effect.flatMap(Clock.currentTimeMillis, (at) =>
          Effect.andThen(PubSub.publish(hub, { breaker: entry.name, from, to, reason, at }), logged(entry, reason))
        )
      })
    )

  const clock = yield* Clock.Clock
  for (const name of options.names ?? []) entryFor(name, clock)
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Effect.sync(() => {
        for (const entry of registry.byName.values()) entry.removeSeries()
      }),
      PubSub.shutdown(hub)
    )
  )
  const service = CircuitBreakers.of({
    ...BreakerCalls.make({ registry, entryFor, changed }),
    transitions: Stream.fromPubSub(hub),
    ...readingsOf(registry),
    ...ordersOf(registry, changed)
  })
  return { service, registry, entryFor, changed }
})

const readingsOf = (registry: Registry.Registry) => {
  const list = Effect.clockWith((clock) =>
    Effect.sync(() => [...registry.byName.values()].map((entry) => healthOf(entry, clock)).sort((a, b) => (a.name < b.name ? -1 : 1)))
  )
  const allHealth = Effect.map(list, Health.ofGateways)
  return {
    list,
    allHealth,
    health: (gateway: GatewayName, kind?: OperationKind) =>
      Effect.clockWith((clock) => {
        const entries = registry.byGateway.get(gateway) ?? {}
        const wanted = Object.values(kind === undefined ? entries : { [kind]: entries[kind] }).filter((entry) => entry !== undefined)
        return Effect.succeed(Health.ofGateways(wanted.map((entry) => healthOf(entry, clock)))[0] ?? Health.ofUnknown(gateway))
      }),
    healthyGateways: (minScore?: number) =>
      Effect.map(allHealth, (all) =>
        all
          .filter((health) => (minScore === undefined ? health.healthy : !Health.refuses(health.state) && health.score >= minScore))
          .map(({ gateway }) => gateway)
      ),
    find: (gateway: GatewayName, kind: OperationKind) => registry.byGateway.get(gateway)?.[kind]?.breaker
  }
}

const ordersOf = (registry: Registry.Registry, changed: BreakerCalls.Live["changed"]) => {
  const order = (change: (breaker: Breaker.Breaker, now: number) => void) => (name: BreakerName) =>
    Effect.clockWith((clock) => {
      const entry = registry.byName.get(name)
      if (entry === undefined) return Effect.fail(new BreakerNotFound({ breaker: name }))
      const from = entry.breaker.state
      change(entry.breaker, monotonicMillis(clock))
      return Effect.map(changed(entry, from, true), () => healthOf(entry, clock))
    })
  return { reset: order(Breaker.reset), forceOpen: order(Breaker.forceOpen), forceClosed: order(Breaker.forceClosed) }
}

const healthOf = (entry: Registry.Entry, clock: Clock.Clock): Health.BreakerHealth => {
  const now = monotonicMillis(clock)
  return inEpoch(Health.ofBreaker(entry.name, entry.breaker, now), clock.currentTimeMillisUnsafe() - now)
}

const settingsOf =
  ({ byGateway, byName, settings }: BreakersOptions) =>
  (name: BreakerName): BreakerSettings.BreakerSettings =>
    byName?.[name] ?? byGateway?.[partsOf(name)?.gateway ?? ""] ?? settings ?? BreakerSettings.gatewayDefault

const inEpoch = (health: Health.BreakerHealth, epochAtZero: number): Health.BreakerHealth => {
  const moved = (at: number | undefined) => (at === undefined ? undefined : Math.round(at + epochAtZero))
  return {
    ...health,
    changedAt: Math.round(health.changedAt + epochAtZero),
    retryAt: moved(health.retryAt),
    lastFailureAt: moved(health.lastFailureAt)
  }
}

/** What opens is worth a warning; everything else is told. */
const logged = ({ breaker, name }: Registry.Entry, reason: Breaker.TransitionReason) =>
  breaker.state === "open"
    ? Effect.logWarning(
        `circuit breaker ${name} opened (${reason}): calls are refused for ${Math.round(breaker.retryAt - breaker.changedAt)} ms`
      )
    : Effect.logInfo(`circuit breaker ${name} is ${breaker.state} (${reason})`)
