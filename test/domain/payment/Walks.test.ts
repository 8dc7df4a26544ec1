/**
 * Random walks of one payment over gateways that are modelled as what they are: objects that are open to the customer, charged or over, and
 * requests that arrive late. Whatever the payment is told, and in whatever order, it goes on or ends only where nothing is charged or can be.
 */
import { assert, it } from "@effect/vitest"
import * as Result from "effect/Result"
import type { DeclineCategory } from "../../../src/domain/operation/Decline.ts"
import { isOpen, type Operation } from "../../../src/domain/operation/Operation.ts"
import type { NotSent, Outcome } from "../../../src/domain/operation/Outcome.ts"
import { type Absent, settle } from "../../../src/domain/operation/Settle.ts"
import type { Command } from "../../../src/domain/payment/Command.ts"
import { decide } from "../../../src/domain/payment/Decide.ts"
import type { PaymentEvent, Source } from "../../../src/domain/payment/Event.ts"
import { nextStep, type NextStepPolicy } from "../../../src/domain/payment/NextStep.ts"
import { answering } from "../../../src/domain/payment/Record.ts"
import { initial, type Payment, type PaymentState } from "../../../src/domain/payment/State.ts"
import { operationNumber } from "../../support/payments.ts"
import {
  absent,
  begun,
  declined as declinedAs,
  fold,
  initiate,
  notSent,
  operation,
  paymentId,
  pending,
  requiresAction,
  sendWindowMillis,
  sentence,
  settleTimeMillis,
  succeeded,
  t0,
  terms,
  unknown
} from "../../support/paymentSpec.ts"

/** What a gateway has of a charge: nothing (yet), an object that the customer can pay, money, or an object that is over. */
type Having = "nothing" | "open" | "charged" | "over"

const chanceOf = (seed: number) => {
  let state = (seed * 2_654_435_761) >>> 0
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32
  }
}

const walk = (seed: number) => {
  const chance = chanceOf(seed)
  const pick = <A>(first: A, ...others: ReadonlyArray<A>): A => [first, ...others][Math.floor(chance() * (others.length + 1))] ?? first
  const leavesOpenAfterDecline = pick(true, false)
  const policy: NextStepPolicy = { maxCharges: 4, failoverOnSoftDecline: true, lateSuccess: pick("reverse", "keep") }
  const objects = new Map<number, Having>()
  const declinedOnce = new Set<number>()
  const undone = new Set<number>()
  const sent = new Set<number>()
  const arriving: Array<{ readonly at: number; readonly object: number; readonly as: Having }> = []
  const log: Array<string> = [`leaves open: ${leavesOpenAfterDecline}, late: ${policy.lateSuccess}`]
  const gatewaysLeft = ["b", "c", "d"]
  let state: PaymentState = initial(paymentId)
  let now = t0

  const payment = (): Payment => begun(state)
  const termsAt = (gateway: string) => terms({ leavesOpenAfterDecline, gateway })
  /** The charge that made the object which an operation is about. */
  const objectOf = (number: number): number => {
    const { kind, target } = operation(state, number).intent
    return kind === "sale" || kind === "authorize" || target === undefined ? number : objectOf(target)
  }
  const having = (object: number): Having => objects.get(object) ?? "nothing"
  const becomes = (object: number, as: Having) => {
    objects.set(object, as)
    log.push(`  object ${object} is ${as}`)
  }
  const alive = () => [...objects].filter(([, as]) => as === "open" || as === "charged").map(([object]) => object)
  const mustBe = (holds: boolean, what: string) => assert.isTrue(holds, `seed ${seed}: ${what}\n${log.join("\n")}`)
  const succeededAs = (object: number) => succeeded({ id: `object ${object}`, chargedAt: now })
  const declined = (category: DeclineCategory, object?: number): Extract<Outcome, { _tag: "Declined" }> => ({
    ...declinedAs(category),
    ...(object === undefined ? {} : { gatewayReference: succeededAs(object).gatewayReference })
  })
  const asksCustomer = (object: number) => ({ ...requiresAction, gatewayReference: succeededAs(object).gatewayReference })
  const isDeclined = (object: number) => {
    declinedOnce.add(object)
    becomes(object, leavesOpenAfterDecline ? "open" : "over")
    return declined(pick("soft", "authentication_required"), object)
  }

  const run = (command: Command): boolean => {
    const events: ReadonlyArray<PaymentEvent> = Result.getOrElse(decide(command, state), () => [])
    if (events.length > 0) log.push(`${(now - t0) / 1000} s ${command._tag}: ${events.map(sentence).join(", ")}`)
    state = fold(state, events, now)
    return events.length > 0
  }

  /** Carries out what follows, as the engine does; the invariant is checked where the payment goes on or ends. */
  const goOn = () => {
    for (let steps = 0; steps < 6; steps++) {
      const step = nextStep(payment(), { policy, now })
      if (step._tag === "Rest") return
      if (step._tag === "FailOver" || step._tag === "StepUp" || step._tag === "End")
        mustBe(alive().length === 0, `${step._tag} although ${alive().join(", ")} may be charged`)
      if (!carriedOut(step)) return
    }
  }
  const carriedOut = (step: Exclude<ReturnType<typeof nextStep>, { _tag: "Rest" }>): boolean => {
    switch (step._tag) {
      case "FailOver":
      case "StepUp": {
        const gateway = step._tag === "StepUp" ? step.gateway : gatewaysLeft.shift()
        const stepUp = step._tag === "StepUp"
        return (
          (gateway !== undefined && run({ _tag: "FailOver", after: step.after, terms: termsAt(gateway), now, stepUp })) ||
          run({ _tag: "EndPayment", after: step.after, as: "failed" })
        )
      }
      case "End":
        return run({ _tag: "EndPayment", after: step.after, as: step.as })
      case "Close":
        return run({ _tag: "CloseDeclined", operation: step.operation, terms: termsAt(step.gateway) })
      case "Cancel":
        return run({ _tag: "CancelPayment", purpose: "cancel", terms: termsAt(step.gateway) })
      case "Reverse":
        return run({ _tag: "ReverseLate", operation: step.operation, terms: termsAt(step.gateway) })
      case "Review":
        return run({ _tag: "OpenReview", operation: step.operation, reason: "unresolvable", evidence: step.evidence })
    }
  }

  const record = (number: number, settlement: ReturnType<typeof settle>, source: Source) => {
    run({ _tag: "RecordSettlement", operation: operationNumber(number), settlement, source, observedAt: now })
    goOn()
  }
  const told = (number: number, answer: Exclude<Outcome, NotSent> | Absent, source: Source) => {
    const about = answering(payment(), operationNumber(number)) ?? operation(state, number)
    record(about.intent.number, settle(about, { _tag: "Asked", askedAt: now, answer }), source)
  }
  const answered = (number: number, outcome: Outcome, source: Source = "response") => {
    const about = operation(state, number)
    const permission = about.permissions.length - 1
    record(number, settle(about, { _tag: "Sent", permission, attempts: [{ outcome, writtenAt: now }] }), source)
  }

  const door = () => declined(pick("rate_limited", "configuration", "gateway_error"))
  const charges = (object: number): Outcome => {
    const as = pick<"charged" | "lost" | "late" | "pending" | "action" | "declined" | "door" | "unsent">(
      ...(["charged", "lost", "late", "late", "pending", "action", "action", "action", "declined", "door", "unsent"] as const)
    )
    if (as === "late") arriving.push({ at: now + pick(1000, 20_000, settleTimeMillis - 1), object, as: pick("charged", "open") })
    if (as === "charged" || as === "lost") becomes(object, as === "lost" ? pick("charged", "open") : "charged")
    if (as === "action" || as === "pending") becomes(object, "open")
    if (as === "charged") return succeededAs(object)
    if (as === "action") return asksCustomer(object)
    if (as === "pending") return { ...pending, gatewayReference: succeededAs(object).gatewayReference }
    if (as === "declined") return isDeclined(object)
    return as === "door" ? door() : as === "unsent" ? notSent : unknown
  }
  const confirms = (object: number): Outcome => {
    const as = pick("charged", "lost", "unknown", "declined", "action", "door", "unsent")
    if (as === "door") return door()
    if (as === "unsent") return notSent
    if (having(object) !== "open" || as === "unknown") return unknown
    if (as === "declined") return isDeclined(object)
    if (as === "action") return asksCustomer(object)
    becomes(object, "charged")
    return as === "lost" ? unknown : succeededAs(object)
  }
  /** A void, or the refund of a late charge. */
  const undoes = ({ intent: { kind, number } }: Operation, object: number): Outcome => {
    const as = pick("done", "done", "lost", "unknown", "refused", "unsent")
    if (as === "refused") return declined("rate_limited")
    if (as === "unsent") return notSent
    const isHold = operation(state, object).intent.kind === "authorize"
    const isPossible =
      having(object) === "open" || having(object) === "over" || (having(object) === "charged" && (kind === "refund" || isHold))
    if (as === "unknown" || !isPossible) return unknown
    becomes(object, "over")
    undone.add(number)
    return as === "lost" ? unknown : succeededAs(object)
  }

  const send = (target: Operation) => {
    const { kind, number } = target.intent
    const object = objectOf(number)
    sent.add(number)
    if (now >= target.intendedAt + sendWindowMillis) return answered(number, { ...notSent, reason: "permission_lapsed" })
    if (kind === "sale" || kind === "authorize") return answered(number, charges(object))
    return answered(number, kind === "confirm" ? confirms(object) : undoes(target, object))
  }
  const resend = ({ intent: { kind, number } }: Operation) => {
    if (kind !== "sale" && kind !== "authorize") return
    if (!run({ _tag: "PermitResend", operation: number, now, sendWindowMillis, reason: "no answer" })) return
    const outcome = having(number) === "nothing" ? charges(number) : unknown
    answered(number, outcome, "recovery")
  }
  const lookUp = ({ intent: { kind, number } }: Operation) => {
    const object = objectOf(number)
    const isUndoing = kind === "void" || kind === "refund"
    if (!isUndoing) return told(number, sayOf(object), "recovery")
    if (kind === "void" && having(object) === "charged") told(object, succeededAs(object), "recovery")
    if (isOpen(operation(state, number))) told(number, undone.has(number) ? succeededAs(object) : absent, "recovery")
  }
  const sayOf = (object: number): Exclude<Outcome, NotSent> | Absent => {
    const wasDeclined = declinedOnce.has(object)
    switch (having(object)) {
      case "nothing":
        return absent
      case "charged":
        return succeededAs(object)
      case "open":
        return wasDeclined ? declined("soft", object) : asksCustomer(object)
      case "over":
        return wasDeclined ? declined("soft", object) : absent
    }
  }

  const passes = (millis: number) => {
    const until = now + millis
    for (const arrival of arriving.splice(0).sort((left, right) => left.at - right.at)) {
      if (arrival.at > until) arriving.push(arrival)
      else if (having(arrival.object) === "nothing") becomes(arrival.object, arrival.as)
    }
    now = until
  }
  const openOnes = (isWanted: (open: Operation) => boolean): Operation | undefined =>
    pick(undefined, ...payment().operations.filter((one) => isOpen(one) && isWanted(one)))
  const gateway = () => termsAt(payment().operations.findLast(({ intent }) => intent.purpose === "charge")?.intent.gateway ?? "a")

  const happens = () => {
    const isSent = ({ intent }: Operation) => sent.has(intent.number)
    const what = pick("send", "send", "send", "resend", "resend", "look-up", "look-up", "webhook", "customer", "page", "confirm", "host")
    const one = openOnes((open) => isSent(open) !== (what === "send"))
    if (one !== undefined && what === "send") send(one)
    if (one !== undefined && what === "resend") resend(one)
    if (one !== undefined && what === "look-up") lookUp(one)
    if (what === "confirm") run({ _tag: "ConfirmPayment", terms: gateway(), now })
    if (what === "host") run({ _tag: "CancelPayment", purpose: pick("cancel", "expire"), terms: gateway() })
    for (const [object, as] of objects) {
      if (what === "webhook" && as === "charged") told(object, succeededAs(object), "webhook")
      if (what === "customer" && as === "open") becomes(object, "charged")
      if (what === "page" && as === "open") isDeclined(object)
    }
  }

  run(initiate({ captureMethod: pick("automatic", "automatic", "manual") }, { leavesOpenAfterDecline }))
  for (let moments = 0; moments < 25; moments++) {
    passes(pick(500, 500, 2000, 5000, 30_000, 100_000))
    happens()
    mustBe([...objects.values()].filter((as) => as === "charged").length <= 1, "charged twice")
    const { ended, operations, reviews } = payment()
    const isSettled = operations.some(({ progress }) => progress._tag === "Succeeded")
    mustBe(operations.some(isOpen) || ended !== undefined || reviews.length > 0 || isSettled, "at rest, and nobody is told")
  }
}

it("goes on and ends only where nothing is charged or can be, and never rests without an end (rules 1, 6, 12, 13)", () => {
  for (let seed = 1; seed <= 3000; seed++) walk(seed)
})
