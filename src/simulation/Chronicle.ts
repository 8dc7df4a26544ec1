/**
 * What is kept of a run while it goes on: what became durable, what was heard, received and told, what was wrong, and the schedule as
 * text where it is wanted.
 */
import type { PaymentEvent } from "../domain/payment/Event.ts"
import type { EventId, IdempotencyKey, PaymentId } from "../domain/payment/Ids.ts"
import { evolve, initial, type Payment, type PaymentState } from "../domain/payment/State.ts"
import type { Commit, Fence } from "../services/EventStore.ts"
import type { Violation } from "./checks/Invariants.ts"
import type { Heard } from "./people/Host.ts"
import type { Kernel } from "./world/Kernel.ts"
import type { Received } from "./world/Receiver.ts"
import type { Durable } from "./world/Storage.ts"

/** The chronicle of a run. */
export interface Chronicle {
  readonly violations: ReadonlyArray<Violation>
  readonly lines: ReadonlyArray<string>
  readonly heard: Array<Heard>
  readonly received: Array<Received>
  /** How many commits became durable. */
  readonly commits: () => number
  /** The payment as the database has it, folded from what became durable and from nothing that a process believes. */
  readonly durable: (id: PaymentId) => Payment | undefined
  readonly isDurable: (event: EventId) => boolean
  /** Every payment, as the database has it. */
  readonly payments: () => ReadonlyArray<Payment>
  /** Who owns a key, as the database has it. */
  readonly ownerOf: (key: IdempotencyKey) => PaymentId | undefined
  /** Every key that was claimed. */
  readonly keys: () => Iterable<IdempotencyKey>
  /** Told of a commit that is handed to the store. */
  readonly onWanted: (commit: Commit) => void
  readonly onDurable: (durable: Durable) => void
  /** One line of the schedule; its text is made only where it is wanted. */
  readonly note: (what: string, detail: () => string) => void
  readonly found: (violations: ReadonlyArray<Violation>) => void
  readonly wrong: (invariant: Violation["invariant"], detail: string) => void
  /** Two runs with the same one had the same schedule. */
  readonly fingerprint: () => string
}

export const make = (options: { readonly kernel: Pick<Kernel, "now" | "steps">; readonly trace: boolean }): Chronicle => {
  const { kernel, trace } = options
  const violations: Array<Violation> = []
  const lines: Array<string> = []
  const durable = new Map<PaymentId, Payment>()
  const stored = new Set<EventId>()
  const owners = new Map<IdempotencyKey, PaymentId>()
  const fences = new Map<EventId, Fence>()
  let commits = 0
  let hash = 0

  const note: Chronicle["note"] = (what, detail) => {
    const at = kernel.now()
    hash = (Math.imul(hash, 31) + at * 7 + kernel.steps() * 131 + what.charCodeAt(0) + what.length) | 0
    if (trace) lines.push(`${(at / 1000).toFixed(3).padStart(9)} ${what.padEnd(7)} ${detail()}`)
  }

  const onWanted: Chronicle["onWanted"] = ({ events, lease }) => {
    for (const { event, eventId } of events) {
      if (!isStart(event)) continue
      // Whoever lost the lease hands its fact in without it, with the next step, which somebody else carries out (rule 10).
      if (lease === undefined) fences.delete(eventId)
      else fences.set(eventId, lease)
    }
  }

  const onDurable: Chronicle["onDurable"] = ({ events, held, key, payment }) => {
    if (key !== undefined) owners.set(key, payment)
    for (const { event, eventId, recordedAt } of held === undefined ? [] : events) {
      const fence = fences.get(eventId)
      if (fence !== undefined && held?.(fence, recordedAt) === false)
        found([{ invariant: "I8", payment, detail: `${describe(event)}, by a holder of ${fence.key} whose lease was over` }])
    }
    let state: PaymentState = durable.get(payment) ?? initial(payment)
    const known = state.version
    for (const { eventId } of events) stored.add(eventId)
    for (const event of events) if (event.version === state.version + 1) state = evolve(state, event)
    if (state._tag === "New" || state.version === known) return
    commits++
    durable.set(payment, state)
    note("commit", () => `${payment} v${state.version} ${events.map(({ event }) => describe(event)).join(", ")}`)
  }

  const found: Chronicle["found"] = (more) => {
    for (const violation of more) {
      note("WRONG", () => `${violation.invariant} ${violation.payment ?? ""} ${violation.detail}`)
      violations.push(violation)
    }
  }

  return {
    violations,
    lines,
    heard: [],
    received: [],
    commits: () => commits,
    durable: (id) => durable.get(id),
    payments: () => [...durable.values()],
    isDurable: (event) => stored.has(event),
    ownerOf: (key) => owners.get(key),
    keys: () => owners.keys(),
    onWanted,
    onDurable,
    note,
    found,
    wrong: (invariant, detail) => found([{ invariant, payment: undefined, detail }]),
    fingerprint: () => `${kernel.steps()}-${kernel.now()}-${(hash >>> 0).toString(16)}`
  }
}

/** What permits a request to be sent. */
const isStart = ({ _tag }: PaymentEvent): boolean => _tag === "OperationIntended" || _tag === "ResendPermitted"

const describe = (event: {
  readonly _tag: string
  readonly operation?: number
  readonly intent?: { readonly number: number; readonly kind: string; readonly gateway: string }
}): string =>
  event.intent !== undefined
    ? `${event._tag} ${event.intent.number} ${event.intent.kind} at ${event.intent.gateway}`
    : event.operation !== undefined
      ? `${event._tag} ${event.operation}`
      : event._tag
