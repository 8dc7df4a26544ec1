/**
 * The providers' ledgers beside the store, payment by payment: who was charged, and who is said to have been.
 */
import type { PaymentView } from "../../../src/domain/payment/View.ts"
import type { Entry } from "../Provider.ts"

/** What a caller was answered at first. */
export interface Answered {
  readonly id: string
  readonly status: PaymentView["status"]
}

export interface Comparison {
  readonly payments: number
  readonly charges: number
  /** Each a sentence that names the payment. */
  readonly lost: ReadonlyArray<string>
  readonly doubled: ReadonlyArray<string>
  readonly wrong: ReadonlyArray<string>
}

/** Compares. `ledgers`: the entries of every provider, by its name. */
export const compare = (options: {
  readonly stored: ReadonlyArray<PaymentView>
  readonly ledgers: ReadonlyMap<string, ReadonlyArray<Entry>>
  readonly answered: ReadonlyArray<Answered>
}): Comparison => {
  const charges = chargesByPayment(options.ledgers)
  const known = new Map(options.stored.map((payment) => [payment.id as string, payment]))
  const lost: Array<string> = []
  const doubled: Array<string> = []
  const wrong: Array<string> = []
  for (const { id, status } of options.answered) {
    const now = known.get(id)?.status
    if (now === undefined) lost.push(`${id} was answered as ${status} and is not in the store`)
    else if (status === "succeeded" && now !== "succeeded") lost.push(`${id} was answered as succeeded and is ${now}`)
  }
  for (const [payment, made] of charges) {
    if (!known.has(payment)) lost.push(`${payment} was charged at ${placesOf(made)} and is not in the store`)
    if (made.length > 1) doubled.push(`${payment} was charged ${made.length} times, at ${placesOf(made)}`)
  }
  for (const payment of options.stored) {
    const problem = problemOf(payment, charges.get(payment.id) ?? [])
    if (problem !== undefined) wrong.push(`${payment.id} ${problem}`)
  }
  return { payments: options.stored.length, charges: [...charges.values()].flat().length, lost, doubled, wrong }
}

interface Charge {
  readonly provider: string
  readonly entry: Entry
}

const chargesByPayment = (ledgers: ReadonlyMap<string, ReadonlyArray<Entry>>): ReadonlyMap<string, ReadonlyArray<Charge>> =>
  Map.groupBy(
    [...ledgers].flatMap(([provider, entries]) => entries.map((entry) => ({ provider, entry }))),
    ({ entry }) => entry.payment
  )

const placesOf = (charges: ReadonlyArray<Charge>): string => charges.map(({ provider }) => provider).join(" and ")

/** Nothing but sales is asked for, so every line of a ledger is one charge. */
const problemOf = (payment: PaymentView, charges: ReadonlyArray<Charge>): string | undefined => {
  const [charge] = charges
  if (payment.status !== "succeeded") {
    if (charge !== undefined) return `is ${payment.status}, but ${charge.provider} charged it`
    return payment.status === "failed" ? undefined : `is still ${payment.status}`
  }
  if (charge === undefined) return "is said to have succeeded, but no provider charged it"
  const { entry, provider } = charge
  return provider === payment.gateway &&
    entry.kind === "charge" &&
    entry.amount === payment.amountCaptured &&
    entry.amount === payment.amount &&
    entry.currency === payment.currency
    ? undefined
    : `is ${payment.amountCaptured} ${payment.currency} at ${payment.gateway}; the ledger of ${provider} has ${entry.kind} ${entry.amount} ${entry.currency}`
}
