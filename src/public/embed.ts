/**
 * The package `aegispay/embed`: payments for hosts that are not written in Effect. `AegisPay.make(config)`, promises, plain objects, and the
 * HTTP interface to mount in Express, Fastify, `node:http` or a function of a Web-standard `Request`. docs/embedding.md shows all of it.
 */
export {
  AegisPay,
  type CallOptions,
  type CaptureInput,
  type ChargeInput,
  type CommandInput,
  type ListInput,
  type RecoverInput,
  type RefundInput,
  type WhichInput
} from "../edges/embed/AegisPay.ts"
export type * from "../edges/embed/Answers.ts"
export {
  Aborted,
  Closed,
  DatabaseUnavailable,
  InvalidRequest,
  OutcomeUnknown,
  QueryFailed,
  StartFailed,
  TransactionEnded,
  TransactionsUnsupported,
  Unexpected
} from "../edges/embed/Errors.ts"
export type { NodeHandler, WebHandler } from "../edges/embed/Handler.ts"
export type { HostHook } from "../edges/embed/HostHooks.ts"
export type { LogLine } from "../edges/embed/Log.ts"
export type { AegisPayConfig, AegisPayOptions, BackgroundOptions, GatewayFee, PaymentEvent } from "../edges/embed/Options.ts"
export type { Transaction } from "../edges/embed/Transaction.ts"

export { CommandRefused } from "../domain/payment/Command.ts"
export { EventContinuityError } from "../domain/payment/Replay.ts"
export { ConfigInvalid } from "../edges/config/Config.ts"
export {
  IdempotencyKeyReused,
  NotAccepting,
  NoUsableGateway,
  PaymentNotFound,
  RequestInProgress,
  TooManyConflicts
} from "../orchestration/payment/Errors.ts"
export { GatewayNotConfigured } from "../services/Gateway.ts"
export type { HookStatus } from "../services/hooks/Hooks.ts"
export { CallInsideTransaction } from "../services/HostTransaction.ts"
export type { CustomRule } from "../services/routing/RoutingPolicy.ts"
