/**
 * Whose payments are: read once from a payment's first event, which says it for good, and kept for the payments that are asked about most lately.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { PaymentId, type TenantId } from "../../../domain/payment/Ids.ts"
import type { EventStore } from "../../../services/EventStore.ts"

/** How many payments are kept: some 3 MB. */
const maxKept = 10_000

const isPaymentId = Schema.is(PaymentId)

/** Answers the customer of a merchant's payment. `undefined`: it has none, or that cannot be told; the request will show what is wrong. */
export const make = ({ read }: Pick<EventStore["Service"], "read">) => {
  const kept = new Map<PaymentId, { readonly tenant: TenantId; readonly customer: string | undefined }>()

  const lookUp = (payment: PaymentId) =>
    Effect.map(read(payment), ([first]) => {
      if (first?.event._tag !== "PaymentInitiated") return undefined
      const found = { tenant: first.event.details.tenant, customer: first.event.details.customer?.id }
      const [oldest] = kept.keys()
      if (kept.size >= maxKept && oldest !== undefined) kept.delete(oldest)
      kept.set(payment, found)
      return found
    })

  return (tenant: TenantId, payment: string): Effect.Effect<string | undefined> =>
    Effect.suspend(() => {
      if (!isPaymentId(payment)) return Effect.undefined
      const known = kept.get(payment)
      return Effect.map(known === undefined ? Effect.orElseSucceed(lookUp(payment), () => undefined) : Effect.succeed(known), (found) =>
        found?.tenant === tenant ? found.customer : undefined
      )
    })
}
