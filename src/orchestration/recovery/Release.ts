/**
 * A hold that the gateway ended by itself: its validity is over, or somebody cancelled it there.
 *
 * It is voided as if we had cancelled it. The void finds the object cancelled already and takes that for its success, so that nothing is ended
 * that the gateway still holds, and what is recorded is an operation like any other (rule 6).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { decide } from "../../domain/payment/Decide.ts"
import type { Operation } from "../../domain/operation/Operation.ts"
import type { Payment } from "../../domain/payment/State.ts"
import { cancellable, isReleasable } from "../../domain/payment/Status.ts"
import type { Gateway } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { Settings } from "../../services/Settings.ts"
import { startedBy } from "../operation/Conclude.ts"
import * as Journal from "../operation/Journal.ts"
import { termsOf } from "../routing/RouteSelection.ts"

/** Is something held by it, as far as we know, that a void would end? */
export const isHolding = (payment: Payment, operation: Operation): boolean =>
  isReleasable(payment, operation) && cancellable(payment)?.intent.number === operation.intent.number

/** Commits the void, and answers what is to be driven; `undefined` where it cannot be started now. */
export const release = Effect.fnUntraced(function* (payment: Payment, gateway: Gateway) {
  const { sendWindowMillis } = yield* Settings
  const decided = decide({ _tag: "CancelPayment", purpose: "cancel", terms: termsOf(gateway, sendWindowMillis) }, payment)
  if (Result.isFailure(decided) || decided.success.length === 0) return undefined
  const stamped = yield* Journal.stamp(payment, decided.success)
  const { result, times } = yield* Journal.commit({ payment, events: stamped })
  yield* Metrics.committed(result._tag)
  if (result._tag !== "Committed") return undefined
  const started = startedBy({ result, times }, stamped)
  return started === undefined ? undefined : { payment: result.payment, started }
})
