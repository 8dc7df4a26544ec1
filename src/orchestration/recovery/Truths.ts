/**
 * How those who look after payments learn truths and hand them in: recovery, expiry, reconciliation and a person.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type Operation, settledAfter } from "../../domain/operation/Operation.ts"
import type { Source } from "../../domain/payment/Event.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import * as Presets from "../../domain/Presets.ts"
import { EventStore, type Fence } from "../../services/EventStore.ts"
import { type Gateway, gaveUp, type LookupAnswer, type MadeBetween } from "../../services/Gateway.ts"
import { conclude, type Persist, type Report, type Truth } from "../operation/Conclude.ts"
import { drive } from "../operation/Drive.ts"

/** They ask again in their next run: what cannot be stored is not kept. */
export const once: Persist = (commit) => commit

/** An answer of a gateway. */
export interface Asked {
  readonly answer: LookupAnswer
  /** Database time before the question. */
  readonly askedAt: number
}

/** Asks the gateway about an operation, for a limited time. */
export const ask = Effect.fnUntraced(function* (gateway: Gateway, payment: Payment, operation: Operation) {
  const store = yield* EventStore
  const askedAt = yield* store.now
  if (!canBeAsked(gateway, operation)) {
    const answer = gaveUp("inconclusive", "the gateway cannot be asked by our reference")
    return { answer, askedAt } satisfies Asked
  }
  const answer = yield* gateway
    .lookup({
      payment: payment.id,
      intent: operation.intent,
      gatewayReference: operation.gatewayReference,
      made: madeBetween(payment, operation, askedAt)
    })
    .pipe(
      Effect.timeoutOrElse({
        duration: Duration.millis(Presets.recovery.lookupTimeoutMillis.value),
        orElse: () => Effect.succeed<LookupAnswer>(gaveUp("timeout", "the look-up was not answered"))
      })
    )
  return { answer, askedAt } satisfies Asked
})

/** When the operation, or what it acts on, can have been made: an operation acts on earlier ones only. */
export const madeBetween = (payment: Payment, { intent }: Operation, now: number): MadeBetween => {
  const made = payment.operations.filter((other) => other.intent.number <= intent.number)
  return { since: Math.min(...made.map(({ intendedAt }) => intendedAt)), until: Math.max(...made.map(settledAfter)), now }
}

/** By the PSP's id once there is one, otherwise by our reference where the gateway can. */
export const canBeAsked = (gateway: Gateway, operation: Operation): boolean =>
  operation.gatewayReference !== undefined || gateway.capabilities.operations[operation.intent.kind].lookupByReference !== undefined

/** The operation that made the PSP's object: of a confirm, the one it continues. */
export const objectOf = (payment: Payment, operation: Operation): Operation => {
  const { kind, target } = operation.intent
  const continued = kind === "confirm" && target !== undefined ? operationOf(payment, target) : undefined
  return continued === undefined ? operation : objectOf(payment, continued)
}

/** Hands a truth to the one reducer, and carries out what follows from it. Answers the payment afterwards. */
export const handIn = Effect.fnUntraced(function* (options: {
  readonly payment: Payment
  readonly truth: Truth | Report
  readonly source: Source
  readonly lease?: Fence
}) {
  const fence = options.lease === undefined ? {} : { lease: options.lease }
  const { payment, started } = yield* conclude({ payment: options.payment, truth: options.truth, persist: once, ...fence })
  return started === undefined ? payment : yield* drive({ payment, started, source: options.source, persist: once, ...fence })
})
