/**
 * What the load's callers were told, kept for the comparison at the end: an acknowledged answer must stay true.
 */

/** The body of a payment, as the HTTP interface answers it. */
export interface PaymentBody {
  readonly id: string
  readonly status: string
  readonly amount: number
  readonly currency: string
  readonly amountCaptured: number
  readonly amountRefunded: number
  readonly gateway?: string
  readonly nextAction?: { readonly type: string; readonly url?: string }
  readonly version: number
}

/** An answer with a payment in it. `key`: of the charge that made the payment. */
export interface Acknowledged {
  readonly key: string
  readonly command: string
  readonly httpStatus: number
  readonly body: PaymentBody
}

export interface Log {
  readonly answers: Array<Acknowledged>
  /** How often each status code and problem was answered; `lost`: no answer at all. */
  readonly outcomes: Map<string, number>
  /** How many different charges were asked for. */
  charges: number
}

export const make = (): Log => ({ answers: [], outcomes: new Map(), charges: 0 })

export const count = (log: Log, outcome: string): void => void log.outcomes.set(outcome, (log.outcomes.get(outcome) ?? 0) + 1)
