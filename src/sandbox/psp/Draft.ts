/**
 * Collects what a transition changes: a `Change` under construction, with fresh ids and ledger numbers.
 *
 * A draft reads the state and never touches it; a refused command throws its draft away.
 */
import type { Failure, OperationKind } from "../MagicTokens.ts"
import type { AccountState, Change, Charge, EventRecord, LedgerEntry, LedgerKind, Operation, OperationStatus, Refund } from "./PspState.ts"

export interface Draft {
  readonly state: AccountState
  readonly at: number
  sequence: number
  readonly charges: Array<Charge>
  readonly refunds: Array<Refund>
  readonly operations: Array<Operation>
  readonly entries: Array<LedgerEntry>
  readonly events: Array<EventRecord>
}

export const make = (state: AccountState, now: number): Draft => ({
  state,
  at: Math.max(now, state.lastAt),
  sequence: state.sequence,
  charges: [],
  refunds: [],
  operations: [],
  entries: [],
  events: []
})

/** A fresh id: prefix, instance of the sandbox, number. */
export const nextId = (draft: Draft, prefix: "ch" | "re" | "op" | "ev"): string => {
  draft.sequence += 1
  return `${prefix}_${draft.state.instance}${draft.sequence.toString(36).padStart(7, "0")}`
}

export const addEntry = (
  draft: Draft,
  entry: { readonly kind: LedgerKind; readonly charge: Charge; readonly reference: string; readonly amount: number }
): void => {
  draft.entries.push({
    seq: draft.state.ledger.length + draft.entries.length + 1,
    at: draft.at,
    kind: entry.kind,
    chargeId: entry.charge.id,
    reference: entry.reference,
    payment: entry.charge.payment,
    amount: entry.amount,
    currency: entry.charge.currency
  })
}

export interface NewOperation {
  readonly id?: string
  readonly reference: string
  readonly kind: OperationKind
  readonly charge: Charge
  readonly amount: number
  readonly status: OperationStatus
  readonly refundId?: string
  readonly failure?: Failure
}

export const addOperation = (draft: Draft, input: NewOperation): Operation => {
  const operation: Operation = {
    id: input.id ?? nextId(draft, "op"),
    reference: input.reference,
    kind: input.kind,
    chargeId: input.charge.id,
    ...(input.refundId === undefined ? {} : { refundId: input.refundId }),
    amount: input.amount,
    currency: input.charge.currency,
    status: input.status,
    created: draft.at,
    updated: draft.at,
    ...(input.failure === undefined ? {} : { failure: input.failure })
  }
  draft.operations.push(operation)
  return operation
}

/** Sets the status of an operation that exists, together with its failure (none given: none any more). */
export const setOperation = (draft: Draft, id: string, status: OperationStatus, failure?: Failure): void => {
  const known = draft.state.operations.get(id)
  if (known === undefined) return
  const { failure: _, ...rest } = known
  draft.operations.push({ ...rest, status, updated: draft.at, ...(failure === undefined ? {} : { failure }) })
}

export const addEvent = (draft: Draft, type: string, operationId: string): void => {
  draft.events.push({ id: nextId(draft, "ev"), type, operationId })
}

export const toChange = (draft: Draft): Change => ({
  at: draft.at,
  sequence: draft.sequence,
  charges: draft.charges,
  refunds: draft.refunds,
  operations: draft.operations,
  entries: draft.entries,
  events: draft.events
})
