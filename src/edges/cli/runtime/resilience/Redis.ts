/**
 * The Redis server of a configuration, and what is kept on it: rate limits, and which circuit breakers are open.
 *
 * Nothing that is kept there is needed to be safe, so a server starts though Redis is not there, and goes on trying; but not with a password
 * that it refuses. The modules are loaded only here: the package `redis` is an optional peer.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { BreakerStore } from "../../../../services/resilience/BreakerStore.ts"
import type { HealthProbe } from "../../../../services/resilience/HealthProbe.ts"
import type { RateLimitStore } from "../../../../services/resilience/RateLimitStore.ts"
import { cannotRun, type Failure } from "../../Failure.ts"
import type { Target } from "../Target.ts"

/** The probe of the Redis server. */
export class RedisProbe extends Context.Service<RedisProbe, HealthProbe>()("aegispay/edges/cli/runtime/resilience/Redis/RedisProbe") {}

const modules = (source: string) =>
  Effect.tryPromise({
    try: async () => ({
      Commands: await import("../../../../layers/redis/Commands.ts"),
      BreakerStore: await import("../../../../layers/redis/BreakerStore.ts"),
      HealthProbe: await import("../../../../layers/redis/HealthProbe.ts"),
      RateLimitStore: await import("../../../../layers/redis/RateLimitStore.ts")
    }),
    catch: (error) =>
      (error as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND"
        ? cannotRun(`${source}: redis: the package "redis" is not installed: npm install redis`)
        : cannotRun(`${source}: redis: its modules cannot be loaded: ${String(error)}`)
  })

/** The stores on the server, and its probe, over one connection. To be built only where the configuration has a Redis. */
export const layer = ({ config, source }: Target): Layer.Layer<BreakerStore | RateLimitStore | RedisProbe, Failure> =>
  Layer.unwrap(
    Effect.gen(function* () {
      if (config.redis === undefined) return yield* cannotRun(`${source}: redis: is not configured`)
      const { BreakerStore, Commands, HealthProbe, RateLimitStore } = yield* modules(source)
      return Layer.mergeAll(BreakerStore.layer, RateLimitStore.layer, Layer.effect(RedisProbe, HealthProbe.make())).pipe(
        Layer.provide(Commands.layerConnected({ ...config.redis, startWithout: true })),
        Layer.catchTag("RedisUnreachable", ({ message }) => Layer.effectContext(Effect.fail(cannotRun(`${source}: redis: ${message}`))))
      )
    })
  )
