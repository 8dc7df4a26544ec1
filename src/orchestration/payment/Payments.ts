/**
 * The engine as one service: every program of this folder with its dependencies provided, for hosts and edges.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { CommandRefused } from "../../domain/payment/Command.ts"
import type { StoredEvent } from "../../domain/payment/Event.ts"
import type { PaymentId, TenantId } from "../../domain/payment/Ids.ts"
import type { EventContinuityError } from "../../domain/payment/Replay.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import { EventStore, type EventStoreError } from "../../services/EventStore.ts"
import type { GatewayListFailed, GatewayNotConfigured, Gateways } from "../../services/Gateway.ts"
import type { CardAttempts } from "../../services/routing/CardAttempts.ts"
import type { GatewayMetrics } from "../../services/routing/GatewayMetrics.ts"
import type { HostTransaction } from "../../services/HostTransaction.ts"
import type { Ids } from "../../services/Ids.ts"
import type { Lock } from "../../services/Lock.ts"
import * as Metrics from "../../services/Metrics.ts"
import { PaymentRepository } from "../../services/PaymentRepository.ts"
import type { RequestFingerprint } from "../../services/RequestFingerprint.ts"
import * as Failures from "../observability/Failures.ts"
import * as Background from "../operation/Background.ts"
import * as GatewaySafety from "../operation/GatewaySafety.ts"
import * as Journal from "../operation/Journal.ts"
import type { CircuitBreakers } from "../resilience/CircuitBreakers.ts"
import * as GatewayGuards from "../resilience/GatewayGuards.ts"
import * as Charge from "./Charge.ts"
import {
  type IdempotencyKeyReused,
  type NotAccepting,
  type NoUsableGateway,
  PaymentNotFound,
  type RequestInProgress,
  type TooManyConflicts
} from "./Errors.ts"
import type { Answer } from "./Idempotency.ts"
import * as KeyClaims from "./KeyClaims.ts"
import * as Modify from "./Modify.ts"
import * as Expiry from "../recovery/Expiry.ts"
import * as Reconciliation from "../recovery/Reconciliation.ts"
import * as Recovery from "../recovery/Recovery.ts"
import * as Review from "../recovery/Review.ts"

/** What may be wrong with any money command. `EventStoreError` with `isAmbiguous`: retry with the same key. */
export type MoneyCommandError =
  | IdempotencyKeyReused
  | RequestInProgress
  | NotAccepting
  | CommandRefused
  | PaymentNotFound
  | EventStoreError
  | EventContinuityError

/** What may be wrong with a command on an existing payment. */
export type ModifyError = MoneyCommandError | GatewayNotConfigured | TooManyConflicts

/** What may be wrong with a reconciliation: the gateway is not configured, cannot list, or its list broke off. What was compared until then was recorded. */
export type ReconcileError = Reconciliation.NotReconcilable | GatewayListFailed | GatewayNotConfigured | EventStoreError

/** What may be wrong with a person's word: it was not taken (`NotResolvable` says why), or the payment cannot be read. */
export type ResolveError = Review.NotResolvable | PaymentNotFound | EventStoreError | EventContinuityError

/**
 * Payments.
 *
 * - `charge`: creates a payment and charges it; answers when the outcome is durable, or `processing` when it is not yet.
 * - `prepare`: the same inside the host's transaction, without the call (rule 15).
 * - `confirm`, `capture`, `refund`, `cancel`: commands on a payment. A decline is no error: it is in the answer.
 * - `get`, `history`: a payment of a tenant, and its events in version order.
 * - `recover`: finds open operations, asks the gateways what became of them, records it and goes on from there.
 * - `expire`: cancels at the gateway what has waited for its customer too long, and ends it once that is certain.
 * - `reconcile`: a gateway's own list of charges and refunds against ours, both ways; what it says for certain is recorded.
 * - `resolve`: a person's word on what nobody else could find out. Before a "failed" the gateway is asked; nothing is charged after it.
 *
 * The last four are for whoever operates the engine: without `tenant` they concern every merchant. They are safe beside payments, beside
 * themselves and on any number of instances, and doing them again changes nothing. All but `prepare`, `get` and `history` die with
 * `CallInsideTransaction` inside a host's transaction.
 */
export class Payments extends Context.Service<
  Payments,
  {
    readonly charge: (request: Charge.ChargeRequest) => Effect.Effect<Answer, MoneyCommandError | NoUsableGateway>
    readonly prepare: (request: Charge.ChargeRequest) => Effect.Effect<Answer, MoneyCommandError | NoUsableGateway>
    readonly confirm: (command: Modify.PaymentCommand) => Effect.Effect<Answer, ModifyError>
    readonly capture: (command: Parameters<typeof Modify.capture>[0]) => Effect.Effect<Answer, ModifyError>
    readonly refund: (command: Parameters<typeof Modify.refund>[0]) => Effect.Effect<Answer, ModifyError>
    readonly cancel: (command: Modify.PaymentCommand) => Effect.Effect<Answer, ModifyError>
    readonly get: (options: {
      readonly id: PaymentId
      readonly tenant: TenantId
    }) => Effect.Effect<PaymentView, PaymentNotFound | EventStoreError>
    readonly history: (options: {
      readonly id: PaymentId
      readonly tenant: TenantId
    }) => Effect.Effect<ReadonlyArray<StoredEvent>, PaymentNotFound | EventStoreError | EventContinuityError>
    readonly recover: (options?: Recovery.RecoveryOptions) => Effect.Effect<Recovery.RecoveryReport, EventStoreError>
    readonly expire: (options?: Expiry.ExpiryOptions) => Effect.Effect<Expiry.ExpiryReport, EventStoreError>
    readonly reconcile: (
      options: Reconciliation.ReconciliationOptions
    ) => Effect.Effect<Reconciliation.ReconciliationReport, ReconcileError>
    readonly resolve: (resolution: Review.Resolution) => Effect.Effect<PaymentView, ResolveError>
  }
>()("aegispay/orchestration/payment/Payments") {}

/** What the engine is built from. */
export type Dependencies =
  | EventStore
  | PaymentRepository
  | Gateways
  | GatewayMetrics
  | HostTransaction
  | Ids
  | Lock
  | RequestFingerprint
  | CardAttempts
  | Background.Background

/** What its programs need: that, and what comes with the engine. */
type Programs = Dependencies | Exclude<Engine, Payments>

/**
 * A caller's context with the engine's services. Most callers come with the same one each time, so the last is kept: putting them together
 * costs as much as a routing decision.
 */
const joined = (engine: Context.Context<Programs>) => {
  let last: { readonly caller: Context.Context<never>; readonly both: Context.Context<Programs> } | undefined
  return (caller: Context.Context<never>): Context.Context<Programs> => {
    if (last?.caller !== caller) last = { caller, both: Context.merge(caller, engine) }
    return last.both
  }
}

const make = Effect.gen(function* () {
  yield* GatewaySafety.check
  const context = Context.add(yield* Effect.context<Programs>(), KeyClaims.KeyClaims, KeyClaims.make())
  const repository = yield* PaymentRepository
  const store = yield* EventStore
  yield* Metrics.startAtZero
  const withEngine = joined(context)
  const provided = <A, E extends Failures.Failure>(command: Effect.Effect<A, E, Programs>): Effect.Effect<A, E> =>
    Effect.updateContext(Failures.counted(command), withEngine)
  const get = Effect.fnUntraced(function* (options: { readonly id: PaymentId; readonly tenant: TenantId }) {
    const found = yield* repository.get(options)
    return yield* Option.match(found, {
      onNone: () => Effect.fail(new PaymentNotFound({ id: options.id })),
      onSome: (payment) => Effect.succeed(payment)
    })
  })
  return Payments.of({
    charge: (request) => provided(Charge.charge(request)),
    prepare: (request) => provided(Charge.prepare(request)),
    confirm: (command) => provided(Modify.confirm(command)),
    capture: (command) => provided(Modify.capture(command)),
    refund: (command) => provided(Modify.refund(command)),
    cancel: (command) => provided(Modify.cancel(command)),
    get: (options) => Failures.counted(get(options)),
    history: (options) =>
      Failures.counted(Effect.andThen(get(options), Effect.tapErrorTag(store.read(options.id), "EventContinuityError", Journal.halted))),
    recover: (options) => provided(Recovery.recover(options)),
    expire: (options) => provided(Expiry.expire(options)),
    reconcile: (options) => provided(Reconciliation.reconcile(options)),
    resolve: (resolution) => provided(Review.resolve(resolution))
  })
})

/** What comes with the engine: payments, and what guards the gateways, for programs that are built over it. */
export type Engine = Payments | GatewayGuards.GatewayGuards | CircuitBreakers

/**
 * The engine without its own scope: `Background` is provided by the host. Breakers that are provided are used; otherwise it makes its own.
 * Fails with `UnsafeGateway` where a gateway must not be used.
 */
export const layerEngine: Layer.Layer<Engine, GatewaySafety.UnsafeGateway, Dependencies> = Layer.provideMerge(
  Layer.effect(Payments, make),
  GatewayGuards.layer
)

/** The engine. Closing the layer waits for the work in hand. Fails with `UnsafeGateway` where a gateway must not be used. */
export const layer: Layer.Layer<Engine, GatewaySafety.UnsafeGateway, Exclude<Dependencies, Background.Background>> = Layer.provide(
  layerEngine,
  Background.layer
)
