/**
 * Resolving by a person what no gateway could tell: the person's word goes into the one reducer (rule 17), closes the reviews of the
 * operation with the reason, and the payment goes on from there.
 *
 * "succeeded" is a fact and needs the gateway's id of the object, unless an answer gave it already. "failed" is a decision: it holds only
 * once nothing that was permitted can arrive any more (rules 10 and 13), and never against a success that the gateway named.
 *
 * **Gotchas**: a declined object that could not be closed is resolved as failed when it has been closed at the gateway by hand, and a late
 * charge that could not be reversed when it has been given back by hand, or holds nothing there: the word is then recorded as the success
 * of its last cancel or reversal.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { isOpen, type Operation, settledAfter, tookEffect } from "../../domain/operation/Operation.ts"
import type { Command } from "../../domain/payment/Command.ts"
import { isLeftOpen } from "../../domain/payment/decisions/Cancelling.ts"
import { decide } from "../../domain/payment/Decide.ts"
import { type GatewayReference, OperationNumber, PaymentId, type TenantId } from "../../domain/payment/Ids.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import * as View from "../../domain/payment/View.ts"
import { EventStore } from "../../services/EventStore.ts"
import * as Journal from "../operation/Journal.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import { handIn } from "./Truths.ts"

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
}

/** Why a person's word was not taken. Nothing was changed. */
export class NotResolvable extends Schema.TaggedError<NotResolvable>()("NotResolvable", {
  id: PaymentId,
  operation: Schema.optionalKey(OperationNumber),
  why: Schema.Literals(["nothing_to_resolve", "operation_needed", "reference_needed", "too_early", "fact_stands"]),
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
  const command = yield* Effect.fromResult(wordOf(payment, resolution, saidAt))
  if (Result.getOrElse(decide(command, payment), () => []).length === 0) return yield* notTaken(payment, command, saidAt)
  const after = yield* handIn({ payment, truth: { command, observedAt: saidAt }, source: "person" })
  const unchanged = after.version === payment.version || after.reviews.some((review) => review.operation === command.operation)
  if (unchanged) return yield* notTaken(after, command, saidAt)
  return View.ofPayment(after)
})

const refused = (payment: Payment, why: NotResolvable["why"], detail: string, operation?: OperationNumber) =>
  new NotResolvable({ id: payment.id, why, detail, ...(operation === undefined ? {} : { operation }) })

/** Operations with a review; where there is none, those whose outcome is not known. */
const waiting = (payment: Payment): ReadonlyArray<OperationNumber> => {
  const reviewed = [...new Set(payment.reviews.map(({ operation }) => operation))]
  const inDoubt = payment.operations.filter(({ progress }) => progress._tag === "Uncertain" || progress._tag === "InReview")
  return reviewed.length > 0 ? reviewed : inDoubt.map(({ intent }) => intent.number)
}

const wordOf = (
  payment: Payment,
  resolution: Resolution,
  saidAt: number
): Result.Result<Extract<Command, { _tag: "ResolveByPerson" }>, NotResolvable> => {
  const candidates = waiting(payment)
  const chosen = resolution.operation ?? (candidates.length === 1 ? candidates[0] : undefined)
  if (candidates.length === 0 && chosen === undefined) {
    return Result.fail(refused(payment, "nothing_to_resolve", "nothing of it needs review, and nothing is in doubt"))
  }
  if (chosen === undefined) {
    return Result.fail(refused(payment, "operation_needed", `say which operation, one of ${candidates.join(", ")}`))
  }
  const named = operationOf(payment, chosen)
  if (named === undefined) return Result.fail(refused(payment, "nothing_to_resolve", "there is no such operation", chosen))
  if (!candidates.includes(chosen) && !isOpen(named) && named.intent.kind !== "void") {
    return Result.fail(refused(payment, "nothing_to_resolve", `it is ${View.statusOfOperation(named)} already`, chosen))
  }
  const closing = resolution.as === "failed" ? lastUndoing(payment, named) : undefined
  const operation = closing ?? named
  const base = { _tag: "ResolveByPerson", operation: operation.intent.number, note: resolution.reason, saidAt } as const
  if (resolution.as === "failed" && closing === undefined) return Result.succeed({ ...base, word: { _tag: "Absent" } })
  const gatewayReference = resolution.gatewayReference ?? referenceOf(operation) ?? closing?.intent.details.targetReference
  if (gatewayReference === undefined) {
    return Result.fail(refused(payment, "reference_needed", "the gateway's id of what succeeded is needed", chosen))
  }
  return Result.succeed({ ...base, word: { _tag: "Succeeded", gatewayReference, amount: operation.intent.amount, named: true } })
}

/** The gateway's id, as any answer gave it; also one that named another amount than the intended. */
const referenceOf = ({ facts, gatewayReference }: Operation): GatewayReference | undefined =>
  gatewayReference ?? facts.find((fact) => fact._tag === "Succeeded")?.gatewayReference

/** The last cancel of what a decline left open, or the last reversal of a late charge, where it did not take effect. */
const lastUndoing = (payment: Payment, charge: Operation): Operation | undefined => {
  const { number } = charge.intent
  const purpose = isLeftOpen(payment, charge) ? "close" : payment.late.includes(number) ? "reverse" : undefined
  const last = payment.operations.findLast(({ intent }) => intent.purpose === purpose && intent.target === number)
  return last !== undefined && !tookEffect(last) ? last : undefined
}

/** Why the reducer took nothing of it. */
const notTaken = (payment: Payment, command: Extract<Command, { _tag: "ResolveByPerson" }>, saidAt: number): NotResolvable => {
  const number = command.operation
  const operation = operationOf(payment, number)
  const until = operation === undefined ? 0 : settledAfter(operation)
  if (command.word._tag === "Absent" && operation !== undefined && isOpen(operation) && saidAt <= until && operation.facts.length === 0) {
    return refused(payment, "too_early", `a request may still arrive for ${until - saidAt + 1} ms; say so again then`, number)
  }
  if (command.word._tag === "Absent" && operation?.facts.some((fact) => fact._tag === "Succeeded") === true) {
    return refused(payment, "fact_stands", "the gateway named it as succeeded; resolve it as succeeded and refund it", number)
  }
  return refused(payment, "nothing_to_resolve", "that is recorded already, or other operations of it have to be resolved first", number)
}
