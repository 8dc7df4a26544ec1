/**
 * What money commands answer: the payment on stdout, and an exit code that says whether what was asked has happened.
 */
import * as Effect from "effect/Effect"
import { randomUUID } from "node:crypto"
import * as Option from "effect/Option"
import { IdempotencyKey } from "../../domain/payment/Ids.ts"
import type { PaymentView } from "../../domain/payment/View.ts"
import type { Answer } from "../../orchestration/payment/Idempotency.ts"
import type { MoneyCommandError, ModifyError } from "../../orchestration/payment/Payments.ts"
import type { NoUsableGateway } from "../../orchestration/payment/Errors.ts"
import * as PaymentJson from "../http/PaymentJson.ts"
import { cannotRun, type Failure, notDone } from "./Failure.ts"
import { print } from "./Output.ts"
import * as PaymentText from "./PaymentText.ts"

/** The key given, or a new one. A new one is in the answer, so that the command can be repeated. */
export const keyOf = (given: Option.Option<IdempotencyKey>): IdempotencyKey =>
  Option.getOrElse(given, () => IdempotencyKey.make(`cli-${randomUUID()}`))

/** Prints the answer of a command; fails with exit code 1 where what was asked has not happened (yet). */
export const show = Effect.fnUntraced(function* (answer: Answer, key: IdempotencyKey) {
  const { payment, replayed } = answer
  yield* print({
    json: { ...PaymentJson.ofView(payment), idempotencyKey: key, replayed },
    text: [
      ...PaymentText.payment(payment),
      `key${" ".repeat(8)} ${key}${replayed ? " (used before: this is that payment as it is now)" : ""}`
    ]
  })
  const problem = problemOf(answer)
  if (problem !== undefined) return yield* notDone(`payment ${payment.id}: ${problem}`)
})

const problemOf = ({ operation, payment }: Answer): string | undefined => {
  const started = payment.operations.find(({ number }) => number === operation)
  return started === undefined || started.purpose === "charge" || started.purpose === "continue"
    ? problemOfCharge(payment)
    : problemOfOperation(started, payment)
}

const problemOfCharge = (payment: PaymentView): string | undefined => {
  switch (payment.status) {
    case "failed":
      return `failed: ${PaymentText.failureText(payment)}`
    case "cancelled":
    case "expired":
      return payment.status
    case "requires_action":
      return `${PaymentText.nextActionText(payment)}; then aegispay payment confirm ${payment.id}`
    case "in_doubt":
      return "the gateway's answer is not known; do not pay again, aegispay recover finds out"
    case "needs_review":
      return "needs review: see aegispay payment events"
    case "processing":
    case "initiated":
    case "screened":
      return "still in progress; aegispay payment get shows how it ends"
    default:
      return undefined
  }
}

const problemOfOperation = (operation: PaymentView["operations"][number], payment: PaymentView): string | undefined => {
  if (operation.status === "succeeded") return undefined
  const what = `${operation.kind} (operation ${operation.number})`
  switch (operation.status) {
    case "processing":
    case "pending":
      return `${what} is still in progress; aegispay payment get shows how it ends`
    case "unknown":
      return `the gateway's answer to ${what} is not known; aegispay recover finds out`
    default:
      return `${what} is ${operation.status}; the payment is ${payment.status}`
  }
}

/** Errors of money commands: what could not run is 2, what was refused is 1. */
export const failureOf =
  (key: IdempotencyKey) =>
  (error: MoneyCommandError | ModifyError | NoUsableGateway): Failure => {
    switch (error._tag) {
      case "EventStoreError":
        return error.isAmbiguous
          ? notDone(`it is not known whether this was stored (${error.message}); repeat the command with --key ${key}`)
          : cannotRun(`${error.message}; nothing was charged, repeat the command with --key ${key}`)
      case "EventContinuityError":
      case "NotAccepting":
      case "GatewayNotConfigured":
        return cannotRun(error.message)
      default:
        return notDone(error.message)
    }
  }
