/**
 * All services held in this process' memory, over one set of tables and leases.
 */
import * as Layer from "effect/Layer"
import * as EventStore from "./EventStore.ts"
import * as GatewayMetrics from "./GatewayMetrics.ts"
import * as HostTransaction from "./HostTransaction.ts"
import * as Ids from "./Ids.ts"
import * as Leases from "./Leases.ts"
import * as Lock from "./Lock.ts"
import * as MemoryStore from "./MemoryStore.ts"
import * as WebhookInbox from "./notify/WebhookInbox.ts"
import * as Outbox from "./Outbox.ts"
import * as PaymentRepository from "./PaymentRepository.ts"
import * as Projection from "./recovery/Projection.ts"
import * as CardAttempts from "./routing/CardAttempts.ts"

/** Every service the engine needs besides its gateways and the request fingerprint. */
export const layer = Layer.mergeAll(
  EventStore.layer,
  PaymentRepository.layer,
  Outbox.layer,
  WebhookInbox.layer,
  Lock.layer,
  GatewayMetrics.layer,
  CardAttempts.layer,
  HostTransaction.layer,
  Projection.layer,
  Ids.layer
).pipe(Layer.provide(Layer.merge(MemoryStore.layer, Leases.layer)))
