/**
 * Resolving by a person what no gateway could tell: the person's word goes into the one reducer (rule 17), closes the reviews of the
 * operation with the reason, and the payment goes on from there.
 *
 * "succeeded" is a fact, taken at any time, and needs the gateway's id of the object, unless an answer gave it already. "failed" is a
 * decision: it holds only once nothing that was permitted can arrive any more (rules 10 and 13), and never against the gateway. So the
 * gateway is asked first, and what it says is recorded; where it does not answer, the person has to say that the word stands without it.
 * A word may be wrong: nothing is charged elsewhere after it, and an object that the gateway has named is closed before the payment ends.
 *
 * **Gotchas**: a declined object that could not be closed is resolved as failed when it has been closed at the gateway by hand, and a late
 * charge that could not be reversed when it has been given back by hand, or holds nothing there: the word is then recorded as the success
 * of its last cancel or reversal.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isOpen, type Operation, settledAfter, tookEffect } from "../../domain/operation/Operation.ts"
import type { Command } from "../../domain/payment/Command.ts"
import { isLeftOpen } from "../../domain/payment/decisions/Cancelling.ts"
import { decide } from "../../domain/payment/Decide.ts"
import { type GatewayReference, OperationNumber, PaymentId, type TenantId } from "../../domain/payment/Ids.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import { answering } from "../../domain/payment/Record.ts"
import * as View from "../../domain/payment/View.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Gateways } from "../../services/Gateway.ts"
import * as Journal from "../operation/Journal.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import { ask, canBeAsked, handIn, objectOf } from "./Truths.ts"

/** A person's word on a payment. */
export interface Resolution {
  readonly id: PaymentId
  readonly tenant?: TenantId
  /** Needed where several operations wait for a person. */
  readonly operation?: OperationNumber
  readonly as: "succeeded" | "failed"
  /** Why; at most 1,000 characters are kept. */
  readonly reason: string
  /** The gateway's id of the object; needed for `succeeded` where no answer gave it. */
  readonly gatewayReference?: GatewayReference
  /** `failed` is taken although the gateway cannot be asked, or does not answer; never against its answer. Default false. */
  readonly withoutAnswer?: boolean
}

/**
 * Why a person's word was not taken. Nothing was changed, but with `gateway_disagrees`: what the gateway answered is recorded.
 * `unanswered`: say it with `withoutAnswer` where the gateway's own records show that nothing happened.
 */
export class NotResolvable extends Schema.TaggedError<NotResolvable>()("NotResolvable", {
  id: PaymentId,
  operation: Schema.optionalKey(OperationNumber),
  why: Schema.Literals([
    "nothing_to_resolve",
    "operation_needed",
    "reference_needed",
    "too_early",
    "fact_stands",
    "gateway_disagrees",
    "unanswered"
  ]),
  detail: Schema.String
}) {
  override get message(): string {
    const operation = this.operation === undefined ? "" : ` operation ${this.operation}`
    return `payment ${this.id}${operation} cannot be resolved so: ${this.detail}`
  }
}

/** Takes a person's word and goes on from it. Dies with `CallInsideTransaction` inside a host's transaction. */
export const resolve = Effect.fn("Review.resolve")(function* (resolution: Resolution) {
  yield* outsideTransaction("Review.resolve")
  const store = yield* EventStore
  const payment = yield* Journal.load({
    id: resolution.id,
    ...(resolution.tenant === undefined ? {} : { tenant: resolution.tenant })
  })
  const saidAt = yield* store.now
  const said = yield* Effect.fromResult(wordOf(payment, resolution, saidAt))
  const command = said.about === undefined ? said.command : yield* confirmed(payment, said.command, said.about, resolution)
  if (Result.getOrElse(decide(command, payment), () => []).length === 0) return yield* notTaken(payment, command, saidAt)
  const after = yield* handIn({ payment, truth: { command, observedAt: saidAt }, source: "person" })
  if (after.version === payment.version || !isTaken(after, command)) return yield* notTaken(after, command, saidAt)
  return View.ofPayment(after)
})

/** It is part of what is known. The reviews may have been opened anew: by what follows from it, or because another success stands against it. */
const isTaken = (payment: Payment, { operation: number, word }: Word): boolean => {
  const told = word._tag === "Succeeded" ? answering(payment, number) : operationOf(payment, number)
  return word._tag === "Succeeded"
    ? told?.facts.some((fact) => fact._tag === "Succeeded" && fact.gatewayReference === word.gatewayReference) === true
    : told?.givenUp === true
}

const refused = (payment: Payment, why: NotResolvable["why"], detail: string, operation?: OperationNumber) =>
  new NotResolvable({ id: payment.id, why, detail, ...(operation === undefined ? {} : { operation }) })

/** Operations with a review; where there is none, those whose outcome is not known. */
const waiting = (payment: Payment): ReadonlyArray<OperationNumber> => {
  const reviewed = [...new Set(payment.reviews.map(({ operation }) => operation))]
  const inDoubt = payment.operations.filter(({ progress }) => progress._tag === "Uncertain" || progress._tag === "InReview")
  return reviewed.length > 0 ? reviewed : inDoubt.map(({ intent }) => intent.number)
}

type Word = Extract<Command, { _tag: "ResolveByPerson" }>

/** A word, and the operation that its gateway is asked about before it is taken. */
interface Said {
  readonly command: Word
  readonly about: Operation | undefined
}

const wordOf = (payment: Payment, resolution: Resolution, saidAt: number): Result.Result<Said, NotResolvable> =>
  Result.flatMap(named(payment, resolution), (operation) =>
    resolution.as === "failed" ? deniedOf(payment, operation, resolution, saidAt) : toldOf(payment, operation, resolution, saidAt)
  )

/** The operation that the word is about. */
const named = (payment: Payment, { as, operation: wanted }: Resolution): Result.Result<Operation, NotResolvable> => {
  const waits = waiting(payment)
  const candidates = waits.length === 0 && as === "succeeded" ? withoutEffect(payment) : waits
  const number = wanted ?? (candidates.length === 1 ? candidates[0] : undefined)
  if (number === undefined) {
    return Result.fail(
      candidates.length === 0
        ? refused(payment, "nothing_to_resolve", "nothing of it needs review, and nothing is in doubt")
        : refused(payment, "operation_needed", `say which operation, one of ${candidates.join(", ")}`)
    )
  }
  const operation = operationOf(payment, number)
  return operation === undefined
    ? Result.fail(refused(payment, "nothing_to_resolve", "there is no such operation", number))
    : Result.succeed(operation)
}

/** "failed": a decision about what is open or in review; what could not be undone at the gateway by us was undone there by hand. */
const deniedOf = (payment: Payment, operation: Operation, resolution: Resolution, saidAt: number): Result.Result<Said, NotResolvable> => {
  const { kind, number } = operation.intent
  if (!waiting(payment).includes(number) && !isOpen(operation) && kind !== "void") {
    return Result.fail(refused(payment, "nothing_to_resolve", `it is ${View.statusOfOperation(operation)} already`, number))
  }
  const undoing = lastUndoing(payment, operation)
  if (undoing === undefined) {
    const note = resolution.reason
    return Result.succeed({
      command: { _tag: "ResolveByPerson", operation: number, note, saidAt, word: { _tag: "Absent" } },
      about: operation
    })
  }
  const about = undoing.intent.purpose === "close" ? operation : undefined
  return Result.map(assertedOf(payment, undoing, resolution, saidAt), ({ command }) => ({ command, about }))
}

/** "succeeded": nothing new where it is known, and what is in review is that it could not be undone: the review would only be opened anew. */
const toldOf = (payment: Payment, operation: Operation, resolution: Resolution, saidAt: number): Result.Result<Said, NotResolvable> => {
  const { gatewayReference = referenceOf(operation) } = resolution
  const isKnown = tookEffect(operation) && gatewayReference === referenceOf(operation)
  const undoing = isKnown ? lastUndoing(payment, operation) : undefined
  return undoing === undefined
    ? assertedOf(payment, operation, resolution, saidAt)
    : Result.fail(
        refused(
          payment,
          "nothing_to_resolve",
          `it is known to have succeeded, and gateway ${undoing.intent.gateway} refuses to undo it: undo it there by hand and say that it failed`,
          operation.intent.number
        )
      )
}

/** A fact, once it has the gateway's id. */
const assertedOf = (payment: Payment, operation: Operation, resolution: Resolution, saidAt: number): Result.Result<Said, NotResolvable> => {
  const { amount, details, number } = operation.intent
  const target = resolution.as === "failed" ? details.targetReference : undefined
  const gatewayReference = resolution.gatewayReference ?? referenceOf(operation) ?? target
  if (gatewayReference === undefined) {
    return Result.fail(refused(payment, "reference_needed", "the gateway's id of what succeeded is needed", number))
  }
  const word = { _tag: "Succeeded", gatewayReference, amount, named: true } as const
  return Result.succeed({
    command: { _tag: "ResolveByPerson", operation: number, note: resolution.reason, saidAt, word },
    about: undefined
  })
}

/** Operations that are not known to have succeeded: of each a person may have learned that it did, whenever that is. */
const withoutEffect = (payment: Payment): ReadonlyArray<OperationNumber> =>
  payment.operations.filter(({ progress }) => progress._tag !== "Succeeded").map(({ intent }) => intent.number)

/** A person's "failed" against what the gateway says: its answer goes in, and stands against the word where it differs. */
const confirmed = Effect.fnUntraced(function* (payment: Payment, command: Word, operation: Operation, resolution: Resolution) {
  // A success that the gateway named stands already.
  if (operation.facts.some(({ _tag }) => _tag === "Succeeded")) return command
  const { account, gateway: name, number } = operation.intent
  const gateways = yield* Gateways
  const found = yield* Effect.option(gateways.get(name))
  const unanswered = (why: string) =>
    resolution.withoutAnswer === true
      ? Effect.succeed(command)
      : Effect.fail(refused(payment, "unanswered", `${why}; the word stands only where it is said to stand without an answer`, number))
  if (Option.isNone(found) || found.value.account !== account) return yield* unanswered(`the account of gateway ${name} is not configured`)
  const gateway = found.value
  if (!canBeAsked(gateway, operation)) return yield* unanswered(`gateway ${name} cannot be asked about it`)
  const object = objectOf(payment, operation)
  const ofObject = object === operation || !canBeAsked(gateway, object) ? undefined : yield* ask(gateway, payment, object)
  const own = yield* ask(gateway, payment, operation)
  const { answer, askedAt } = ofObject?.answer._tag === "Succeeded" ? ofObject : own
  if (answer._tag === "Declined") return command.word._tag === "Absent" ? { ...command, word: answer, saidAt: askedAt } : command
  if (answer._tag === "Absent") return command
  if (answer._tag === "Unknown") return yield* unanswered(`gateway ${name} gives no answer about it (${answer.reason})`)
  const evidence = { _tag: "Asked", askedAt, answer } as const
  yield* handIn({ payment, truth: { operation: number, evidence, source: "recovery", observedAt: askedAt }, source: "recovery" })
  return yield* refused(
    payment,
    "gateway_disagrees",
    `gateway ${name} says that ${saysOf[answer._tag]} (its id ${answer.gatewayReference})`,
    number
  )
})

const saysOf = {
  Succeeded: "it succeeded, and that is recorded now; refund or cancel it",
  Pending: "it is still in progress; cancel it, or wait for its outcome",
  RequiresAction: "its customer can still complete it; cancel it, or close it at the gateway, and say so again"
} as const

/** The gateway's id, as any answer gave it; also one that named another amount than the intended. */
const referenceOf = ({ facts, gatewayReference }: Operation): GatewayReference | undefined =>
  gatewayReference ?? facts.find((fact) => fact._tag === "Succeeded")?.gatewayReference

/** The last cancel of what was left open, the last reversal of a late charge, or the last cancel that the host wanted, where it did not take effect. */
const lastUndoing = (payment: Payment, charge: Operation): Operation | undefined => {
  const { number } = charge.intent
  const wanted = payment.cancelRequested && charge.progress._tag === "Succeeded" ? "cancel" : undefined
  const purpose = isLeftOpen(payment, charge) ? "close" : payment.late.includes(number) ? "reverse" : wanted
  const last = payment.operations.findLast(({ intent }) => intent.purpose === purpose && intent.target === number)
  return last !== undefined && !tookEffect(last) ? last : undefined
}

/** Why the reducer took nothing of it. */
const notTaken = (payment: Payment, command: Word, saidAt: number): NotResolvable => {
  const number = command.operation
  const operation = operationOf(payment, number)
  const until = operation === undefined ? 0 : settledAfter(operation)
  const isDenied = command.word._tag !== "Succeeded"
  if (isDenied && operation !== undefined && isOpen(operation) && saidAt <= until && operation.facts.length === 0) {
    return refused(payment, "too_early", `a request may still arrive for ${until - saidAt + 1} ms; say so again then`, number)
  }
  if (isDenied && operation?.facts.some((fact) => fact._tag === "Succeeded") === true) {
    return refused(payment, "fact_stands", "the gateway named it as succeeded; resolve it as succeeded and refund it", number)
  }
  return refused(payment, "nothing_to_resolve", "that is recorded already, or other operations of it have to be resolved first", number)
}
