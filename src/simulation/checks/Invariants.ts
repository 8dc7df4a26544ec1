/**
 * What has to hold: at every request that is written, and when the world has calmed down. Checked against the PSP's ledger, which
 * the engine cannot write, and against a fresh fold of the stored events. The names are those of docs/GUARANTEES.md.
 */
import { isCharge, isChargeKind, isOpen, type Operation } from "../../domain/operation/Operation.ts"
import type { PaymentId } from "../../domain/payment/Ids.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import type { WireRequest } from "../../sandbox/http/Reply.ts"
import type { Heard } from "../people/Host.ts"
import type { PaymentPlan } from "../Plan.ts"
import type { Facts } from "../world/Aftermath.ts"
import type { Told } from "../world/Postman.ts"
import type { Account, Truth } from "../world/Psp.ts"
import type { Received } from "../world/Receiver.ts"
import type { Contents } from "../world/Storage.ts"
import * as History from "./History.ts"
import * as Money from "./Money.ts"
import * as Rest from "./Rest.ts"

/** One thing that does not hold. */
export interface Violation {
  readonly invariant: "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I8" | "I9" | "I10" | "quiescence"
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
  const sameObject = (candidate: Operation) => continues(payment, operation, candidate) || continues(payment, candidate, operation)
  const other = payment.operations.find(
    (candidate) => isCharge(candidate) && candidate !== operation && isOpen(candidate) && !sameObject(candidate)
  )
  if (isChargeKind(operation.intent.kind) && other !== undefined) found.push(wrong(`operation ${other.intent.number} is not settled`))
  return found
}

/**
 * A confirm continues the operation that waits for the customer: the same object, not another charge. Its writer may still repeat the
 * request that made the object, when a webhook told of it before the answer did.
 */
const continues = (payment: Payment, operation: Operation, other: Operation): boolean => {
  const target = operation.intent.target === undefined ? undefined : operationOf(payment, operation.intent.target)
  return operation.intent.kind === "confirm" && target !== undefined && (target === other || continues(payment, target, other))
}

/** The world when nothing changes any more. */
export interface Quiet {
  readonly contents: Contents
  readonly truth: Truth
  readonly facts: Facts
  readonly told: ReadonlyArray<Told>
  readonly heard: ReadonlyArray<Heard>
  readonly received: ReadonlyArray<Received>
  readonly plans: ReadonlyArray<PaymentPlan>
  readonly accounts: ReadonlyArray<Account>
  /** What began to wait for its customer before then has to have expired, in database time. */
  readonly expiredBefore: number
}

/** Everything that has to hold at quiescence. */
export const ofQuiet = (quiet: Quiet): ReadonlyArray<Violation> => {
  const { contents, facts, truth } = quiet
  const found: Array<Violation> = []
  const payments = new Map<string, Payment>()
  for (const stored of contents.stored) {
    const { payment, violations } = History.folded(stored)
    found.push(...violations)
    if (payment !== undefined) payments.set(stored.id, payment)
  }
  const chargesOf = Map.groupBy(truth.charges, (charge) => charge.payment)
  for (const id of chargesOf.keys()) {
    if (!payments.has(id)) found.push({ invariant: "I7", payment: id, detail: "charged at the PSP, unknown here" })
  }
  for (const payment of payments.values()) {
    const plan = planOf(payment, quiet)
    const charges = chargesOf.get(payment.id) ?? []
    found.push(...Money.ofPayment(payment, { charges, ledger: truth.ledger, facts, refunds: plan?.refunds.length ?? 0 }))
    found.push(...Rest.ofPayment(payment, { plan, accounts: quiet.accounts, told: quiet.told, expiredBefore: quiet.expiredBefore }))
  }
  const stored = new Map(contents.stored.map((one) => [one.id as string, one]))
  const receivedOf = Map.groupBy(quiet.received, ({ payment }) => payment)
  for (const one of contents.stored) found.push(...History.delivered(one, receivedOf.get(one.id) ?? []))
  for (const heard of quiet.heard) found.push(...History.acknowledged(heard, stored))
  for (const what of contents.givenUp) found.push({ invariant: "quiescence", payment: undefined, detail: `given up: ${what}` })
  return found
}

const planOf = (payment: Payment, { contents, plans }: Quiet): PaymentPlan | undefined => {
  const claim = contents.claims.find((candidate) => candidate.payment === payment.id && candidate.command === "charge")
  return plans.find((plan) => plan.key === claim?.key)
}
