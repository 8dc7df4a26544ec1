/**
 * The package `aegispay/memory`: the services held in this process' memory, for a host's own tests. Nothing survives the process.
 *
 * `Memory.layer` is all of them over one set of tables.
 */
export * as BreakerStore from "../layers/memory/resilience/BreakerStore.ts"
export * as CardAttempts from "../layers/memory/routing/CardAttempts.ts"
export * as EventStore from "../layers/memory/EventStore.ts"
export * as GatewayMetrics from "../layers/memory/GatewayMetrics.ts"
export * as HostTransaction from "../layers/memory/HostTransaction.ts"
export * as Ids from "../layers/memory/Ids.ts"
export * as Leases from "../layers/memory/Leases.ts"
export * as Lock from "../layers/memory/Lock.ts"
export * as Memory from "../layers/memory/Memory.ts"
export * as MemoryStore from "../layers/memory/MemoryStore.ts"
export * as LogNotifier from "../layers/memory/notify/LogNotifier.ts"
export * as Outbox from "../layers/memory/Outbox.ts"
export * as PaymentRepository from "../layers/memory/PaymentRepository.ts"
export * as Projection from "../layers/memory/recovery/Projection.ts"
export * as RateCache from "../layers/memory/rates/RateCache.ts"
export * as RateLimitStore from "../layers/memory/resilience/RateLimitStore.ts"
export * as VersionedStore from "../layers/memory/resilience/VersionedStore.ts"
export * as WebhookInbox from "../layers/memory/notify/WebhookInbox.ts"
export * as RequestFingerprint from "../layers/node/RequestFingerprint.ts"
