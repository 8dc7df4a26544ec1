/**
 * The engine of a simulated server, as callers reach it: programs in place of requests, with the codes that the HTTP interface answers.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Arrival } from "../../domain/chaos/experiment/load/Arrivals.ts"
import { IdempotencyKey, type PaymentId, TenantId } from "../../domain/payment/Ids.ts"
import { Token } from "../../domain/payment/PaymentMethod.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import type { ChargeRequest } from "../../orchestration/payment/Charge.ts"
import type { NoUsableGateway } from "../../orchestration/payment/Errors.ts"
import type { Answer } from "../../orchestration/payment/Idempotency.ts"
import type { ModifyError, Payments } from "../../orchestration/payment/Payments.ts"
import type { Process } from "../world/Kernel.ts"
import * as Callers from "./Callers.ts"
import type { Server } from "./Server.ts"

type CallError = ModifyError | NoUsableGateway
type Program = (engine: Payments["Service"]) => Effect.Effect<Answer, CallError>

export interface EnginePortOptions {
  /** Of the callers. */
  readonly process: Process
  readonly server: Server
  /** Told of every payment that a caller was shown: it must not be forgotten. */
  readonly onShown: (key: string, payment: PaymentView) => void
  /** A program died, which none ever does. */
  readonly onWrong: (what: string) => void
}

/** Whose payments they are. */
export const tenant = TenantId.make("experiment")

const accepted = Token.make(Callers.tokens.accepted)
const refused = Token.make(Callers.tokens.refused)

const requestOf = (arrival: Arrival): ChargeRequest => ({
  tenant,
  key: IdempotencyKey.make(Callers.keyOf(arrival)),
  amount: { currency: arrival.currency, minor: BigInt(arrival.amount) },
  method: { type: "card", token: arrival.declined ? refused : accepted },
  captureMethod: Callers.captureMethodOf(arrival)
})

/** The way to the engine. */
export const make = (options: EnginePortOptions): Callers.Port => {
  const ask = (key: string, program: Program) =>
    Effect.map(options.server.call(options.process, program), (exit): Callers.Seen | string => {
      if (exit === "lost") return "connection_lost"
      if (Exit.isFailure(exit)) return codeOf(options, key, exit.cause)
      options.onShown(key, exit.value.payment)
      return exit.value.payment
    })
  return {
    charge: (arrival) => ask(Callers.keyOf(arrival), (engine) => engine.charge(requestOf(arrival))),
    followUp: (kind, { id }) => {
      const key = IdempotencyKey.make(`${kind}-${id}`)
      return ask(key, (engine) => engine[kind]({ tenant, key, id: id as PaymentId }))
    }
  }
}

/** The code that the HTTP interface answers. */
const codeOf = (options: EnginePortOptions, key: string, cause: Cause.Cause<CallError>): string => {
  const failure = cause.reasons.find(Cause.isFailReason)
  if (failure === undefined) {
    options.onWrong(`${key}: ${String(Cause.squash(cause))}`)
    return "internal_error"
  }
  const { error } = failure
  switch (error._tag) {
    case "IdempotencyKeyReused":
      return "idempotency_key_reused"
    case "RequestInProgress":
      return "request_in_progress"
    case "PaymentNotFound":
      return "payment_not_found"
    case "CommandRefused":
      return error.reason._tag === "OperationInProgress" ? "operation_in_progress" : "operation_refused"
    case "NoUsableGateway":
      return "no_usable_gateway"
    case "NotAccepting":
      return "not_accepting"
    case "TooManyConflicts":
      return "too_many_conflicts"
    case "GatewayNotConfigured":
      return "gateway_not_configured"
    case "EventContinuityError":
      return "payment_halted"
    case "EventStoreError":
      return error.isAmbiguous ? "outcome_unknown" : error.isRetryable ? "database_unavailable" : "internal_error"
  }
}
