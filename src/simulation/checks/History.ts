/**
 * I3, I4 and I5: history has no gap and its projection is the fold of it, what was acknowledged is in it, and all of it was delivered.
 */
import * as Equal from "effect/Equal"
import * as Result from "effect/Result"
import { replay } from "../../domain/payment/Replay.ts"
import { evolve, initial, type Payment, type PaymentState } from "../../domain/payment/State.ts"
import { openOperations } from "../../domain/payment/Status.ts"
import * as View from "../../domain/payment/View.ts"
import type { Heard } from "../people/Host.ts"
import type { Received } from "../world/Receiver.ts"
import type { Stored } from "../world/Storage.ts"
import type { Violation } from "./Invariants.ts"

/** I4: versions 1..n, the projection and the open operations are what the events say. Answers the payment that they say. */
export const folded = (stored: Stored): { readonly payment: Payment | undefined; readonly violations: ReadonlyArray<Violation> } => {
  const wrong = (detail: string): Violation => ({ invariant: "I4", payment: stored.id, detail })
  if (stored.events === undefined) return { payment: undefined, violations: [wrong("its history cannot be read")] }
  const state = replay(stored.id, stored.events)
  if (Result.isFailure(state) || state.success._tag === "New") return { payment: undefined, violations: [wrong("its history is damaged")] }
  const payment = state.success
  const violations: Array<Violation> = []
  if (!isSame(View.ofPayment(payment), stored.view)) violations.push(wrong("projection and fold differ"))
  const open = openOperations(payment).map((operation) => operation.intent.number)
  if (open.join() !== stored.open.join()) violations.push(wrong(`open operations ${stored.open.join()}, fold says ${open.join()}`))
  return { payment, violations }
}

/** The same payment as it is shown, whatever the order of its properties. */
const isSame = (one: View.PaymentView, other: View.PaymentView): boolean =>
  JSON.stringify(one) === JSON.stringify(other) || Equal.equals(one, other)

/** I5: every event was delivered, and for the first time after those before it. */
export const delivered = (stored: Stored, received: ReadonlyArray<Received>): ReadonlyArray<Violation> => {
  const first = [...new Set(received.map(({ version }) => version))]
  const expected = Array.from({ length: stored.view.version }, (_, index) => index + 1)
  return first.join() === expected.join()
    ? []
    : [{ invariant: "I5", payment: stored.id, detail: `${stored.view.version} events, delivered in this order: ${first.join(", ")}` }]
}

const ended: ReadonlySet<string> = new Set(["failed", "cancelled", "expired"])

/** I3: what was acknowledged is in the history; an ended payment, and what was given back, change only by a named event. */
export const acknowledged = (heard: Heard, all: ReadonlyMap<string, Stored>): ReadonlyArray<Violation> => {
  const told = heard.payment
  if (told === undefined) return []
  const wrong = (detail: string): ReadonlyArray<Violation> => [
    { invariant: "I3", payment: told.id, detail: `${heard.key} was told ${told.status}: ${detail}` }
  ]
  const stored = all.get(told.id)
  if (stored?.events === undefined) return wrong("the payment is gone")
  let state: PaymentState = initial(told.id)
  for (const event of stored.events.slice(0, told.version)) state = evolve(state, event)
  if (state._tag === "New" || !isSame(View.ofPayment(state), told)) return wrong(`version ${told.version} is another`)
  const later = new Set(stored.events.slice(told.version).map(({ event }) => event._tag))
  const { view } = stored
  if (ended.has(told.status) && view.status !== told.status && !later.has("LateSuccess") && !later.has("ReviewOpened"))
    return wrong(`now it is ${view.status}, without a named event`)
  if (view.amountRefunded < told.amountRefunded && !later.has("RefundFailed"))
    return wrong(`${told.amountRefunded} were given back, now it is ${view.amountRefunded}, without a named event`)
  return []
}
