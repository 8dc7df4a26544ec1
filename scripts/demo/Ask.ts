/**
 * Requests of the sections, and what the providers' ledgers say of them.
 */
import * as Effect from "effect/Effect"
import { IdempotencyKey, TenantId } from "../../src/domain/payment/Ids.ts"
import { Token } from "../../src/domain/payment/PaymentMethod.ts"
import type { ChargeRequest } from "../../src/orchestration/payment/Charge.ts"
import { currency } from "./Engine.ts"
import type { Entry, Provider } from "./Provider.ts"

/** The shop of a section: sections do not see each other's payments. */
export const tenant = (section: string): TenantId => TenantId.make(`demo-${section}`)

/** A charge in euro by a card that succeeds. */
export const charge = (
  options: { readonly tenant: TenantId; readonly key: string; readonly minor: bigint } & Partial<Omit<ChargeRequest, "key">>
) => {
  const { key, minor, tenant, ...others } = options
  return {
    tenant,
    amount: { currency, minor },
    method: { type: "card", token: Token.make("tok_success"), brand: "visa", country: "DE" },
    ...others,
    key: IdempotencyKey.make(key)
  } as const
}

/** A line of a ledger, and whose it is. */
export interface LedgerEntry extends Entry {
  readonly provider: string
}

/** What the ledgers hold of these payments. */
export const entriesOf = Effect.fnUntraced(function* (providers: ReadonlyArray<Provider>, payments: ReadonlyArray<string>) {
  const wanted = new Set(payments)
  const ledgers = yield* Effect.forEach(providers, ({ account, ledger }) =>
    Effect.map(ledger, (entries) => entries.map((entry): LedgerEntry => ({ ...entry, provider: account.name })))
  )
  return ledgers.flat().filter(({ payment }) => wanted.has(payment))
})

/** The charges among them. */
export const chargesOf = (providers: ReadonlyArray<Provider>, payments: ReadonlyArray<string>) =>
  Effect.map(entriesOf(providers, payments), (entries) => entries.filter(({ kind }) => kind === "charge"))
