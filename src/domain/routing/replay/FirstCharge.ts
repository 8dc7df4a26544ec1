/**
 * What became of the first charge of a payment, read from the payment's events as they come: to which gateway it went, by which decision, how
 * long the answer took, and whether it took effect.
 *
 * Only the first charge says something of a policy's choice: a failover goes down the plan of the same decision, and is not drawn.
 */
import * as OperationState from "../../operation/Operation.ts"
import type { PaymentEvent, StoredEvent } from "../../payment/Event.ts"
import { OperationNumber } from "../../payment/Ids.ts"
import * as State from "../../payment/State.ts"

/** The intent of a payment's first charge, and when it was recorded (database time). */
export interface FirstIntent {
  readonly intent: OperationState.Intent
  readonly recordedAt: number
}

/** A payment as far as its events have been read. Changed in place. */
export interface Followed {
  payment: State.PaymentState
  first: (FirstIntent & { readonly occurredAt: number }) | undefined
  /** From the intent to the gateway's first answer; `undefined` while the call itself has had none. */
  answeredAfterMillis: number | undefined
}

/** The end of a first charge. */
export interface FirstOutcome {
  readonly approved: boolean
  readonly latencyMillis: number | undefined
}

/** A payment of which nothing has been read. */
export const make = (payment: StoredEvent["paymentId"]): Followed => ({
  payment: State.initial(payment),
  first: undefined,
  answeredAfterMillis: undefined
})

const firstNumber = OperationNumber.make(1)

/** Reads the payment's next event. */
export const read = (followed: Followed, stored: StoredEvent): void => {
  followed.payment = State.evolve(followed.payment, stored)
  const { event, occurredAt, recordedAt } = stored
  if (event._tag === "OperationIntended" && event.intent.number === firstNumber) {
    followed.first = { intent: event.intent, recordedAt, occurredAt }
  } else if (followed.first !== undefined && followed.answeredAfterMillis === undefined && isAnswerToFirst(event)) {
    followed.answeredAfterMillis = Math.max(0, occurredAt - followed.first.occurredAt)
  }
}

/** An answer that the call itself got, whatever it was: a lost one took as long as it was waited for. What was not sent has none. */
const isAnswerToFirst = (event: PaymentEvent): boolean => {
  switch (event._tag) {
    case "OperationSucceeded":
    case "OperationDeclined":
    case "OperationUncertain":
    case "OperationPending":
    case "ActionRequired":
      return event.operation === firstNumber && event.source === "response"
    default:
      return false
  }
}

/**
 * How the first charge ended; `undefined` while that is open. A charge that the customer had to continue ends as what continued it. A success
 * that was taken back later, by us or by a dispute, was one.
 */
export const outcomeOf = ({ answeredAfterMillis, payment }: Followed): FirstOutcome | undefined => {
  if (payment._tag === "New") return undefined
  const operation = endOf(payment, payment.operations[0])
  if (operation === undefined || OperationState.isOpen(operation)) return undefined
  return { approved: operation.progress._tag === "Succeeded", latencyMillis: answeredAfterMillis }
}

const endOf = (payment: State.Payment, operation: OperationState.Operation | undefined): OperationState.Operation | undefined =>
  operation?.progress._tag === "Continued" ? endOf(payment, State.operationOf(payment, operation.progress.by)) : operation
