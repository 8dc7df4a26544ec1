/**
 * The package `aegispay`: the payment domain, the interfaces of the services, and the programs that run payments over them.
 *
 * Each export is a module, read at the call site as `Money.make`. Implementations of the services are under subpaths of their own
 * (`aegispay/postgres`, `aegispay/memory`, `aegispay/gateways/sandbox`), so that nobody loads what they do not use.
 */
export * as Currency from "./domain/Currency.ts"
export * as Money from "./domain/Money.ts"
export * as Presets from "./domain/Presets.ts"

export * as Capabilities from "./domain/operation/Capabilities.ts"
export * as Decline from "./domain/operation/Decline.ts"
export * as Operation from "./domain/operation/Operation.ts"
export * as PollSchedule from "./domain/operation/PollSchedule.ts"
export * as Outcome from "./domain/operation/Outcome.ts"

export * as Command from "./domain/payment/Command.ts"
export * as Decide from "./domain/payment/Decide.ts"
export * as Event from "./domain/payment/Event.ts"
export * as PaymentIds from "./domain/payment/Ids.ts"
export * as PublicEvent from "./domain/payment/PublicEvent.ts"
export * as PaymentMethod from "./domain/payment/PaymentMethod.ts"
export * as Replay from "./domain/payment/Replay.ts"
export * as State from "./domain/payment/State.ts"
export * as Status from "./domain/payment/Status.ts"
export * as View from "./domain/payment/View.ts"

export * as Decision from "./domain/routing/Decision.ts"

export * as EventStore from "./services/EventStore.ts"
export * as Gateway from "./services/Gateway.ts"
export * as GatewayMetrics from "./services/routing/GatewayMetrics.ts"
export * as HostTransaction from "./services/HostTransaction.ts"
export * as Ids from "./services/Ids.ts"
export * as Lock from "./services/Lock.ts"
export * as Metrics from "./services/Metrics.ts"
export * as Notifier from "./services/notify/Notifier.ts"
export * as WebhookInbox from "./services/notify/WebhookInbox.ts"
export * as Outbox from "./services/Outbox.ts"
export * as PaymentRepository from "./services/PaymentRepository.ts"
export * as Projection from "./services/Projection.ts"
export * as RequestFingerprint from "./services/RequestFingerprint.ts"
export * as Settings from "./services/Settings.ts"
export * as HealthProbe from "./services/resilience/HealthProbe.ts"
export * as VersionedStore from "./services/resilience/VersionedStore.ts"

export * as GatewayList from "./gateways/GatewayList.ts"

export * as Relay from "./orchestration/notify/Relay.ts"
export * as WebhookProcessing from "./orchestration/notify/WebhookProcessing.ts"
export * as WebhookReceipt from "./orchestration/notify/WebhookReceipt.ts"
export * as Charge from "./orchestration/payment/Charge.ts"
export * as Errors from "./orchestration/payment/Errors.ts"
export * as Payments from "./orchestration/payment/Payments.ts"
export * as Expiry from "./orchestration/recovery/Expiry.ts"
export * as Finding from "./orchestration/recovery/Finding.ts"
export * as Rebuild from "./orchestration/recovery/Rebuild.ts"
export * as Reconciliation from "./orchestration/recovery/Reconciliation.ts"
export * as Recovery from "./orchestration/recovery/Recovery.ts"
export * as Review from "./orchestration/recovery/Review.ts"
export * as WithLock from "./orchestration/resilience/WithLock.ts"
export * as Degradation from "./orchestration/resilience/dependency/Degradation.ts"
export * as Dependencies from "./orchestration/resilience/dependency/Dependencies.ts"
export * as OptimisticUpdate from "./orchestration/resilience/OptimisticUpdate.ts"
