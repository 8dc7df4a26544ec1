/**
 * What a process protects the gateways and itself with, and where instances share it: circuit breakers, and rate limits of the HTTP interface.
 */
import * as Layer from "effect/Layer"
import { OperationKind } from "../../../../domain/operation/Operation.ts"
import * as BreakerName from "../../../../domain/resilience/BreakerName.ts"
import * as MemoryRateLimitStore from "../../../../layers/memory/resilience/RateLimitStore.ts"
import * as PostgresBreakerStore from "../../../../layers/postgres/resilience/BreakerStore.ts"
import * as PostgresRateLimitStore from "../../../../layers/postgres/resilience/RateLimitStore.ts"
import * as CircuitBreakers from "../../../../orchestration/resilience/CircuitBreakers.ts"
import * as RateLimiter from "../../../../orchestration/resilience/RateLimiter.ts"
import type { Config } from "../../../config/Config.ts"
import type * as Redis from "./Redis.ts"

type RedisLayer = ReturnType<typeof Redis.layer>

/** The circuit breakers of the gateways. A server has them from the start, so that they can be seen and forced before they are used. */
export const breakers = (
  { engine, gateways, shareBreakers }: Config,
  options: { readonly redis: RedisLayer; readonly serves: boolean }
) => {
  const names = options.serves ? gateways.flatMap(({ name }) => OperationKind.literals.map((kind) => BreakerName.of(name, kind))) : []
  const settings = { ...engine.breakers, names }
  if (shareBreakers === "none") return CircuitBreakers.layer(settings)
  const shared = CircuitBreakers.layerShared(settings)
  return shareBreakers === "redis" ? Layer.provide(shared, options.redis) : Layer.provide(shared, PostgresBreakerStore.layer)
}

/** The rate limiter of the HTTP interface, where it has limits: in this process' memory, or shared by all on this database or Redis. */
export const rateLimiter = ({ http: { rateLimits } }: Config, redis: RedisLayer) => {
  if (rateLimits === undefined) return Layer.empty
  const { maxKeys, onStoreFailure, store } = rateLimits
  const stores = { memory: MemoryRateLimitStore.layerWith({ maxKeys }), postgres: PostgresRateLimitStore.layer, redis }
  return Layer.provide(RateLimiter.layerWith({ onStoreFailure }), stores[store])
}
