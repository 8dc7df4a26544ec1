/**
 * The callers of an experiment: each asks for a payment when its time has come, whatever became of the others, repeats the request under
 * its key where it is told to, and captures, cancels or refunds what it has bought.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Answers from "../../domain/chaos/experiment/Answers.ts"
import type { Arrival } from "../../domain/chaos/experiment/Arrivals.ts"
import type { CompleteExperiment } from "../../domain/chaos/experiment/Experiment.ts"
import * as Recorder from "../../domain/chaos/experiment/Recorder.ts"
import { IdempotencyKey, TenantId } from "../../domain/payment/Ids.ts"
import { Token } from "../../domain/payment/PaymentMethod.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import type { ChargeRequest } from "../../orchestration/payment/Charge.ts"
import type { NoUsableGateway } from "../../orchestration/payment/Errors.ts"
import type { Answer } from "../../orchestration/payment/Idempotency.ts"
import type { ModifyError, Payments } from "../../orchestration/payment/Payments.ts"
import type { Kernel, Process } from "../world/Kernel.ts"
import type { Server } from "./Server.ts"

type CallError = ModifyError | NoUsableGateway
type Program = (engine: Payments["Service"]) => Effect.Effect<Answer, CallError>

export interface CallersOptions {
  readonly experiment: CompleteExperiment
  readonly kernel: Kernel
  readonly process: Process
  readonly server: Server
  readonly recorder: Recorder.Recorder
  /** Told of every charge, before it is asked for. */
  readonly onAsked: (charge: Recorder.Charge, key: IdempotencyKey) => void
  /** Told of every charge that was answered for good. */
  readonly onAnswered: (charge: Recorder.Charge) => void
  /** Told of every payment that a caller was shown: it must not be forgotten. */
  readonly onShown: (key: string, payment: PaymentView) => void
  /** A program died, which none ever does. */
  readonly onWrong: (what: string) => void
}

/** Whose payments they are. */
export const tenant = TenantId.make("experiment")

/** The key that a payment is asked for under. */
export const keyOf = ({ index }: Arrival): IdempotencyKey => IdempotencyKey.make(`charge-${index}`)

const accepted = Token.make("tok_success")
const refused = Token.make("tok_declined_hard")

const requestOf = (arrival: Arrival): ChargeRequest => ({
  tenant,
  key: keyOf(arrival),
  amount: { currency: arrival.currency, minor: BigInt(arrival.amount) },
  method: { type: "card", token: arrival.declined ? refused : accepted },
  captureMethod: arrival.kind === "authorizeAndCapture" || arrival.kind === "cancel" ? "manual" : "automatic"
})

/** One payment, from its first request to whatever is done with it. */
export const live = Effect.fnUntraced(function* (options: CallersOptions, arrival: Arrival) {
  const { experiment, kernel, recorder } = options
  const charge = Recorder.asked(recorder, kernel.now())
  options.onAsked(charge, keyOf(arrival))
  const program: Program = ({ charge }) => charge(requestOf(arrival))
  const again = arrival.kind === "duplicate" ? yield* Effect.forkChild(duplicate(options, arrival, program)) : undefined
  const heard = yield* insist(options, keyOf(arrival), program)
  const judged = typeof heard === "string" ? Answers.ofError(heard) : Answers.ofPayment(heard)
  const firstChoice = typeof heard === "string" ? undefined : heard.operations[0]?.gateway
  Recorder.answered(charge, { at: kernel.now(), ...judged, firstChoice })
  options.onAnswered(charge)
  if (again !== undefined) yield* Fiber.join(again)
  const then = followUpOf(arrival)
  if (then === undefined || typeof heard === "string" || judged.answer !== "succeeded") return
  yield* Effect.sleep(experiment.load.followUpMillis)
  yield* followUp(options, then, heard)
})

const followUpOf = ({ kind }: Arrival): "capture" | "cancel" | "refund" | undefined => {
  switch (kind) {
    case "authorizeAndCapture":
      return "capture"
    case "cancel":
    case "refund":
      return kind
    case "charge":
    case "duplicate":
      return undefined
  }
}

/** The same request once more: it gets the same payment, or an error that says to ask again. */
const duplicate = Effect.fnUntraced(function* (options: CallersOptions, arrival: Arrival, program: Program) {
  const { duplicate: counts } = options.recorder.followUps
  yield* Effect.sleep(arrival.duplicateAfterMillis)
  counts.asked++
  const heard = yield* insist(options, keyOf(arrival), program)
  if (typeof heard === "string") counts.failed++
})

const followUp = Effect.fnUntraced(function* (options: CallersOptions, kind: "capture" | "cancel" | "refund", payment: PaymentView) {
  const counts = options.recorder.followUps[kind]
  const key = IdempotencyKey.make(`${kind}-${payment.id}`)
  const command = { tenant, key, id: payment.id }
  counts.asked++
  const heard = yield* insist(options, key, (engine) => engine[kind](command))
  if (typeof heard === "string" || !isDone(kind, heard)) counts.failed++
})

/** Has the payment come to what was asked for? */
const isDone = (kind: "capture" | "cancel" | "refund", { status }: PaymentView): boolean => {
  switch (kind) {
    case "capture":
      return status === "succeeded"
    case "cancel":
      return status === "cancelled"
    case "refund":
      return status === "refunded"
  }
}

/** Repeats a request under its key as long as it is told to: the payment, or the code of the error that ended it. */
const insist = Effect.fnUntraced(function* (options: CallersOptions, key: string, program: Program) {
  for (let times = 1; ; times++) {
    const exit = yield* options.server.call(options.process, program)
    if (exit !== "lost" && Exit.isSuccess(exit)) {
      options.onShown(key, exit.value.payment)
      return exit.value.payment
    }
    const code = exit === "lost" ? "connection_lost" : codeOf(options, key, exit.cause)
    const wait = Answers.waitBeforeRepeating(code, times)
    if (wait === undefined) return code
    yield* Effect.sleep(wait)
  }
})

/** The code that the HTTP interface answers. */
const codeOf = (options: CallersOptions, key: string, cause: Cause.Cause<CallError>): string => {
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
