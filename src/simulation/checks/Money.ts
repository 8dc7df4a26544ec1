/**
 * I1, I2 and I6: what the PSP charged, captured, voided and gave back is what is recorded here, once.
 */
import { isCharge, type Operation } from "../../domain/operation/Operation.ts"
import type { OperationNumber } from "../../domain/payment/Ids.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import { amountsOf } from "../../domain/payment/Status.ts"
import type { Facts } from "../world/Aftermath.ts"
import type { LedgerLine, PspCharge } from "../world/Psp.ts"
import type { Violation } from "./Invariants.ts"

export interface MoneyOptions {
  readonly charges: ReadonlyArray<PspCharge>
  readonly ledger: ReadonlyArray<LedgerLine>
  readonly facts: Facts
  /** How many refunds were asked for. */
  readonly refunds: number
}

/** What does not hold of a payment's money. */
export const ofPayment = (payment: Payment, { charges, facts, ledger, refunds }: MoneyOptions): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const wrong = (invariant: Violation["invariant"], detail: string) => void found.push({ invariant, payment: payment.id, detail })
  const most = mostAtOnce(ledger.filter((line) => line.payment === payment.id))
  if (most.length > 1) wrong("I1", `charged ${most.length} times: ${most.map((line) => `${line.account} ${line.reference}`).join(", ")}`)
  const reviewed = new Set<string | undefined>(payment.reviews.map(({ operation }) => madeBy(payment, operation)?.intent.requestKey))
  for (const charge of charges) {
    const { amount_authorized: authorized, amount_captured: captured, amount_refunded: refunded } = charge
    if (!(0 <= refunded && refunded <= captured && captured <= authorized))
      wrong("I6", `${charge.id}: ${refunded} <= ${captured} <= ${authorized}`)
    // What a person has to find out may be there and not here; everything else of the payment is known.
    if (reviewed.has(charge.reference)) continue
    const failed = failedOf(charge, facts)
    const local = localOf(payment, charge)
    // What an authorization is worth whose capture failed is for nobody to say.
    const held = failed > 0 ? local.authorized : authorized > 0 && charge.status !== "voided"
    const remote = { authorized: held, captured: captured - failed, refunded }
    if (JSON.stringify(local) !== JSON.stringify(remote)) {
      wrong("I2", `${charge.account} ${charge.id} is ${charge.status}: here ${JSON.stringify(local)}, there ${JSON.stringify(remote)}`)
    }
  }
  const claimed = payment.operations.filter((operation) => isCharge(operation) && operation.progress._tag === "Succeeded")
  for (const operation of claimed) {
    if (!charges.some((charge) => charge.id === operation.gatewayReference && charge.account === operation.intent.gateway))
      wrong("I2", `operation ${operation.intent.number} succeeded, the PSP has no such charge`)
  }
  const asked = payment.operations.filter((operation) => operation.intent.purpose === "refund").length
  if (asked > refunds) wrong("I6", `${asked} refunds for ${refunds} requests`)
  for (const dispute of facts.disputes.filter((one) => one.payment === payment.id)) {
    const known = payment.disputes.find(({ disputeId }) => disputeId === dispute.id)
    if (known?.status !== dispute.status || known.amount.minor !== BigInt(dispute.amount))
      wrong("I2", `dispute ${dispute.id} is ${dispute.status}, here it is ${known?.status ?? "not known"}`)
  }
  return found
}

/** The operation that made the object which an operation is about. */
const madeBy = (payment: Payment, number: OperationNumber): Operation | undefined => {
  const operation = operationOf(payment, number)
  return operation?.intent.target === undefined ? operation : madeBy(payment, operation.intent.target)
}

const failedOf = (charge: PspCharge, facts: Facts): number =>
  facts.failedCaptures
    .filter((failed) => failed.account === charge.account && failed.charge === charge.id)
    .reduce((total, { amount }) => total + amount, 0)

/**
 * The most charges that the customer had at one time. An authorization that was released as a whole before the next one was made took
 * nothing: the customer may authorize what a decline left open, until the cancel of it arrives.
 */
export const mostAtOnce = (lines: ReadonlyArray<LedgerLine>): ReadonlyArray<LedgerLine> => {
  let now: ReadonlyArray<LedgerLine> = []
  let most = now
  for (const line of [...lines].sort((left, right) => left.at - right.at)) {
    if (line.kind === "charge" || line.kind === "authorize") now = [...now, line]
    if (line.kind === "void") {
      now = now.filter((other) => other.account !== line.account || other.charge_id !== line.charge_id || other.amount !== line.amount)
    }
    if (now.length > most.length) most = now
  }
  return most
}

const localOf = (payment: Payment, charge: PspCharge) => {
  const operation = payment.operations.findLast(
    (candidate) =>
      isCharge(candidate) &&
      candidate.intent.gateway === charge.account &&
      candidate.gatewayReference === charge.id &&
      candidate.progress._tag === "Succeeded"
  )
  if (operation === undefined) return { authorized: false, captured: 0, refunded: 0 }
  const total = amountsOf(payment, operation)
  return { authorized: total.authorized > 0n, captured: Number(total.captured), refunded: Number(total.refunded) }
}
