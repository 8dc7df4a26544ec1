/**
 * Counting the commands of payments that failed, by category. A decline is no failure, nor is a caller who left.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { CommandRefused } from "../../domain/payment/Command.ts"
import type { EventContinuityError } from "../../domain/payment/Replay.ts"
import type { EventStoreError } from "../../services/EventStore.ts"
import type { GatewayListFailed, GatewayNotConfigured } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import type {
  IdempotencyKeyReused,
  NotAccepting,
  NoUsableGateway,
  PaymentNotFound,
  RequestInProgress,
  TooManyConflicts
} from "../payment/Errors.ts"
import type { NotReconcilable } from "../recovery/Reconciliation.ts"
import type { NotResolvable } from "../recovery/Review.ts"

/** What the commands of the engine may fail with. */
export type Failure =
  | CommandRefused
  | EventContinuityError
  | EventStoreError
  | GatewayListFailed
  | GatewayNotConfigured
  | IdempotencyKeyReused
  | NotAccepting
  | NotReconcilable
  | NotResolvable
  | NoUsableGateway
  | PaymentNotFound
  | RequestInProgress
  | TooManyConflicts

type Category = Parameters<typeof Metrics.failed>[0]

const categories: { readonly [Tag in Exclude<Failure, EventStoreError>["_tag"]]: Category } = {
  CommandRefused: "refused",
  EventContinuityError: "history_damaged",
  GatewayListFailed: "gateway_list_failed",
  GatewayNotConfigured: "gateway_not_configured",
  IdempotencyKeyReused: "key_reused",
  NotAccepting: "not_accepting",
  NotReconcilable: "not_reconcilable",
  NotResolvable: "not_resolvable",
  NoUsableGateway: "no_usable_gateway",
  PaymentNotFound: "not_found",
  RequestInProgress: "in_progress",
  TooManyConflicts: "conflicts"
}

const ofStore: { readonly [Tag in EventStoreError["reason"]["_tag"]]: Category } = {
  Unavailable: "store_unavailable",
  OutcomeUnknown: "store_outcome_unknown",
  Corrupt: "store_corrupt",
  TransactionFailed: "host_transaction"
}

const categoryOf = (error: Failure): Category => (error._tag === "EventStoreError" ? ofStore[error.reason._tag] : categories[error._tag])

/** Counts a command that fails. */
export const counted = <A, E extends Failure, R>(command: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.catchCause(command, countedCause)

const countedCause = <E extends Failure>(cause: Cause.Cause<E>): Effect.Effect<never, E> => {
  const failed = Effect.failCause(cause)
  if (Cause.hasInterruptsOnly(cause)) return failed
  const category = Option.match(Cause.findErrorOption(cause), { onNone: () => "defect" as const, onSome: categoryOf })
  return Effect.andThen(Metrics.failed(category), failed)
}
