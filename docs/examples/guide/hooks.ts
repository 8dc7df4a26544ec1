import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { HookRegistry, type Hooks, Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

/** The shop's own list, as a fraud check; and what it sells is set on every payment. */
const blockedCustomers: Hooks.Hook = {
  kind: "fraud_check",
  name: "blocked-customers",
  run: ({ payment }) =>
    Effect.succeed(
      payment.customer?.id === "c-666" ? { action: "block", code: "listed", message: "on the shop's list" } : { action: "allow" }
    )
}
const branch: Hooks.Hook = { kind: "enrichment", name: "branch", run: () => Effect.succeed({ metadata: { branch: "online" } }) }

const hooks = Layer.mergeAll(HookRegistry.register(blockedCustomers), HookRegistry.register(branch)).pipe(
  Layer.provideMerge(HookRegistry.layer)
)

export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const good = yield* payments.charge(order("order-1", { customer: { id: "c-1" } }))
  const bad = yield* payments.charge(order("order-2", { customer: { id: "c-666" } }))
  return { good: [good.payment.status, good.payment.metadata["branch"]], bad: [bad.payment.status, bad.payment.failure?.code] }
}).pipe(Effect.provide(TestEngine.layer([ScriptedGateway.make("psp")]).pipe(Layer.provideMerge(hooks))))
