/** The contract where the gateway answers at once. */
import * as Effect from "effect/Effect"
import assert from "node:assert/strict"
import type { DeclineCategory } from "../../domain/operation/Decline.ts"
import { type Add, isDeclined, isTagged, isUnknown, prepare, succeeded } from "./Bench.ts"

const declines: ReadonlyArray<DeclineCategory> = [
  "soft",
  "hard",
  "fraud",
  "authentication_required",
  "invalid_data",
  "gateway_error",
  "rate_limited",
  "configuration"
]
/** Refusals at the door say nothing about the request key; neither need those of a request whose data was wrong. */
const mayBeUnrecorded: ReadonlySet<DeclineCategory> = new Set(["rate_limited", "configuration", "invalid_data"])

export const answersAtOnce = (add: Add): void => {
  for (const kind of ["sale", "authorize"] as const) {
    add(`${kind}: succeeds, is found by id and by reference, and is replayed`, { on: "charge", what: "success" }, (on) =>
      Effect.gen(function* () {
        const one = on.charge(kind)
        const reference = succeeded(yield* on.send(one))
        assert.equal(succeeded(yield* on.lookup(one, reference)), reference)
        assert.equal(succeeded(yield* on.truth(one)), reference)
        assert.equal(succeeded(yield* on.send(one)), reference)
        yield* on.moved(one, kind === "sale" ? "charge" : "authorize")
      })
    )
  }

  for (const kind of ["capture", "void", "refund"] as const) {
    add(`${kind}: succeeds, is found by id and by reference, and is replayed`, { on: "charge", what: "success" }, (on) =>
      Effect.gen(function* () {
        const { operation } = yield* prepare(on, kind, kind === "void" ? undefined : 1990n)
        const minor = operation.amount.minor
        const reference = succeeded(yield* on.send(operation), minor)
        assert.equal(succeeded(yield* on.truth(operation), minor), reference)
        assert.equal(succeeded(yield* on.lookup(operation, reference), minor), reference)
        assert.equal(succeeded(yield* on.send(operation), minor), reference)
        yield* on.moved(operation, kind)
      })
    )
  }

  for (const [category, kind] of declines.flatMap((one) => [[one, "sale"] as const, [one, "authorize"] as const])) {
    add(`${kind}: a decline of category ${category}: certainly nothing was charged`, { on: "charge", what: `declined_${category}` }, (on) =>
      Effect.gen(function* () {
        const one = on.charge(kind)
        const answer = yield* on.send(one)
        isDeclined(answer, category)
        yield* on.moved(one, undefined)
        const found = yield* on.truth(one)
        const isNamed = answer._tag === "Declined" && answer.gatewayReference !== undefined
        if (isNamed || !mayBeUnrecorded.has(category)) isDeclined(found, category)
        else if (found._tag !== "Declined") isTagged(found, "Absent")
        isDeclined(yield* on.send(one), category)
        yield* on.moved(one, undefined)
      })
    )
  }

  add(
    "a refund of more than was taken is declined, moves nothing, and is not found as a success",
    { on: "charge", what: "success" },
    (on) =>
      Effect.gen(function* () {
        const { operation } = yield* prepare(on, "refund", 9980n)
        isDeclined(yield* on.send(operation))
        const found = yield* on.truth(operation)
        if (found._tag !== "Absent") isDeclined(found)
        isDeclined(yield* on.send(operation))
        yield* on.moved(operation, undefined)
      })
  )

  for (const kind of ["capture", "void", "refund"] as const) {
    add(`a declined ${kind} moves nothing, and is not found as a success`, { on: kind, what: "declined" }, (on) =>
      Effect.gen(function* () {
        const { operation } = yield* prepare(on, kind)
        isDeclined(yield* on.send(operation))
        const found = yield* on.truth(operation)
        if (found._tag !== "Absent") isDeclined(found)
        isDeclined(yield* on.send(operation))
        yield* on.moved(operation, undefined)
      })
    )
  }

  add("nobody listens: not sent, and a look-up does not know", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge()
      const answer = yield* on.unreachable.send({ payment: on.payment, intent: one })
      assert.equal(answer._tag === "NotSent" && answer.reason, "connection_refused")
      isUnknown(yield* on.unreachable.lookup({ payment: on.payment, intent: one, gatewayReference: undefined }))
      isTagged(yield* on.truth(one), "Absent")
      yield* on.moved(one, undefined)
    })
  )
}
