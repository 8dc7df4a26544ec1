/**
 * The configured gateways, made by kind, and what start-up refuses about them.
 */
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import type { GatewayMisconfigured } from "../../../gateways/Credentials.ts"
import * as GatewayList from "../../../gateways/GatewayList.ts"
import * as SandboxGateway from "../../../gateways/sandbox/SandboxGateway.ts"
import * as StripeGateway from "../../../gateways/stripe/StripeGateway.ts"
import * as GatewayHttpClient from "../../../layers/node/GatewayHttpClient.ts"
import * as GatewaySafety from "../../../orchestration/operation/GatewaySafety.ts"
import { type Gateway, Gateways } from "../../../services/Gateway.ts"
import { PaymentRepository } from "../../../services/PaymentRepository.ts"
import type { GatewayConfig } from "../../config/Config.ts"
import { cannotRun, type Failure, orCannotRun } from "../Failure.ts"
import type { Target } from "./Target.ts"

/** One adapter per kind. */
const adapterOf = (
  config: GatewayConfig,
  connectLimitMillis: number
): Effect.Effect<Gateway, GatewayMisconfigured, HttpClient.HttpClient> => {
  switch (config.kind) {
    case "sandbox":
      return SandboxGateway.make({ connectLimitMillis, ...config })
    case "stripe":
      return StripeGateway.make({ connectLimitMillis, ...config })
  }
}

const make = (config: GatewayConfig, connectLimitMillis: number) =>
  Effect.map(adapterOf(config, connectLimitMillis), (gateway) => taking(gateway, config.methods))

/** An account may take fewer kinds of payment method than its adapter. */
const taking = (gateway: Gateway, methods: GatewayConfig["methods"]): Gateway =>
  methods === undefined ? gateway : { ...gateway, capabilities: { ...gateway.capabilities, methods: new Set(methods) } }

/** The gateways of a configuration. Their HTTP client neither retries nor follows redirects (rule 2). */
export const layer = (target: Target): Layer.Layer<Gateways, Failure> => {
  const { connectLimitMillis, engine, gateways } = target.config
  return Layer.effect(
    Gateways,
    Effect.gen(function* () {
      const all: ReadonlyArray<Gateway> = yield* Effect.forEach(gateways, (gateway) => make(gateway, connectLimitMillis)).pipe(
        Effect.catchTag("GatewayMisconfigured", ({ message }) => cannotRun(`${target.source}: ${message}`))
      )
      const problem = all.map((gateway) => GatewaySafety.problemOf(gateway, engine)).find((found) => found !== undefined)
      if (problem !== undefined) return yield* cannotRun(`${target.source}: ${problem}`)
      return GatewayList.make(all)
    })
  ).pipe(Layer.provide(GatewayHttpClient.layer({ connectLimitMillis })))
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
