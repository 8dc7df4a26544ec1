/**
 * All services that Postgres provides, from one client.
 *
 * The client is the host's own where payments are to join its transactions. The schema comes from `Migrations`: run
 * `Migrations.check` at the start.
 */
import * as Layer from "effect/Layer"
import * as EventStore from "./payment/EventStore.ts"
import * as HostTransaction from "./HostTransaction.ts"
import * as WebhookInbox from "./notify/WebhookInbox.ts"
import * as Outbox from "./Outbox.ts"
import * as PaymentRepository from "./payment/PaymentRepository.ts"
import * as CardAttempts from "./routing/CardAttempts.ts"

/** Event store, repository, outbox, inbox of webhooks, declined attempts of cards and host transaction on the database of the `SqlClient`. */
export const layer = Layer.mergeAll(
  EventStore.layer,
  PaymentRepository.layer,
  Outbox.layer,
  WebhookInbox.layer,
  CardAttempts.layer,
  HostTransaction.layer
)
