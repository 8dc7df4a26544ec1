/**
 * What is kept in step with the events, held against them: the payment as it is shown and its open operations.
 *
 * The events are the truth. A commit writes the projection with them, so it can only differ after damage (a restore, a hand in the
 * tables) or after a new version of the code shows payments otherwise. Then it is written anew, while commits go on.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { PaymentId } from "../domain/payment/Ids.ts"
import type { EventContinuityError } from "../domain/payment/Replay.ts"
import type { EventStoreError } from "./EventStore.ts"
import type { Page } from "./PaymentRepository.ts"

/** A part of a payment's projection. `payment`: there is none of it at all. */
export type ProjectionPart = "payment" | "tenant" | "status" | "view" | "createdAt" | "updatedAt" | "openOperations"

/** The most payments of one page. */
export const maxProjectionPage = 1_000

/**
 * The projection.
 *
 * - `payments`: every payment that has events or a projection, in an order that stays, after a cursor, at most `limit` (1 to 1,000).
 *   Payments made meanwhile may be missed. A cursor that was not made by `payments` lists nothing.
 * - `compare`: the parts that are not what the payment's events say; empty when all is well. Changes nothing.
 * - `rebuild`: writes the payment's projection anew where it differs, and answers the parts that did. Commits win: it writes only
 *   while the payment is at the version that was folded, and folds again otherwise. Events, claims and outbox are not touched.
 *
 * Both fail with `EventContinuityError` where the history is damaged, and with `Corrupt` where an event cannot be read: that payment
 * is left as it is. `Unavailable` also where a payment was committed to all the time.
 */
export class Projection extends Context.Service<
  Projection,
  {
    readonly payments: (options: { readonly cursor?: string; readonly limit: number }) => Effect.Effect<Page<PaymentId>, EventStoreError>
    readonly compare: (payment: PaymentId) => Effect.Effect<ReadonlyArray<ProjectionPart>, EventStoreError | EventContinuityError>
    readonly rebuild: (payment: PaymentId) => Effect.Effect<ReadonlyArray<ProjectionPart>, EventStoreError | EventContinuityError>
  }
>()("aegispay/services/Projection") {}
