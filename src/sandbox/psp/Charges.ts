/**
 * How a charge is made and how it becomes what it will be: create, confirm, the customer's page, settlement. Pure.
 *
 * A declined charge is recorded like any other, so that the look-up finds it. Where the account leaves declined charges open, it
 * is `requires_payment_method` and the customer's page can still complete it: this is what makes a failover before a void charge twice.
 */
import { type Failure, failures, find, type MagicToken, type Outcome } from "../MagicTokens.ts"
import { capacity, type Decision, invalid, invalidState, notFound, refuse } from "./Answer.ts"
import * as Draft from "./Draft.ts"
import type { AccountState, Charge, Operation, OperationStatus, Rules } from "./PspState.ts"
import { distort, resultJson } from "./Render.ts"

export interface CreateCharge {
  readonly _tag: "CreateCharge"
  readonly amount: number
  readonly currency: string
  readonly token: string
  readonly capture: "automatic" | "manual"
  readonly reference: string
  readonly payment: string
  readonly returnUrl?: string
  readonly offSession: boolean
  /** Asks for the customer's authentication instead of a decline that asks for it. */
  readonly stepUp: boolean
  readonly metadata: Readonly<Record<string, string>>
  /** Where the customer's page is reached, without a trailing slash. */
  readonly baseUrl: string
}

export interface ConfirmCharge {
  readonly _tag: "ConfirmCharge"
  readonly chargeId: string
  readonly reference: string
}

/** What the customer did on the page. */
export interface CustomerAction {
  readonly _tag: "CustomerAction"
  readonly chargeId: string
  readonly action: "complete" | "fail"
}

export interface SettleCharge {
  readonly _tag: "SettleCharge"
  readonly chargeId: string
}

/** The PSP's price of a captured amount: fixed part plus basis points, rounded half up. Nothing captured costs nothing. */
export const fee = (rules: Rules, captured: number): number =>
  captured === 0 ? 0 : rules.price.fixedMinor + Number((BigInt(captured) * BigInt(rules.price.basisPoints) + 5_000n) / 10_000n)

/** Whether new charges are refused because a bound of the account is reached. */
export const isFull = (state: AccountState): boolean =>
  state.ledger.length >= state.rules.maxEntries ||
  state.operations.size >= state.rules.maxEntries ||
  state.charges.size >= state.rules.maxEntries

const settled = ({ failure: _failure, settlesAt: _settlesAt, ...charge }: Charge): Charge => charge

/** The money is reserved (manual) or taken (automatic): one ledger entry under the reference that caused it. */
const succeed = (draft: Draft.Draft, charge: Charge, reference: string): Charge => {
  const automatic = charge.capture === "automatic"
  const validity = draft.state.rules.authorizationValidityMillis
  const done: Charge = {
    ...settled(charge),
    status: automatic ? "succeeded" : "authorized",
    authorized: charge.amount,
    captured: automatic ? charge.amount : 0,
    closed: automatic,
    fee: fee(draft.state.rules, automatic ? charge.amount : 0),
    updated: draft.at,
    ...(automatic || validity === undefined ? {} : { lapsesAt: draft.at + validity })
  }
  Draft.addEntry(draft, { kind: automatic ? "charge" : "authorize", charge: done, reference, amount: done.amount })
  Draft.addEvent(draft, automatic ? "charge.succeeded" : "charge.authorized", charge.operationId)
  draft.charges.push(done)
  return done
}

const decline = (draft: Draft.Draft, charge: Charge, failure: Failure, options: { readonly open: boolean }): Charge => {
  const open = options.open || (draft.state.rules.leavesOpenAfterDecline && failure.type === "card_error")
  const done: Charge = {
    ...settled(charge),
    status: open ? "requires_payment_method" : "failed",
    failure,
    updated: draft.at
  }
  Draft.addEvent(draft, "charge.failed", charge.operationId)
  draft.charges.push(done)
  return done
}

const wait = (draft: Draft.Draft, charge: Charge, how: "requires_action" | "pending", baseUrl: string): Charge => {
  const waiting: Charge = {
    ...charge,
    status: how,
    ...(how === "pending"
      ? { settlesAt: draft.at + draft.state.rules.settleDelayMillis }
      : { actionUrl: `${baseUrl}/${draft.state.rules.account}/customer/${charge.id}` })
  }
  Draft.addEvent(draft, `charge.${how}`, charge.operationId)
  draft.charges.push(waiting)
  return waiting
}

const newCharge = (draft: Draft.Draft, command: CreateCharge): Charge => ({
  id: Draft.nextId(draft, "ch"),
  operationId: Draft.nextId(draft, "op"),
  reference: command.reference,
  payment: command.payment,
  token: command.token,
  amount: command.amount,
  currency: command.currency,
  capture: command.capture,
  status: "pending",
  authorized: 0,
  captured: 0,
  refunded: 0,
  closed: false,
  fee: 0,
  created: draft.at,
  updated: draft.at,
  ...(command.returnUrl === undefined ? {} : { returnUrl: command.returnUrl }),
  offSession: command.offSession,
  metadata: command.metadata
})

/** The outcome of a token for this charge: without the customer there is no action, only a decline that asks for one; with a step-up the reverse. */
const outcomeOf = (token: MagicToken, command: CreateCharge): { readonly outcome: Outcome; readonly failure: Failure } => {
  const needsCustomer = token.outcome === "requires_action" || token.outcome === "requires_action_fails"
  const failure = token.failure ?? failures.insufficientFunds
  if (needsCustomer && command.offSession) return { outcome: "declined", failure: failures.authenticationRequired }
  return command.stepUp && !command.offSession && failure === failures.authenticationRequired
    ? { outcome: "requires_action", failure }
    : { outcome: token.outcome, failure }
}

const carryOut = (
  draft: Draft.Draft,
  command: CreateCharge,
  token: MagicToken
): { readonly charge: Charge; readonly status: OperationStatus } => {
  const charge = newCharge(draft, command)
  const { outcome, failure } = outcomeOf(token, command)
  switch (outcome) {
    case "success":
      return { charge: succeed(draft, charge, command.reference), status: "succeeded" }
    case "declined":
    case "declined_open":
      return { charge: decline(draft, charge, failure, { open: outcome === "declined_open" }), status: "declined" }
    case "requires_action":
    case "requires_action_fails":
      return { charge: wait(draft, charge, "requires_action", command.baseUrl), status: "requires_action" }
    case "pending_success":
    case "pending_failure":
      return { charge: wait(draft, charge, "pending", command.baseUrl), status: "pending" }
  }
}

/** The answer to an operation: 402 when it was declined, otherwise the result. */
const answer = (draft: Draft.Draft, status: number, operation: Operation, charge: Charge): Decision => ({
  ...(operation.status === "declined" && operation.failure !== undefined
    ? refuse(402, operation.failure, { operation, charge })
    : { answer: { status, body: resultJson({ operation, charge }) } }),
  change: Draft.toChange(draft)
})

export const create = (state: AccountState, command: CreateCharge, now: number): Decision => {
  const token = find(command.token)
  if (token === undefined) return invalid("token", "unknown_token", "The token is not known here.")
  if (!Object.hasOwn(state.rules.currencies, command.currency)) {
    return invalid("currency", "unsupported_currency", "The currency is not supported by this account.")
  }
  if (isFull(state)) return capacity("This sandbox account is full; no new charges are accepted.")
  if (token.outcome.startsWith("pending") && state.pending >= state.rules.maxPending) {
    return capacity("Too many charges are pending.")
  }
  const draft = Draft.make(state, now)
  const { charge, status } = carryOut(draft, command, token)
  const operation = Draft.addOperation(draft, {
    id: charge.operationId,
    reference: command.reference,
    kind: "charge",
    charge,
    amount: command.amount,
    status,
    ...(charge.failure === undefined ? {} : { failure: charge.failure })
  })
  const shown = distort({ operation, charge }, token.distortion)
  return answer(draft, 201, shown.operation, shown.charge)
}

/** The customer's authentication ends, by confirm or on the page. The charge operation follows the charge. */
const endAction = (draft: Draft.Draft, charge: Charge, reference: string): Charge => {
  const token = find(charge.token)
  if (token?.outcome !== "requires_action_fails") {
    Draft.setOperation(draft, charge.operationId, "succeeded")
    return succeed(draft, charge, reference)
  }
  const failure = token.failure ?? failures.authenticationFailed
  Draft.setOperation(draft, charge.operationId, "declined", failure)
  return decline(draft, charge, failure, { open: false })
}

export const confirm = (state: AccountState, command: ConfirmCharge, now: number): Decision => {
  const known = state.charges.get(command.chargeId)
  if (known === undefined) return notFound("charge")
  if (known.status === "pending" || known.status === "voided") {
    return invalidState(known, `A charge that is ${known.status} cannot be confirmed.`)
  }
  const draft = Draft.make(state, now)
  const charge = known.status === "requires_action" ? endAction(draft, known, command.reference) : known
  const failure = charge.status === "failed" || charge.status === "requires_payment_method" ? charge.failure : undefined
  const operation = Draft.addOperation(draft, {
    reference: command.reference,
    kind: "confirm",
    charge,
    amount: charge.amount,
    status: failure === undefined ? "succeeded" : "declined",
    ...(failure === undefined ? {} : { failure })
  })
  return answer(draft, 200, operation, charge)
}

/** The operation that made the charge, as it is after the draft. */
const chargeOperation = (draft: Draft.Draft, charge: Charge): Operation | undefined =>
  draft.operations.find((operation) => operation.id === charge.operationId) ?? draft.state.operations.get(charge.operationId)

const reported = (draft: Draft.Draft, charge: Charge): Decision => {
  const operation = chargeOperation(draft, charge)
  return operation === undefined
    ? notFound("operation")
    : { answer: { status: 200, body: resultJson({ operation, charge }) }, change: Draft.toChange(draft) }
}

export const customer = (state: AccountState, command: CustomerAction, now: number): Decision => {
  const charge = state.charges.get(command.chargeId)
  if (charge === undefined) return notFound("charge")
  if (charge.status !== "requires_action" && charge.status !== "requires_payment_method") {
    return invalidState(charge, `The customer has nothing to do: the charge is ${charge.status}.`)
  }
  const draft = Draft.make(state, now)
  if (command.action === "complete") {
    if (charge.status === "requires_action") return reported(draft, endAction(draft, charge, charge.reference))
    Draft.setOperation(draft, charge.operationId, "succeeded")
    return reported(draft, succeed(draft, charge, charge.reference))
  }
  if (charge.status === "requires_payment_method") return reported(draft, charge)
  Draft.setOperation(draft, charge.operationId, "declined", failures.authenticationFailed)
  return reported(draft, decline(draft, charge, failures.authenticationFailed, { open: false }))
}

/** A pending charge settles; a charge that is no longer pending (it was voided) stays as it is. */
export const settle = (state: AccountState, command: SettleCharge, now: number): Decision => {
  const charge = state.charges.get(command.chargeId)
  if (charge === undefined) return notFound("charge")
  if (charge.status !== "pending") return invalidState(charge, "The charge is not pending.")
  const draft = Draft.make(state, now)
  const token = find(charge.token)
  if (token?.outcome === "pending_success") {
    Draft.setOperation(draft, charge.operationId, "succeeded")
    return reported(draft, succeed(draft, charge, charge.reference))
  }
  const failure = token?.failure ?? failures.insufficientFunds
  Draft.setOperation(draft, charge.operationId, "declined", failure)
  return reported(draft, decline(draft, charge, failure, { open: false }))
}
