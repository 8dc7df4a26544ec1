import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Currency, Payments, Policy, RoutingPolicy } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

const cheap = ScriptedGateway.make("cheap")
const steady = ScriptedGateway.make("steady")

const eur = Currency.CurrencyCode.make("EUR")

/** Large amounts go to the gateway that is known to be steady; the others by score, in which the price counts. */
const large: RoutingPolicy.CustomRule = {
  name: "large",
  decide: ({ details }) => (details.amount.minor >= 100_000n ? { prefer: [steady.name] } : undefined)
}
const fees = new Map([
  [cheap.name, [{ basisPoints: 90 }]],
  [steady.name, [{ basisPoints: 290 }]]
])
const routing = Layer.succeed(RoutingPolicy.RoutingPolicy, { policy: Policy.make({}, fees), customRules: [large] })

export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  const small = yield* payments.charge(order("small"))
  const large = yield* payments.charge(order("large", { amount: { currency: eur, minor: 250_000n } }))
  return { small: small.payment.gateway, large: large.payment.gateway }
}).pipe(Effect.provide(Layer.provide(TestEngine.layer([cheap, steady]), routing)))
