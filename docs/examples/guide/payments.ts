import * as Effect from "effect/Effect"
import { PaymentIds, Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order, shop } from "./shop.ts"

/** Authorized with the order, captured when it is sent, in part given back. */
export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge(order("order-1", { captureMethod: "manual" }))
  const of = (key: string) => ({ tenant: shop, id: payment.id, key: PaymentIds.IdempotencyKey.make(key) })
  yield* payments.capture({ ...of("parcel-1"), amount: 3000n, final: false })
  yield* payments.capture({ ...of("parcel-2"), amount: 1990n, final: true })
  yield* payments.refund({ ...of("return-1"), amount: 500n })
  const { amountCaptured, amountRefunded, status } = yield* payments.get({ id: payment.id, tenant: shop })
  return { authorized: payment.status, status, amountCaptured, amountRefunded }
}).pipe(Effect.provide(TestEngine.layer([ScriptedGateway.make("psp")])))
