/**
 * A hold that the gateway ended by itself: its validity is over, or somebody cancelled it there.
 *
 * It is voided as if we had cancelled it. The void finds the object cancelled already and takes that for its success, so that nothing is ended
 * that the gateway still holds, and what is recorded is an operation like any other (rule 6).
 *
 * A webhook tells of it, or nobody does: then a hold that is older than the gateway's authorizations are valid is asked about, again and again
 * for as long as the gateway says that it holds. That it is old ends nothing: a timer never decides (rule 4).
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { decide } from "../../domain/payment/Decide.ts"
import type { Operation } from "../../domain/operation/Operation.ts"
import type { Payment } from "../../domain/payment/State.ts"
import { cancellable, isReleasable } from "../../domain/payment/Status.ts"
import * as Presets from "../../domain/Presets.ts"
import { EventStore, type Fence } from "../../services/EventStore.ts"
import { type Gateway, gaveUp, type HoldAnswer } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { type Hold, PaymentRepository } from "../../services/PaymentRepository.ts"
import { Settings } from "../../services/Settings.ts"
import { startedBy } from "../operation/Conclude.ts"
import { drive } from "../operation/Drive.ts"
import * as Journal from "../operation/Journal.ts"
import { termsOf } from "../routing/RouteSelection.ts"
import { underLease } from "./PaymentLease.ts"
import { canBeAsked, madeBetween, objectOf, once } from "./Truths.ts"

/** Is something held by it, as far as we know, that a void would end? */
export const isHolding = (payment: Payment, operation: Operation): boolean =>
  isReleasable(payment, operation) && cancellable(payment)?.intent.number === operation.intent.number

/** Commits the void, and answers what is to be driven; `undefined` where it cannot be started now. */
export const release = Effect.fnUntraced(function* (payment: Payment, gateway: Gateway, lease?: Fence) {
  const { sendWindowMillis } = yield* Settings
  const decided = decide({ _tag: "CancelPayment", purpose: "cancel", terms: termsOf(gateway, sendWindowMillis) }, payment)
  if (Result.isFailure(decided) || decided.success.length === 0) return undefined
  const stamped = yield* Journal.stamp(payment, decided.success)
  const { result, times } = yield* Journal.commit({ payment, events: stamped, ...(lease === undefined ? {} : { lease }) })
  yield* Metrics.committed(result._tag)
  if (result._tag !== "Committed") return undefined
  const started = startedBy({ result, times }, stamped)
  return started === undefined ? undefined : { payment: result.payment, started }
})

/** What became of a hold that was listed. `skipped`: another process has it, or it is none of this account any more. */
export type Released = "held" | "released" | "unknown" | "skipped"

/**
 * Asks about every hold at a gateway that is older than its authorizations are valid and was not asked about lately, a page at a time, and
 * hands each to `each` as a program that answers what became of it.
 */
export const overdue = Effect.fnUntraced(function* <E, R>(
  gateway: Gateway,
  each: (hold: Hold, program: ReturnType<typeof askAbout>) => Effect.Effect<void, E, R>,
  concurrency: number
) {
  const { hold } = gateway
  if (hold === undefined) return
  const store = yield* EventStore
  const repository = yield* PaymentRepository
  const now = yield* store.now
  let cursor: string | undefined
  do {
    const page = yield* repository.holds({
      gateway: gateway.name,
      createdBefore: now - gateway.capabilities.authorizationValidityMillis,
      askedBefore: now - Presets.recovery.holdPollMillis.value,
      limit: Presets.recovery.pageSize.value,
      ...(cursor === undefined ? {} : { cursor })
    })
    yield* Effect.forEach(page.data, (one) => each(one, askAbout(one, gateway, hold)), { concurrency, discard: true })
    cursor = page.nextCursor
  } while (cursor !== undefined)
})

/** As the holder of the payment's lease: many instances ask once. */
const askAbout = (hold: Hold, gateway: Gateway, ask: NonNullable<Gateway["hold"]>) =>
  Effect.map(
    underLease(hold.payment, (lease) => findOut(hold, gateway, ask, lease)),
    Option.getOrElse((): Released => "skipped")
  )

const findOut = Effect.fnUntraced(function* (hold: Hold, gateway: Gateway, ask: NonNullable<Gateway["hold"]>, lease: Fence) {
  const store = yield* EventStore
  const repository = yield* PaymentRepository
  const payment = yield* Journal.load({ id: hold.payment })
  const charge = cancellable(payment)
  const askedAt = yield* store.now
  const later = repository.noteHold({ payment: payment.id, askedAt })
  if (charge === undefined || !isHolding(payment, charge)) return yield* Effect.as(later, "skipped" as const)
  const { account, gateway: name } = charge.intent
  const object = objectOf(payment, charge)
  if (name !== gateway.name || account !== gateway.account || !canBeAsked(gateway, object))
    return yield* Effect.as(later, "skipped" as const)
  const answer = yield* ask({
    payment: payment.id,
    intent: object.intent,
    gatewayReference: object.gatewayReference ?? charge.gatewayReference,
    made: madeBetween(payment, object, askedAt)
  }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(Presets.recovery.lookupTimeoutMillis.value),
      orElse: () => Effect.succeed<HoldAnswer>(gaveUp("timeout", "the question about the hold was not answered"))
    })
  )
  // Without an answer the next run asks again.
  if (answer._tag === "Unknown") return "unknown" as const
  if (answer._tag === "Held") return yield* Effect.as(later, "held" as const)
  const voiding = yield* release(payment, gateway, lease)
  if (voiding === undefined) return "skipped" as const
  yield* drive({ ...voiding, source: "recovery", persist: once, lease })
  return "released" as const
})
