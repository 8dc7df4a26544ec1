import * as Effect from "effect/Effect"
import { Payments, Rebuild } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order, shop } from "./shop.ts"

/** What happened, in order; and the projection held against it. */
export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge(order("order-1"))
  const history = yield* payments.history({ id: payment.id, tenant: shop })
  const { damaged, rewritten, scanned } = yield* Rebuild.rebuild({ dryRun: true })
  return { events: history.map(({ event }) => event._tag), scanned, rewritten, damaged }
}).pipe(Effect.provide(TestEngine.layer([ScriptedGateway.make("psp")])))
