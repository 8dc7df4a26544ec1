/**
 * Every command of the sandbox's core and the one function that decides them. Pure; see PspState.ts for the other half.
 */
import type { Decision } from "./Answer.ts"
import * as Charges from "./Charges.ts"
import * as FollowUps from "./FollowUps.ts"
import { type AccountState, apply } from "./PspState.ts"

/** Commands that a caller sends with an idempotency key. */
export type CallerCommand =
  | Charges.CreateCharge
  | Charges.ConfirmCharge
  | FollowUps.CaptureCharge
  | FollowUps.VoidCharge
  | FollowUps.VoidByReference
  | FollowUps.RefundCharge

/** Commands of the customer's page and of the sandbox's own timers. */
export type OwnCommand = Charges.CustomerAction | Charges.SettleCharge | FollowUps.SettleRefund | FollowUps.LapseHold

export type Command = CallerCommand | OwnCommand

/** Decides a command at `now` (epoch milliseconds) and leaves the state as it is. */
export const decide = (state: AccountState, command: Command, now: number): Decision => {
  switch (command._tag) {
    case "CreateCharge":
      return Charges.create(state, command, now)
    case "ConfirmCharge":
      return Charges.confirm(state, command, now)
    case "CaptureCharge":
      return FollowUps.capture(state, command, now)
    case "VoidCharge":
      return FollowUps.voidCharge(state, command, now)
    case "VoidByReference":
      return FollowUps.voidByReference(state, command, now)
    case "RefundCharge":
      return FollowUps.refund(state, command, now)
    case "CustomerAction":
      return Charges.customer(state, command, now)
    case "SettleCharge":
      return settleCharge(state, command, now)
    case "SettleRefund":
      return FollowUps.settleRefund(state, command, now)
    case "LapseHold":
      return FollowUps.lapse(state, command, now)
  }
}

/** A charge that is pending, or what was accepted of one that is not. */
const settleCharge = (state: AccountState, command: Charges.SettleCharge, now: number): Decision => {
  const charge = state.charges.get(command.chargeId)
  return charge?.accepted === undefined ? Charges.settle(state, command, now) : FollowUps.settleAccepted(state, charge, now)
}

/** Decides a command and applies its change. */
export const transition = (state: AccountState, command: Command, now: number): Decision => {
  const decision = decide(state, command, now)
  if (decision.change !== undefined) apply(state, decision.change)
  return decision
}
