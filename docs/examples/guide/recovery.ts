import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order, shop } from "./shop.ts"

/** The gateway charges, its answers are lost; a minute later recovery asks for the operation by our reference, and learns of the charge. */
export const example = Effect.gen(function* () {
  const gateway = ScriptedGateway.make("psp", {
    answer: () => ScriptedGateway.lost,
    lookup: (intent) => ScriptedGateway.succeeded(intent)
  })
  return yield* Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const charging = yield* Effect.forkChild(payments.charge(order("order-1")))
    yield* TestClock.adjust("1 minute")
    const { payment: before } = yield* Fiber.join(charging)
    const { results, scanned } = yield* payments.recover()
    const after = yield* payments.get({ id: before.id, tenant: shop })
    return { before: before.status, scanned, results, after: after.status, keys: new Set(gateway.sent.map((sent) => sent.requestKey)).size }
  }).pipe(Effect.provide(TestEngine.layer([gateway])))
})
