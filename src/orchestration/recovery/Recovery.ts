/**
 * Recovery: find open operations, ask the gateway what happened, record it, go on.
 *
 * Safe at any time, twice, and on many instances: the version is the fence, a lease per payment only saves work. Every question
 * is asked by the PSP's id once any answer gave it, by our reference otherwise; a request is sent again only under a committed
 * permission (rule 12) and only where the gateway recognises the repetition. What nobody can find out goes to a person, what
 * cannot be found out now stays open: a timer never decides (rule 4).
 *
 * **Gotchas**: the first repetition goes out at once, each later one only when everything sent before has settled. A decline
 * answered to it then ends the operation (rule 13); repeated without a pause, every question would move the moment of certainty.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { isOpen, tookEffect, type Operation, settledAfter } from "../../domain/operation/Operation.ts"
import { isDue, type PollSchedule } from "../../domain/operation/PollSchedule.ts"
import { decide } from "../../domain/payment/Decide.ts"
import type { PaymentEvent } from "../../domain/payment/Event.ts"
import type { GatewayName, OperationNumber, PaymentId } from "../../domain/payment/Ids.ts"
import type { EventContinuityError } from "../../domain/payment/Replay.ts"
import { operationOf, type Payment } from "../../domain/payment/State.ts"
import { amountsOf } from "../../domain/payment/Status.ts"
import { statusOfOperation, type OperationStatus } from "../../domain/payment/View.ts"
import * as Presets from "../../domain/Presets.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { EventStore, type EventStoreError, type Fence } from "../../services/EventStore.ts"
import { type Gateway, Gateways, gaveUp, type LookupAnswer } from "../../services/Gateway.ts"
import { Ids } from "../../services/Ids.ts"
import { Lock } from "../../services/Lock.ts"
import * as Metrics from "../../services/Metrics.ts"
import { type OpenOperation, PaymentRepository } from "../../services/PaymentRepository.ts"
import { Settings } from "../../services/Settings.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import type { PaymentNotFound } from "../payment/Errors.ts"
import { conclude, type Persist, startedBy } from "../operation/Conclude.ts"
import { drive } from "../operation/Drive.ts"
import * as Journal from "../operation/Journal.ts"
import { termsOf } from "../routing/RouteSelection.ts"

/** What a run looks at. Times in milliseconds. */
export interface RecoveryOptions {
  /** Operations opened at least this long ago; default: the setting `recoveryOlderThanMillis`. */
  readonly olderThanMillis?: number
  readonly gateway?: GatewayName
  /** Payments at a time; default 8. */
  readonly concurrency?: number
  /** At most this many operations in one run; default no limit. */
  readonly limit?: number
  /**
   * `startedAt` of the run before: then what waits for the gateway or the customer is asked about only where its schedule has come to
   * a moment since. Default: all are asked.
   */
  readonly previousRunAt?: number
  /** Told after every operation. */
  readonly onProgress?: (progress: { readonly scanned: number }) => Effect.Effect<void>
}

/** What became of one open operation. `busy`: another process has it. `not_configured`: its account is not configured here. */
export type RecoveryResult = OperationStatus | "busy" | "not_configured" | "error"

/** A run's report: how many operations were looked at, what became of them, how long it took. */
export interface RecoveryReport {
  readonly scanned: number
  readonly results: { readonly [Result in RecoveryResult]?: number }
  readonly errors: ReadonlyArray<{ readonly payment: PaymentId; readonly operation: OperationNumber; readonly message: string }>
  /** Database time at the start, epoch milliseconds: the next run's `previousRunAt`. */
  readonly startedAt: number
  readonly durationMillis: number
}

/** The most errors a report keeps. */
const maxErrors = 100

/** Looks at every open operation once, in pages, oldest first. Dies with `CallInsideTransaction` inside a host's transaction. */
export const recover = Effect.fn("Recovery.recover")(function* (options: RecoveryOptions = {}) {
  yield* outsideTransaction("Recovery.recover")
  const store = yield* EventStore
  const repository = yield* PaymentRepository
  const settings = yield* Settings
  const begunAt = yield* Clock.currentTimeMillis
  const startedAt = yield* store.now
  const openedBefore = startedAt - (options.olderThanMillis ?? settings.recoveryOlderThanMillis)
  const isResting = yield* restingBetween(options.previousRunAt, startedAt)
  const results: { [Result in RecoveryResult]?: number } = {}
  const errors: Array<RecoveryReport["errors"][number]> = []
  let scanned = 0
  let cursor: string | undefined
  do {
    const left = (options.limit ?? Number.MAX_SAFE_INTEGER) - scanned
    const limit = Math.min(Presets.recovery.pageSize.value, left)
    if (limit <= 0) break
    const page = yield* repository.openOperations({
      openedBefore,
      limit,
      ...(options.gateway === undefined ? {} : { gateway: options.gateway }),
      ...(cursor === undefined ? {} : { cursor })
    })
    const one = Effect.fnUntraced(function* (open: OpenOperation) {
      const { message, result }: One = isResting(open) ? { result: open.status } : yield* recoverOne(open)
      scanned++
      results[result] = (results[result] ?? 0) + 1
      if (message !== undefined && errors.length < maxErrors) errors.push({ payment: open.payment, operation: open.operation, message })
      if (options.onProgress !== undefined) yield* options.onProgress({ scanned })
    })
    // Operations of one payment go one after the other: they share its lease.
    yield* Effect.forEach(
      Map.groupBy(page.data, (open) => open.payment).values(),
      (ofPayment) => Effect.forEach(ofPayment, one, { discard: true }),
      {
        concurrency: options.concurrency ?? Presets.recovery.concurrency.value,
        discard: true
      }
    )
    cursor = page.nextCursor
  } while (cursor !== undefined)
  return { scanned, results, errors, startedAt, durationMillis: (yield* Clock.currentTimeMillis) - begunAt } satisfies RecoveryReport
})

/** Waits for the gateway or the customer, and its schedule has come to no moment since the run before. */
const restingBetween = Effect.fnUntraced(function* (previous: number | undefined, now: number) {
  const { all } = yield* Gateways
  const standard: PollSchedule = {
    firstMillis: Presets.recovery.pollFirstMillis.value,
    share: Presets.recovery.pollShare.value,
    capMillis: Presets.recovery.pollCapMillis.value
  }
  const schedules = new Map(all.map((gateway) => [gateway.name, gateway.capabilities.polling ?? standard]))
  return ({ gateway, openedAt, status }: OpenOperation): boolean =>
    (status === "pending" || status === "requires_action") && !isDue(schedules.get(gateway) ?? standard, { openedAt, previous, now })
})

interface One {
  readonly result: RecoveryResult
  readonly message?: string
}

const recoverOne = Effect.fnUntraced(function* (open: OpenOperation) {
  const one = yield* underLease(open).pipe(
    Effect.catchDefect((defect) => Effect.fail(defect)),
    Effect.catch((error) => Effect.succeed<One>({ result: "error", message: error instanceof Error ? error.message : String(error) }))
  )
  yield* Metrics.recovered(one.result)
  return one
})

const underLease = Effect.fnUntraced(function* (open: OpenOperation) {
  const locks = yield* Lock
  const ids = yield* Ids
  const { recoveryLeaseMillis } = yield* Settings
  const [owner = ""] = yield* ids.uuids(1)
  const acquired = yield* locks.acquire({ key: `recovery:${open.payment}`, owner, ttlMillis: recoveryLeaseMillis }).pipe(
    Effect.map(Option.some),
    Effect.catchTag("LockNotAcquired", () => Effect.succeed(Option.none()))
  )
  if (Option.isNone(acquired)) return { result: "busy" } satisfies One
  const lease = acquired.value
  yield* CrashPoint.reach("recovery/after-lease")
  return yield* resolve(open, { key: lease.key, token: lease.token }).pipe(Effect.ensuring(Effect.ignore(locks.release(lease))))
})

/** A recovery asks again in its next run: it does not keep what it cannot store. */
export const once: Persist = (commit) => commit

/** An open operation and the gateway account it went to. */
interface Found {
  readonly _tag: "Found"
  readonly payment: Payment
  readonly operation: Operation
  readonly gateway: Gateway
}

/** What there is to find out, or why nothing can be done about it here. */
const examine = Effect.fnUntraced(function* (
  open: OpenOperation
): Effect.fn.Return<Found | Nothing, EventStoreError | EventContinuityError | PaymentNotFound, EventStore | Gateways> {
  const gateways = yield* Gateways
  const payment = yield* Journal.load({ id: open.payment })
  const operation = operationOf(payment, open.operation)
  if (operation === undefined) return nothing("error")
  if (!isOpen(operation) || operation.progress._tag === "InReview") return nothing(statusOfOperation(operation))
  const gateway = yield* Effect.option(gateways.get(operation.intent.gateway))
  if (Option.isNone(gateway) || gateway.value.account !== operation.intent.account) return nothing("not_configured")
  return { _tag: "Found", payment, operation, gateway: gateway.value }
})

interface Nothing {
  readonly _tag: "Nothing"
  readonly result: RecoveryResult
}

const nothing = (result: RecoveryResult): Nothing => ({ _tag: "Nothing", result })

const resolve = Effect.fnUntraced(function* (open: OpenOperation, lease: Fence) {
  const found = yield* examine(open)
  if (found._tag === "Nothing") return { result: found.result } satisfies One
  const after = operationOf(yield* findOut(found, lease), open.operation)
  return { result: after === undefined ? "error" : statusOfOperation(after) } satisfies One
})

/** Asks, and records the answer; where there is none, sends again, cancels, or leaves it to a person, as far as the rules allow. */
const findOut = Effect.fnUntraced(function* ({ gateway, operation, payment: loaded }: Found, lease: Fence) {
  const asked = yield* ask(gateway, loaded, operation)
  yield* CrashPoint.reach("recovery/after-question")
  const payment = asked.answer._tag === "Succeeded" ? loaded : yield* learnTarget(gateway, loaded, operation, lease)
  const moot = payment !== loaded || isMoot(payment, operation)
  const permitted = moot ? undefined : yield* permission(payment, operation, asked.askedAt)
  const blind = !canBeAsked(gateway, operation)
  const settled = asked.askedAt > settledAfter(operation)
  if (permitted !== undefined && (blind || asked.answer._tag === "Absent") && (operation.permissions.length === 1 || settled)) {
    return yield* start(payment, permitted, lease)
  }
  const answer: LookupAnswer = blind && isMoot(payment, operation) ? { _tag: "Absent" } : asked.answer
  const after = yield* record(payment, operation, { ...asked, answer }, lease)
  const hopeless = blind && !moot && permitted === undefined && settled
  return hopeless ? yield* lastResort(gateway, after, operation, lease) : after
})

/**
 * What a void was to end may have succeeded first, and then that wins: the gateway refuses the void for ever, and only the look-up
 * of the target tells why. Of a confirm the object is asked for that it continued: what its own reference tells never changes, but the
 * customer may pay an object that was left open after it. Answers the same payment where nothing new was learned.
 */
const learnTarget = Effect.fnUntraced(function* (gateway: Gateway, payment: Payment, operation: Operation, lease: Fence) {
  const { kind, target: number } = operation.intent
  const target = number === undefined ? undefined : operationOf(payment, number)
  if (kind !== "void" || target === undefined || tookEffect(target)) return payment
  const object = objectOf(payment, target)
  if (!canBeAsked(gateway, object)) return payment
  const asked = yield* ask(gateway, payment, object)
  if (asked.answer._tag !== "Succeeded") return payment
  const learned = yield* record(payment, object, asked, lease)
  yield* CrashPoint.reach("recovery/after-target")
  return learned
})

/** The operation that made the PSP's object: of a confirm, the one it continues. */
export const objectOf = (payment: Payment, operation: Operation): Operation => {
  const { kind, target } = operation.intent
  const continued = kind === "confirm" && target !== undefined ? operationOf(payment, target) : undefined
  return continued === undefined ? operation : objectOf(payment, continued)
}

/**
 * A void of what is captured in full cannot take effect any more: it is not sent again, and ends when its absence is certain. Where
 * the gateway cannot be asked about the void, the capture says it: had the void come first, there would be none.
 */
const isMoot = (payment: Payment, { intent }: Operation): boolean => {
  const target = intent.target === undefined ? undefined : operationOf(payment, intent.target)
  if (intent.kind !== "void" || target === undefined || !tookEffect(target)) return false
  const { authorized, captured } = amountsOf(payment, target)
  return captured > 0n && captured >= authorized
}

/** By the PSP's id once there is one, otherwise by our reference where the gateway can. */
const canBeAsked = (gateway: Gateway, operation: Operation): boolean =>
  operation.gatewayReference !== undefined || gateway.capabilities.operations[operation.intent.kind].lookupByReference !== undefined

interface Asked {
  readonly answer: LookupAnswer
  /** Database time before the question. */
  readonly askedAt: number
}

export const ask = Effect.fnUntraced(function* (gateway: Gateway, payment: Payment, operation: Operation) {
  const store = yield* EventStore
  const askedAt = yield* store.now
  if (!canBeAsked(gateway, operation)) {
    const answer = gaveUp("inconclusive", "the gateway cannot be asked by our reference")
    return { answer, askedAt } satisfies Asked
  }
  const answer = yield* gateway
    .lookup({ payment: payment.id, intent: operation.intent, gatewayReference: operation.gatewayReference })
    .pipe(
      Effect.timeoutOrElse({
        duration: Duration.millis(Presets.recovery.lookupTimeoutMillis.value),
        orElse: () => Effect.succeed<LookupAnswer>(gaveUp("timeout", "the look-up was not answered"))
      })
    )
  return { answer, askedAt } satisfies Asked
})

/**
 * The permission to send the same request again, while the rules allow it. Where they do not, `settle` judges the absence.
 */
const permission = Effect.fnUntraced(function* (payment: Payment, operation: Operation, now: number) {
  const settings = yield* Settings
  if (operation.permissions.length > Presets.recovery.maxResends.value) return undefined
  const permitted = decide(
    {
      _tag: "PermitResend",
      operation: operation.intent.number,
      now,
      sendWindowMillis: settings.sendWindowMillis,
      reason: "recovery: no answer of the gateway about the request"
    },
    payment
  )
  return Result.getOrUndefined(permitted)
})

/** Commits a permission or an intent, and sends under it. */
const start = Effect.fnUntraced(function* (payment: Payment, events: ReadonlyArray<PaymentEvent>, lease: Fence) {
  const stamped = yield* Journal.stamp(payment, events)
  const { result, times } = yield* Journal.commit({ payment, events: stamped, lease })
  yield* Metrics.committed(result._tag)
  if (result._tag !== "Committed") return payment
  const started = startedBy({ result, times }, stamped)
  if (started === undefined) return result.payment
  yield* CrashPoint.reach("recovery/after-permission")
  return yield* drive({ payment: result.payment, started, source: "recovery", persist: once, lease })
})

/** Cancelled by our reference where the gateway can do that, otherwise left to a person. */
const lastResort = Effect.fnUntraced(function* (gateway: Gateway, payment: Payment, operation: Operation, lease: Fence) {
  const { sendWindowMillis } = yield* Settings
  const cancel =
    gateway.capabilities.operations[operation.intent.kind].cancelByReference === "none"
      ? undefined
      : Result.getOrUndefined(
          decide({ _tag: "CancelUncertain", operation: operation.intent.number, terms: termsOf(gateway, sendWindowMillis) }, payment)
        )
  return yield* cancel === undefined ? review(payment, operation, lease) : start(payment, cancel, lease)
})

/** A person has to look: the gateway can neither be asked nor recognises the request any more, and everything sent has settled. */
const review = Effect.fnUntraced(function* (payment: Payment, operation: Operation, lease: Fence) {
  const current = operationOf(payment, operation.intent.number)
  if (current === undefined || !isOpen(current) || current.gatewayReference !== undefined) return payment
  const evidence = `no answer, and gateway ${operation.intent.gateway} can neither be asked nor sent the request again`
  yield* CrashPoint.reach("recovery/before-review")
  const events = yield* Effect.fromResult(
    decide({ _tag: "OpenReview", operation: operation.intent.number, reason: "unresolvable", evidence }, payment)
  )
  if (events.length === 0) return payment
  const stamped = yield* Journal.stamp(payment, events)
  const { result } = yield* Journal.commit({ payment, events: stamped, lease })
  yield* Metrics.committed(result._tag)
  return result._tag === "Committed" ? result.payment : payment
})

const record = Effect.fnUntraced(function* (payment: Payment, operation: Operation, asked: Asked, lease: Fence) {
  const concluded = yield* conclude({
    payment,
    truth: {
      operation: operation.intent.number,
      evidence: { _tag: "Asked", askedAt: asked.askedAt, answer: asked.answer },
      source: "recovery",
      observedAt: asked.askedAt
    },
    persist: once,
    lease
  })
  return concluded.started === undefined
    ? concluded.payment
    : yield* drive({ payment: concluded.payment, started: concluded.started, source: "recovery", persist: once, lease })
})
