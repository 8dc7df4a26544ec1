/**
 * The decider: `decide(command, state)` answers the events a command causes, or refuses it. Pure.
 *
 * What starts an operation is decided in `decisions`; what records the outcome of one is in `Record.ts`.
 */
import * as Result from "effect/Result"
import type { Command } from "./Command.ts"
import { capture, refund } from "./decisions/Amounts.ts"
import { cancel, cancelUncertain, closeDeclined, reverseLate } from "./decisions/Cancelling.ts"
import { block, confirm, end, failOver, initiate, permitResend } from "./decisions/Charging.ts"
import { type Decision, illegal, refuse } from "./decisions/Intent.ts"
import { recordDispute, recordFailure, openReview, recordFinding, recordSettlement, recordWord } from "./Record.ts"
import type { PaymentState } from "./State.ts"

/** The most operations of one payment. */
export const maxOperations = 1000

/** The events a command causes in a state, or why it is refused. */
export const decide = (command: Command, state: PaymentState): Decision => {
  if (command._tag === "InitiatePayment") return initiate(command, state)
  if (command._tag === "BlockPayment") return block(command, state)
  if (state._tag === "New") return refuse(state, command._tag, illegal)
  if (state.operations.length >= maxOperations && startsOperation(command)) {
    return refuse(state, command._tag, { _tag: "TooManyOperations" })
  }
  switch (command._tag) {
    case "FailOver":
      return failOver(command, state)
    case "ConfirmPayment":
      return confirm(command, state)
    case "CapturePayment":
      return capture(command, state)
    case "RefundPayment":
      return refund(command, state)
    case "CancelPayment":
      return cancel(command, state)
    case "CloseDeclined":
      return closeDeclined(command, state)
    case "CancelUncertain":
      return cancelUncertain(command, state)
    case "ReverseLate":
      return reverseLate(command, state)
    case "PermitResend":
      return permitResend(command, state)
    case "EndPayment":
      return end(command, state)
    case "RecordSettlement":
      return Result.succeed(recordSettlement(command, state))
    case "ReportFailure":
      return Result.succeed(recordFailure(command, state))
    case "ReportDispute":
      return Result.succeed(recordDispute(command, state))
    case "ResolveByPerson":
      return Result.succeed(recordWord(command, state))
    case "RecordFinding":
      return Result.succeed(recordFinding(command, state))
    case "OpenReview":
      return Result.succeed(openReview(command, state))
  }
}

const startsOperation = (command: Command): boolean =>
  command._tag === "FailOver" ||
  command._tag === "ConfirmPayment" ||
  command._tag === "CapturePayment" ||
  command._tag === "RefundPayment" ||
  command._tag === "CancelPayment" ||
  command._tag === "CloseDeclined" ||
  command._tag === "CancelUncertain" ||
  command._tag === "ReverseLate"
