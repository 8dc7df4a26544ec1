import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Notifier, Payments, Relay } from "../../../src/index.ts"
import { ScriptedGateway, TestEngine } from "../../../src/public/testing.ts"
import { order } from "./shop.ts"

/** The host's own channel: a list here, a queue in a service. What cannot be taken now is answered with `Retry`. */
const taken: Array<string> = []
const channel = Layer.succeed(Notifier.Notifier, {
  endpointOf: () => "queue",
  deliver: (_endpoint, { type, version }) =>
    Effect.sync((): Notifier.Delivery => {
      taken.push(`${version} ${type}`)
      return { _tag: "Delivered" }
    })
})

export const example = Effect.gen(function* () {
  const payments = yield* Payments.Payments
  yield* payments.charge(order("order-1"))
  const relay = yield* Relay.make()
  yield* relay.runOnce
  return taken
}).pipe(Effect.provide(TestEngine.layer([ScriptedGateway.make("psp")]).pipe(Layer.provideMerge(channel))))
