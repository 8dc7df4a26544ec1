/**
 * What has to hold: at every request that is written, and when the world has calmed down. Checked against the PSP's ledger, which
 * the engine cannot write, and against a fresh fold of the stored events. The names are those of docs/GUARANTEES.md.
 */
import * as Result from "effect/Result"
import { isCharge, isChargeKind, isOpen, type Operation } from "../domain/operation/Operation.ts"
import type { StoredEvent } from "../domain/payment/Event.ts"
import { type PaymentId } from "../domain/payment/Ids.ts"
import { replay } from "../domain/payment/Replay.ts"
import { evolve, initial, operationOf, type Payment, type PaymentState } from "../domain/payment/State.ts"
import { amountsOf, openOperations, status } from "../domain/payment/Status.ts"
import * as View from "../domain/payment/View.ts"
import type { StoredClaim } from "../services/EventStore.ts"
import type { WireRequest } from "../sandbox/http/Reply.ts"
import type { Heard } from "./Host.ts"
import type { PaymentPlan } from "./Plan.ts"
import type { Received } from "./world/Receiver.ts"
import type { Account, LedgerLine, PspCharge, Truth } from "./world/Psp.ts"

/** One thing that does not hold. */
export interface Violation {
  readonly invariant: "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I9" | "I10" | "quiescence"
  readonly payment: string | undefined
  readonly detail: string
}

/**
 * I7 at the moment a request is written: its intent is durable, a permission to send it holds, and no other charge of the payment may
 * still take effect elsewhere.
 */
export const ofRequest = (request: WireRequest, now: number, durable: (id: PaymentId) => Payment | undefined): ReadonlyArray<Violation> => {
  const key = request.headers["idempotency-key"]
  if (request.method !== "POST" || key === undefined) return []
  const [, id = key, number] = /^(pay_[0-9a-f]{36})-([0-9]+)/.exec(key) ?? []
  const payment = durable(id as PaymentId)
  const operation = payment?.operations[Number(number) - 1]
  const wrong = (detail: string): Violation => ({ invariant: "I7", payment: id, detail: `${request.path} with key ${key}: ${detail}` })
  if (payment === undefined || operation === undefined) return [wrong("no durable intent")]
  const found: Array<Violation> = []
  if (!operation.permissions.some(({ sendBefore }) => now < sendBefore)) found.push(wrong("no permission to send it holds"))
  if (!request.path.startsWith(`/${operation.intent.gateway}/`)) found.push(wrong(`meant for gateway ${operation.intent.gateway}`))
  if (!isOpen(operation)) return found
  const other = payment.operations.find(
    (candidate) => isCharge(candidate) && candidate !== operation && isOpen(candidate) && !continues(payment, operation, candidate)
  )
  if (isChargeKind(operation.intent.kind) && other !== undefined) found.push(wrong(`operation ${other.intent.number} is not settled`))
  return found
}

/** A confirm continues the operation that waits for the customer: the same object, not another charge. */
const continues = (payment: Payment, operation: Operation, other: Operation): boolean => {
  const target = operation.intent.target === undefined ? undefined : operationOf(payment, operation.intent.target)
  return operation.intent.kind === "confirm" && target !== undefined && (target === other || continues(payment, target, other))
}

/** What the database holds of a payment. */
export interface Stored {
  readonly id: PaymentId
  readonly version: number
  readonly view: View.PaymentView
  readonly open: ReadonlyArray<number>
  /** `undefined` where its history cannot be read. */
  readonly events: ReadonlyArray<StoredEvent> | undefined
}

export interface Quiet {
  readonly stored: ReadonlyArray<Stored>
  readonly claims: ReadonlyArray<StoredClaim>
  readonly truth: Truth
  readonly heard: ReadonlyArray<Heard>
  readonly received: ReadonlyArray<Received>
  readonly plans: ReadonlyArray<PaymentPlan>
  readonly accounts: ReadonlyArray<Account>
}

/** Everything that has to hold at quiescence. */
export const ofQuiet = (quiet: Quiet): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const folded = new Map<string, Payment>()
  for (const stored of quiet.stored) {
    const { payment, violations } = history(stored)
    found.push(...violations)
    if (payment !== undefined) folded.set(stored.id, payment)
  }
  const chargesOf = Map.groupBy(quiet.truth.charges, (charge) => charge.payment)
  for (const [id, charges] of chargesOf) {
    const payment = folded.get(id)
    if (payment === undefined) found.push({ invariant: "I7", payment: id, detail: "charged at the PSP, unknown here" })
    else found.push(...money(payment, charges, quiet))
  }
  for (const payment of folded.values()) {
    if (!chargesOf.has(payment.id)) found.push(...money(payment, [], quiet))
    found.push(...rest(payment, quiet))
  }
  const stored = new Map(quiet.stored.map((one) => [one.id, one]))
  const receivedOf = Map.groupBy(quiet.received, ({ payment }) => payment)
  for (const one of quiet.stored) found.push(...delivered(one, receivedOf.get(one.id) ?? []))
  for (const heard of quiet.heard) found.push(...acknowledged(heard, stored))
  return found
}

/** I4: versions 1..n, the projection and the open operations are what the events say. */
const history = (stored: Stored): { readonly payment: Payment | undefined; readonly violations: ReadonlyArray<Violation> } => {
  const wrong = (detail: string): Violation => ({ invariant: "I4", payment: stored.id, detail })
  if (stored.events === undefined) return { payment: undefined, violations: [wrong("its history cannot be read")] }
  const state = replay(stored.id, stored.events)
  if (Result.isFailure(state) || state.success._tag === "New") return { payment: undefined, violations: [wrong("its history is damaged")] }
  const payment = state.success
  const violations: Array<Violation> = []
  if (payment.version !== stored.version) violations.push(wrong(`head is at ${stored.version}, history ends at ${payment.version}`))
  if (JSON.stringify(View.ofPayment(payment)) !== JSON.stringify(stored.view)) violations.push(wrong("projection and fold differ"))
  const open = openOperations(payment).map((operation) => operation.intent.number)
  if (JSON.stringify(open) !== JSON.stringify(stored.open))
    violations.push(wrong(`open operations ${stored.open.join()}, fold says ${open.join()}`))
  return { payment, violations }
}

/** I1, I2, I6: what the PSP charged is what is recorded here, once. */
const money = (payment: Payment, charges: ReadonlyArray<PspCharge>, quiet: Quiet): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const wrong = (invariant: Violation["invariant"], detail: string) => void found.push({ invariant, payment: payment.id, detail })
  const lines = quiet.truth.ledger.filter((line) => line.payment === payment.id)
  const most = mostAtOnce(lines)
  if (most.length > 1) wrong("I1", `charged ${most.length} times: ${most.map((line) => `${line.account} ${line.reference}`).join(", ")}`)
  const inReview = payment.reviews.length > 0
  for (const charge of charges) {
    const { amount_authorized: authorized, amount_captured: captured, amount_refunded: refunded } = charge
    if (!(0 <= refunded && refunded <= captured && captured <= authorized))
      wrong("I6", `${charge.id}: ${refunded} <= ${captured} <= ${authorized}`)
    if (inReview) continue
    const local = localOf(payment, charge)
    const remote = { authorized: authorized > 0 && charge.status !== "voided", captured, refunded }
    if (JSON.stringify(local) !== JSON.stringify(remote)) {
      wrong("I2", `${charge.account} ${charge.id} is ${charge.status}: here ${JSON.stringify(local)}, there ${JSON.stringify(remote)}`)
    }
  }
  const claimed = payment.operations.filter((operation) => isCharge(operation) && operation.progress._tag === "Succeeded")
  for (const operation of claimed) {
    if (!charges.some((charge) => charge.id === operation.gatewayReference && charge.account === operation.intent.gateway))
      wrong("I2", `operation ${operation.intent.number} succeeded, the PSP has no such charge`)
  }
  const refunds = payment.operations.filter((operation) => operation.intent.purpose === "refund").length
  const wanted = planOf(payment, quiet)?.refunds.length ?? 0
  if (refunds > wanted) wrong("I6", `${refunds} refunds for ${wanted} requests`)
  return found
}

/**
 * The most charges that the customer had at one time. An authorization that was released as a whole before the next one was made took
 * nothing: the customer may authorize what a decline left open, until the cancel of it arrives.
 */
const mostAtOnce = (lines: ReadonlyArray<LedgerLine>): ReadonlyArray<LedgerLine> => {
  let now: ReadonlyArray<LedgerLine> = []
  let most = now
  for (const line of [...lines].sort((left, right) => left.at - right.at)) {
    if (line.kind === "charge" || line.kind === "authorize") now = [...now, line]
    if (line.kind === "void") {
      now = now.filter((other) => other.account !== line.account || other.charge_id !== line.charge_id || other.amount !== line.amount)
    }
    if (now.length > most.length) most = now
  }
  return most
}

const localOf = (payment: Payment, charge: PspCharge) => {
  const operation = payment.operations.findLast(
    (candidate) =>
      isCharge(candidate) &&
      candidate.intent.gateway === charge.account &&
      candidate.gatewayReference === charge.id &&
      candidate.progress._tag === "Succeeded"
  )
  if (operation === undefined) return { authorized: false, captured: 0, refunded: 0 }
  const total = amountsOf(payment, operation)
  return { authorized: total.authorized > 0n, captured: Number(total.captured), refunded: Number(total.refunded) }
}

const planOf = (payment: Payment, quiet: Quiet): PaymentPlan | undefined => {
  const claim = quiet.claims.find((candidate) => candidate.payment === payment.id && candidate.command === "charge")
  return quiet.plans.find((plan) => plan.key === claim?.key)
}

const explainedReviews: ReadonlySet<string> = new Set(["amount_mismatch"])

/** Nothing is in flight at the end, but what waits for the customer; what waits for a person has a reason. */
const rest = (payment: Payment, quiet: Quiet): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const plan = planOf(payment, quiet)
  const tokens = Object.values(plan?.references ?? {}).join(" ")
  for (const review of payment.reviews) {
    const mute = quiet.accounts.some(({ declares }) => declares !== "all")
    const stubborn = review.reason === "unresolvable" && (mute || tokens.includes("tok_void"))
    if (!explainedReviews.has(review.reason) && !stubborn) {
      found.push({
        invariant: "quiescence",
        payment: payment.id,
        detail: `in review without a cause: ${review.reason}: ${review.evidence}`
      })
    }
  }
  if (payment.reviews.length > 0) return found
  for (const operation of openOperations(payment)) {
    if (operation.progress._tag === "AwaitingCustomer") continue
    const { kind, number } = operation.intent
    found.push({
      invariant: "quiescence",
      payment: payment.id,
      detail: `operation ${number} (${kind}) is ${operation.progress._tag} for ever`
    })
  }
  const shown = status(payment)
  if (openOperations(payment).length === 0 && (shown === "processing" || shown === "initiated" || shown === "screened")) {
    found.push({ invariant: "quiescence", payment: payment.id, detail: `nothing is open, and it is ${shown} for ever` })
  }
  return found
}

/** I5: every event was delivered, and for the first time after those before it. */
const delivered = (stored: Stored, received: ReadonlyArray<Received>): ReadonlyArray<Violation> => {
  const first = [...new Set(received.map(({ version }) => version))]
  const expected = Array.from({ length: stored.version }, (_, index) => index + 1)
  return JSON.stringify(first) === JSON.stringify(expected)
    ? []
    : [{ invariant: "I5", payment: stored.id, detail: `${stored.version} events, delivered in this order: ${first.join(", ")}` }]
}

const ended: ReadonlySet<string> = new Set(["failed", "cancelled", "expired"])

/** I3: what was acknowledged is in the history; an ended payment changes only by a named event. */
const acknowledged = (heard: Heard, all: ReadonlyMap<string, Stored>): ReadonlyArray<Violation> => {
  const told = heard.payment
  if (told === undefined) return []
  const wrong = (detail: string): ReadonlyArray<Violation> => [
    { invariant: "I3", payment: told.id, detail: `${heard.key} was told ${told.status}: ${detail}` }
  ]
  const stored = all.get(told.id)
  if (stored?.events === undefined) return wrong("the payment is gone")
  let state: PaymentState = initial(told.id)
  for (const event of stored.events.slice(0, told.version)) state = evolve(state, event)
  if (state._tag === "New" || JSON.stringify(View.ofPayment(state)) !== JSON.stringify(told))
    return wrong(`version ${told.version} is another`)
  const later = stored.events.slice(told.version)
  const named = later.some(({ event }) => event._tag === "LateSuccess" || event._tag === "ReviewOpened")
  if (ended.has(told.status) && stored.view.status !== told.status && !named)
    return wrong(`now it is ${stored.view.status}, without a named event`)
  return []
}
