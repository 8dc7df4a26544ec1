/**
 * What is done with a charge that exists: capture, void, refund, void by the caller's reference. Pure.
 */
import { failures, find, type LaterTrouble } from "../MagicTokens.ts"
import { capacity, type Decision, invalid, invalidState, notFound, refuse } from "./Answer.ts"
import { fee } from "./Charges.ts"
import * as Draft from "./Draft.ts"
import type { AccountState, Charge, Operation, Refund } from "./PspState.ts"
import { chargeJson, resultJson } from "./Render.ts"

export interface CaptureCharge {
  readonly _tag: "CaptureCharge"
  readonly chargeId: string
  readonly reference: string
  /** Default: all that is capturable. */
  readonly amount?: number
  /** Releases what is not captured. Default false; an account with single capture releases it anyway. */
  readonly final: boolean
}

export interface VoidCharge {
  readonly _tag: "VoidCharge"
  readonly chargeId: string
  readonly reference: string
}

export interface VoidByReference {
  readonly _tag: "VoidByReference"
  readonly targetReference: string
  readonly reference: string
}

export interface RefundCharge {
  readonly _tag: "RefundCharge"
  readonly chargeId: string
  readonly reference: string
  readonly amount: number
}

export interface SettleRefund {
  readonly _tag: "SettleRefund"
  readonly refundId: string
}

export interface LapseHold {
  readonly _tag: "LapseHold"
  readonly chargeId: string
}

const withoutTimers = ({ lapsesAt: _lapsesAt, settlesAt: _settlesAt, ...charge }: Charge): Charge => charge

const troubleOf = (charge: Charge): LaterTrouble | undefined => find(charge.token)?.later

/** Follow-ups go on when new charges are refused, up to twice that bound. */
const isExhausted = (state: AccountState): boolean =>
  state.operations.size >= 2 * state.rules.maxEntries || state.ledger.length >= 2 * state.rules.maxEntries

const exhausted = capacity("This sandbox account is full; no further operations are accepted.")

/** An explicit refusal that changes nothing but is recorded as an operation. */
const refused = (
  draft: Draft.Draft,
  input: Omit<Draft.NewOperation, "status"> & { readonly failure: NonNullable<Draft.NewOperation["failure"]> }
): Decision => {
  const operation = Draft.addOperation(draft, { ...input, status: "declined" })
  return { ...refuse(402, input.failure, { operation, charge: input.charge }), change: Draft.toChange(draft) }
}

export const capture = (state: AccountState, command: CaptureCharge, now: number): Decision => {
  const charge = state.charges.get(command.chargeId)
  if (charge === undefined) return notFound("charge")
  if (charge.status !== "authorized" && charge.status !== "partially_captured") {
    return invalidState(charge, `A charge that is ${charge.status} cannot be captured.`)
  }
  if (charge.accepted !== undefined) return busy(charge)
  const capturable = charge.authorized - charge.captured
  const amount = command.amount ?? capturable
  if (amount > capturable) {
    return invalid("amount", "amount_exceeds_authorized", `At most ${capturable} can be captured.`)
  }
  if (isExhausted(state)) return exhausted
  const draft = Draft.make(state, now)
  if (troubleOf(charge) === "capture_fails") {
    return refused(draft, { reference: command.reference, kind: "capture", charge, amount, failure: failures.captureFailed })
  }
  if (troubleOf(charge) === "capture_pending") {
    return accept(draft, charge, { kind: "capture", reference: command.reference, amount, final: command.final })
  }
  const done = take(draft, charge, { reference: command.reference, amount, final: command.final })
  const operation = Draft.addOperation(draft, {
    reference: command.reference,
    kind: "capture",
    charge: done,
    amount,
    status: "succeeded"
  })
  Draft.addEvent(draft, "charge.captured", operation.id)
  return { answer: { status: 200, body: resultJson({ operation, charge: done }) }, change: Draft.toChange(draft) }
}

/** Takes an amount of the authorization. */
const take = (
  draft: Draft.Draft,
  charge: Charge,
  { amount, final, reference }: { readonly reference: string; readonly amount: number; readonly final: boolean }
): Charge => {
  const { rules } = draft.state
  const captured = charge.captured + amount
  const closed = final || rules.captures === "single" || captured === charge.authorized
  const done: Charge = {
    ...(closed ? withoutTimers(charge) : charge),
    status: closed ? "succeeded" : "partially_captured",
    captured,
    closed,
    fee: fee(rules, captured),
    updated: draft.at
  }
  draft.charges.push(done)
  Draft.addEntry(draft, { kind: "capture", charge: done, reference, amount })
  return done
}

/** Accepts a capture or void, which is carried out when it settles. */
const accept = (draft: Draft.Draft, charge: Charge, accepted: Omit<NonNullable<Charge["accepted"]>, "operationId">): Decision => {
  if (draft.state.pending >= draft.state.rules.maxPending) return capacity("Too many operations are pending.")
  const { amount, kind, reference } = accepted
  const operation = Draft.addOperation(draft, { reference, kind, charge, amount, status: "pending" })
  const done: Charge = {
    ...charge,
    accepted: { ...accepted, operationId: operation.id },
    settlesAt: draft.at + draft.state.rules.settleDelayMillis,
    updated: draft.at
  }
  draft.charges.push(done)
  return { answer: { status: 200, body: resultJson({ operation, charge: done }) }, change: Draft.toChange(draft) }
}

/** Carries out what was accepted. */
export const settleAccepted = (state: AccountState, charge: Charge, now: number): Decision => {
  const { accepted, settlesAt: _settlesAt, ...rest } = charge
  if (accepted === undefined) return notFound("operation that waits")
  const draft = Draft.make(state, now)
  if (accepted.kind === "capture") take(draft, rest, accepted)
  else release(draft, rest, accepted.reference)
  Draft.setOperation(draft, accepted.operationId, "succeeded")
  Draft.addEvent(draft, accepted.kind === "capture" ? "charge.captured" : "charge.voided", accepted.operationId)
  return { answer: { status: 200, body: {} }, change: Draft.toChange(draft) }
}

const busy = (charge: Charge): Decision => invalidState(charge, `A ${charge.accepted?.kind} of the charge is in progress.`)

type Voidability = "voidable" | "already" | "impossible"

const voidability = (charge: Charge): Voidability => {
  switch (charge.status) {
    case "requires_action":
    case "requires_payment_method":
    case "pending":
    case "authorized":
    case "partially_captured":
      return "voidable"
    case "voided":
      return "already"
    case "succeeded":
      return charge.released === true ? "already" : "impossible"
    case "failed":
      return "impossible"
  }
}

/** Voids the charge in the draft. What was captured stays captured; the rest of the authorization is released. */
const release = (draft: Draft.Draft, charge: Charge, reference: string): Charge => {
  const done: Charge = {
    ...withoutTimers(charge),
    status: charge.captured > 0 ? "succeeded" : "voided",
    closed: true,
    ...(charge.authorized > 0 ? { released: true as const } : {}),
    updated: draft.at
  }
  const released = charge.authorized - charge.captured
  if (released > 0) Draft.addEntry(draft, { kind: "void", charge: done, reference, amount: released })
  if (charge.status === "requires_action" || charge.status === "pending") {
    Draft.setOperation(draft, charge.operationId, "cancelled")
  }
  draft.charges.push(done)
  return done
}

/** The validity of an authorization is over: what is not captured is released, and a webhook says so. */
export const lapse = (state: AccountState, command: LapseHold, now: number): Decision => {
  const charge = state.charges.get(command.chargeId)
  // What was accepted in time is carried out.
  if (charge?.lapsesAt === undefined || charge.lapsesAt > now || charge.accepted !== undefined) return notFound("authorization that lapses")
  const draft = Draft.make(state, now)
  release(draft, charge, charge.reference)
  Draft.addEvent(draft, "charge.expired", charge.operationId)
  return { answer: { status: 200, body: {} }, change: Draft.toChange(draft) }
}

const recordVoid = (draft: Draft.Draft, charge: Charge, reference: string): Operation => {
  const operation = Draft.addOperation(draft, {
    reference,
    kind: "void",
    charge,
    amount: charge.authorized - charge.captured,
    status: "succeeded"
  })
  Draft.addEvent(draft, "charge.voided", operation.id)
  return operation
}

export const voidCharge = (state: AccountState, command: VoidCharge, now: number): Decision => {
  const charge = state.charges.get(command.chargeId)
  if (charge === undefined) return notFound("charge")
  if (charge.accepted !== undefined) return busy(charge)
  const can = voidability(charge)
  if (can === "impossible") return invalidState(charge, `A charge that is ${charge.status} cannot be voided.`)
  if (isExhausted(state)) return exhausted
  const draft = Draft.make(state, now)
  if (can === "voidable" && troubleOf(charge) === "void_fails") {
    const amount = charge.authorized - charge.captured
    return refused(draft, { reference: command.reference, kind: "void", charge, amount, failure: failures.voidFailed })
  }
  if (can === "voidable" && troubleOf(charge) === "void_pending" && charge.authorized > 0) {
    const amount = charge.authorized - charge.captured
    return accept(draft, charge, { kind: "void", reference: command.reference, amount, final: true })
  }
  const done = can === "voidable" ? release(draft, charge, command.reference) : charge
  const operation = recordVoid(draft, done, command.reference)
  return { answer: { status: 200, body: resultJson({ operation, charge: done }) }, change: Draft.toChange(draft) }
}

/** The charges that operations with this reference made or continued; `undefined` when no operation has it. */
const targets = (state: AccountState, reference: string): ReadonlyArray<Charge> | undefined => {
  const ids = state.byReference.get(reference)
  if (ids === undefined) return undefined
  const found = new Map<string, Charge>()
  for (const id of ids) {
    const operation = state.operations.get(id)
    if (operation?.kind !== "charge" && operation?.kind !== "confirm") continue
    const charge = state.charges.get(operation.chargeId)
    if (charge !== undefined) found.set(charge.id, charge)
  }
  return [...found.values()]
}

/** Cancels by the caller's reference, without the look-up's lag, and names what it cancelled. */
export const voidByReference = (state: AccountState, command: VoidByReference, now: number): Decision => {
  const charges = targets(state, command.targetReference)
  if (charges === undefined) return notFound("operation")
  const waiting = charges.find((charge) => charge.accepted !== undefined)
  if (waiting !== undefined) return busy(waiting)
  const impossible = charges.find((charge) => charge.status === "succeeded")
  if (impossible !== undefined) return invalidState(impossible, "The charge already succeeded.")
  const cancelled = charges.filter((charge) => voidability(charge) !== "impossible")
  const first = cancelled[0]
  if (first === undefined) {
    const failed = charges[0]
    return failed === undefined
      ? refuse(409, {
          type: "invalid_request_error",
          code: "not_cancellable",
          message: "The operation is not one that can be cancelled."
        })
      : invalidState(failed, "The charge failed; there is nothing to cancel.")
  }
  if (isExhausted(state)) return exhausted
  const draft = Draft.make(state, now)
  const stubborn = cancelled.find((charge) => voidability(charge) === "voidable" && troubleOf(charge) === "void_fails")
  if (stubborn !== undefined) {
    const amount = stubborn.authorized - stubborn.captured
    return refused(draft, {
      reference: command.reference,
      kind: "void",
      charge: stubborn,
      amount,
      failure: failures.voidFailed
    })
  }
  const done = cancelled.map((charge) => (voidability(charge) === "voidable" ? release(draft, charge, command.reference) : charge))
  const shown = done[0] ?? first
  const operations = done.map((charge) => recordVoid(draft, charge, command.reference))
  const operation = operations[0]
  if (operation === undefined) return notFound("operation")
  const body = { ...resultJson({ operation, charge: shown }), cancelled: done.map(chargeJson) }
  return { answer: { status: 200, body }, change: Draft.toChange(draft) }
}

export const refund = (state: AccountState, command: RefundCharge, now: number): Decision => {
  const charge = state.charges.get(command.chargeId)
  if (charge === undefined) return notFound("charge")
  if (charge.captured === 0) return invalidState(charge, `A charge that is ${charge.status} cannot be refunded.`)
  const refundable = charge.captured - charge.refunded
  if (command.amount > refundable) {
    return invalid("amount", "amount_exceeds_captured", `At most ${refundable} can be refunded.`)
  }
  const trouble = troubleOf(charge)
  const isPending = trouble === "refund_pending" || trouble === "refund_pending_failure"
  const settlesLater = isPending || trouble === "refund_fails_later"
  if (settlesLater && state.pending >= state.rules.maxPending) return capacity("Too many refunds are pending.")
  if (isExhausted(state)) return exhausted
  const draft = Draft.make(state, now)
  if (trouble === "refund_fails") {
    return refused(draft, { reference: command.reference, kind: "refund", charge, amount: command.amount, failure: failures.refundRefused })
  }
  const made: Refund = {
    id: Draft.nextId(draft, "re"),
    operationId: Draft.nextId(draft, "op"),
    chargeId: charge.id,
    reference: command.reference,
    payment: charge.payment,
    amount: command.amount,
    currency: charge.currency,
    status: isPending ? "pending" : "succeeded",
    created: draft.at,
    updated: draft.at,
    ...(settlesLater ? { settlesAt: draft.at + state.rules.settleDelayMillis } : {})
  }
  const done: Charge = { ...charge, refunded: charge.refunded + command.amount, updated: draft.at }
  draft.charges.push(done)
  draft.refunds.push(made)
  Draft.addEntry(draft, { kind: "refund", charge: done, reference: command.reference, amount: command.amount })
  const operation = Draft.addOperation(draft, {
    id: made.operationId,
    reference: command.reference,
    kind: "refund",
    charge: done,
    amount: command.amount,
    refundId: made.id,
    status: made.status === "pending" ? "pending" : "succeeded"
  })
  Draft.addEvent(draft, `refund.${made.status}`, operation.id)
  const body = resultJson({ operation, charge: done, refund: made })
  return { answer: { status: 201, body }, change: Draft.toChange(draft) }
}

/** A refund that waits settles: a pending one succeeds, one that will fail gives the amount back to the charge. */
export const settleRefund = (state: AccountState, command: SettleRefund, now: number): Decision => {
  const known = state.refunds.get(command.refundId)
  const charge = known === undefined ? undefined : state.charges.get(known.chargeId)
  if (known?.settlesAt === undefined || charge === undefined) return notFound("refund that waits")
  const draft = Draft.make(state, now)
  const { settlesAt: _, ...rest } = known
  const trouble = troubleOf(charge)
  const fails = trouble === "refund_fails_later" || trouble === "refund_pending_failure"
  draft.refunds.push({
    ...rest,
    status: fails ? "failed" : "succeeded",
    updated: draft.at,
    ...(fails ? { failure: failures.refundFailed } : {})
  })
  if (fails) {
    const done: Charge = { ...charge, refunded: charge.refunded - known.amount, updated: draft.at }
    draft.charges.push(done)
    Draft.addEntry(draft, { kind: "refund_failed", charge: done, reference: known.reference, amount: known.amount })
    Draft.setOperation(draft, known.operationId, "failed", failures.refundFailed)
  } else {
    Draft.setOperation(draft, known.operationId, "succeeded")
  }
  Draft.addEvent(draft, fails ? "refund.failed" : "refund.succeeded", known.operationId)
  return { answer: { status: 200, body: {} }, change: Draft.toChange(draft) }
}
