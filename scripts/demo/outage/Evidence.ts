/**
 * What is left to look at when the load has ended: the store, the providers' ledgers, and why the engine decided as it did.
 */
import * as Effect from "effect/Effect"
import type { PaymentView } from "../../../src/domain/payment/View.ts"
import type { Engine } from "../Engine.ts"
import type { Entry, Provider } from "../Provider.ts"
import type { Asked } from "./Load.ts"
import * as Load from "./Load.ts"

/** How many operations have no outcome. */
export const openOperations = ({ repository }: Engine): Effect.Effect<number> =>
  Effect.orDie(Effect.map(repository.openSummary, (open) => open.reduce((sum, { count }) => sum + count, 0)))

/** Every payment of the demo, as it is now. */
export const storedPayments = Effect.fnUntraced(function* ({ repository }: Engine) {
  const all: Array<PaymentView> = []
  let cursor: string | undefined
  do {
    const page = yield* repository.list({ tenant: Load.tenant, limit: 200, ...(cursor === undefined ? {} : { cursor }) })
    all.push(...page.data)
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return all
}, Effect.orDie)

/** The ledgers, by the name of the provider. */
export const ledgersOf = Effect.fnUntraced(function* (providers: ReadonlyArray<Provider>) {
  const read = yield* Effect.forEach(providers, ({ account, ledger }) => Effect.map(ledger, (entries) => [account.name, entries] as const))
  return new Map<string, ReadonlyArray<Entry>>(read)
})

/** What the providers took, by payment. */
export const feesOf = Effect.fnUntraced(function* (providers: ReadonlyArray<Provider>) {
  const read = yield* Effect.forEach(providers, (provider) => provider.fees)
  return new Map(read.flat().map(({ fee, payment }) => [payment, fee]))
})

/** Payments with a request that this gateway never answered. */
export const unansweredBy = ({ calls }: Engine, name: string): ReadonlySet<string> =>
  new Set(
    calls.flatMap(({ gateway, outcome, payment }) =>
      gateway === name && (outcome === undefined || outcome === "Unknown") ? [payment as string] : []
    )
  )

/** How the gateways stood in the last decision of a time: the score, or why it was left out. */
export type Standing = ReadonlyMap<string, number | string>

/** The standing in the decision of the last payment that was asked for in a time. */
export const standing = Effect.fnUntraced(function* (
  { payments }: Engine,
  asked: ReadonlyArray<Asked>,
  { from, to }: { readonly from: number; readonly to: number }
): Effect.fn.Return<Standing> {
  const last = asked
    .filter(({ answer, askedAt }) => answer !== undefined && askedAt >= from && askedAt < to)
    .reduce<Asked | undefined>((latest, one) => (latest === undefined || one.askedAt > latest.askedAt ? one : latest), undefined)
  if (last?.answer === undefined) return new Map()
  const history = yield* Effect.orDie(payments.history({ id: last.answer.id, tenant: Load.tenant }))
  for (const { event } of history) {
    if (event._tag !== "OperationIntended" || event.intent.decision === undefined) continue
    const { excluded, ranked } = event.intent.decision
    return new Map<string, number | string>([
      ...ranked.map(({ gateway, score }) => [gateway, score] as const),
      ...excluded.map(({ gateway, reason }) => [gateway, reason.replaceAll("_", " ")] as const)
    ])
  }
  return new Map()
})
