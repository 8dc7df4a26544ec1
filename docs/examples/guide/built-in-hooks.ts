import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { BuiltinHooks, HookRegistry, Payments } from "../../../src/index.ts"
import { Memory } from "../../../src/public/memory.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

/** Two payments of one customer in ten minutes; more is blocked before any gateway hears of it. */
const wanted = { velocity: { limits: [{ per: "customer", most: 2, withinMillis: 600_000, action: "block" }] } } as const
const hooks = BuiltinHooks.layer(wanted).pipe(Layer.provideMerge(HookRegistry.layer))

export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  return yield* Effect.forEach(["ada", "ada", "ada", "ben"], (id, index) =>
    Effect.map(payments.charge(order(`order-${index}`, { customer: { id } })), ({ payment }) => `${id}: ${payment.status}`)
  )
}).pipe(Effect.provide(TestEngine.layer([ScriptedGateway.make("psp")]).pipe(Layer.provideMerge(hooks))), Effect.provide(Memory.layer))
