/**
 * Recovery: find open operations, ask the gateway what happened, record it, go on (FindOut.ts).
 *
 * Safe at any time, twice, and on many instances: the version is the fence, a lease per payment only saves work (PaymentLease.ts).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { isDue, type PollSchedule } from "../../domain/operation/PollSchedule.ts"
import type { ReviewReason } from "../../domain/payment/Event.ts"
import type { GatewayName, OperationNumber, PaymentId } from "../../domain/payment/Ids.ts"
import * as Presets from "../../domain/Presets.ts"
import * as CrashPoint from "../../services/CrashPoint.ts"
import { EventStore } from "../../services/EventStore.ts"
import { Gateways } from "../../services/Gateway.ts"
import * as Metrics from "../../services/Metrics.ts"
import { type OpenOperation, PaymentRepository } from "../../services/PaymentRepository.ts"
import { Settings } from "../../services/Settings.ts"
import * as PaymentLog from "../observability/PaymentLog.ts"
import { outsideTransaction } from "../payment/Charge.ts"
import { finish, type Found, glance, preview } from "./FindOut.ts"
import { underLease } from "./PaymentLease.ts"

/** What a run looks at. Times in milliseconds. */
export interface RecoveryOptions {
  /** Operations opened at least this long ago; default: the setting `recoveryOlderThanMillis`. */
  readonly olderThanMillis?: number
  /**
   * Also asks about what is younger, and records what the gateway has done by name; nothing of it is sent or ended, since whoever wrote the
   * intent may still be sending it. For the first run after a restart. Default false.
   */
  readonly lookUpYounger?: boolean
  /** Only asks the gateways: records and sends nothing, and takes no lease. `results` are then what they say now. Default false. */
  readonly dryRun?: boolean
  readonly gateway?: GatewayName
  /** Payments at a time; default: the preset `recovery.concurrency`. */
  readonly concurrency?: number
  /** At most this many operations are looked at in one run; default no limit. Those whose schedule has come to no moment do not count. */
  readonly limit?: number
  /**
   * Asks about what waits for the gateway, the customer or a person only where its schedule has come to a moment since it was asked about
   * last, by any instance. Default: only with a `limit`, so that it is not used up by what waits.
   */
  readonly onlyDue?: boolean
  /** Told after every operation. */
  readonly onProgress?: (progress: { readonly scanned: number }) => Effect.Effect<void>
}

/** What became of one open operation. `busy`: another process has it. `not_configured`: its account is not configured here. */
export type RecoveryResult = Found | "busy"

/** A payment's operation that a person has to look at, and why. */
export interface NeedsReview {
  readonly payment: PaymentId
  readonly operation: OperationNumber
  readonly reason: ReviewReason
}

/**
 * A run's report: how many operations were looked at, what became of them, how long it took. `needsReview`: what a person has to look
 * at now, whether this run had a part in it or not, of the oldest 100 payments; `needsReviewCount`: of how many payments in all.
 */
export interface RecoveryReport {
  readonly scanned: number
  readonly results: { readonly [Result in RecoveryResult]?: number }
  readonly errors: ReadonlyArray<{ readonly payment: PaymentId; readonly operation: OperationNumber; readonly message: string }>
  readonly needsReview: ReadonlyArray<NeedsReview>
  readonly needsReviewCount: number
  /** Database time at the start, epoch milliseconds. */
  readonly startedAt: number
  readonly durationMillis: number
}

/** The most errors, and payments in review, that a report keeps. */
const maxErrors = 100
const maxReviews = 100

/** Looks at every open operation once, in pages, oldest first. Dies with `CallInsideTransaction` inside a host's transaction. */
export const recover = Effect.fn("Recovery.recover")(function* (options: RecoveryOptions = {}) {
  yield* outsideTransaction("Recovery.recover")
  const store = yield* EventStore
  const repository = yield* PaymentRepository
  const settings = yield* Settings
  const begunAt = yield* Clock.currentTimeMillis
  const startedAt = yield* store.now
  const openedBefore = startedAt - (options.olderThanMillis ?? settings.recoveryOlderThanMillis)
  const isYoung = ({ openedAt }: OpenOperation) => openedAt >= openedBefore
  const isResting = (options.onlyDue ?? options.limit !== undefined) ? yield* restingAt(startedAt) : () => false
  const results: { [Result in RecoveryResult]?: number } = {}
  const errors: Array<RecoveryReport["errors"][number]> = []
  const lookAt = (open: OpenOperation) =>
    options.dryRun === true ? guarded(open, preview(open)) : recoverOne(open, isYoung(open) ? glance : finish)
  let scanned = 0
  let left = options.limit ?? Number.MAX_SAFE_INTEGER
  const one = Effect.fnUntraced(function* (open: OpenOperation) {
    const { message, result }: One = isResting(open) ? { result: open.status } : yield* lookAt(open)
    scanned++
    results[result] = (results[result] ?? 0) + 1
    if (message !== undefined && errors.length < maxErrors) errors.push({ payment: open.payment, operation: open.operation, message })
    if (options.onProgress !== undefined) yield* options.onProgress({ scanned })
  })
  const page = Effect.fnUntraced(function* (cursor: string | undefined) {
    const { data, nextCursor } = yield* repository.openOperations({
      openedBefore: options.lookUpYounger === true ? startedAt + 1 : openedBefore,
      limit: Presets.recovery.pageSize.value,
      ...(options.gateway === undefined ? {} : { gateway: options.gateway }),
      ...(cursor === undefined ? {} : { cursor })
    })
    const within = data.filter((open) => isResting(open) || left-- > 0)
    const byPayment = [...Map.groupBy(within, ({ payment }) => payment).values()]
    return [byPayment, nextCursor === undefined || left <= 0 ? Option.none() : Option.some(nextCursor)] as const
  })
  // Operations of one payment go one after the other: they share its lease. A slow one keeps only its own place.
  yield* Stream.paginate(undefined as string | undefined, page).pipe(
    Stream.mapEffect((ofPayment) => Effect.forEach(ofPayment, one, { discard: true }), {
      concurrency: options.concurrency ?? Presets.recovery.concurrency.value,
      unordered: true
    }),
    Stream.runDrain
  )
  const inReview = yield* repository.needingReview({ limit: maxReviews })
  const needsReview = inReview.data.flatMap(({ id, reviews }) =>
    reviews.map(({ operation, reason }): NeedsReview => ({ payment: id, operation, reason }))
  )
  const needsReviewCount = inReview.nextCursor === undefined ? inReview.data.length : yield* repository.reviewCount
  return {
    scanned,
    results,
    errors,
    needsReview,
    needsReviewCount,
    startedAt,
    durationMillis: (yield* Clock.currentTimeMillis) - begunAt
  } satisfies RecoveryReport
})

/** Waits for the gateway, the customer or a person, and its schedule has come to no moment since it was asked about last. */
const restingAt = Effect.fnUntraced(function* (now: number) {
  const { all } = yield* Gateways
  const standard: PollSchedule = {
    firstMillis: Presets.recovery.pollFirstMillis.value,
    share: Presets.recovery.pollShare.value,
    capMillis: Presets.recovery.pollCapMillis.value
  }
  const schedules = new Map(all.map((gateway) => [gateway.name, gateway.capabilities.polling ?? standard]))
  return ({ askedAt, gateway, openedAt, status }: OpenOperation): boolean =>
    (status === "pending" || status === "requires_action" || status === "needs_review") &&
    !isDue(schedules.get(gateway) ?? standard, { openedAt, askedAt: askedAt ?? openedAt, now })
})

interface One {
  readonly result: RecoveryResult
  readonly message?: string
}

const recoverOne = Effect.fnUntraced(function* (open: OpenOperation, look: typeof finish) {
  const found = underLease(open.payment, (lease) => Effect.andThen(CrashPoint.reach("recovery/after-lease"), look(open, lease)))
  const one = yield* guarded(
    open,
    Effect.map(
      found,
      Option.getOrElse(() => "busy" as const)
    )
  )
  yield* Metrics.recovered(one.result)
  return one
})

/** What goes wrong with one does not keep the others waiting. */
const guarded = <E, R>(open: OpenOperation, look: Effect.Effect<RecoveryResult, E, R>) =>
  look.pipe(
    Effect.map((result): One => ({ result })),
    Effect.catchDefect((defect) => Effect.fail(defect)),
    Effect.catch((error) => {
      const message = error instanceof Error ? error.message : String(error)
      const line = Effect.logError(`recovery of operation ${open.operation} failed and is tried again with the next run: ${message}`)
      return Effect.as(PaymentLog.about(open.payment, open.gateway)(line), { result: "error", message } satisfies One)
    })
  )
