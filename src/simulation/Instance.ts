/**
 * One instance of the engine: a process with the real programs over the simulated database and network, and its own recovery.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { GatewayCapabilities, OperationCapabilities } from "../domain/operation/Capabilities.ts"
import { GatewayName } from "../domain/payment/Ids.ts"
import * as SandboxGateway from "../gateways/sandbox/SandboxGateway.ts"
import * as MemoryGatewayMetrics from "../layers/memory/GatewayMetrics.ts"
import * as MemoryIds from "../layers/memory/Ids.ts"
import type { MemoryStore } from "../layers/memory/MemoryStore.ts"
import * as Relay from "../orchestration/notify/Relay.ts"
import * as Payments from "../orchestration/payment/Payments.ts"
import * as GatewayList from "../gateways/GatewayList.ts"
import { type Gateway, Gateways } from "../services/Gateway.ts"
import { HostTransaction } from "../services/HostTransaction.ts"
import { type Notification, Notifier } from "../services/notify/Notifier.ts"
import { RequestFingerprint } from "../services/RequestFingerprint.ts"
import { defaults, type EngineSettings, Settings } from "../services/Settings.ts"
import type { Bug } from "./Bugs.ts"
import * as Database from "./world/Database.ts"
import type { Kernel, Process } from "./world/Kernel.ts"
import * as Network from "./world/Network.ts"
import * as Receiver from "./world/Receiver.ts"
import { type Account, settleTimeMillis } from "./world/Psp.ts"

/** A running instance, as its callers reach it. */
export interface Instance {
  readonly process: Process
  /** Calls a program of this instance. `lost`: the process died before it answered. Answers how to stop waiting. */
  readonly call: <A, E>(
    program: (payments: Payments.Payments["Service"]) => Effect.Effect<A, E>,
    onEnd: (exit: Exit.Exit<A, E>) => void,
    onLost: () => void
  ) => { readonly leave: () => void }
  /** How many runs of recovery have ended. */
  readonly recoveryRuns: () => number
  /** What the callers of a crashed instance learn. */
  readonly crashed: () => void
}

export interface InstanceOptions {
  readonly kernel: Kernel
  readonly process: Process
  readonly database: Database.DatabaseOptions
  readonly network: Network.NetworkOptions
  readonly gateways: ReadonlyArray<Account>
  readonly replayWindowMillis: number
  readonly settings: Partial<EngineSettings>
  /** How often the instance looks for open operations. */
  readonly recoveryIntervalMillis: () => number
  readonly onReceived: (notification: Notification) => void
  readonly bug: Bug | undefined
  /** The tables themselves, for bugs that write to them. */
  readonly memory: (typeof MemoryStore)["Service"]
  readonly onDefect: (what: string) => void
}

/** How long a relay rests when nothing is to be delivered. */
const relayPollMillis = 30_000

const fingerprints = RequestFingerprint.of({ of: (canonical) => Effect.succeed(canonical) })

const gatewayOf = (account: Account, replayWindowMillis: number) =>
  Effect.map(
    SandboxGateway.make({
      name: GatewayName.make(account.name),
      baseUrl: `http://psp/${account.name}`,
      secretKey: Redacted.make(`sk_sandbox_${account.name}`),
      captures: account.captures,
      leavesOpenAfterDecline: account.leavesOpenAfterDecline,
      lookupLagMillis: account.lookupLagMillis,
      settleTimeMillis,
      replayWindowMillis
    }),
    (gateway): Gateway => ({ ...gateway, capabilities: declared(gateway.capabilities, account.declares) })
  )

/** What an account tells of itself: all that holds, or less. */
const declared = (capabilities: GatewayCapabilities, declares: Account["declares"]): GatewayCapabilities => {
  if (declares === "all") return capabilities
  const less = (one: OperationCapabilities): OperationCapabilities =>
    declares === "no look-up" ? { ...one, lookupByReference: undefined } : { ...one, replay: "none" }
  const { authorize, capture, confirm, refund, sale, void: cancel } = capabilities.operations
  return {
    ...capabilities,
    operations: {
      authorize: less(authorize),
      capture: less(capture),
      confirm: less(confirm),
      refund: less(refund),
      sale: less(sale),
      void: less(cancel)
    }
  }
}

/** Starts an instance in its process: the engine, and recovery at once and at intervals. */
export const start = (options: InstanceOptions): Instance => {
  const { bug, kernel, process } = options
  const waiting = new Set<{ readonly onLost: () => void }>()
  const queued: Array<() => void> = []
  let engine: Payments.Payments["Service"] | undefined
  let runs = 0

  const program = Effect.gen(function* () {
    const client = Network.clientOf(options.network, process)
    const built = yield* Effect.forEach(options.gateways, (account) => gatewayOf(account, options.replayWindowMillis)).pipe(
      Effect.provideService(HttpClient.HttpClient, client)
    )
    const stores = Database.stores(options.database)
    const services = Context.merge(bug?.stores?.(stores, options.memory) ?? stores, Context.empty()).pipe(
      Context.add(Gateways, GatewayList.make(built.map((gateway) => bug?.gateway?.(gateway) ?? gateway))),
      Context.add(RequestFingerprint, fingerprints),
      Context.add(HostTransaction, bug?.hostTransaction ?? Database.hostTransaction)
    )
    const layer = Payments.layer.pipe(
      Layer.provideMerge(Layer.mergeAll(Layer.succeedContext(services), MemoryGatewayMetrics.layer, MemoryIds.layer)),
      Layer.provide(Layer.succeed(Settings, { ...defaults, ...options.settings }))
    )
    const running = Context.add(yield* Layer.build(layer), Notifier, Receiver.notifier(options.network.faults, options.onReceived))
    engine = Context.get(running, Payments.Payments)
    const relay = Relay.run({ pollMillis: relayPollMillis }).pipe(Effect.provideContext(running))
    yield* Effect.forkScoped(Effect.onExit(relay, () => Effect.sync(() => options.onDefect(`the relay of ${process.name} ended`))))
    for (const run of queued.splice(0)) run()
    for (;;) {
      yield* Effect.exit(engine.recover({}))
      runs++
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
    recoveryRuns: () => runs,
    crashed: () => {
      for (const { onLost } of waiting) onLost()
      waiting.clear()
    }
  }
}
