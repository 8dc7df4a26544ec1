/**
 * What every gateway adapter does, whatever PSP is behind it: one request is one outcome, a lost answer is `Unknown`, and the
 * look-up or a replay of the key leads to the truth without a second charge.
 *
 * The suite needs a PSP whose test tokens cause trouble, and its ledger: what was really done, by our reference. What a PSP
 * cannot be made to do has no token, and that test is skipped by name.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { DeclineCategory } from "../../src/domain/operation/Decline.ts"
import type { Intent, OperationKind } from "../../src/domain/operation/Operation.ts"
import type { Outcome, UnknownReason } from "../../src/domain/operation/Outcome.ts"
import type { GatewayReference, PaymentId } from "../../src/domain/payment/Ids.ts"
import type { Token } from "../../src/domain/payment/PaymentMethod.ts"
import { type Gateway, gaveUp, type LookupAnswer } from "../../src/services/Gateway.ts"
import { eur, intent, newPaymentId, operationNumber } from "../support/payments.ts"

/** Requests that go wrong on their way; `before`: never executed, `after`: executed. */
type Fault = "timeout_before" | "timeout_after" | "reset_before" | "reset_after" | "5xx_before" | "5xx_after"

/** What a token makes happen: to the charge itself, or to a later operation on it. */
export type Scenario =
  | { readonly on: "charge"; readonly what: "success" | "slow" | "garbage" | "conflict" | "late" | `declined_${DeclineCategory}` }
  | { readonly on: "charge"; readonly what: "pending_success" | "pending_failure" | "action_success" | "action_failure" }
  | { readonly on: "charge"; readonly what: "timeout_before_once" | "reset_before_once" }
  | { readonly on: "charge" | "confirm" | "capture" | "void" | "refund"; readonly what: Fault }
  | { readonly on: "capture" | "void"; readonly what: "declined" }
  | { readonly on: "refund"; readonly what: "pending" }

/** Something the PSP did with money: the kind in our words, our reference, minor units. */
export interface LedgerEntry {
  readonly kind: "charge" | "authorize" | "capture" | "void" | "refund"
  readonly reference: string
  readonly amount: bigint
}

/** A PSP of one test. `unreachable`: the same adapter where nobody listens. `customer`: what the customer does about an action. */
export interface GatewayUnderTest {
  readonly gateway: Gateway
  readonly unreachable: Gateway
  readonly ledger: Effect.Effect<ReadonlyArray<LedgerEntry>>
  readonly customer: (reference: GatewayReference, does: "complete" | "fail") => Effect.Effect<void>
}

/** A timer may fire a little early, and the gateway rounds its times to milliseconds. */
const timerMillis = 25

/** `patienceMillis`: how long an answer that is lost is waited for; shorter than the gateway holds the connection. */
interface GatewaySuite {
  readonly make: Effect.Effect<GatewayUnderTest, never, Scope.Scope>
  readonly tokenFor: (scenario: Scenario) => Token | undefined
  readonly patienceMillis: number
}

/** An answer that must come is waited for so long: a busy machine is not a fault of the gateway. */
const answerMillis = 10_000

const amount = eur(4990n)
type Later = "confirm" | "capture" | "void" | "refund"
type Result = Outcome | LookupAnswer

/** A gateway, a payment on it, and the operations that the tests send. */
const bench = (under: GatewayUnderTest, options: { readonly token: Token; readonly patienceMillis: number }) => {
  const { gateway } = under
  const payment: PaymentId = newPaymentId()
  const base = (number: number, kind: OperationKind): Intent => ({
    ...intent({ payment, number, kind, gateway: gateway.name, account: gateway.account, amount }),
    details: { customerPresent: true, token: options.token, methodType: "card" }
  })
  const charge = (kind: "sale" | "authorize" = "sale"): Intent => base(1, kind)
  /** An operation on the charge, by the PSP's id or, where that is unknown, by the charge's request key. */
  const later = (kind: Later, target: GatewayReference | undefined, overrides: Partial<Intent> = {}): Intent => ({
    ...base(2, kind),
    target: operationNumber(1),
    details: {
      customerPresent: true,
      targetRequestKey: charge().requestKey,
      ...(target === undefined ? {} : { targetReference: target }),
      ...(kind === "capture" ? { final: true } : {})
    },
    ...overrides
  })
  const within = (millis: number) => (one: Intent) =>
    gateway.send({ payment, intent: one }).pipe(
      Effect.timeoutOrElse({
        duration: Duration.millis(millis),
        orElse: () => Effect.succeed<Outcome>(gaveUp("timeout", "no answer"))
      })
    )
  const send = within(answerMillis)
  /** A send that is not answered: the caller leaves. */
  const sendInVain = within(options.patienceMillis)
  const lookup = (one: Intent, gatewayReference?: GatewayReference) => gateway.lookup({ payment, intent: one, gatewayReference })
  /** Asks by our reference when the lag is over. */
  const truth = (one: Intent) =>
    Effect.andThen(
      Effect.sleep(Duration.millis((gateway.capabilities.operations[one.kind].lookupByReference?.lagMillis ?? 0) + timerMillis)),
      lookup(one)
    )
  const movedBy = (one: Intent) => Effect.map(under.ledger, (entries) => entries.filter(({ reference }) => reference === one.requestKey))
  /** The money that moved under a request key: exactly this, once, or nothing at all. */
  const moved = (one: Intent, kind: LedgerEntry["kind"] | undefined, minor: bigint = one.amount.minor) =>
    Effect.map(movedBy(one), (entries) =>
      assert.deepStrictEqual(
        entries.map((entry) => ({ kind: entry.kind, amount: entry.amount })),
        kind === undefined ? [] : [{ kind, amount: minor }]
      )
    )
  return { ...under, payment, charge, later, send, sendInVain, lookup, truth, moved, movedBy }
}
type Bench = ReturnType<typeof bench>

const succeeded = (result: Result, minor: bigint = amount.minor): GatewayReference => {
  if (result._tag !== "Succeeded") return assert.fail(`not succeeded: ${JSON.stringify(result, jsonBigInt)}`)
  assert.deepStrictEqual(result.amount, eur(minor))
  return result.gatewayReference
}
const jsonBigInt = (_: string, value: unknown) => (typeof value === "bigint" ? String(value) : value)

const isUnknown = (result: Result, reason?: UnknownReason) => {
  if (result._tag !== "Unknown") return assert.fail(`not unknown: ${JSON.stringify(result, jsonBigInt)}`)
  if (reason !== undefined) assert.strictEqual(result.reason, reason)
}
const isDeclined = (result: Result, category?: DeclineCategory) => {
  if (result._tag !== "Declined") return assert.fail(`not declined: ${JSON.stringify(result, jsonBigInt)}`)
  if (category !== undefined) assert.strictEqual(result.category, category)
}
const isTagged = (result: Result, tag: Result["_tag"]) => assert.strictEqual(result._tag, tag)
const referenceOf = (result: Result): GatewayReference => {
  const reference = "gatewayReference" in result ? result.gatewayReference : undefined
  return reference ?? assert.fail(`no id of the gateway: ${JSON.stringify(result, jsonBigInt)}`)
}

const faults: ReadonlyArray<Fault> = ["timeout_before", "timeout_after", "reset_before", "reset_after", "5xx_before", "5xx_after"]
const reasonOf = (fault: Fault): UnknownReason =>
  fault.startsWith("timeout") ? "timeout" : fault.startsWith("reset") ? "connection_lost" : "server_error"
const sendInto = (on: Bench, fault: Fault) => (fault.startsWith("timeout") ? on.sendInVain : on.send)
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
/** Refusals that say nothing about the request key are not found afterwards. */
const isRecorded = (category: DeclineCategory) => category !== "rate_limited" && category !== "configuration"

/** Brings a payment to where the operation can be sent, and says what the ledger calls it. */
const prepare = Effect.fnUntraced(function* (on: Bench, kind: Later, partial?: bigint) {
  const first = on.charge(kind === "capture" || kind === "void" ? "authorize" : "sale")
  const answer = yield* on.send(first)
  const target = kind === "confirm" ? referenceOf(answer) : succeeded(answer)
  const operation = on.later(kind, target, partial === undefined ? {} : { amount: eur(partial) })
  const entry: LedgerEntry["kind"] = kind === "confirm" ? "charge" : kind
  return { first, operation, entry, target }
})

export const suite = (name: string, options: GatewaySuite): void => {
  const { make, patienceMillis, tokenFor } = options

  const test = <E>(title: string, scenario: Scenario, body: (on: Bench) => Effect.Effect<unknown, E>) => {
    const token = tokenFor(scenario)
    if (token === undefined) {
      it.skip(`${title} (this gateway has no token for it)`, () => undefined)
      return
    }
    it.live(title, () => Effect.scoped(Effect.flatMap(make, (under) => body(bench(under, { token, patienceMillis })))).pipe(Effect.asVoid))
  }
  const success: Scenario = { on: "charge", what: "success" }

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
      assert.strictEqual(succeeded(yield* on.send(operation), operation.amount.minor), referenceOf(found))
    } else isUnknown(yield* on.sendInVain(operation))
    yield* on.moved(operation, expected.entry)
  })

  describe(`Gateway: ${name}`, { concurrent: true }, () => {
    describe("what is answered at once", () => {
      for (const kind of ["sale", "authorize"] as const) {
        test(`${kind}: succeeds, is found by id and by reference, and is replayed`, success, (on) =>
          Effect.gen(function* () {
            const one = on.charge(kind)
            const reference = succeeded(yield* on.send(one))
            assert.strictEqual(succeeded(yield* on.lookup(one, reference)), reference)
            assert.strictEqual(succeeded(yield* on.truth(one)), reference)
            assert.strictEqual(succeeded(yield* on.send(one)), reference)
            yield* on.moved(one, kind === "sale" ? "charge" : "authorize")
          })
        )
      }

      for (const kind of ["capture", "void", "refund"] as const) {
        test(`${kind}: succeeds, is found by id and by reference, and is replayed`, success, (on) =>
          Effect.gen(function* () {
            const { operation } = yield* prepare(on, kind, kind === "void" ? undefined : 1990n)
            const minor = operation.amount.minor
            const reference = succeeded(yield* on.send(operation), minor)
            assert.strictEqual(succeeded(yield* on.truth(operation), minor), reference)
            assert.strictEqual(succeeded(yield* on.lookup(operation, reference), minor), reference)
            assert.strictEqual(succeeded(yield* on.send(operation), minor), reference)
            yield* on.moved(operation, kind)
          })
        )
      }

      for (const category of declines) {
        test(`a decline of category ${category}: certainly nothing was charged`, { on: "charge", what: `declined_${category}` }, (on) =>
          Effect.gen(function* () {
            const one = on.charge()
            const answer = yield* on.send(one)
            isDeclined(answer, category)
            yield* on.moved(one, undefined)
            const found = yield* on.truth(one)
            if (isRecorded(category)) isDeclined(found, category)
            else isTagged(found, "Absent")
            isDeclined(yield* on.send(one), category)
            yield* on.moved(one, undefined)
          })
        )
      }

      for (const kind of ["capture", "void"] as const) {
        test(`a declined ${kind} moves nothing and is found as declined`, { on: kind, what: "declined" }, (on) =>
          Effect.gen(function* () {
            const { operation } = yield* prepare(on, kind)
            isDeclined(yield* on.send(operation))
            isDeclined(yield* on.truth(operation))
            isDeclined(yield* on.send(operation))
            yield* on.moved(operation, undefined)
          })
        )
      }

      test("nobody listens: not sent, and a look-up does not know", success, (on) =>
        Effect.gen(function* () {
          const one = on.charge()
          const answer = yield* on.unreachable.send({ payment: on.payment, intent: one })
          assert.deepInclude(answer, { _tag: "NotSent", reason: "connection_refused" })
          isUnknown(yield* on.unreachable.lookup({ payment: on.payment, intent: one, gatewayReference: undefined }))
          isTagged(yield* on.truth(one), "Absent")
          yield* on.moved(one, undefined)
        })
      )
    })

    describe("what is answered later", () => {
      for (const [what, ends] of [
        ["pending_success", "Succeeded"],
        ["pending_failure", "Declined"]
      ] as const) {
        test(`${what}: pending by id and by reference, then ${ends}`, { on: "charge", what }, (on) =>
          Effect.gen(function* () {
            const one = on.charge()
            const answer = yield* on.send(one)
            isTagged(answer, "Pending")
            isTagged(yield* on.lookup(one, referenceOf(answer)), "Pending")
            yield* on.moved(one, undefined)
            const settled = yield* eventually(on.lookup(one, referenceOf(answer)), (result) => result._tag !== "Pending")
            isTagged(settled, ends)
            isTagged(yield* on.truth(one), ends)
            yield* on.moved(one, ends === "Succeeded" ? "charge" : undefined)
          })
        )
      }

      for (const [what, does] of [
        ["action_success", "confirm"],
        ["action_failure", "confirm"],
        ["action_success", "complete"],
        ["action_success", "fail"]
      ] as const) {
        const ends = what === "action_success" && does !== "fail" ? "Succeeded" : "Declined"
        test(`${what}, then ${does}: ends as ${ends}, once`, { on: "charge", what }, (on) =>
          Effect.gen(function* () {
            const one = on.charge()
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
            const charges = (yield* on.ledger).filter((entry) => entry.kind === "charge")
            assert.lengthOf(charges, ends === "Succeeded" ? 1 : 0)
          })
        )
      }

      test("a refund that is pending is found as pending, then as succeeded", { on: "refund", what: "pending" }, (on) =>
        Effect.gen(function* () {
          const { operation } = yield* prepare(on, "refund")
          const answer = yield* on.send(operation)
          isTagged(answer, "Pending")
          const settled = yield* eventually(on.lookup(operation, referenceOf(answer)), (result) => result._tag !== "Pending")
          assert.strictEqual(succeeded(settled), referenceOf(answer))
          succeeded(yield* on.truth(operation))
        })
      )
    })

    describe("lost answers", () => {
      for (const fault of faults) {
        for (const kind of ["sale", "authorize"] as const) {
          test(`${kind}: ${fault}`, { on: "charge", what: fault }, (on) =>
            Effect.gen(function* () {
              const one = on.charge(kind)
              isUnknown(yield* sendInto(on, fault)(one), reasonOf(fault))
              const entry = kind === "sale" ? "charge" : "authorize"
              const executed = fault.endsWith("after")
              const replay = executed && fault !== "5xx_after" ? "result" : "lost"
              yield* leadsToTruth(on, one, { entry: executed ? entry : undefined, replay })
            })
          )
        }
        for (const kind of ["confirm", "capture", "void", "refund"] as const) {
          test(`${kind}: ${fault}`, { on: kind, what: fault }, (on) =>
            Effect.gen(function* () {
              const { entry, first, operation } = yield* prepare(on, kind)
              isUnknown(yield* sendInto(on, fault)(operation), reasonOf(fault))
              const executed = fault.endsWith("after")
              const replay = executed && fault !== "5xx_after" ? "result" : "lost"
              yield* leadsToTruth(on, operation, { entry: executed ? entry : undefined, replay })
              assert.isAtMost((yield* on.movedBy(first)).length, 1)
            })
          )
        }
      }

      for (const what of ["timeout_before_once", "reset_before_once"] as const) {
        test(`${what}: absent, and the replay of the key charges, once`, { on: "charge", what }, (on) =>
          Effect.gen(function* () {
            const one = on.charge()
            isUnknown(yield* on.sendInVain(one))
            isTagged(yield* on.truth(one), "Absent")
            const reference = succeeded(yield* on.send(one))
            assert.strictEqual(succeeded(yield* on.truth(one)), reference)
            assert.strictEqual(succeeded(yield* on.send(one)), reference)
            yield* on.moved(one, "charge")
          })
        )
      }

      test("an unreadable answer: unknown, and the look-up tells", { on: "charge", what: "garbage" }, (on) =>
        Effect.gen(function* () {
          const one = on.charge()
          isUnknown(yield* on.send(one), "unreadable")
          yield* leadsToTruth(on, one, { entry: "charge", replay: "result" })
        })
      )

      test("a late arrival: absent first, found within the settle time, charged once", { on: "charge", what: "late" }, (on) =>
        Effect.gen(function* () {
          const one = on.charge()
          isUnknown(yield* on.sendInVain(one), "timeout")
          isTagged(yield* on.lookup(one), "Absent")
          const { settleTimeMillis } = on.gateway.capabilities.operations.sale
          const found = yield* eventually(on.lookup(one), (result) => result._tag !== "Absent", settleTimeMillis)
          assert.strictEqual(succeeded(yield* on.send(one)), succeeded(found))
          yield* on.moved(one, "charge")
        })
      )
    })

    describe("keys", () => {
      test("a key in use: unknown by conflict, nothing is charged by it", { on: "charge", what: "conflict" }, (on) =>
        Effect.gen(function* () {
          const one = on.charge()
          isUnknown(yield* on.send(one), "conflict")
          isTagged(yield* on.truth(one), "Absent")
          yield* on.moved(one, undefined)
        })
      )

      test("the same key at the same time charges once", { on: "charge", what: "slow" }, (on) =>
        Effect.gen(function* () {
          const one = on.charge()
          const unhurried = on.gateway.send({ payment: on.payment, intent: one })
          const first = yield* Effect.forkChild(unhurried)
          yield* Effect.sleep(Duration.millis(patienceMillis / 5))
          const second = yield* unhurried
          if (second._tag !== "Succeeded") isUnknown(second, "conflict")
          succeeded(yield* Fiber.join(first))
          yield* on.moved(one, "charge")
        })
      )

      test("the same key with other content is a conflict, never a second charge", success, (on) =>
        Effect.gen(function* () {
          const one = on.charge()
          succeeded(yield* on.send(one))
          isUnknown(yield* on.send({ ...one, amount: eur(100n) }), "conflict")
          yield* on.moved(one, "charge")
        })
      )

      test("a charge is cancelled by our reference, and the answer names it", success, (on) =>
        Effect.gen(function* () {
          const one = on.charge("authorize")
          const reference = succeeded(yield* on.send(one))
          const cancel = on.later("void", undefined)
          const answer = yield* on.send(cancel)
          assert.deepInclude(answer, { _tag: "Succeeded", gatewayReference: reference, named: true })
          yield* on.moved(cancel, "void")
          succeeded(yield* on.lookup(one, reference))
        })
      )

      test("cancelling what never arrived is no named success", success, (on) =>
        Effect.gen(function* () {
          const cancel = on.later("void", undefined)
          const answer = yield* on.send(cancel)
          if (answer._tag === "Succeeded") assert.isFalse(answer.named)
          else isUnknown(answer)
          isTagged(yield* on.truth(cancel), "Absent")
          yield* on.moved(cancel, undefined)
        })
      )

      test("what was charged cannot be cancelled: unknown by conflict, and nothing moves", success, (on) =>
        Effect.gen(function* () {
          const target = succeeded(yield* on.send(on.charge()))
          const cancel = on.later("void", target)
          isUnknown(yield* on.send(cancel), "conflict")
          yield* on.moved(cancel, undefined)
        })
      )
    })
  })
}

/** Polls until `check` holds, at most the limit. */
const eventually = <A, E>(effect: Effect.Effect<A, E>, check: (value: A) => boolean, limitMillis = 5_000) =>
  Effect.gen(function* () {
    for (let waited = 0; waited <= limitMillis; waited += 20) {
      const value = yield* effect
      if (check(value)) return value
      yield* Effect.sleep(Duration.millis(20))
    }
    return assert.fail(`not within ${limitMillis} ms`)
  })
