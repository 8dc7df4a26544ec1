/**
 * The engine of the demo: the parts of a server without its HTTP interface, over stores in memory or over an embedded Postgres.
 *
 * Everything is at its default but times: what takes minutes at a real gateway takes seconds here, so that a whole outage can be watched.
 */
import "effect/schema/SchemaJITCompiler/enable"
import type * as PgClient from "@effect/sql-pg/PgClient"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as SqlClient from "effect/sql/SqlClient"
import { join } from "node:path"
import { CurrencyCode } from "../../src/domain/Currency.ts"
import type { Outcome } from "../../src/domain/operation/Outcome.ts"
import { GatewayName, type PaymentId } from "../../src/domain/payment/Ids.ts"
import * as BreakerSettings from "../../src/domain/resilience/BreakerSettings.ts"
import * as Policy from "../../src/domain/routing/policy/Policy.ts"
import * as GatewayList from "../../src/gateways/GatewayList.ts"
import * as SandboxGateway from "../../src/gateways/sandbox/SandboxGateway.ts"
import * as Ids from "../../src/layers/memory/Ids.ts"
import * as Memory from "../../src/layers/memory/Memory.ts"
import * as GatewayHttpClient from "../../src/layers/node/GatewayHttpClient.ts"
import * as RequestFingerprint from "../../src/layers/node/RequestFingerprint.ts"
import * as EmbeddedPostgres from "../../src/layers/postgres/EmbeddedPostgres.ts"
import * as PostgresLock from "../../src/layers/postgres/Lock.ts"
import * as Migrations from "../../src/layers/postgres/Migrations.ts"
import * as Postgres from "../../src/layers/postgres/Postgres.ts"
import * as PostgresGatewayMetrics from "../../src/layers/postgres/routing/GatewayMetrics.ts"
import * as HookRegistry from "../../src/orchestration/hooks/HookRegistry.ts"
import * as Background from "../../src/orchestration/operation/Background.ts"
import * as Payments from "../../src/orchestration/payment/Payments.ts"
import { CircuitBreakers } from "../../src/orchestration/resilience/CircuitBreakers.ts"
import type { Gateway } from "../../src/services/Gateway.ts"
import { Hooks } from "../../src/services/hooks/Hooks.ts"
import { PaymentRepository } from "../../src/services/PaymentRepository.ts"
import { RoutingPolicy } from "../../src/services/routing/RoutingPolicy.ts"
import { defaults, type EngineSettings, Settings } from "../../src/services/Settings.ts"
import type { Account, Provider } from "./Provider.ts"

/** Where the payments are kept. */
export const stores = ["memory", "postgres"] as const
export type Store = (typeof stores)[number]

export const currency = CurrencyCode.make("EUR")

const connectLimitMillis = 1_000

/** An attempt and a permission to send are short, as are breaker and bulkhead; thresholds are the presets. */
export const settings: EngineSettings = {
  ...defaults,
  attemptTimeoutMillis: 1_500,
  sendWindowMillis: 3_000,
  retryBaseMillis: 100,
  retryCapMillis: 500,
  breakers: { settings: { ...BreakerSettings.gatewayDefault, openTimeoutMillis: 2_000 }, byGateway: {}, byName: {} },
  bulkhead: { concurrency: 10, queue: 200, maxWaitMillis: 500 },
  recoveryOlderThanMillis: 4_500
}

/** How often operations without an outcome are looked for. */
const recoverEveryMillis = 500

/** One request that was sent to a gateway to charge somebody. */
export interface Call {
  readonly gateway: string
  readonly payment: PaymentId
  /** Epoch milliseconds. */
  readonly sentAt: number
  /** When it was answered or given up; `undefined`: it is under way. */
  endedAt: number | undefined
  /** `undefined`: no answer came until it was given up. */
  outcome: Outcome["_tag"] | undefined
}

/** An engine that runs. `calls`: every charge that was sent, as it is made. */
export interface Engine {
  readonly payments: Payments.Payments["Service"]
  readonly breakers: CircuitBreakers["Service"]
  readonly repository: PaymentRepository["Service"]
  readonly hooks: Hooks["Service"]
  readonly calls: ReadonlyArray<Call>
}

/** HMAC keys must have 32 bytes; this one protects nothing. */
const fingerprintKey = Redacted.make("a demo only: this is not a secret")

/** What an engine is built of. */
export interface EngineOptions {
  readonly providers: ReadonlyArray<Provider>
  readonly store: Store
  /** For the database, if there is one. */
  readonly directory: string
  /** A database that is there already and up to date, in place of one of its own. */
  readonly database?: Database | undefined
  /** What the engine believes that providers take. Default: what they take. */
  readonly priceOf?: (account: Account) => Account["price"]
  /** Instead of the settings of the demo. */
  readonly settings?: Partial<EngineSettings> | undefined
}

/** The client of a database. */
export type Database = Layer.Layer<PgClient.PgClient | SqlClient.SqlClient>

/** Builds the engine over these providers and starts its recovery, for as long as the scope lives. */
export const build = Effect.fnUntraced(function* (options: EngineOptions) {
  const { priceOf = ({ price }) => price, providers } = options
  const calls: Array<Call> = []
  const fees = providers.map(({ account }) => [GatewayName.make(account.name), [{ currency, ...priceOf(account) }]] as const)
  const gateways = Layer.unwrap(
    Effect.map(
      Effect.forEach(providers, (provider) => Effect.map(adapter(provider), (gateway) => watched(gateway, calls))),
      GatewayList.layer
    )
  ).pipe(Layer.provide(GatewayHttpClient.layer({ connectLimitMillis })))
  const context = yield* Payments.layerEngine.pipe(
    Layer.provideMerge(Background.layer),
    Layer.provideMerge(HookRegistry.layer),
    Layer.provideMerge(Layer.merge(gateways, RequestFingerprint.layer(fingerprintKey))),
    Layer.provideMerge(options.store === "memory" ? Memory.layer : postgres(options)),
    Layer.provideMerge(Layer.succeed(RoutingPolicy, { policy: Policy.make({}, new Map(fees)), customRules: [] })),
    Layer.provideMerge(Layer.succeed(Settings, { ...settings, ...options.settings })),
    Layer.build
  )
  const payments = Context.get(context, Payments.Payments)
  yield* Effect.forkScoped(Effect.repeat(Effect.orDie(payments.recover()), Schedule.spaced(recoverEveryMillis)))
  return {
    payments,
    breakers: Context.get(context, CircuitBreakers),
    repository: Context.get(context, PaymentRepository),
    hooks: Context.get(context, Hooks),
    calls
  } satisfies Engine
})

const postgres = ({ database, directory }: EngineOptions) => {
  const stores = Layer.mergeAll(Postgres.layer, PostgresLock.layer, PostgresGatewayMetrics.layer, Ids.layer)
  return database === undefined
    ? stores.pipe(
        Layer.provide(Migrations.layer),
        Layer.provide(EmbeddedPostgres.layerClient({ dataDir: join(directory, "postgres"), durable: false }))
      )
    : Layer.provide(stores, database)
}

/** Nothing can take effect later than an attempt lasts: the provider executes what it gets at once. */
const adapter = ({ account, apiKey, url }: Provider) =>
  SandboxGateway.make({
    name: GatewayName.make(account.name),
    baseUrl: url,
    secretKey: Redacted.make(apiKey),
    connectLimitMillis,
    settleTimeMillis: settings.attemptTimeoutMillis + 200
  })

const watched = (gateway: Gateway, calls: Array<Call>): Gateway => ({
  ...gateway,
  send: (request) =>
    Effect.clockWith((clock) => {
      const sentAt = clock.currentTimeMillisUnsafe()
      const call: Call = { gateway: gateway.name, payment: request.payment, sentAt, endedAt: undefined, outcome: undefined }
      calls.push(call)
      return Effect.onExit(gateway.send(request), (exit) =>
        Effect.sync(() => {
          call.endedAt = clock.currentTimeMillisUnsafe()
          if (exit._tag === "Success") call.outcome = exit.value._tag
        })
      )
    })
})
