/**
 * Where notifications go: the host's endpoint of a merchant, a log, a queue.
 *
 * A merchant has one endpoint at most, so a payment is delivered to one place and has one order there (rule 19). What else wants
 * to read events reads the global log of the event store.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { EventId, PaymentId, TenantId } from "../../domain/payment/Ids.ts"

/** One event on its way out. `body`: JSON text; tokens are taken out. */
export interface Notification {
  /** The same in every repetition: a receiver that keeps it can leave out what it has seen. */
  readonly id: EventId
  readonly tenant: TenantId
  readonly payment: PaymentId
  /** Place among the events of the payment. A receiver that keeps the last one knows what comes twice. */
  readonly version: number
  readonly type: string
  readonly body: string
}

/**
 * What became of a delivery.
 *
 * - `Retry`: it may or may not have arrived; again later, after `retryAfterMillis` at the earliest where the receiver asked for it.
 * - `Rejected`: it will never be taken; repeating is useless.
 */
export type Delivery =
  | { readonly _tag: "Delivered" }
  | { readonly _tag: "Retry"; readonly reason: string; readonly retryAfterMillis?: number }
  | { readonly _tag: "Rejected"; readonly reason: string }

/**
 * The notifier.
 *
 * - `endpointOf`: the name of a merchant's endpoint; `undefined` where it wants no notifications. Endpoints of one name fail together.
 * - `deliver`: one attempt. Never fails; has a time limit of its own. Reasons hold no secrets and nothing of what was sent.
 */
export class Notifier extends Context.Service<
  Notifier,
  {
    readonly endpointOf: (tenant: TenantId) => string | undefined
    readonly deliver: (endpoint: string, notification: Notification) => Effect.Effect<Delivery>
  }
>()("aegispay/services/notify/Notifier") {}
