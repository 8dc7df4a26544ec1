/**
 * The engine of an experiment: the real programs over tables in memory, with accounts of the sandbox as gateways, in a process of a
 * simulated machine. Nothing but time, network, PSP and database are simulated.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { CompleteExperiment } from "../../domain/chaos/experiment/Experiment.ts"
import { maxRequestDelayMillis } from "../../domain/chaos/Injection.ts"
import * as Policy from "../../domain/routing/policy/Policy.ts"
import * as ChaosGateway from "../../gateways/chaos/ChaosGateway.ts"
import * as GatewayList from "../../gateways/GatewayList.ts"
import * as SandboxGateway from "../../gateways/sandbox/SandboxGateway.ts"
import * as MemoryGatewayMetrics from "../../layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../../layers/memory/Ids.ts"
import * as MemoryCardAttempts from "../../layers/memory/routing/CardAttempts.ts"
import * as ChaosEventStore from "../../orchestration/chaos/ChaosEventStore.ts"
import * as ChaosLock from "../../orchestration/chaos/ChaosLock.ts"
import * as Background from "../../orchestration/operation/Background.ts"
import * as Payments from "../../orchestration/payment/Payments.ts"
import type { Chaos } from "../../services/chaos/Chaos.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Gateways } from "../../services/Gateway.ts"
import { Lock } from "../../services/Lock.ts"
import { type Notification, Notifier } from "../../services/notify/Notifier.ts"
import { RequestFingerprint } from "../../services/RequestFingerprint.ts"
import { RoutingPolicy } from "../../services/routing/RoutingPolicy.ts"
import { defaults, type EngineSettings, Settings } from "../../services/Settings.ts"
import type { Bug } from "../bugs/Bug.ts"
import type * as Tables from "./Tables.ts"
import * as Upstream from "./Upstream.ts"

/** What the engine is made of, and who is told what it does. `bug`: breaks it, to show that it is found out. */
export interface MachineOptions {
  readonly experiment: CompleteExperiment
  readonly tables: Tables.Tables
  /** Reaches the PSP. */
  readonly client: HttpClient.HttpClient
  readonly chaos: Chaos["Service"]
  readonly watch: Upstream.Watch
  readonly onDelivered: (notification: Notification) => void
  readonly bug: Bug | undefined
}

/** What an account of the sandbox takes longest for, beside its latency. */
const lateMillis = 5_000

const fingerprints = RequestFingerprint.of({ of: (canonical) => Effect.succeed(canonical) })

/** Builds the engine, for as long as the scope lives. */
export const make = Effect.fnUntraced(function* (options: MachineOptions) {
  const { bug, chaos, client, experiment, onDelivered, tables } = options
  const gateways = yield* Effect.forEach(experiment.gateways, (gateway) => gatewayOf(options, gateway)).pipe(
    Effect.provideService(HttpClient.HttpClient, client)
  )
  const used = bug?.stores?.(tables.stores, tables.memory) ?? tables.stores
  const services = used.pipe(
    Context.add(EventStore, ChaosEventStore.make(Context.get(used, EventStore), chaos)),
    Context.add(Lock, ChaosLock.make(Context.get(used, Lock), chaos)),
    Context.add(Gateways, GatewayList.make(gateways)),
    Context.add(RequestFingerprint, fingerprints),
    Context.add(Notifier, notifierOf(onDelivered))
  )
  const layer = Payments.layerEngine.pipe(
    Layer.provideMerge(Background.layer),
    Layer.provideMerge(
      Layer.mergeAll(Layer.succeedContext(services), MemoryGatewayMetrics.layer, MemoryCardAttempts.layer, MemoryIds.layer)
    ),
    Layer.provideMerge(Layer.mergeAll(Layer.succeed(Settings, settingsOf(experiment)), Layer.succeed(RoutingPolicy, routingOf(experiment))))
  )
  return yield* Layer.build(layer)
})

const gatewayOf = ({ bug, chaos, experiment, watch }: MachineOptions, account: CompleteExperiment["gateways"][number]) =>
  Effect.map(
    SandboxGateway.make({
      name: account.name,
      baseUrl: `http://psp/${account.name}`,
      secretKey: Redacted.make(`sk_sandbox_${account.name}`),
      captures: "multiple",
      settleTimeMillis: settleTimeMillisOf(experiment, account.latencyMillis)
    }),
    (gateway) => {
      const watched = Upstream.watched(ChaosGateway.make(gateway, chaos), watch)
      return bug?.gateway?.(watched) ?? watched
    }
  )

/** How late a request may take effect: as long as an attempt is waited for, delayed by a fault and by the account itself. */
const settleTimeMillisOf = (experiment: CompleteExperiment, latencyMillis: number): number =>
  Math.ceil(settingsOf(experiment).attemptTimeoutMillis + maxRequestDelayMillis + 1.5 * latencyMillis + lateMillis)

/** The merchants' endpoint takes everything at once. */
const notifierOf = (onDelivered: (notification: Notification) => void) =>
  Notifier.of({
    endpointOf: () => "http://merchant",
    deliver: (_endpoint, notification) =>
      Effect.sync(() => {
        onDelivered(notification)
        return { _tag: "Delivered" } as const
      })
  })

const settingsOf = ({ settings }: CompleteExperiment): EngineSettings => ({
  ...defaults,
  breakers: { ...defaults.breakers, settings: { ...defaults.breakers.settings, ...settings.breakers } },
  policy: { ...defaults.policy, maxCharges: settings.maxCharges ?? defaults.policy.maxCharges },
  retries: settings.retries ?? defaults.retries,
  attemptTimeoutMillis: settings.attemptTimeoutMillis ?? defaults.attemptTimeoutMillis,
  recoveryOlderThanMillis: settings.recovery?.olderThanMillis ?? defaults.recoveryOlderThanMillis
})

const routingOf = ({ gateways, settings }: CompleteExperiment) => {
  const fees = gateways.flatMap(({ feeBasisPoints, name }) =>
    feeBasisPoints === undefined ? [] : [[name, [{ basisPoints: feeBasisPoints }]] as const]
  )
  return { policy: Policy.make(settings.routing, new Map(fees)), customRules: [] }
}
