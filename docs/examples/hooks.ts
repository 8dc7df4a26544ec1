import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type Advice, Currency, HookRegistry, type Hooks, PaymentIds, PaymentMethod, Payments } from "../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../src/public/testing.ts"

const blockedCustomers = new Set(["c-13"])

const blockedList: Hooks.FraudCheck = {
  kind: "fraud_check",
  name: "blocked-list",
  timeoutMillis: 200,
  run: ({ payment }) =>
    Effect.succeed(
      blockedCustomers.has(payment.customer?.id ?? "") ? { action: "block", score: 100, code: "listed" } : { action: "allow", score: 0 }
    )
}

const noSecondTry: Hooks.ErrorHandler = {
  kind: "error_handler",
  name: "no-second-try",
  run: ({ because }): Effect.Effect<Advice.Advice | undefined> =>
    Effect.succeed(
      because._tag === "Declined" && because.category === "soft" ? { _tag: "fail", reason: "the customer chooses another card" } : undefined
    )
}

const hooks = Layer.mergeAll(HookRegistry.register(blockedList), HookRegistry.register(noSecondTry)).pipe(
  Layer.provideMerge(HookRegistry.layer)
)

const pay = (order: string, customer: string) =>
  Payments.Payments.use((payments) =>
    payments.charge({
      tenant: PaymentIds.TenantId.make("my-shop"),
      key: PaymentIds.IdempotencyKey.make(order),
      amount: { currency: Currency.CurrencyCode.make("EUR"), minor: 4990n },
      method: { type: "card", token: PaymentMethod.Token.make("tok_1") },
      customer: { id: customer }
    })
  )

/** The second payment fails, and its gateway has heard of one. */
export const shop = Effect.gen(function* () {
  const gateway = ScriptedGateway.make("psp")
  return yield* Effect.gen(function* () {
    const first = yield* pay("order-1", "c-12")
    const second = yield* pay("order-2", "c-13")
    return { first: first.payment.status, second: second.payment.failure?.code, sent: gateway.sent.length }
  }).pipe(Effect.provide(TestEngine.layer([gateway]).pipe(Layer.provideMerge(hooks))))
})
