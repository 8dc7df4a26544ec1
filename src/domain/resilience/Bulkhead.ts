/**
 * Who may go through a bulkhead: so many at a time, so many more waiting in line, everybody else is turned away.
 */

/** What a bulkhead lets through. */
export interface BulkheadLimits {
  /** At a time, at least 1. */
  readonly concurrency: number
  /** Waiting beside those, at least 0. */
  readonly queue: number
  /** The longest anybody waits, in milliseconds. */
  readonly maxWaitMillis: number
}

/** Who is there now. */
export interface Occupancy {
  readonly active: number
  readonly waiting: number
}

/**
 * What becomes of one more. A place that is left goes to whoever waits longest, so while anybody waits none is free: nobody overtakes.
 * `urgent`: it waits however long the queue is.
 */
export const admission = (
  { active, waiting }: Occupancy,
  limits: BulkheadLimits,
  options: { readonly urgent: boolean }
): "enter" | "wait" | "refuse" => {
  if (active < limits.concurrency) return "enter"
  return options.urgent || waiting < limits.queue ? "wait" : "refuse"
}
