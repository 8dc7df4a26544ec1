/**
 * Decisions about the amounts of a charge that took effect: capturing and refunding.
 */
import type { Money } from "../../Money.ts"
import type { RefusalReason } from "../Command.ts"
import type { Payment } from "../State.ts"
import { amountsOf, capturable, refundable } from "../Status.ts"
import { type Case, type Decision, excluding, illegal, refuse, sameAccount, start } from "./Intent.ts"

export const capture = (command: Case<"CapturePayment">, payment: Payment): Decision => {
  const charge = capturable(payment)
  if (charge === undefined || payment.reviews.length > 0) return refuse(payment, command._tag, illegal)
  if (!sameAccount(charge, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const voiding = excluding(payment, charge, ["void"])
  if (voiding !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: voiding.intent.number })
  const total = amountsOf(payment, charge)
  const available = total.authorized - total.captured - total.reservedForCapture
  const single = command.terms.captures === "single"
  if (single) {
    const open = excluding(payment, charge, ["capture"])
    if (open !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: open.intent.number })
    if (total.captured > 0n) return refuse(payment, command._tag, { _tag: "AlreadyCaptured" })
  }
  if (charge.intent.kind === "sale" || payment.details.captureMethod === "automatic") return refuse(payment, command._tag, illegal)
  const amount = command.amount ?? { currency: payment.details.amount.currency, minor: available }
  const wrong = wrongAmount(payment, amount, available)
  if (wrong !== undefined) return refuse(payment, command._tag, wrong)
  return start(payment, {
    kind: "capture",
    purpose: "capture",
    amount,
    terms: command.terms,
    target: charge,
    final: command.final || single || (amount.minor === available && total.reservedForCapture === 0n)
  })
}

export const refund = (command: Case<"RefundPayment">, payment: Payment): Decision => {
  const charge = refundable(payment)
  if (charge === undefined) return refuse(payment, command._tag, illegal)
  if (!sameAccount(charge, command.terms)) return refuse(payment, command._tag, { _tag: "OtherAccount" })
  const voiding = excluding(payment, charge, ["void"])
  if (voiding !== undefined) return refuse(payment, command._tag, { _tag: "OperationInProgress", operation: voiding.intent.number })
  const total = amountsOf(payment, charge)
  const available = total.captured - total.refunded - total.reservedForRefund
  const amount = command.amount ?? { currency: payment.details.amount.currency, minor: available }
  const wrong = wrongAmount(payment, amount, available)
  if (wrong !== undefined) return refuse(payment, command._tag, wrong)
  return start(payment, { kind: "refund", purpose: "refund", amount, terms: command.terms, target: charge })
}

const wrongAmount = (payment: Payment, amount: Money, available: bigint): RefusalReason | undefined => {
  const currency = payment.details.amount.currency
  if (amount.currency !== currency) return { _tag: "CurrencyMismatch", expected: currency, actual: amount.currency }
  if (available <= 0n) return amount.minor <= 0n ? illegal : { _tag: "AmountExceeded", requested: amount.minor, available: 0n }
  if (amount.minor <= 0n) return { _tag: "AmountNotPositive" }
  return amount.minor > available ? { _tag: "AmountExceeded", requested: amount.minor, available } : undefined
}
