/**
 * Compiled by `tsc -b`, never run: what must not compile. Failing over and ending a payment take the proof that `settle` makes,
 * and nothing else will do (rule 1).
 */
import type { Operation } from "../../src/domain/operation/Operation.ts"
import type { Declined, NotSent, Pending, RequiresAction, Succeeded, Unknown } from "../../src/domain/operation/Outcome.ts"
import {
  type Absent,
  type Charged,
  type Evidence,
  type NotCharged,
  recorded,
  settle,
  type StillOpen
} from "../../src/domain/operation/Settle.ts"
import type { Command, GatewayTerms } from "../../src/domain/payment/Command.ts"
import { type OperationNumber, type PaymentId, requestKeyOf } from "../../src/domain/payment/Ids.ts"

type FailOver = Extract<Command, { _tag: "FailOver" }>
type EndPayment = Extract<Command, { _tag: "EndPayment" }>

declare const terms: GatewayTerms
declare const proof: NotCharged
declare const stillOpen: StillOpen
declare const charged: Charged
declare const unknown: Unknown
declare const pending: Pending
declare const requiresAction: RequiresAction
declare const succeeded: Succeeded
declare const declined: Declined
declare const notSent: NotSent
declare const absent: Absent
declare const operation: Operation
declare const evidence: Evidence
declare const number: OperationNumber

const rest = { _tag: "FailOver", terms, now: 0, stepUp: false } as const

/** The proof is accepted. */
export const accepted: ReadonlyArray<FailOver | EndPayment> = [
  { ...rest, after: proof },
  { _tag: "EndPayment", after: proof, as: "failed" }
]

// @ts-expect-error a StillOpen is no proof
export const failOverStillOpen: FailOver = { ...rest, after: stillOpen }
// @ts-expect-error a charge is no proof
export const failOverCharged: FailOver = { ...rest, after: charged }
// @ts-expect-error an unknown outcome is no proof
export const failOverUnknown: FailOver = { ...rest, after: unknown }
// @ts-expect-error a pending outcome is no proof
export const failOverPending: FailOver = { ...rest, after: pending }
// @ts-expect-error an action of the customer is no proof
export const failOverAction: FailOver = { ...rest, after: requiresAction }
// @ts-expect-error a success is no proof
export const failOverSucceeded: FailOver = { ...rest, after: succeeded }
// @ts-expect-error the last attempt's decline is no proof: outcomes belong to the operation
export const failOverDeclined: FailOver = { ...rest, after: declined }
// @ts-expect-error nor is the last attempt's NotSent
export const failOverNotSent: FailOver = { ...rest, after: notSent }
// @ts-expect-error nor is an absence
export const failOverAbsent: FailOver = { ...rest, after: absent }
// @ts-expect-error a settlement may be anything until it was looked at
export const failOverSettlement: FailOver = { ...rest, after: settle(operation, evidence) }
// @ts-expect-error an operation may have no proof
export const failOverRecorded: FailOver = { ...rest, after: recorded(operation) }
// @ts-expect-error a literal that looks like a proof is none
export const failOverLiteral: FailOver = { ...rest, after: { _tag: "NotCharged", operation: number, because: notSent } }

// @ts-expect-error a StillOpen ends nothing
export const endStillOpen: EndPayment = { _tag: "EndPayment", after: stillOpen, as: "failed" }
// @ts-expect-error an unknown outcome ends nothing
export const endUnknown: EndPayment = { _tag: "EndPayment", after: unknown, as: "failed" }
// @ts-expect-error a pending outcome ends nothing
export const endPending: EndPayment = { _tag: "EndPayment", after: pending, as: "failed" }
// @ts-expect-error an action of the customer ends nothing
export const endAction: EndPayment = { _tag: "EndPayment", after: requiresAction, as: "failed" }
// @ts-expect-error a literal that looks like a proof is none
export const literal: NotCharged = { _tag: "NotCharged", operation: number, because: declined }

/** After a look at its tag, a settlement is the proof. */
export const afterLook = (settlement: ReturnType<typeof settle>): FailOver | undefined =>
  settlement._tag === "NotCharged" ? { ...rest, after: settlement } : undefined

// @ts-expect-error a text is no payment id, and a number no operation's number
export const key = requestKeyOf({ payment: "pay_1", operation: 1 })
// @ts-expect-error a payment id is made by its schema
export const id: PaymentId = "pay_00ff0190000000007000800000000000abcd"
