/**
 * The state of one account of the sandbox: charges, refunds, operations, ledger and stored results.
 *
 * A transition is split in two. `decide` (Transitions.ts) is a pure function of state, command and time and returns an answer and
 * a `Change`; `apply` puts the change into the state. A change is the unit of durability: it is one line of the journal,
 * and applying all lines in order gives the state again. What follows from a change (timers, webhooks) is derived from it.
 *
 * Gotcha: `apply` changes the state in place. The state has one owner (the engine), which applies right after it decided, and
 * a million-entry ledger is not copied per request.
 */
import type { Failure, OperationKind } from "../MagicTokens.ts"

export type ChargeStatus =
  | "requires_action"
  | "requires_payment_method"
  | "pending"
  | "authorized"
  | "partially_captured"
  | "succeeded"
  | "failed"
  | "voided"

/** A charge. Amounts are integer minor units, times epoch milliseconds. */
export interface Charge {
  readonly id: string
  readonly operationId: string
  readonly reference: string
  readonly payment: string
  readonly token: string
  readonly amount: number
  readonly currency: string
  readonly capture: "automatic" | "manual"
  readonly status: ChargeStatus
  readonly authorized: number
  readonly captured: number
  readonly refunded: number
  /** No further capture: everything is captured, or the rest was released. */
  readonly closed: boolean
  readonly fee: number
  readonly created: number
  readonly updated: number
  readonly actionUrl?: string
  readonly returnUrl?: string
  readonly offSession: boolean
  readonly metadata: Readonly<Record<string, string>>
  readonly failure?: Failure
  readonly settlesAt?: number
  /** A capture or void that was accepted and is carried out when it settles. */
  readonly accepted?: {
    readonly kind: "capture" | "void"
    readonly operationId: string
    readonly reference: string
    readonly amount: number
    readonly final: boolean
  }
  /** When what is not captured by then is released. */
  readonly lapsesAt?: number
  /** What was not captured was released. */
  readonly released?: true
}

export interface Refund {
  readonly id: string
  readonly operationId: string
  readonly chargeId: string
  readonly reference: string
  readonly payment: string
  readonly amount: number
  readonly currency: string
  readonly status: "pending" | "succeeded" | "failed"
  readonly created: number
  readonly updated: number
  readonly failure?: Failure
  readonly settlesAt?: number
}

export type OperationStatus = "succeeded" | "declined" | "pending" | "requires_action" | "failed" | "cancelled"

/** One money command of the caller, found again by the caller's reference. */
export interface Operation {
  readonly id: string
  readonly reference: string
  readonly kind: OperationKind
  readonly chargeId: string
  readonly refundId?: string
  readonly amount: number
  readonly currency: string
  readonly status: OperationStatus
  readonly created: number
  readonly updated: number
  readonly failure?: Failure
}

export type LedgerKind = "authorize" | "charge" | "capture" | "void" | "refund" | "refund_failed"

/** One line of the truth: money that was reserved, taken, released or given back. */
export interface LedgerEntry {
  readonly seq: number
  readonly at: number
  readonly kind: LedgerKind
  readonly chargeId: string
  readonly reference: string
  readonly payment: string
  readonly amount: number
  readonly currency: string
}

export interface EventRecord {
  readonly id: string
  readonly type: string
  readonly operationId: string
}

/** The result stored under an idempotency key. */
export interface StoredResult {
  readonly key: string
  readonly fingerprint: string
  readonly at: number
  readonly status: number
  readonly body: string
}

export interface Change {
  readonly at: number
  /** The id counter after this change. */
  readonly sequence: number
  readonly charges: ReadonlyArray<Charge>
  readonly refunds: ReadonlyArray<Refund>
  readonly operations: ReadonlyArray<Operation>
  readonly entries: ReadonlyArray<LedgerEntry>
  readonly events: ReadonlyArray<EventRecord>
  readonly result?: StoredResult
}

/** The rules of an account that the transitions need. */
export interface Rules {
  readonly account: string
  readonly leavesOpenAfterDecline: boolean
  readonly captures: "single" | "multiple"
  /** How long an authorization stands; `undefined`: for ever. */
  readonly authorizationValidityMillis?: number | undefined
  readonly currencies: Readonly<Record<string, number>>
  readonly price: { readonly fixedMinor: number; readonly basisPoints: number }
  readonly settleDelayMillis: number
  readonly idempotencyWindowMillis: number
  readonly maxEntries: number
  readonly maxKeys: number
  readonly maxPending: number
}

export interface AccountState {
  readonly rules: Rules
  /** Part of every id, so that two sandboxes never give the same id to two charges. A restored journal brings its own. */
  instance: string
  sequence: number
  /** Time of the last change; the account's clock never runs backwards. */
  lastAt: number
  pending: number
  readonly charges: Map<string, Charge>
  /** Charge ids in order of creation. */
  readonly order: Array<string>
  readonly refunds: Map<string, Refund>
  /** Refund ids in order of creation. */
  readonly refundOrder: Array<string>
  readonly operations: Map<string, Operation>
  readonly byReference: Map<string, Array<string>>
  readonly ledger: Array<LedgerEntry>
  /** Stored results in order of storage, oldest first. */
  readonly results: Map<string, StoredResult>
}

/** The empty state. `instance` has 1 to 16 characters of `a-z0-9`. */
export const initial = (rules: Rules, instance: string): AccountState => ({
  rules,
  instance,
  sequence: 0,
  lastAt: 0,
  pending: 0,
  charges: new Map(),
  order: [],
  refunds: new Map(),
  refundOrder: [],
  operations: new Map(),
  byReference: new Map(),
  ledger: [],
  results: new Map()
})

const isWaiting = (item: { readonly settlesAt?: number } | undefined): number => (item?.settlesAt === undefined ? 0 : 1)

const applyOperation = (state: AccountState, operation: Operation): void => {
  if (!state.operations.has(operation.id)) {
    const known = state.byReference.get(operation.reference)
    if (known === undefined) state.byReference.set(operation.reference, [operation.id])
    else known.push(operation.id)
  }
  state.operations.set(operation.id, operation)
}

const applyResult = (state: AccountState, result: StoredResult): void => {
  state.results.delete(result.key)
  state.results.set(result.key, result)
  for (const [key, stored] of state.results) {
    if (stored.at + state.rules.idempotencyWindowMillis >= result.at) break
    state.results.delete(key)
  }
}

/** Puts a change into the state, in place. Expired results are dropped on the way. */
export const apply = (state: AccountState, change: Change): void => {
  state.sequence = Math.max(state.sequence, change.sequence)
  state.lastAt = Math.max(state.lastAt, change.at)
  for (const charge of change.charges) {
    const before = state.charges.get(charge.id)
    if (before === undefined) state.order.push(charge.id)
    state.pending += isWaiting(charge) - isWaiting(before)
    state.charges.set(charge.id, charge)
  }
  for (const refund of change.refunds) {
    const before = state.refunds.get(refund.id)
    if (before === undefined) state.refundOrder.push(refund.id)
    state.pending += isWaiting(refund) - isWaiting(before)
    state.refunds.set(refund.id, refund)
  }
  for (const operation of change.operations) applyOperation(state, operation)
  for (const entry of change.entries) state.ledger.push(entry)
  if (change.result !== undefined) applyResult(state, change.result)
}

/** Charges and refunds that settle by themselves, and authorizations that lapse, with their times: the timers that a start has to set. */
export const waiting = (
  source: Pick<Change, "charges" | "refunds"> | AccountState
): ReadonlyArray<{ readonly kind: "charge" | "refund" | "hold"; readonly id: string; readonly at: number }> => {
  const charges = "rules" in source ? source.charges.values() : source.charges
  const refunds = "rules" in source ? source.refunds.values() : source.refunds
  const timers: Array<{ kind: "charge" | "refund" | "hold"; id: string; at: number }> = []
  for (const { id, lapsesAt, settlesAt } of charges) {
    if (settlesAt !== undefined) timers.push({ kind: "charge", id, at: settlesAt })
    if (lapsesAt !== undefined) timers.push({ kind: "hold", id, at: lapsesAt })
  }
  for (const { id, settlesAt } of refunds) if (settlesAt !== undefined) timers.push({ kind: "refund", id, at: settlesAt })
  return timers
}
