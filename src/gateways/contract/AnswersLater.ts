/** The contract where the answer comes later: by the gateway, or by the customer. */
import * as Effect from "effect/Effect"
import assert from "node:assert/strict"
import { type Add, type Bench, type ContractOptions, eventually, isTagged, prepare, referenceOf, succeeded } from "./Bench.ts"

/** What brings a payment on that waits for the customer. */
type Act = "confirm" | "complete" | "fail"

export const answersLater = (add: Add, { chargedBy = "confirm" }: ContractOptions): void => {
  for (const [kind, what, ends] of [
    ["sale", "pending_success", "Succeeded"],
    ["sale", "pending_failure", "Declined"],
    ["authorize", "pending_success", "Succeeded"],
    ["authorize", "pending_failure", "Declined"]
  ] as const) {
    add(`${kind}, ${what}: pending by id and by reference, then ${ends}`, { on: "charge", what }, (on) =>
      Effect.gen(function* () {
        const one = on.charge(kind)
        const answer = yield* on.send(one)
        isTagged(answer, "Pending")
        isTagged(yield* on.lookup(one, referenceOf(answer)), "Pending")
        yield* on.moved(one, undefined)
        const settled = yield* eventually(on.lookup(one, referenceOf(answer)), (result) => result._tag !== "Pending")
        isTagged(settled, ends)
        isTagged(yield* on.truth(one), ends)
        yield* on.moved(one, ends === "Declined" ? undefined : kind === "sale" ? "charge" : "authorize")
      })
    )
  }

  const acts: ReadonlyArray<readonly ["action_success" | "action_failure", Act]> =
    chargedBy === "confirm"
      ? [
          ["action_success", "confirm"],
          ["action_failure", "confirm"],
          ["action_success", "complete"],
          ["action_success", "fail"]
        ]
      : [
          ["action_success", "complete"],
          ["action_failure", "complete"],
          ["action_success", "fail"]
        ]
  for (const [what, does] of acts) {
    const ends = what === "action_success" && does !== "fail" ? "Succeeded" : "Declined"
    for (const kind of ["sale", "authorize"] as const) {
      add(`${kind}, ${what}, then ${does}: ends as ${ends}, once`, { on: "charge", what }, (on) => afterAction(on, kind, does, ends))
    }
  }

  if (chargedBy === "customer") {
    add("a confirm before the customer has acted charges nothing", { on: "charge", what: "action_success" }, (on) =>
      Effect.gen(function* () {
        const target = referenceOf(yield* on.send(on.charge()))
        const confirm = on.later("confirm", target)
        isTagged(yield* on.send(confirm), "RequiresAction")
        yield* on.moved(confirm, undefined)
        yield* on.customer(target, "complete")
        succeeded(yield* on.lookup(confirm, target))
        assert.equal((yield* on.ledger).filter((entry) => entry.kind === "charge").length, 1)
      })
    )
  }

  add("a refund that had succeeded and fails later is found as declined", { on: "refund", what: "fails_later" }, refundFailsLater)

  for (const [kind, what, ends] of [
    ["capture", "pending", "Succeeded"],
    ["void", "pending", "Succeeded"],
    ["refund", "pending", "Succeeded"],
    ["refund", "action", "Succeeded"],
    ["refund", "pending_failure", "Declined"]
  ] as const) {
    const scenario = kind === "refund" ? ({ on: kind, what } as const) : ({ on: kind, what: "pending" } as const)
    add(`a ${kind} (${what}) is found as pending, then as ${ends}, once`, scenario, (on) => pendingLater(on, kind, ends))
  }
}

const pendingLater = Effect.fnUntraced(function* (on: Bench, kind: "capture" | "void" | "refund", ends: "Succeeded" | "Declined") {
  const { operation } = yield* prepare(on, kind)
  const answer = yield* on.send(operation)
  isTagged(answer, "Pending")
  const reference = referenceOf(answer)
  isTagged(yield* on.truth(operation), "Pending")
  isTagged(yield* on.send(operation), "Pending")
  const settled = yield* eventually(on.lookup(operation, reference), (result) => result._tag !== "Pending")
  isTagged(settled, ends)
  if (settled._tag === "Succeeded") assert.equal(succeeded(settled), reference)
  isTagged(yield* on.truth(operation), ends)
  // A refund may be in the books from its acceptance on.
  if (kind !== "refund") yield* on.moved(operation, kind)
})

/** What is left of an authorization that the PSP ended, and that the void which records it finds it over. */
export const holds = (add: Add): void => {
  add("an authorization holds until the PSP ends it; a void then finds it over", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge("authorize")
      const reference = succeeded(yield* on.send(one))
      assert.deepEqual(yield* on.hold(one, reference), { _tag: "Held" })
      yield* on.lapse?.(reference) ?? assert.fail("this PSP does not end authorizations")
      assert.deepEqual(yield* eventually(on.hold(one, reference), ({ _tag }) => _tag !== "Held"), { _tag: "Released" })
      assert.equal(succeeded(yield* on.truth(one)), reference, "that it succeeded is true for ever")
      const voiding = on.later("void", reference)
      succeeded(yield* on.send(voiding))
      yield* on.moved(voiding, undefined)
    })
  )

  add("an authorization that is captured is not ended", { on: "charge", what: "success" }, (on) =>
    Effect.gen(function* () {
      const { first, operation, target } = yield* prepare(on, "capture")
      succeeded(yield* on.send(operation))
      assert.deepEqual(yield* on.hold(first, target), { _tag: "Held" })
    })
  )
}

const refundFailsLater = Effect.fnUntraced(function* (on: Bench) {
  const { operation } = yield* prepare(on, "refund")
  const reference = succeeded(yield* on.send(operation))
  isTagged(yield* eventually(on.lookup(operation, reference), (result) => result._tag === "Declined"), "Declined")
  isTagged(yield* on.truth(operation), "Declined")
})

const afterAction = Effect.fnUntraced(function* (on: Bench, kind: "sale" | "authorize", does: Act, ends: "Succeeded" | "Declined") {
  const one = on.charge(kind)
  const answer = yield* on.send(one)
  if (answer._tag !== "RequiresAction") return assert.fail(`no action: ${answer._tag}`)
  isTagged(yield* on.lookup(one, answer.gatewayReference), "RequiresAction")
  isTagged(yield* on.truth(one), "RequiresAction")
  yield* on.moved(one, undefined)
  const confirm = on.later("confirm", answer.gatewayReference)
  if (does !== "confirm") yield* on.customer(answer.gatewayReference, does)
  isTagged(yield* on.lookup(one, answer.gatewayReference), does === "confirm" ? "RequiresAction" : ends)
  isTagged(yield* on.send(confirm), ends)
  isTagged(yield* on.truth(confirm), ends)
  isTagged(yield* on.lookup(confirm, answer.gatewayReference), ends)
  isTagged(yield* on.send(confirm), ends)
  isTagged(yield* on.lookup(one, answer.gatewayReference), ends)
  const charges = (yield* on.ledger).filter((entry) => entry.kind === (kind === "sale" ? "charge" : "authorize"))
  assert.equal(charges.length, ends === "Succeeded" ? 1 : 0)
})
