/** The contract where an answer is lost: unknown, never a failure, and there is a way to the truth that charges nothing twice. */
import * as Effect from "effect/Effect"
import assert from "node:assert/strict"
import type { Intent } from "../../domain/operation/Operation.ts"
import type { UnknownReason } from "../../domain/operation/Outcome.ts"
import {
  type Add,
  type Bench,
  type ContractOptions,
  eventually,
  type Fault,
  isTagged,
  isUnknown,
  type LedgerEntry,
  prepare,
  referenceOf,
  succeeded
} from "./Bench.ts"

const faults: ReadonlyArray<Fault> = ["timeout_before", "timeout_after", "reset_before", "reset_after", "5xx_before", "5xx_after"]
const reasonOf = (fault: Fault): UnknownReason =>
  fault.startsWith("timeout") ? "timeout" : fault.startsWith("reset") ? "connection_lost" : "server_error"
const sendInto = (on: Bench, fault: Fault) => (fault.startsWith("timeout") ? on.sendInVain : on.send)
const isExecuted = (fault: Fault) => fault.endsWith("after")
/** What the replay of a key answers: the result where it was stored; a stored 5xx is answered for ever. */
const replayOf = (fault: Fault) => (isExecuted(fault) && fault !== "5xx_after" ? "result" : "lost")

/** The common end of every lost answer: look-up and replay agree with the ledger, which holds at most one entry. */
const leadsToTruth = Effect.fnUntraced(function* (
  on: Bench,
  operation: Intent,
  expected: { readonly entry: LedgerEntry["kind"] | undefined; readonly replay: "result" | "lost" }
) {
  const found = yield* on.truth(operation)
  if (expected.entry === undefined) isTagged(found, "Absent")
  else succeeded(found, operation.amount.minor)
  if (expected.replay === "result") {
    assert.equal(succeeded(yield* on.send(operation), operation.amount.minor), referenceOf(found))
  } else isUnknown(yield* on.sendInVain(operation))
  yield* on.moved(operation, expected.entry)
})

export const lostAnswers = (add: Add, { chargedBy = "confirm" }: ContractOptions): void => {
  for (const fault of faults) {
    for (const kind of ["sale", "authorize"] as const) {
      add(`${kind}: ${fault}`, { on: "charge", what: fault }, (on) =>
        Effect.gen(function* () {
          const one = on.charge(kind)
          isUnknown(yield* sendInto(on, fault)(one), reasonOf(fault))
          const entry = kind === "sale" ? "charge" : "authorize"
          yield* leadsToTruth(on, one, { entry: isExecuted(fault) ? entry : undefined, replay: replayOf(fault) })
        })
      )
    }
    const later = chargedBy === "confirm" ? (["confirm", "capture", "void", "refund"] as const) : (["capture", "void", "refund"] as const)
    for (const kind of later) {
      add(`${kind}: ${fault}`, { on: kind, what: fault }, (on) =>
        Effect.gen(function* () {
          const { entry, first, operation } = yield* prepare(on, kind)
          isUnknown(yield* sendInto(on, fault)(operation), reasonOf(fault))
          yield* leadsToTruth(on, operation, { entry: isExecuted(fault) ? entry : undefined, replay: replayOf(fault) })
          assert.ok((yield* on.movedBy(first)).length <= 1)
        })
      )
    }
    if (chargedBy === "customer") {
      add(`confirm: ${fault}`, { on: "confirm", what: fault }, (on) => confirmIsLost(on, fault))
    }
  }

  for (const what of ["timeout_before_once", "reset_before_once"] as const) {
    add(`${what}: absent, and the replay of the key charges, once`, { on: "charge", what }, (on) =>
      Effect.gen(function* () {
        const one = on.charge()
        isUnknown(yield* on.sendInVain(one))
        isTagged(yield* on.truth(one), "Absent")
        const reference = succeeded(yield* on.send(one))
        assert.equal(succeeded(yield* on.truth(one)), reference)
        assert.equal(succeeded(yield* on.send(one)), reference)
        yield* on.moved(one, "charge")
      })
    )
  }

  add("an unreadable answer: unknown, and the look-up tells", { on: "charge", what: "garbage" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge()
      isUnknown(yield* on.send(one), "unreadable")
      yield* leadsToTruth(on, one, { entry: "charge", replay: "result" })
    })
  )

  add("a late arrival: absent first, found within the settle time, charged once", { on: "charge", what: "late" }, (on) =>
    Effect.gen(function* () {
      const one = on.charge()
      isUnknown(yield* on.sendInVain(one), "timeout")
      isTagged(yield* on.lookup(one), "Absent")
      const { settleTimeMillis } = on.gateway.capabilities.operations.sale
      const found = yield* eventually(on.lookup(one), (result) => result._tag !== "Absent", settleTimeMillis)
      assert.equal(succeeded(yield* on.send(one)), succeeded(found))
      yield* on.moved(one, "charge")
    })
  )
}

/** Where the customer's action charges, a lost confirm loses nothing: the PSP's object tells. */
const confirmIsLost = Effect.fnUntraced(function* (on: Bench, fault: Fault) {
  const { first, operation, target } = yield* prepare(on, "confirm")
  isUnknown(yield* sendInto(on, fault)(operation), reasonOf(fault))
  isTagged(yield* on.truth(operation), "RequiresAction")
  yield* on.moved(first, undefined)
  yield* on.customer(target, "complete")
  assert.equal(succeeded(yield* on.truth(operation)), target)
  assert.equal(succeeded(yield* on.lookup(first, target)), target)
  assert.equal((yield* on.ledger).filter((entry) => entry.kind === "charge").length, 1)
})
