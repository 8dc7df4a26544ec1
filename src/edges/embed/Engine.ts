/**
 * The engine of a host that is not written in Effect: the same parts as `aegispay serve`, with the store and the gateways that the host
 * chose, and what goes on beside its calls.
 *
 * It closes in the opposite order: first the loops, then the work in hand, then hooks, gateways and database.
 */
import "effect/schema/SchemaJITCompiler/enable"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as GatewayList from "../../gateways/GatewayList.ts"
import * as Ids from "../../layers/memory/Ids.ts"
import * as Memory from "../../layers/memory/Memory.ts"
import * as RequestFingerprint from "../../layers/node/RequestFingerprint.ts"
import * as WebhookProcessing from "../../orchestration/notify/WebhookProcessing.ts"
import * as Background from "../../orchestration/operation/Background.ts"
import * as Payments from "../../orchestration/payment/Payments.ts"
import * as CircuitBreakers from "../../orchestration/resilience/CircuitBreakers.ts"
import * as Dependencies from "../../orchestration/resilience/dependency/Dependencies.ts"
import * as GatewaySeries from "../../orchestration/routing/GatewaySeries.ts"
import { Gateways } from "../../services/Gateway.ts"
import { EventStore } from "../../services/EventStore.ts"
import type { WebhookInbox } from "../../services/notify/WebhookInbox.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import { RoutingPolicy } from "../../services/routing/RoutingPolicy.ts"
import { Settings as EngineSettings } from "../../services/Settings.ts"
import * as GatewaySafety from "../../orchestration/operation/GatewaySafety.ts"
import * as GatewayRegistry from "../cli/runtime/GatewayRegistry.ts"
import * as Hooks from "../cli/runtime/Hooks.ts"
import * as Notifications from "../cli/runtime/Notifications.ts"
import * as NotifyLoops from "../cli/runtime/NotifyLoops.ts"
import * as Observation from "../cli/runtime/Observation.ts"
import * as RecoveryLoop from "../cli/runtime/RecoveryLoop.ts"
import * as Protection from "../cli/runtime/resilience/Protection.ts"
import * as Redis from "../cli/runtime/resilience/Redis.ts"
import * as SharedSandbox from "../cli/runtime/SharedSandbox.ts"
import * as Storage from "../cli/runtime/Storage.ts"
import type { Target } from "../cli/runtime/Target.ts"
import * as FingerprintKey from "../config/FingerprintKey.ts"
import { StartFailed } from "./Errors.ts"
import * as Events from "./Events.ts"
import * as HostHooks from "./HostHooks.ts"
import * as Log from "./Log.ts"
import type { Settings } from "./Options.ts"

/** What the facade's programs use. */
export type Services = Payments.Payments | PaymentRepository | EventStore | Background.Background | Gateways | WebhookInbox

/** The running engine. Fails with what a start can meet; `AegisPay.make` tells it as `StartFailed`. */
export const layer = (settings: Settings) => {
  const { config, isMemory, log } = settings
  const target: Target = { config, source: settings.source, development: undefined }
  const parts = Layer.mergeAll(gateways(settings, target), fingerprints(settings), Ids.layer)
  const engine: Layer.Layer<Services, StartProblem> = isMemory ? inMemory(settings, parts) : onPostgres(settings, target, parts)
  return engine.pipe(Layer.provideMerge(Layer.succeed(EngineSettings, config.engine)), Layer.provideMerge(Log.layer(log)))
}

type StartProblem = Layer.Error<ReturnType<typeof onPostgres>>

type Parts = ReturnType<typeof gateways> | ReturnType<typeof fingerprints> | typeof Ids.layer
type PartsLayer = Layer.Layer<Layer.Success<Parts>, Layer.Error<Parts>>

const inMemory = (settings: Settings, parts: PartsLayer) => {
  const { config, onEvent } = settings
  return Layer.effectDiscard(loops(settings)).pipe(
    Layer.provideMerge(Payments.layerEngine),
    // Above the hooks: they are told of what the work in hand makes durable while it is waited for.
    Layer.provideMerge(Background.layer),
    Layer.provideMerge(hooks(settings)),
    Layer.provideMerge(Layer.mergeAll(GatewaySeries.layer, CircuitBreakers.layer(config.engine.breakers))),
    Layer.provideMerge(parts),
    Layer.provideMerge(Layer.mergeAll(Memory.layer, Events.layer(onEvent), Layer.succeed(RoutingPolicy, config.routing)))
  )
}

const onPostgres = (settings: Settings, target: Target, parts: PartsLayer) => {
  const { background, config, onEvent } = settings
  const redis = Redis.layer(target)
  const notifier = config.notifications.endpoints.length === 0 ? Events.layer(onEvent) : Notifications.layer(target)
  const observed = Object.values(background).includes(true) ? Observation.start : Effect.void
  return Layer.effectDiscard(Effect.andThen(observed, loops(settings))).pipe(
    Layer.provideMerge(Payments.layerEngine),
    // Above the hooks: they are told of what the work in hand makes durable while it is waited for.
    Layer.provideMerge(Background.layer),
    Layer.provideMerge(hooks(settings)),
    Layer.provideMerge(
      Layer.mergeAll(GatewaySeries.layer, Protection.breakers(config, { redis, serves: true }), Protection.rateLimiter(config, redis))
    ),
    Layer.provideMerge(parts),
    Layer.provideMerge(Storage.layer(target, "serve")),
    Layer.provideMerge(config.redis === undefined ? Layer.empty : redis),
    Layer.provideMerge(Layer.mergeAll(notifier, Dependencies.layer, Layer.succeed(RoutingPolicy, config.routing)))
  )
}

/** The built-in ones of the configuration, then the host's own. */
const hooks = ({ config, hooks: own }: Settings) => Hooks.layer(config, own.length === 0 ? undefined : HostHooks.layer(own))

/** Those of the configuration, then the host's own. */
const gateways = (settings: Settings, target: Target) => {
  const { config, gateways: own, isMemory, source } = settings
  const configured = GatewayRegistry.layer(target)
  const served =
    config.sandbox === undefined
      ? configured
      : Layer.provide(configured, SharedSandbox.layer(SharedSandbox.posting(config.sandbox, config.gateways, () => undefined)))
  return Layer.effect(
    Gateways,
    Effect.gen(function* () {
      // In memory there is nothing to lose, and a test's gateway answers as its script says.
      const checked = isMemory ? [] : own
      const problem = checked.map((gateway) => GatewaySafety.problemOf(gateway, config.engine)).find((found) => found !== undefined)
      if (problem !== undefined) return yield* new StartFailed({ detail: `${source}: ${problem}` })
      return GatewayList.make([...(yield* Gateways).all, ...own])
    })
  ).pipe(Layer.provide(served))
}

/** The key of the configuration, or the one kept in the data directory. */
const fingerprints = ({ config: { database, fingerprintKey }, source }: Settings) =>
  Layer.unwrap(
    Effect.gen(function* () {
      if (fingerprintKey !== undefined) return RequestFingerprint.layer(fingerprintKey)
      if (database._tag === "Server") return yield* new StartFailed({ detail: `${source}: fingerprintKey is required with database.url` })
      return RequestFingerprint.layer(yield* FingerprintKey.load(database.dataDir))
    })
  )

/** Runs until the layer is closed. */
const loops = Effect.fnUntraced(function* (settings: Settings) {
  const { background, config, isMemory, onEvent } = settings
  const { discardAfterMillis, endpoints } = config.notifications
  if (!settings.allowMissingGateways) yield* requireOpenAccounts(settings.source)
  if (background.webhooks) yield* Effect.forkScoped(NotifyLoops.keptUp("the processing of webhooks", WebhookProcessing.run()))
  if (background.relay) {
    const receives = onEvent !== undefined || endpoints.length > 0
    // No other process has this memory.
    yield* Effect.forkScoped(NotifyLoops.relay({ receives, discardAfterMillis: isMemory ? 0 : discardAfterMillis }))
  }
  if (background.recovery) yield* RecoveryLoop.start(config)
})

/** Refuses to start without an account that has open operations: nobody could find out what became of them (rule 14). */
const requireOpenAccounts = Effect.fnUntraced(function* (source: string) {
  const gateways = yield* Gateways
  const open = yield* (yield* PaymentRepository).openSummary
  const lacking = open.filter(({ account, gateway }) => !gateways.all.some((one) => one.name === gateway && one.account === account))
  if (lacking.length === 0) return
  const list = lacking.map(({ account, count, gateway }) => `${gateway} (${account}): ${count}`).join(", ")
  return yield* new StartFailed({
    detail: `${source} lacks gateway accounts with open operations: ${list}; configure them as they were, or set options.allowMissingGateways`
  })
})
