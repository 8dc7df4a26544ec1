/**
 * The engine over memory layers and gateways that a test scripts, and requests for it.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Currency from "../../src/domain/Currency.ts"
import type { GatewayCapabilities, OperationCapabilities } from "../../src/domain/operation/Capabilities.ts"
import type { Intent } from "../../src/domain/operation/Operation.ts"
import type { Declined, NotSent, Outcome, Succeeded, Unknown } from "../../src/domain/operation/Outcome.ts"
import type { DeclineCategory } from "../../src/domain/operation/Decline.ts"
import { AccountFingerprint, GatewayName, GatewayReference, IdempotencyKey, TenantId } from "../../src/domain/payment/Ids.ts"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import * as GatewayList from "../../src/gateways/GatewayList.ts"
import * as MemoryEventStore from "../../src/layers/memory/EventStore.ts"
import * as MemoryGatewayMetrics from "../../src/layers/memory/GatewayMetrics.ts"
import * as MemoryHostTransaction from "../../src/layers/memory/HostTransaction.ts"
import * as MemoryIds from "../../src/layers/memory/Ids.ts"
import * as MemoryLeases from "../../src/layers/memory/Leases.ts"
import * as MemoryLock from "../../src/layers/memory/Lock.ts"
import * as MemoryStore from "../../src/layers/memory/MemoryStore.ts"
import * as MemoryWebhookInbox from "../../src/layers/memory/notify/WebhookInbox.ts"
import * as MemoryOutbox from "../../src/layers/memory/Outbox.ts"
import * as MemoryPaymentRepository from "../../src/layers/memory/PaymentRepository.ts"
import * as MemoryCardAttempts from "../../src/layers/memory/routing/CardAttempts.ts"
import type { ChargeRequest } from "../../src/orchestration/payment/Charge.ts"
import * as Payments from "../../src/orchestration/payment/Payments.ts"
import type { Gateway, Gateways, HoldAnswer, LookupAnswer } from "../../src/services/Gateway.ts"
import { RequestFingerprint } from "../../src/services/RequestFingerprint.ts"
import { defaults, type EngineSettings, Settings } from "../../src/services/Settings.ts"

/** A gateway whose answers a test decides. Every intent it was sent, and every look-up, is kept. */
export interface TestGateway extends Gateway {
  readonly sent: Array<Intent>
  readonly asked: Array<Intent>
}

const operation: OperationCapabilities = {
  lookupByReference: { lagMillis: 0 },
  replay: "result",
  replayWindowMillis: 86_400_000,
  cachesFailures: true,
  cancelByReference: "named",
  leavesOpenAfterDecline: false,
  settleTimeMillis: 10_000
}

/** A gateway that answers what `send` and `lookup` say; by default every operation succeeds and nothing is found. */
export const testGateway = (
  name: string,
  options: {
    readonly send?: (intent: Intent, nth: number) => Effect.Effect<Outcome>
    readonly lookup?: (intent: Intent) => Effect.Effect<LookupAnswer>
    readonly hold?: (intent: Intent) => Effect.Effect<HoldAnswer>
    readonly charges?: Partial<OperationCapabilities>
    /** Of captures, voids and refunds. */
    readonly others?: Partial<OperationCapabilities>
    readonly captures?: GatewayCapabilities["captures"]
    /** Default 0: what is sent is written at once. */
    readonly connectLimitMillis?: number
  } = {}
): TestGateway => {
  const sent: Array<Intent> = []
  const asked: Array<Intent> = []
  const charge = { ...operation, ...options.charges }
  const other = { ...operation, ...options.others }
  return {
    sent,
    asked,
    name: GatewayName.make(name),
    account: AccountFingerprint.make(`account of ${name}`),
    adapterVersion: "1",
    apiVersion: "1",
    connectLimitMillis: options.connectLimitMillis ?? 0,
    capabilities: {
      operations: { sale: charge, authorize: charge, confirm: charge, capture: other, void: other, refund: other },
      captures: options.captures ?? "multiple",
      authorizationValidityMillis: 604_800_000,
      currencies: new Map(Currency.all.map((code) => [code, Currency.exponent(code)]))
    },
    send: ({ intent }) =>
      Effect.suspend(() => {
        sent.push(intent)
        return options.send?.(intent, sent.length) ?? Effect.succeed(success(intent))
      }),
    lookup: ({ intent }) =>
      Effect.suspend(() => {
        asked.push(intent)
        return options.lookup?.(intent) ?? Effect.succeed<LookupAnswer>({ _tag: "Absent" })
      }),
    ...(options.hold === undefined ? {} : { hold: ({ intent }) => options.hold?.(intent) ?? Effect.die("no hold") })
  }
}

/** It happened, as intended. */
export const success = (intent: Intent): Succeeded => ({
  _tag: "Succeeded",
  gatewayReference: GatewayReference.make(`ref ${intent.gateway} ${intent.kind === "confirm" ? intent.target : intent.number}`),
  amount: intent.amount,
  named: true
})

export const declined = (category: DeclineCategory): Declined => ({ _tag: "Declined", category, code: `code_${category}`, message: "no" })
export const unknown: Unknown = { _tag: "Unknown", reason: "conflict", message: "who knows" }
export const notSent: NotSent = { _tag: "NotSent", reason: "connection_refused", message: "nobody there" }
export const requiresAction: Outcome = {
  _tag: "RequiresAction",
  gatewayReference: GatewayReference.make("action"),
  nextAction: { type: "redirect", url: "https://bank.example/3ds" }
}
export const pending: Outcome = { _tag: "Pending", gatewayReference: GatewayReference.make("pending") }

/** The stores in memory. */
export const memory = Layer.mergeAll(
  MemoryEventStore.layer,
  MemoryPaymentRepository.layer,
  MemoryOutbox.layer,
  MemoryWebhookInbox.layer,
  MemoryLock.layer,
  MemoryGatewayMetrics.layer,
  MemoryCardAttempts.layer,
  MemoryHostTransaction.layer,
  MemoryIds.layer
).pipe(Layer.provideMerge(Layer.merge(MemoryStore.layer, MemoryLeases.layer)))

/** The configured gateways. */
export const gatewaysOf = (...all: ReadonlyArray<Gateway>): Layer.Layer<Gateways> => GatewayList.layer(all)

/** A fingerprint that is the request itself: what matters is only whether two are the same. */
export const fingerprints = Layer.succeed(RequestFingerprint, RequestFingerprint.of({ of: (canonical) => Effect.succeed(canonical) }))

/** The engine over the stores it is given. */
export const engineOver = (gateways: ReadonlyArray<Gateway>, settings: Partial<EngineSettings> = {}) =>
  Payments.layer.pipe(
    Layer.provideMerge(Layer.mergeAll(gatewaysOf(...gateways), fingerprints)),
    Layer.provide(Layer.succeed(Settings, { ...defaults, ...settings, allowUnsafeGateways: true }))
  )

/** The engine in memory. */
export const engine = (gateways: ReadonlyArray<Gateway>, settings: Partial<EngineSettings> = {}) =>
  Layer.provideMerge(engineOver(gateways, settings), memory)

export const tenant = TenantId.make("m1")
export const key = (text: string): IdempotencyKey => IdempotencyKey.make(text)

/** A charge of 49.90 EUR by a card, under a key. */
export const chargeRequest = (under: string, overrides: Partial<ChargeRequest> = {}): ChargeRequest => ({
  tenant,
  key: key(under),
  amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
  method: { type: "card", token: Token.make("tok_success") },
  ...overrides
})
