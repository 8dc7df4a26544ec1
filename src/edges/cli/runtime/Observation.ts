/**
 * What a server watches and measures besides what its programs count: its dependencies, the process, the pool of connections, open operations;
 * and what it learns of the gateways from the events of the last hour.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as ProcessMetrics from "../../../layers/node/ProcessMetrics.ts"
import * as PoolMetrics from "../../../layers/postgres/PoolMetrics.ts"
import * as HealthProbe from "../../../layers/postgres/resilience/HealthProbe.ts"
import * as OpenOperations from "../../../orchestration/observability/OpenOperations.ts"
import * as Sampling from "../../../orchestration/observability/Sampling.ts"
import { Dependencies } from "../../../orchestration/resilience/dependency/Dependencies.ts"
import * as WarmStart from "../../../orchestration/routing/WarmStart.ts"
import { version } from "../Version.ts"
import { RedisProbe } from "./resilience/Redis.ts"
import { maxConnections } from "./Storage.ts"

/** Their levels are logged and exported; connections that broke or fell silent are replaced. */
const watchDependencies = Effect.gen(function* () {
  const dependencies = yield* Dependencies
  yield* Effect.orDie(dependencies.register(yield* HealthProbe.make({ connections: maxConnections.serve })))
  const redis = yield* Effect.serviceOption(RedisProbe)
  if (Option.isSome(redis)) yield* Effect.orDie(dependencies.register(redis.value))
})

/** Payments are routed meanwhile, by what is known so far. */
const learnFromEvents = Effect.catchCause(WarmStart.warmStart(), (cause) =>
  Effect.logWarning("what the gateways did in the last hour cannot be read; routing learns it anew", cause)
)

/** Runs until the scope closes. Never fails. */
export const start = Effect.gen(function* () {
  yield* Effect.forkScoped(learnFromEvents)
  yield* watchDependencies
  yield* Layer.build(ProcessMetrics.layer({ version }))
  yield* OpenOperations.start()
  const connections = yield* PoolMetrics.make({ maxConnections: maxConnections.serve })
  yield* Effect.forkScoped(Sampling.every("the pool of database connections", connections))
})
