/**
 * One charge through the adapter and the simulator, without the engine: what the other side of a measured payment costs.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import type { Intent } from "../../../src/domain/operation/Operation.ts"
import { makePaymentId, requestKeyOf } from "../../../src/domain/payment/Ids.ts"
import * as Engine from "./Engine.ts"

/** The intent of a real payment. */
const recordedIntent: Effect.Effect<Intent> = Effect.gen(function* () {
  const engine = yield* Engine.build(Engine.memoryStores, Engine.instantGateways)
  yield* Engine.chargeOne(engine)
  const events = engine.commits.first.flatMap((commit) => commit.events)
  const intended = events.map(({ event }) => event).find((event) => event._tag === "OperationIntended")
  return intended?._tag === "OperationIntended" ? intended.intent : yield* Effect.die(new Error("the payment has no intent"))
}).pipe(Effect.scoped)

/** A call that charges a new payment at the gateway the engine would take. */
export const simulatorCall: Effect.Effect<Effect.Effect<void>, never, Scope.Scope> = Effect.gen(function* () {
  const recorded = yield* recordedIntent
  const gateway = (yield* Engine.sandboxGateways).find(({ name }) => name === recorded.gateway)
  if (gateway === undefined) return yield* Effect.die(new Error(`there is no gateway ${recorded.gateway}`))
  return Effect.suspend(() => {
    const payment = makePaymentId({ bucket: 1, uuid: randomUUID() })
    const intent: Intent = { ...recorded, requestKey: requestKeyOf({ payment, operation: recorded.number }) }
    return Effect.flatMap(gateway.send({ payment, intent }), (outcome) =>
      outcome._tag === "Succeeded" ? Effect.void : Effect.die(new Error(`the simulator answered ${outcome._tag}`))
    )
  })
})
