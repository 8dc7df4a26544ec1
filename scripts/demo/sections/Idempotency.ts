/**
 * The same request fifty times at once, under one idempotency key.
 */
import * as Effect from "effect/Effect"
import * as Ask from "../Ask.ts"
import type { Section } from "../Section.ts"

const requests = 50
const amountMinor = 2_599n

export const section: Section = {
  name: "idempotency",
  title: "The same request 50 times, with one key",
  shows: [
    "A shop's customer clicks, its load balancer repeats, its job repeats: 50 requests with one idempotency key arrive at once.",
    "One of them charges; the others wait for it and get its payment. The same key with another amount is refused."
  ],
  sabotage: "every request has a key of its own",
  run: Effect.fnUntraced(function* ({ sabotaged, say, ground }) {
    const { engine, providers } = yield* ground
    const tenant = Ask.tenant("idempotency")
    const asked = yield* Effect.forEach(
      Array.from({ length: requests }, (_, number) => (sabotaged ? `order-1001-${number}` : "order-1001")),
      (key) => engine.payments.charge(Ask.charge({ tenant, key, minor: amountMinor })),
      { concurrency: "unbounded" }
    )
    const ids = [...new Set(asked.map(({ payment }) => payment.id))]
    const first = asked.filter(({ replayed }) => !replayed).length
    say(`${requests} requests: ${first} charged, ${requests - first} were answered with a payment that was there`)
    say(`payments: ${ids.slice(0, 3).join(", ")}${ids.length > 3 ? ` and ${ids.length - 3} more` : ""}, ${asked[0]?.payment.status}`)
    const charges = yield* Ask.chargesOf(providers, ids)
    for (const { amount, charge_id, provider } of charges.slice(0, 3)) say(`ledger of ${provider}: ${charge_id}, EUR ${amount / 100}`)
    const other = yield* Effect.result(engine.payments.charge(Ask.charge({ tenant, key: "order-1001", minor: amountMinor + 1n })))
    say(`the same key with EUR 26.00: ${other._tag === "Failure" ? other.failure.message : `payment ${other.success.payment.id}`}`)
    return [
      {
        name: "one payment, one charge",
        holds: ids.length === 1 && charges.length === 1 && charges[0]?.amount === Number(amountMinor),
        detail: `${requests} requests, ${ids.length} payments, ${charges.length} charges in the ledgers`
      },
      {
        name: "the same key with another amount is refused",
        holds: other._tag === "Failure" && other.failure._tag === "IdempotencyKeyReused",
        detail: other._tag === "Failure" ? other.failure._tag : "it was taken"
      }
    ]
  })
}
