/**
 * A host's own code at named places of a payment: it blocks, it enriches, and when it breaks the payment goes on.
 */
import * as Effect from "effect/Effect"
import type { PaymentEvent } from "../../../src/domain/payment/Event.ts"
import type { PaymentView } from "../../../src/domain/payment/View.ts"
import type { Hook } from "../../../src/services/hooks/Hooks.ts"
import * as Ask from "../Ask.ts"
import type { Section } from "../Section.ts"

const tenant = Ask.tenant("hooks")
const blockedCustomer = "mallory"
const timeoutMillis = 100

export const section: Section = {
  name: "hooks",
  title: "Hooks that block, enrich, listen, and break",
  shows: [
    "Four hooks are registered while the engine runs: a fraud check that blocks a customer, an enrichment that adds the order's cost centre, a listener,",
    `and an enrichment that hangs. The block reaches no gateway; the one that hangs is left out after ${timeoutMillis} ms, and reported by name.`
  ],
  sabotage: "the fraud check is switched off",
  run: Effect.fnUntraced(function* ({ sabotaged, say, ground }) {
    const { engine, providers } = yield* ground
    const heard: Array<PaymentEvent["_tag"]> = []
    for (const hook of hooksOf(heard)) yield* engine.hooks.registerScoped(hook)
    if (sabotaged) yield* engine.hooks.setEnabled("blocked-customers", false)
    const pay = Effect.fnUntraced(function* (customer: string) {
      const request = Ask.charge({ tenant, key: `order-of-${customer}`, minor: 1_999n, customer: { id: customer } })
      const { payment } = yield* engine.payments.charge(request)
      const history = yield* engine.payments.history({ id: payment.id, tenant })
      say(
        `${customer}: ${payment.status}${payment.failure === undefined ? "" : ` (${payment.failure.code})`}, metadata ${JSON.stringify(payment.metadata)}`
      )
      for (const { event } of history) if (isOfHooks(event)) say(`  ${textOf(event)}`)
      return payment
    })
    const ada = yield* pay("ada")
    const mallory = yield* pay(blockedCustomer)
    // Listeners are told off the payment's path.
    yield* Effect.sleep(50).pipe(Effect.repeat({ until: () => heard.includes("OperationSucceeded"), times: 100 }))
    const hanging = (yield* engine.hooks.reports).filter(({ hook }) => hook === "slow-lookup")
    for (const { detail, failure, hook } of hanging.slice(0, 1)) say(`reported: ${hook}: ${failure}, ${detail}`)
    say(`the listener heard ${heard.length} events: ${[...new Set(heard)].join(", ")}`)
    const charged = yield* Ask.chargesOf(providers, [ada.id, mallory.id])
    return checksOf({ ada, mallory, charged: charged.map(({ payment }) => payment), hangs: hanging.length, heard })
  })
}

const hooksOf = (heard: Array<PaymentEvent["_tag"]>): ReadonlyArray<Hook> => [
  {
    kind: "fraud_check",
    name: "blocked-customers",
    run: ({ payment }) =>
      Effect.succeed(
        payment.customer?.id === blockedCustomer ? { action: "block", score: 99, code: "listed" } : { action: "allow", score: 2 }
      )
  },
  { kind: "enrichment", name: "cost-centre", run: () => Effect.succeed({ metadata: { cost_centre: "4711" } }) },
  { kind: "enrichment", name: "slow-lookup", timeoutMillis, run: () => Effect.never },
  { kind: "event_listener", name: "audit", run: ({ event }) => Effect.sync(() => void heard.push(event._tag)) }
]

type OfHooks = Extract<PaymentEvent, { readonly _tag: "PaymentEnriched" | "PaymentBlocked" }>

const isOfHooks = (event: PaymentEvent): event is OfHooks => event._tag === "PaymentEnriched" || event._tag === "PaymentBlocked"

const textOf = (event: OfHooks): string =>
  event._tag === "PaymentBlocked"
    ? `in its history: blocked by ${event.by} (${event.code})`
    : `in its history: ${event.fields.map(({ field, hook, to }) => `${hook} set ${field} to ${to}`).join(", ")}`

const checksOf = (found: {
  readonly ada: PaymentView
  readonly mallory: PaymentView
  /** Payments with a charge in a ledger. */
  readonly charged: ReadonlyArray<string>
  readonly hangs: number
  readonly heard: ReadonlyArray<string>
}) => {
  const { ada, charged, hangs, heard, mallory } = found
  return [
    {
      name: "the blocked payment failed, and no gateway was asked",
      holds: mallory.status === "failed" && mallory.operations.length === 0 && !charged.includes(mallory.id),
      detail: `${mallory.status}, ${mallory.operations.length} operations, ${charged.filter((id) => id === mallory.id).length} charges in the ledgers`
    },
    {
      name: "the other one was enriched and charged once, though a hook hung",
      holds:
        ada.status === "succeeded" &&
        ada.metadata["cost_centre"] === "4711" &&
        charged.filter((id) => id === ada.id).length === 1 &&
        hangs > 0,
      detail: `${ada.status}, cost centre ${ada.metadata["cost_centre"]}, ${hangs} reports of the hook that hangs`
    },
    {
      name: "the listener heard of it",
      holds: heard.includes("PaymentInitiated") && heard.includes("OperationSucceeded"),
      detail: `${heard.length} events`
    }
  ]
}
