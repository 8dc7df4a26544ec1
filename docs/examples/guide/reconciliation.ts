import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { type Gateway, Payments } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

const psp = ScriptedGateway.make("psp")

/** What the gateway lists: each of its charges, under the reference that it was sent with. */
const listed = psp.sent
const withList: Gateway.Gateway = {
  ...psp,
  list: () =>
    Stream.fromIterable(
      listed.map((intent): Gateway.GatewayRecord => ({
        kind: "charge",
        reference: intent.requestKey,
        gatewayReference: ScriptedGateway.succeeded(intent).gatewayReference,
        createdAt: 1_000,
        answer: ScriptedGateway.succeeded(intent)
      }))
    )
}

export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  yield* payments.charge(order("order-1"))
  yield* payments.charge(order("order-2"))
  const { counts, listed, matched } = yield* payments.reconcile({ gateway: psp.name, from: 0, to: 10_000 })
  return { listed, matched, differences: Object.values(counts).reduce((sum, count) => sum + count, 0) }
}).pipe(Effect.provide(TestEngine.layer([withList])))
