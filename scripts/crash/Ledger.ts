/**
 * The sandbox' ledger, added up by our payment: the truth from outside.
 */
import { accounts } from "./World.ts"

interface Entry {
  readonly kind: "authorize" | "charge" | "capture" | "void" | "refund" | "refund_failed"
  readonly charge_id: string
  readonly payment: string
  readonly amount: number
  readonly currency: string
}

/** One charge at one account, in minor units. */
export interface Charge {
  readonly id: string
  readonly account: string
  readonly currency: string
  /** What the customer was asked for: the sale, or the authorization. */
  amount: number
  authorizedOnly: boolean
  captured: number
  voided: number
  refunded: number
}

export interface Ledger {
  readonly entries: number
  readonly byPayment: ReadonlyMap<string, ReadonlyArray<Charge>>
}

const pageSize = 10_000

/** Reads the ledgers of all accounts. */
export const read = async (sandboxUrl: string): Promise<Ledger> => {
  const byPayment = new Map<string, Array<Charge>>()
  let entries = 0
  for (const { name } of accounts) {
    for (let after: number | undefined = 0; after !== undefined;) {
      const response: Response = await fetch(`${sandboxUrl}/${name}/ledger?after=${after}&limit=${pageSize}`, {
        headers: { authorization: `Bearer sk_sandbox_${name}` }
      })
      const page = (await response.json()) as { readonly data: ReadonlyArray<Entry>; readonly next_after?: number }
      for (const entry of page.data) add(byPayment, name, entry)
      entries += page.data.length
      after = page.next_after
    }
  }
  return { entries, byPayment }
}

const add = (byPayment: Map<string, Array<Charge>>, account: string, entry: Entry): void => {
  const charges = byPayment.get(entry.payment) ?? []
  byPayment.set(entry.payment, charges)
  // Each account counts its own charges: two may have the same id.
  let charge = charges.find((other) => other.account === account && other.id === entry.charge_id)
  if (charge === undefined) {
    charge = {
      id: entry.charge_id,
      account,
      currency: entry.currency,
      amount: 0,
      authorizedOnly: false,
      captured: 0,
      voided: 0,
      refunded: 0
    }
    charges.push(charge)
  }
  switch (entry.kind) {
    case "authorize":
      charge.amount += entry.amount
      charge.authorizedOnly = true
      return
    case "charge":
      charge.amount += entry.amount
      charge.captured += entry.amount
      return
    case "capture":
      charge.captured += entry.amount
      return
    case "void":
      charge.voided += entry.amount
      return
    case "refund":
      charge.refunded += entry.amount
      return
    case "refund_failed":
      charge.refunded -= entry.amount
      return
  }
}

/** Does the customer still pay, or hold the money ready, for it? */
export const stands = (charge: Charge): boolean =>
  charge.authorizedOnly && charge.captured === 0 ? charge.voided < charge.amount : charge.captured > charge.refunded
