/**
 * One instance of the engine: a process with the real programs over the simulated database and network, its own recovery, its relay and
 * its processing of webhooks.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import { GatewayName } from "../domain/payment/Ids.ts"
import * as GatewayList from "../gateways/GatewayList.ts"
import * as MemoryGatewayMetrics from "../layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../layers/memory/Ids.ts"
import * as MemoryCardAttempts from "../layers/memory/routing/CardAttempts.ts"
import * as Relay from "../orchestration/notify/Relay.ts"
import * as WebhookProcessing from "../orchestration/notify/WebhookProcessing.ts"
import * as WebhookReceipt from "../orchestration/notify/WebhookReceipt.ts"
import * as Background from "../orchestration/operation/Background.ts"
import * as Payments from "../orchestration/payment/Payments.ts"
import * as Rebuild from "../orchestration/recovery/Rebuild.ts"
import { type Commit, type CommitResult, EventStore } from "../services/EventStore.ts"
import { Gateways } from "../services/Gateway.ts"
import { HostTransaction } from "../services/HostTransaction.ts"
import { type Notification, Notifier } from "../services/notify/Notifier.ts"
import { RequestFingerprint } from "../services/RequestFingerprint.ts"
import { defaults, type EngineSettings, Settings } from "../services/Settings.ts"
import * as Adapter from "./Adapter.ts"
import type { Bug } from "./bugs/Bug.ts"
import type * as Upkeep from "./Upkeep.ts"
import { epochMillis, type Kernel, type Process } from "./world/Kernel.ts"
import * as Network from "./world/Network.ts"
import type { Receive } from "./world/Postman.ts"
import type { Account } from "./world/Psp.ts"
import * as Receiver from "./world/Receiver.ts"
import type { Connection, Storage, Stores } from "./world/Storage.ts"

/** What callers of an instance may use. */
export interface Engine {
  readonly payments: Payments.Payments["Service"]
  /** Takes a webhook of a gateway. */
  readonly receive: Receive
  readonly inTransaction: Connection["inTransaction"]
}

/** A running instance, as its callers reach it. */
export interface Instance {
  readonly process: Process
  /** Calls a program of this instance. `lost`: the process died before it answered. Answers how to stop waiting. */
  readonly call: <A, E>(
    program: (engine: Engine) => Effect.Effect<A, E>,
    onEnd: (exit: Exit.Exit<A, E>) => void,
    onLost: () => void
  ) => { readonly leave: () => void }
  /** What the callers of a crashed instance learn. */
  readonly crashed: () => void
}

export interface InstanceOptions {
  readonly kernel: Kernel
  readonly process: Process
  readonly storage: Storage
  readonly network: Network.NetworkOptions
  readonly gateways: ReadonlyArray<Account>
  readonly replayWindowMillis: number
  readonly settings: Partial<EngineSettings>
  /** How often the instance looks for open operations. */
  readonly recoveryIntervalMillis: () => number
  readonly webhookPollMillis: number
  readonly upkeep: Upkeep.Upkeep
  readonly onReceived: (notification: Notification) => void
  /** Told of every commit before it is handed to the store. */
  readonly onWanted: (commit: Commit) => void
  /** Told what the engine is answered about a commit. */
  readonly onAnswered: (commit: Commit, result: CommitResult) => void
  readonly bug: Bug | undefined
  readonly onDefect: (what: string) => void
}

/** How long a relay rests when nothing is to be delivered. */
const relayPollMillis = 30_000

const fingerprints = RequestFingerprint.of({ of: (canonical) => Effect.succeed(canonical) })

/** Everything the programs of an instance need. */
const build = Effect.fnUntraced(function* (options: InstanceOptions) {
  const { bug, network, process, storage } = options
  const client = Network.clientOf(network, process)
  const gateways = yield* Effect.forEach(options.gateways, (account) => Adapter.make(account, options.replayWindowMillis)).pipe(
    Effect.provideService(HttpClient.HttpClient, client)
  )
  const connection = yield* storage.connect(process)
  const stores = watched(bug?.stores?.(connection.stores, storage.memory) ?? connection.stores, options)
  const services = stores.pipe(
    Context.add(Gateways, GatewayList.make(gateways.map((gateway) => bug?.gateway?.(gateway) ?? gateway))),
    Context.add(RequestFingerprint, fingerprints),
    Context.add(Notifier, Receiver.notifier(network.faults, options.onReceived)),
    Context.add(HostTransaction, bug?.hostTransaction ?? Context.get(stores, HostTransaction))
  )
  const layer = Payments.layerEngine.pipe(
    Layer.provideMerge(Background.layer),
    Layer.provideMerge(
      Layer.mergeAll(Layer.succeedContext(services), MemoryGatewayMetrics.layer, MemoryCardAttempts.layer, MemoryIds.layer)
    ),
    Layer.provideMerge(Layer.succeed(Settings, { ...defaults, ...options.settings }))
  )
  return { running: yield* Layer.build(layer), inTransaction: connection.inTransaction }
})

const watched = (stores: Stores, { onAnswered, onWanted }: Pick<InstanceOptions, "onAnswered" | "onWanted">): Stores => {
  const real = Context.get(stores, EventStore)
  const commit: typeof real.commit = (wanted) => {
    onWanted(wanted)
    return Effect.tap(real.commit(wanted), (result) => Effect.sync(() => onAnswered(wanted, result)))
  }
  return Context.add(stores, EventStore, EventStore.of({ ...real, commit }))
}

/** What an instance does now and then beside recovery, and how often. What fails is done again the next time. */
const upkeepOf = ({ gateways, kernel, upkeep }: InstanceOptions, payments: Engine["payments"]) => {
  const reconcile = Effect.forEach(
    gateways,
    ({ name }) =>
      Effect.suspend(() =>
        payments.reconcile({ gateway: GatewayName.make(name), from: epochMillis, to: epochMillis + kernel.now() + 1 })
      ).pipe(Effect.ignore),
    { discard: true }
  )
  return [
    ["the expiry", upkeep.expiryIntervalMillis, payments.expire()],
    ["the reconciliation", upkeep.reconciliationIntervalMillis, reconcile],
    ["the rebuild", upkeep.rebuildIntervalMillis, Rebuild.rebuild()]
  ] as const
}

/** Starts an instance in its process: the engine, and recovery at once and at intervals. */
export const start = (options: InstanceOptions): Instance => {
  const { kernel, process } = options
  const waiting = new Set<{ readonly onLost: () => void }>()
  const queued: Array<() => void> = []
  let engine: Engine | undefined

  const program = Effect.gen(function* () {
    const { inTransaction, running } = yield* build(options)
    const payments = Context.get(running, Payments.Payments)
    engine = { payments, inTransaction, receive: (request) => Effect.provideContext(WebhookReceipt.receive(request), running) }
    const loop = <E>(name: string, effect: Effect.Effect<never, E>) =>
      Effect.forkScoped(Effect.onExit(effect, () => Effect.sync(() => options.onDefect(`${name} of ${process.name} ended`))))
    yield* loop("the relay", Effect.provideContext(Relay.run({ pollMillis: relayPollMillis }), running))
    if (options.gateways.some(({ webhooks }) => webhooks !== "none")) {
      const processing = WebhookProcessing.run({ pollMillis: options.webhookPollMillis })
      yield* loop("the processing of webhooks", Effect.provideContext(processing, running))
    }
    for (const [name, everyMillis, run] of upkeepOf(options, payments)) {
      if (everyMillis === undefined) continue
      const program = Effect.provideContext(Effect.ignore(run), running)
      yield* loop(name, Effect.forever(Effect.andThen(Effect.sleep(everyMillis), program)))
    }
    for (const run of queued.splice(0)) run()
    for (let lookUpYounger = true; ; lookUpYounger = false) {
      yield* Effect.ignore(payments.recover({ onlyDue: true, lookUpYounger }))
      yield* Effect.sleep(options.recoveryIntervalMillis())
    }
  }).pipe(Effect.scoped)
  kernel.fork(process, program, (exit) =>
    options.onDefect(`instance ${process.name} ended: ${Exit.isFailure(exit) ? String(exit.cause) : "by itself"}`)
  )

  return {
    process,
    call: (program, onEnd, onLost) => {
      const pending = { onLost }
      let fiber: Fiber.Fiber<unknown, unknown> | undefined
      let left = false
      waiting.add(pending)
      const begin = () => {
        if (engine === undefined) return void queued.push(begin)
        if (left) return
        fiber = kernel.fork(process, program(engine), (exit) => {
          waiting.delete(pending)
          if (!left) onEnd(exit)
        })
      }
      kernel.post(process, begin)
      return {
        leave: () => {
          left = true
          waiting.delete(pending)
          kernel.post(process, () => fiber?.interruptUnsafe())
        }
      }
    },
    crashed: () => {
      for (const { onLost } of waiting) onLost()
      waiting.clear()
    }
  }
}
