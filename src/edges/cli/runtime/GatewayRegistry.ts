/**
 * The configured gateways, made by kind, and what start-up refuses about them.
 */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { isRecoverable, type OperationCapabilities } from "../../../domain/operation/Capabilities.ts"
import * as GatewayList from "../../../gateways/GatewayList.ts"
import * as SandboxGateway from "../../../gateways/sandbox/SandboxGateway.ts"
import { type Gateway, Gateways } from "../../../services/Gateway.ts"
import { PaymentRepository } from "../../../services/PaymentRepository.ts"
import type { GatewayConfig } from "../../config/Config.ts"
import { cannotRun, type Failure, orCannotRun } from "../Failure.ts"
import type { Target } from "./Target.ts"

/** One adapter per kind. */
const makers = {
  sandbox: SandboxGateway.make
}

const make = (config: GatewayConfig) => makers[config.kind](config)

/**
 * How long a connection may take to be made: a handshake and one or two repetitions of its first packet. The permission to send is
 * checked before it, so a gateway's settle time has to hold it; undici's own limit is 10 s.
 */
const connectTimeoutMillis = 4_000

const httpClient = NodeHttpClient.layerUndiciNoDispatcher.pipe(
  Layer.provide(NodeHttpClient.layerDispatcherOptions({ connect: { timeout: connectTimeoutMillis } }))
)

/** The gateways of a configuration. Their HTTP client neither retries nor follows redirects (rule 2). */
export const layer = (target: Target): Layer.Layer<Gateways, Failure> =>
  Layer.effect(
    Gateways,
    Effect.gen(function* () {
      const all: ReadonlyArray<Gateway> = yield* Effect.forEach(target.config.gateways, make)
      const problem = all.map(problemOf).find((found) => found !== undefined)
      if (problem !== undefined) return yield* cannotRun(`${target.source}: ${problem}`)
      return GatewayList.make(all)
    })
  ).pipe(Layer.provide(httpClient))

/** Why a gateway may not be used: its lost answers could not be found out, or its settle time is shorter than its own look-up lag. */
export const problemOf = (gateway: Gateway): string | undefined => {
  for (const [kind, capabilities] of Object.entries<OperationCapabilities>(gateway.capabilities.operations)) {
    if (!isRecoverable(capabilities)) {
      return `gateway ${gateway.name} cannot look up, replay or cancel a ${kind}: a lost answer could never be found out; do not use it`
    }
    const lag = capabilities.lookupByReference?.lagMillis ?? 0
    if (capabilities.settleTimeMillis < lag) {
      return `gateway ${gateway.name}: settleTimeMillis (${capabilities.settleTimeMillis}) of ${kind} is below its look-up lag (${lag}); set it to more`
    }
  }
  return undefined
}

/** Refuses a configuration that lacks an account with open operations: nobody could find out what became of them (rule 14). */
export const requireOpenAccounts = Effect.fnUntraced(function* (target: Target) {
  const gateways = yield* Gateways
  const repository = yield* PaymentRepository
  const open = yield* orCannotRun(repository.openSummary)
  const lacking = open.filter(({ account, gateway }) => !gateways.all.some((one) => one.name === gateway && one.account === account))
  if (lacking.length === 0) return
  const list = lacking.map(({ account, count, gateway }) => `${gateway} (${account}): ${count}`).join(", ")
  return yield* cannotRun(
    `${target.source} lacks gateway accounts with open operations: ${list}; configure them as they were, or start with --allow-missing-gateways`
  )
})
