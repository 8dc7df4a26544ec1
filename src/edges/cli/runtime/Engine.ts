/**
 * The engine of a configuration: the one place where a process is put together.
 *
 *     database, Redis -> stores ---------+
 *     sandbox (where configured)         +-> Payments
 *       -> gateways ---------------------+
 *
 * It closes in the opposite order: the engine first waits for the work in hand, so gateways, sandbox and database are there until
 * nothing needs them any more.
 *
 * Gateways, event store and locks are decorated with injected faults where the context has a `Chaos`, and are themselves where it has not.
 *
 * Schemas are compiled before any is used: encoding the events of a payment costs a third.
 */
import "effect/schema/SchemaJITCompiler/enable"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ChaosGateway from "../../../gateways/chaos/ChaosGateway.ts"
import * as Ids from "../../../layers/memory/Ids.ts"
import * as RequestFingerprint from "../../../layers/node/RequestFingerprint.ts"
import * as ChaosEventStore from "../../../orchestration/chaos/ChaosEventStore.ts"
import * as ChaosLock from "../../../orchestration/chaos/ChaosLock.ts"
import * as Background from "../../../orchestration/operation/Background.ts"
import * as Payments from "../../../orchestration/payment/Payments.ts"
import * as GatewaySeries from "../../../orchestration/routing/GatewaySeries.ts"
import { RoutingPolicy } from "../../../services/routing/RoutingPolicy.ts"
import { Settings } from "../../../services/Settings.ts"
import * as FingerprintKey from "../../config/FingerprintKey.ts"
import { cannotRun, orCannotRun } from "../Failure.ts"
import * as GatewayRegistry from "./GatewayRegistry.ts"
import * as Hooks from "./Hooks.ts"
import * as Protection from "./resilience/Protection.ts"
import * as Redis from "./resilience/Redis.ts"
import * as SharedSandbox from "./SharedSandbox.ts"
import * as Storage from "./Storage.ts"
import type { Target } from "./Target.ts"

/**
 * Payments, with every service it is made of; `Background` too, since the HTTP interface asks whether it accepts more. `serverUrl`: where
 * this process' own sandbox posts webhooks once it is known; without it they are not sent while this process serves the sandbox.
 */
export const layer = (target: Target, use: Storage.Use, serverUrl: SharedSandbox.ServerUrl = () => undefined) => {
  const { config } = target
  const serves = use === "serve"
  const redis = Redis.layer(target)
  return Payments.layerEngine.pipe(
    // Above the hooks: they are told of what the work in hand makes durable while it is waited for.
    Layer.provideMerge(Background.layer),
    Layer.provideMerge(Hooks.layer(config)),
    Layer.provideMerge(GatewaySeries.layer),
    Layer.provideMerge(
      Layer.merge(Protection.breakers(config, { redis, serves }), serves ? Protection.rateLimiter(config, redis) : Layer.empty)
    ),
    Layer.provideMerge(Layer.mergeAll(Layer.provide(ChaosGateway.layer, gateways(target, serverUrl)), fingerprints(target), Ids.layer)),
    Layer.provideMerge(Layer.merge(ChaosEventStore.layer, ChaosLock.layer)),
    Layer.provideMerge(Storage.layer(target, use)),
    Layer.provideMerge(serves && config.redis !== undefined ? redis : Layer.empty),
    Layer.provideMerge(Layer.succeed(RoutingPolicy, config.routing)),
    Layer.provideMerge(Layer.succeed(Settings, config.engine))
  )
}

const gateways = (target: Target, serverUrl: SharedSandbox.ServerUrl) => {
  const { gateways, sandbox } = target.config
  const registry = GatewayRegistry.layer(target)
  return sandbox === undefined
    ? registry
    : Layer.provide(registry, SharedSandbox.layer(SharedSandbox.posting(sandbox, gateways, serverUrl)))
}

/** The key of the configuration, or the one kept in the data directory. */
const fingerprints = (target: Target) =>
  Layer.unwrap(
    Effect.gen(function* () {
      const { database, fingerprintKey } = target.config
      if (fingerprintKey !== undefined) return RequestFingerprint.layer(fingerprintKey)
      if (database._tag === "Server") return yield* cannotRun(`${target.source}: fingerprintKey is required with database.url`)
      return RequestFingerprint.layer(yield* orCannotRun(FingerprintKey.load(database.dataDir)))
    })
  )
