/**
 * What this process keeps of every gateway to protect it, and itself: a bulkhead, a retry budget, the pauses that it
 * asked for, how its calls are tried again and how long one may take, and the circuit breakers.
 *
 * They come with the engine and are shared by everything built over it. A host that has breakers already (shared between instances, say)
 * provides `CircuitBreakers` below the engine: then these are used.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { OperationKind } from "../../domain/operation/Operation.ts"
import type { GatewayName } from "../../domain/payment/Ids.ts"
import * as Pause from "../../domain/resilience/Pause.ts"
import type { RetryStrategy } from "../../domain/resilience/RetryStrategy.ts"
import { type EngineSettings, Settings } from "../../services/Settings.ts"
import * as Bulkhead from "./Bulkhead.ts"
import * as CircuitBreakers from "./CircuitBreakers.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as TimeLimit from "./TimeLimit.ts"

/** The guards of one gateway. */
export interface GatewayGuard {
  readonly bulkhead: Bulkhead.Bulkhead
  readonly budget: RetryBudget.KeptBudget
  readonly pauses: Pause.Pauses
  /** Of one attempt. */
  readonly limit: TimeLimit.TimeLimit
  /** How a call is tried again. */
  readonly strategy: RetryStrategy
}

/** Would one more call have to wait, be turned away, or be held back until a pause is over? `now`: of the monotonic clock. */
export const isSaturated = ({ bulkhead, pauses }: GatewayGuard, kind: OperationKind, now: number): boolean =>
  Bulkhead.isFull(bulkhead) || Pause.leftMillis(pauses, kind, now) > 0

/** `of`: the guards of a gateway; made when it is first called, so there are as many as gateways are configured. */
export class GatewayGuards extends Context.Service<GatewayGuards, { readonly of: (gateway: GatewayName) => GatewayGuard }>()(
  "aegispay/orchestration/resilience/GatewayGuards"
) {}

const guards = Layer.effect(
  GatewayGuards,
  Effect.map(Settings, (settings) => GatewayGuards.of({ of: guardsOf(settings) }))
)

const guardsOf = (settings: EngineSettings) => {
  const known = new Map<GatewayName, GatewayGuard>()
  const strategy = strategyOf(settings)
  return (gateway: GatewayName): GatewayGuard => {
    const found = known.get(gateway)
    if (found !== undefined) return found
    const guard: GatewayGuard = {
      bulkhead: Bulkhead.make({ ...settings.bulkhead, ...settings.bulkheadByGateway[gateway] }),
      budget: RetryBudget.make(settings.retryBudget),
      pauses: Pause.make(),
      limit: TimeLimit.make(settings.attemptTimeoutMillis),
      strategy
    }
    known.set(gateway, guard)
    return guard
  }
}

const strategyOf = (settings: EngineSettings): RetryStrategy => ({
  kind: settings.retryKind,
  retries: settings.retries,
  baseMillis: settings.retryBaseMillis,
  factor: settings.retryFactor,
  capMillis: settings.retryCapMillis,
  jitter: settings.retryJitter
})

/** The breakers that are provided, or else those of the settings. */
const breakers = Layer.effect(
  CircuitBreakers.CircuitBreakers,
  Effect.gen(function* () {
    const provided = yield* Effect.serviceOption(CircuitBreakers.CircuitBreakers)
    if (Option.isSome(provided)) return provided.value
    const settings = yield* Settings
    return Context.get(yield* Layer.build(CircuitBreakers.layer(settings.breakers)), CircuitBreakers.CircuitBreakers)
  })
)

/** All that guards the gateways, by the settings. */
export const layer: Layer.Layer<GatewayGuards | CircuitBreakers.CircuitBreakers> = Layer.merge(guards, breakers)
