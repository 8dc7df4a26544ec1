/** The contract of request keys and of cancelling by reference. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import assert from "node:assert/strict"
import { type Add, eur, isTagged, isUnknown, succeeded } from "./Bench.ts"

export const keys = (add: Add): void => {
  add("a key in use: unknown by conflict, nothing is charged by it", { on: "charge", what: "conflict" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge()
      isUnknown(yield* on.send(one), "conflict")
      isTagged(yield* on.truth(one), "Absent")
      yield* on.moved(one, undefined)
    })
  )

  add("the same key at the same time charges once", { on: "charge", what: "slow" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge()
      const unhurried = on.gateway.send({ payment: on.payment, intent: one })
      const first = yield* Effect.forkChild(unhurried)
      yield* Effect.sleep(Duration.millis(on.patienceMillis / 5))
      isUnknown(yield* on.gateway.send({ payment: on.payment, intent: one }), "conflict")
      succeeded(yield* Fiber.join(first))
      yield* on.moved(one, "charge")
    })
  )

  add("the same key with other content is a conflict, never a second charge", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge()
      succeeded(yield* on.send(one))
      isUnknown(yield* on.send({ ...one, amount: eur(100n) }), "conflict")
      yield* on.moved(one, "charge")
    })
  )

  add("a charge is cancelled by our reference, and the answer names it", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge("authorize")
      const reference = succeeded(yield* on.send(one))
      const { lookupByReference } = on.gateway.capabilities.operations.authorize
      yield* Effect.sleep(Duration.millis(lookupByReference?.lagMillis ?? 0))
      const cancel = on.later("void", undefined)
      const answer = yield* on.send(cancel)
      assert.equal(succeeded(answer), reference)
      assert.ok(answer._tag === "Succeeded" && answer.named)
      yield* on.moved(cancel, "void")
      succeeded(yield* on.lookup(one, reference))
    })
  )

  add("cancelling what never arrived is no named success", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      const cancel = on.later("void", undefined)
      const answer = yield* on.send(cancel)
      if (answer._tag === "Succeeded") assert.ok(!answer.named)
      else isUnknown(answer)
      isTagged(yield* on.truth(cancel), "Absent")
      yield* on.moved(cancel, undefined)
    })
  )

  add("what was charged cannot be cancelled: unknown by conflict, and nothing moves", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      const target = succeeded(yield* on.send(on.charge()))
      const cancel = on.later("void", target)
      isUnknown(yield* on.send(cancel), "conflict")
      yield* on.moved(cancel, undefined)
    })
  )
}
