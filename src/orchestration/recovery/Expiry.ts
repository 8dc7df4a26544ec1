/**
 * Expiry: a payment that has waited for its customer too long is cancelled at the gateway, and expires once that is certain. And an
 * authorization that is older than the gateway lets one be is asked about: where the gateway has ended it, it ends here (`Release.ts`).
 *
 * The gateway is asked to cancel first, as an operation with its own intent and key; its "already succeeded" wins. A charge that
 * succeeds after the payment expired is a late success: it is found by webhook, recovery or reconciliation, and reversed or kept by policy
 * (rule 12). Safe at any time, twice, and on many instances: of two that would cancel one wins, by the version.
 *
 * **Gotchas**: the wait counts from the intent of the operation that waits, in database time. A cancel that is refused is tried again by
 * later runs, three times in all; then a person has to look. One that did not reach the gateway is tried again ever less often.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Operation } from "../../domain/operation/Operation.ts"
import { decide } from "../../domain/payment/Decide.ts"
import type { GatewayName, PaymentId } from "../../domain/payment/Ids.ts"
import { lastCharge, operationOf, type Payment } from "../../domain/payment/State.ts"
import { type PaymentStatus, status } from "../../domain/payment/Status.ts"
import * as Presets from "../../domain/Presets.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Gateways } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { type OpenOperation, PaymentRepository } from "../../services/PaymentRepository.ts"
import { type EngineSettings, Settings } from "../../services/Settings.ts"
import { startedBy } from "../operation/Conclude.ts"
import { drive } from "../operation/Drive.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import * as Journal from "../operation/Journal.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import { termsOf } from "../routing/RouteSelection.ts"
import * as Release from "./Release.ts"
import { once } from "./Truths.ts"

/** What a run looks at. */
export interface ExpiryOptions {
  readonly gateway?: GatewayName
  /** Payments at a time; default: the preset `recovery.concurrency`. */
  readonly concurrency?: number
}

/**
 * A run's report: how many payments were due, and what became of them. `skipped`: somebody else was quicker, or it cannot be cancelled now.
 * `not_configured`: its account is not configured here.
 * `holds`: authorizations past their gateway's validity that it was asked about, by what it said; `unknown`: it did not answer.
 */
export interface ExpiryReport {
  readonly due: number
  readonly results: { readonly [Result in Expired]?: number }
  readonly holds: { readonly [Result in Release.Released | "error"]?: number }
  readonly errors: ReadonlyArray<{ readonly payment: PaymentId; readonly message: string }>
}

type Expired = PaymentStatus | "skipped" | "not_configured" | "error"

/** The most errors a report keeps. */
const maxErrors = 100

/** Looks at everything that waits for a customer, and at every hold past its validity, once, in pages. Dies with `CallInsideTransaction` inside a host's transaction. */
export const expire = Effect.fn("Expiry.expire")(function* (options: ExpiryOptions = {}) {
  yield* outsideTransaction("Expiry.expire")
  const store = yield* EventStore
  const repository = yield* PaymentRepository
  const settings = yield* Settings
  const now = yield* store.now
  const openedBefore = now - Math.min(settings.customerWaitMillis, ...Object.values(settings.customerWaitByMethod))
  const results: { [Result in Expired]?: number } = {}
  const errors: Array<ExpiryReport["errors"][number]> = []
  let due = 0
  const concurrency = options.concurrency ?? Presets.recovery.concurrency.value
  const guarded = <A, E, R>(payment: PaymentId, effect: Effect.Effect<A, E, R>) =>
    effect.pipe(
      Effect.catchDefect((defect) => Effect.fail(defect)),
      Effect.catch((error) => {
        const message = error instanceof Error ? error.message : String(error)
        if (errors.length < maxErrors) errors.push({ payment, message })
        const line = Effect.logError(`what is overdue could not be ended and is tried again with the next run: ${message}`)
        return Effect.as(PaymentLog.about(payment)(line), "error" as const)
      })
    )
  const one = Effect.fnUntraced(function* (open: OpenOperation) {
    const result = yield* guarded(open.payment, expireOne(open, now))
    if (result === undefined) return
    due++
    results[result] = (results[result] ?? 0) + 1
  })
  let cursor: string | undefined
  do {
    const page = yield* repository.openOperations({
      openedBefore,
      limit: Presets.recovery.pageSize.value,
      ...(options.gateway === undefined ? {} : { gateway: options.gateway }),
      ...(cursor === undefined ? {} : { cursor })
    })
    yield* Effect.forEach(
      page.data.filter((open) => open.status === "requires_action"),
      one,
      { concurrency, discard: true }
    )
    cursor = page.nextCursor
  } while (cursor !== undefined)
  const holds: { [Result in Release.Released | "error"]?: number } = {}
  for (const gateway of (yield* Gateways).all) {
    if (options.gateway !== undefined && options.gateway !== gateway.name) continue
    yield* Release.overdue(
      gateway,
      ({ payment }, program) =>
        Effect.map(guarded(payment, program), (result) => {
          holds[result] = (holds[result] ?? 0) + 1
        }),
      concurrency
    )
  }
  return { due, results, holds, errors } satisfies ExpiryReport
})

/** Has it waited for its customer as long as its kind of method may? */
const hasExpired = (payment: Payment, operation: Operation, now: number, settings: EngineSettings): boolean => {
  const wait = settings.customerWaitByMethod[payment.details.method.type] ?? settings.customerWaitMillis
  return operation.progress._tag === "AwaitingCustomer" && operation.intendedAt + wait < now
}

/** `undefined`: it is not due. */
const expireOne = Effect.fnUntraced(function* (open: OpenOperation, now: number) {
  const settings = yield* Settings
  const gateways = yield* Gateways
  const payment = yield* Journal.load({ id: open.payment })
  const operation = operationOf(payment, open.operation)
  if (operation === undefined || operation !== lastCharge(payment) || !hasExpired(payment, operation, now, settings)) return undefined
  const gateway = yield* Effect.option(gateways.get(operation.intent.gateway))
  if (Option.isNone(gateway) || gateway.value.account !== operation.intent.account) return "not_configured" as const
  const decided = eventsOf(payment, operation, termsOf(gateway.value, settings.sendWindowMillis), now)
  if (Result.isFailure(decided) || decided.success.length === 0) return "skipped" as const
  const stamped = yield* Journal.stamp(payment, decided.success)
  const { result, times } = yield* Journal.commit({ payment, events: stamped })
  yield* Metrics.committed(result._tag)
  if (result._tag !== "Committed") return "skipped" as const
  const started = startedBy({ result, times }, stamped)
  if (started === undefined) return status(result.payment)
  return status(yield* drive({ payment: result.payment, started, source: "recovery", persist: once }))
})

/** The cancel, where it is time for one; after too many that were refused, the review. */
const eventsOf = (payment: Payment, operation: Operation, terms: ReturnType<typeof termsOf>, now: number): ReturnType<typeof decide> => {
  const { number } = operation.intent
  const tries = payment.operations.filter((other) => other.intent.purpose === "expire" && other.intent.target === number)
  const refused = tries.filter((other) => !wasNotCarriedOut(other)).length
  if (now < nextTryAt(tries)) return Result.succeed([])
  if (refused < Presets.payment.maxExpiries.value) return decide({ _tag: "CancelPayment", purpose: "expire", terms }, payment)
  const evidence = `the customer did not act, and expiring it failed ${refused} times; the customer's page may still pay it`
  return decide({ _tag: "OpenReview", operation: number, reason: "unresolvable", evidence }, payment)
}

const wasNotCarriedOut = ({ progress }: Operation): boolean => progress._tag === "NotSent" || progress._tag === "Absent"

/** What did not reach the gateway is tried again after as long as it has been tried already: a long outage makes no long history. */
const nextTryAt = (tries: ReadonlyArray<Operation>): number => {
  const [first, last] = [tries[0], tries.at(-1)]
  if (first === undefined || last === undefined || !wasNotCarriedOut(last)) return 0
  return last.intendedAt + Math.max(last.intendedAt - first.intendedAt, Presets.recovery.pollFirstMillis.value)
}
