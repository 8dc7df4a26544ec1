import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import { Payments } from "../../../src/index.ts"
import { Chaos, ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order, shop } from "./shop.ts"

/** The gateway charges, and every answer is lost. The same plan loses the same answers every time. */
const plan: Chaos.ChaosPlan = {
  seed: 7,
  rules: [{ target: "gateway", operations: ["sale"], when: { type: "random", rate: 1 }, inject: { type: "response_lost" } }]
}

export const example = Effect.gen(function* () {
  const chaos = yield* Chaos.Chaos
  const psp = ScriptedGateway.make("psp")
  return yield* Effect.gen(function* () {
    const payments = yield* Payments.Payments
    const charging = yield* Effect.forkChild(payments.charge(order("order-1")))
    yield* TestClock.adjust("1 minute")
    const { payment } = yield* Fiber.join(charging)
    const { injections } = yield* chaos.stop
    yield* payments.recover()
    const { amountCaptured, status } = yield* payments.get({ id: payment.id, tenant: shop })
    return { before: payment.status, lost: injections > 0, after: status, amountCaptured }
  }).pipe(Effect.provide(TestEngine.layer([Chaos.ChaosGateway.make(psp, chaos)])))
}).pipe(Effect.provide(Chaos.ChaosControl.layer({ plan })))
