import * as Effect from "effect/Effect"
import { Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order, shop } from "./shop.ts"

/** The gateway charged less than it was asked for: nobody but a person can say whether that is right. */
const psp = ScriptedGateway.make("psp", {
  answer: (intent) => ({ ...ScriptedGateway.succeeded(intent), amount: { ...intent.amount, minor: 4900n } })
})

export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const { payment } = yield* payments.charge(order("order-1"))
  const { needsReviewCount } = yield* payments.recover({ olderThanMillis: 0 })
  yield* payments.resolve({ id: payment.id, tenant: shop, as: "succeeded", reason: "the fee was taken off; agreed with the customer" })
  const { reviews, status } = yield* payments.get({ id: payment.id, tenant: shop })
  return { before: payment.status, needsReviewCount, after: status, reviews: reviews.length }
}).pipe(Effect.provide(TestEngine.layer([psp])))
