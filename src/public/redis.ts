/**
 * The package `aegispay/redis`: what instances may share on a Redis server: locks, rate limits, exchange rates, and which
 * circuit breakers are open.
 *
 * All of it saves work; payments are safe without. The layers take `Commands`: those of `Commands.layerConnected`, with a connection of their
 * own, which needs the optional peer `redis`; or those of `Commands.layer` over the host's own effect `Redis`.
 *
 * ```ts
 * const redis = Commands.layerConnected({ url: Redacted.make("rediss://cache.example:6380") })
 * const breakers = CircuitBreakers.layerShared().pipe(Layer.provide(BreakerStore.layer), Layer.provide(redis))
 * ```
 */
export * as BreakerStore from "../layers/redis/BreakerStore.ts"
export * as Commands from "../layers/redis/Commands.ts"
export * as Connection from "../layers/redis/Connection.ts"
export * as HealthProbe from "../layers/redis/HealthProbe.ts"
export * as Lock from "../layers/redis/Lock.ts"
export * as RateCache from "../layers/redis/RateCache.ts"
export * as RateLimitStore from "../layers/redis/RateLimitStore.ts"
