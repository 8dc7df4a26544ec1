/**
 * The engine as the benchmarks drive it: the whole orchestration over given stores, with gateways that answer without latency.
 *
 * `sandboxGateways` are the real adapter and the real simulator, joined by an `HttpClient` that hands requests over in the process:
 * no socket and no latency, but all the encoding, decoding and bookkeeping of both. `instantGateways` answer at once and keep
 * nothing: the difference is what the simulator costs.
 */
import "effect/schema/SchemaJITCompiler/enable"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { HttpClientError, TransportError } from "effect/http/HttpClientError"
import type * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Currency from "../../../src/domain/Currency.ts"
import { GatewayName, GatewayReference, IdempotencyKey, TenantId } from "../../../src/domain/payment/Ids.ts"
import { Token } from "../../../src/domain/payment/PaymentMethod.ts"
import * as SandboxGateway from "../../../src/gateways/sandbox/SandboxGateway.ts"
import * as MemoryEventStore from "../../../src/layers/memory/EventStore.ts"
import * as MemoryGatewayMetrics from "../../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryHostTransaction from "../../../src/layers/memory/HostTransaction.ts"
import * as MemoryIds from "../../../src/layers/memory/Ids.ts"
import * as MemoryLeases from "../../../src/layers/memory/Leases.ts"
import * as MemoryLock from "../../../src/layers/memory/Lock.ts"
import * as MemoryStore from "../../../src/layers/memory/MemoryStore.ts"
import * as MemoryPaymentRepository from "../../../src/layers/memory/PaymentRepository.ts"
import * as MemoryCardAttempts from "../../../src/layers/memory/routing/CardAttempts.ts"
import * as RequestFingerprint from "../../../src/layers/node/RequestFingerprint.ts"
import * as Background from "../../../src/orchestration/operation/Background.ts"
import type { ChargeRequest } from "../../../src/orchestration/payment/Charge.ts"
import * as Payments from "../../../src/orchestration/payment/Payments.ts"
import * as Sandbox from "../../../src/sandbox/Sandbox.ts"
import { EventStore, type Commit } from "../../../src/services/EventStore.ts"
import { type Gateway, GatewayNotConfigured, Gateways } from "../../../src/services/Gateway.ts"
import type { CardAttempts } from "../../../src/services/routing/CardAttempts.ts"
import type { GatewayMetrics } from "../../../src/services/routing/GatewayMetrics.ts"
import type { HostTransaction } from "../../../src/services/HostTransaction.ts"
import type { Lock } from "../../../src/services/Lock.ts"
import type { PaymentRepository } from "../../../src/services/PaymentRepository.ts"
import { defaults, type EngineSettings, Settings } from "../../../src/services/Settings.ts"

const toWire = (request: HttpClientRequest.HttpClientRequest, url: URL) => ({
  method: request.method,
  path: url.pathname,
  query: url.searchParams,
  headers: request.headers,
  body: request.body._tag === "Uint8Array" ? new TextDecoder().decode(request.body.body) : ""
})

/** A client whose requests are handled by a sandbox in this process. */
const clientOf = (sandbox: Sandbox.Handler): HttpClient.HttpClient =>
  HttpClient.make((request, url) =>
    Effect.flatMap(sandbox.handle(toWire(request, url)), (reply) =>
      reply._tag === "Reset"
        ? Effect.fail(new HttpClientError({ reason: new TransportError({ request, description: "connection reset" }) }))
        : Effect.succeed(
            HttpClientResponse.fromWeb(
              request,
              new Response(reply.body, { status: reply.status, headers: { "content-type": reply.contentType, ...reply.headers } })
            )
          )
    )
  )

/** The adapter over a sandbox of its own: three accounts without latency and without random errors. */
export const sandboxGateways: Effect.Effect<ReadonlyArray<Gateway>, never, Scope.Scope> = Effect.gen(function* () {
  const sandbox = yield* Sandbox.make({ accounts: Sandbox.quietAccounts })
  return yield* Effect.forEach(sandbox.accounts, (account) =>
    SandboxGateway.make({
      name: GatewayName.make(`sandbox-${account}`),
      baseUrl: `http://127.0.0.1/${account}`,
      secretKey: Redacted.make(`sk_sandbox_${account}`)
    })
  ).pipe(Effect.provideService(HttpClient.HttpClient, clientOf(sandbox)))
}).pipe(Effect.orDie)

/** The same accounts, answering success at once without anything behind them. */
export const instantGateways: Effect.Effect<ReadonlyArray<Gateway>, never, Scope.Scope> = Effect.map(sandboxGateways, (gateways) =>
  gateways.map((gateway) => ({
    ...gateway,
    send: ({ intent }) =>
      Effect.sync(() => ({
        _tag: "Succeeded" as const,
        gatewayReference: GatewayReference.make(`ch_${intent.requestKey}`),
        amount: intent.amount,
        named: true
      }))
  }))
)

/** The same with a time that the answer takes: what is measured is then how many calls are under way, not how fast one is. */
export const slowGateways = (millis: number): Effect.Effect<ReadonlyArray<Gateway>, never, Scope.Scope> =>
  Effect.map(instantGateways, (gateways) =>
    gateways.map((gateway) => ({ ...gateway, send: (request) => Effect.delay(gateway.send(request), millis) }))
  )

/** The gateway, for engines that wait for its answers for up to this time: it then takes as long until an absence is certain. */
export const settlingFor = (gateway: Gateway, settleTimeMillis: number): Gateway => ({
  ...gateway,
  capabilities: {
    ...gateway.capabilities,
    operations: Record.map(gateway.capabilities.operations, (operation) => ({ ...operation, settleTimeMillis }))
  }
})

const gatewaysLayer = (make: Effect.Effect<ReadonlyArray<Gateway>, never, Scope.Scope>): Layer.Layer<Gateways> =>
  Layer.effect(
    Gateways,
    Effect.map(make, (all) => {
      const byName = new Map(all.map((gateway) => [gateway.name, gateway]))
      return Gateways.of({
        all,
        get: (name) => {
          const found = byName.get(name)
          return found === undefined
            ? Effect.fail(new GatewayNotConfigured({ gateway: name, configured: [...byName.keys()] }))
            : Effect.succeed(found)
        }
      })
    })
  )

/** All stores in the memory of the process. `MemoryStore` is among them. */
export const memoryStores = Layer.mergeAll(
  MemoryEventStore.layer,
  MemoryPaymentRepository.layer,
  MemoryLock.layer,
  MemoryGatewayMetrics.layer,
  MemoryCardAttempts.layer,
  MemoryHostTransaction.layer
).pipe(Layer.provideMerge(Layer.merge(MemoryStore.layer, MemoryLeases.layer)))

/** Counts the commits that an event store accepted, and keeps the first few. */
export interface CommitCount {
  committed: number
  readonly first: Array<Commit>
}

const keptCommits = 2

/** The event store it is given, with its accepted commits counted. */
const counting = (count: CommitCount): Layer.Layer<EventStore, never, EventStore> =>
  Layer.effect(
    EventStore,
    Effect.map(EventStore, (store) =>
      EventStore.of({
        ...store,
        commit: (commit) =>
          Effect.map(store.commit(commit), (result) => {
            if (result._tag === "Committed") {
              count.committed++
              if (count.first.length < keptCommits) count.first.push(commit)
            }
            return result
          })
      })
    )
  )

/** An engine to be measured, and what it needs to be asked for. */
export interface Engine {
  readonly payments: Payments.Payments["Service"]
  readonly background: Background.Background["Service"]
  readonly commits: CommitCount
}

/** What an engine keeps its payments in. */
type Stores = EventStore | PaymentRepository | Lock | GatewayMetrics | CardAttempts | HostTransaction

/** HMAC keys must have 32 bytes; this one protects nothing. */
const fingerprintKey = Redacted.make("benchmarks only: not a secret at all")

/** Builds the engine over stores, for as long as the scope lives. Answers the stores' other services as well. */
export const build = <Rest = never>(
  stores: Layer.Layer<Stores | Rest>,
  gateways: Effect.Effect<ReadonlyArray<Gateway>, never, Scope.Scope>,
  settings: Partial<EngineSettings> = {}
): Effect.Effect<Engine & { readonly context: Context.Context<Rest> }, never, Scope.Scope> => {
  const commits: CommitCount = { committed: 0, first: [] }
  return Payments.layerEngine.pipe(
    Layer.provideMerge(Background.layer),
    Layer.provide(Layer.mergeAll(gatewaysLayer(gateways), MemoryIds.layer, RequestFingerprint.layer(fingerprintKey))),
    Layer.provide(counting(commits)),
    Layer.provide(Layer.succeed(Settings, { ...defaults, ...settings })),
    Layer.provideMerge(stores),
    Layer.build,
    Effect.orDie,
    Effect.map((context) => ({
      payments: Context.get(context, Payments.Payments),
      background: Context.get(context, Background.Background),
      commits,
      context: context as Context.Context<Rest>
    }))
  )
}

/** Whose payments they are. */
export const tenant = TenantId.make("benchmark")
let lastKey = 0

/** A card payment as a shop asks for it: 49.90 EUR, a customer, an order number. Every call has a key of its own. */
export const nextRequest = (): ChargeRequest => {
  lastKey++
  return {
    tenant,
    key: IdempotencyKey.make(`order-${process.pid}-${lastKey}`),
    amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
    method: { type: "card", token: Token.make("tok_success"), brand: "visa", country: "DE" },
    customer: { id: "customer-1", email: "customer@example.com", country: "DE" },
    metadata: { order: `A-${lastKey}` }
  }
}

/** Charges one payment. Anything but a success ends the run: a benchmark of failures measures nothing. */
export const chargeOne = (engine: Engine): Effect.Effect<void> =>
  Effect.suspend(() => engine.payments.charge(nextRequest())).pipe(
    Effect.orDie,
    Effect.flatMap(({ payment }) =>
      payment.status === "succeeded" ? Effect.void : Effect.die(new Error(`payment ${payment.id} is ${payment.status}`))
    )
  )
