/**
 * What holds at every step of every random life of a payment. A failing seed is named in the message; `randomPayment({ seed,
 * commands, lies })` reproduces it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isCharge, isOpen } from "../../../src/domain/operation/Operation.ts"
import { decide } from "../../../src/domain/payment/Decide.ts"
import * as Event from "../../../src/domain/payment/Event.ts"
import { replay } from "../../../src/domain/payment/Replay.ts"
import { operationOf, type Payment } from "../../../src/domain/payment/State.ts"
import { amounts, amountsOf, charges, PaymentStatus, status } from "../../../src/domain/payment/Status.ts"
import * as View from "../../../src/domain/payment/View.ts"
import { begun, paymentId, sentence } from "../../support/paymentSpec.ts"
import { randomPayment, type RandomPayment, type RandomStep } from "../../support/randomPayments.ts"

const sequences = 1000
const commands = 40
const lives = (lies: boolean): ReadonlyArray<RandomPayment> =>
  Array.from({ length: sequences }, (_, index) => randomPayment({ seed: index + 1, commands, lies }))
const all = [...lives(false), ...lives(true)]
const honest = all.slice(0, sequences)

const story = (life: RandomPayment): string =>
  `seed ${life.seed}:\n${life.steps.flatMap((step) => [`  ${step.command._tag}`, ...step.events.map((event) => `    ${sentence(event)}`)]).join("\n")}`

const holds = (lives: ReadonlyArray<RandomPayment>, property: (step: RandomStep, life: RandomPayment) => boolean) => {
  for (const life of lives) {
    const broken = life.steps.findIndex((step) => step.after._tag === "Payment" && !property(step, life))
    if (broken >= 0) assert.fail(story({ ...life, steps: life.steps.slice(0, broken + 1) }))
  }
}

const intents = (step: RandomStep) => step.events.flatMap((event) => (event._tag === "OperationIntended" ? [event.intent] : []))

describe("random lives", () => {
  it("go far: every type of event and every status occurs", () => {
    const types = new Set(all.flatMap((life) => life.history.map((entry) => entry.event._tag)))
    assert.sameMembers([...types], [...Event.PaymentEvent.members.map((member) => member.fields._tag.schema.literal)])
    const shown = new Set(all.flatMap((life) => life.steps.map((step) => status(step.after))))
    const atRest = PaymentStatus.literals.filter((name) => name !== "screened" && name !== "initiated")
    for (const name of atRest) assert.isTrue(shown.has(name), name)
  })
  it("versions are continuous, and the fold of the history is the state", () => {
    for (const life of all) {
      assert.deepStrictEqual(
        life.history.map((entry) => entry.version),
        life.history.map((_, index) => index + 1)
      )
      assert.deepStrictEqual(Result.getOrThrow(replay(paymentId, life.history)), life.state)
    }
  })
  it("a refused command changes nothing", () => {
    holds(all, (step) => step.refused === undefined || step.after === step.before)
  })
  it("money: captured + open captures <= authorized, refunded + open refunds <= captured, nothing negative", () => {
    holds(all, (step) => {
      const total = amounts(begun(step.after))
      return (
        total.captured + total.reservedForCapture <= total.authorized &&
        total.refunded + total.reservedForRefund <= total.captured &&
        Object.values(total).every((amount: bigint) => amount >= 0n)
      )
    })
  })
  it("rule 1: no charge starts while another may still take effect; a confirm only continues what waits for the customer", () => {
    holds(all, (step) =>
      intents(step).every((intent) => {
        if (step.before._tag === "New") return true
        const open = step.before.operations.filter((operation) => isCharge(operation) && isOpen(operation))
        if (intent.kind === "sale" || intent.kind === "authorize") return open.length === 0
        return intent.kind !== "confirm" || open.every((operation) => operation.progress._tag === "AwaitingCustomer")
      })
    )
  })
  it("I1: with honest gateways there is at most one charge, at all gateways together", () => {
    for (const life of honest) if (life.chargesMade > 1) assert.fail(story(life))
  })
  it("I2: with honest gateways a charge of a failed, cancelled or expired payment is known: voided, late, or in review", () => {
    holds(honest, (step, life) => {
      const ended = begun(step.after).ended !== undefined
      return !ended || step !== life.steps.at(-1) || life.chargesMade === 0 || knowsOfCharge(begun(step.after))
    })
  })
  it("rule 6: what a decline left open is closed before failover and before the end", () => {
    holds(all, (step) => {
      const starts = intents(step).some((intent) => intent.purpose === "charge" && intent.number > 1)
      const ends = step.events.some(
        (event) => event._tag === "PaymentFailed" || event._tag === "PaymentCancelled" || event._tag === "PaymentExpired"
      )
      if ((!starts && !ends) || step.before._tag === "New") return true
      return begun(step.before).operations.every(
        (operation) =>
          operation.progress._tag !== "Declined" ||
          !operation.intent.protection.leavesOpenAfterDecline ||
          !isCharge(operation) ||
          begun(step.before).operations.some(
            (other) =>
              other.intent.kind === "void" && other.intent.target === operation.intent.number && other.progress._tag === "Succeeded"
          )
      )
    })
  })
  it("a payment ends at rest: with nothing open, and once", () => {
    holds(all, (step) => {
      const ends = step.events.some(
        (event) => event._tag === "PaymentFailed" || event._tag === "PaymentCancelled" || event._tag === "PaymentExpired"
      )
      if (!ends || step.before._tag === "New") return true
      return step.before.ended === undefined && !step.before.operations.some(isOpen)
    })
  })
  it("a payment that a hook blocked is failed, and nothing is ever started for it", () => {
    const blocked = all.filter((life) => life.history.some(({ event }) => event._tag === "PaymentBlocked"))
    assert.isAbove(blocked.length, 50)
    holds(blocked, (step) => intents(step).length === 0 && begun(step.after).operations.length === 0)
    for (const life of blocked) assert.strictEqual(status(life.state), "failed", story(life))
  })
  it("after the end nothing starts but closing, and what a late charge needs: reversing, refunding, capturing, cancelling it", () => {
    holds(all, (step) => {
      if (step.before._tag === "New" || step.before.ended === undefined) return true
      const { late } = step.before
      return intents(step).every(
        (intent) =>
          intent.purpose === "close" ||
          intent.purpose === "reverse" ||
          (["refund", "capture", "cancel"].includes(intent.purpose) && intent.target !== undefined && late.includes(intent.target))
      )
    })
  })
  it("rule 12: a sale that is late holds money until it is refunded, whatever cancel of it was told before", () => {
    holds(all, (step) => {
      if (step.before._tag === "New" || !step.events.some(({ _tag }) => _tag === "LateSuccess")) return true
      const { before } = step
      const payment = begun(step.after)
      return payment.late
        .filter((number) => !before.late.includes(number) && payment.details.captureMethod === "automatic")
        .every((number) => {
          const wasKnown = operationOf(before, number)?.facts.some(({ _tag }) => _tag === "Succeeded") === true
          const charge = operationOf(payment, number)
          return wasKnown || (charge !== undefined && amountsOf(payment, charge).captured > 0n)
        })
    })
  })
  it("a late authorization is captured only where no other charge stands", () => {
    holds(all, (step) => {
      if (step.before._tag === "New") return true
      const { before } = step
      const standing = charges(before).filter((charge) => amountsOf(before, charge).authorized > 0n)
      const good = standing.filter((charge) => !before.late.includes(charge.intent.number))
      return intents(step).every(
        ({ kind, target }) => kind !== "capture" || good.length === 0 || (target !== undefined && !before.late.includes(target))
      )
    })
  })
  it("a recorded cancel forbids failover", () => {
    holds(
      all,
      (step) => step.before._tag === "New" || !step.before.cancelRequested || intents(step).every((intent) => intent.purpose !== "charge")
    )
  })
  it("void and capture of one charge are never open together", () => {
    holds(all, (step) => {
      const open = begun(step.after).operations.filter(isOpen)
      const targets = (kind: string) =>
        open.filter((operation) => operation.intent.kind === kind).map((operation) => operation.intent.target)
      return !targets("void").some((target) => targets("capture").includes(target))
    })
  })
  it("facts are kept for ever", () => {
    holds(all, (step) =>
      step.before._tag === "New"
        ? true
        : step.before.operations.every((operation) => {
            const after = operationOf(begun(step.after), operation.intent.number)
            return (after?.facts.length ?? 0) >= operation.facts.length && after?.intent === operation.intent
          })
    )
  })
  it("repeating a command that records a truth adds nothing", () => {
    const truths = ["RecordSettlement", "ReportDispute", "ReportFailure", "OpenReview"]
    holds(all, (step) => {
      if (!truths.includes(step.command._tag) || step.refused !== undefined) return true
      return Result.getOrThrow(decide(step.command, step.after)).length === 0
    })
  })
  it("every event survives its way through JSON", () => {
    for (const life of all) {
      for (const { event } of life.history) {
        const text = JSON.stringify(Result.getOrThrow(Event.encode(event)))
        const read = Event.decode({ type: event._tag, schemaVersion: Event.schemaVersion, data: JSON.parse(text) })
        assert.deepStrictEqual(Result.getOrThrow(read), event)
      }
    }
  })
  it("every state has a status and a view that its schema encodes", () => {
    const encode = Schema.encodeUnknownResult(View.PaymentView)
    holds(all, (step) => Result.isSuccess(encode(View.ofPayment(begun(step.after)))) && PaymentStatus.literals.includes(status(step.after)))
  })
})

/** The charge was cancelled at the gateway, or is known as late, or in the hands of a person. */
const knowsOfCharge = (payment: Payment): boolean =>
  payment.late.length > 0 ||
  payment.reviews.length > 0 ||
  payment.operations.some(
    (operation) => operation.progress._tag === "Cancelled" || (operation.progress._tag === "Succeeded" && operation.progress.voided)
  )
