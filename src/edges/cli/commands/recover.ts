/**
 * `aegispay recover`: finds open operations, asks the gateways, records what happened, and ends what has waited for its customer too long. Safe
 * beside `serve` and beside itself.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { GatewayName } from "../../../domain/payment/Ids.ts"
import * as Payments from "../../../orchestration/payment/Payments.ts"
import type { ExpiryReport } from "../../../orchestration/recovery/Expiry.ts"
import type { RecoveryReport, RecoveryResult } from "../../../orchestration/recovery/Recovery.ts"
import { Gateways } from "../../../services/Gateway.ts"
import { PaymentRepository } from "../../../services/PaymentRepository.ts"
import { notDone, orCannotRun } from "../Failure.ts"
import { print } from "../Output.ts"
import * as Progress from "../Progress.ts"
import * as Engine from "../runtime/Engine.ts"
import * as Target from "../runtime/Target.ts"

export interface Input {
  readonly dryRun: boolean
  readonly olderThan: Option.Option<Duration.Duration>
  readonly concurrency: Option.Option<number>
  readonly limit: Option.Option<number>
  readonly gateway: Option.Option<GatewayName>
}

/** What a person or another run has to look at. What waits for the customer, the gateway or another process does not count. */
const leftOpen: ReadonlyArray<RecoveryResult> = ["unknown", "needs_review", "not_configured", "error"]

export const run = Effect.fnUntraced(function* (input: Input) {
  const target = yield* Target.load
  const progress = yield* Progress.make
  const { expiry, report } = yield* Effect.gen(function* () {
    if (Option.isSome(input.gateway)) yield* orCannotRun((yield* Gateways).get(input.gateway.value), target.source)
    const payments = yield* Payments.Payments
    const total = yield* openOperations(input)
    const bounds = {
      concurrency: Option.getOrElse(input.concurrency, () => target.config.recovery.concurrency),
      ...(Option.isSome(input.gateway) ? { gateway: input.gateway.value } : {})
    }
    const report = yield* orCannotRun(
      payments.recover({
        ...bounds,
        dryRun: input.dryRun,
        ...(Option.isSome(input.olderThan) ? { olderThanMillis: Duration.toMillis(input.olderThan.value) } : {}),
        ...(Option.isSome(input.limit) ? { limit: input.limit.value } : {}),
        onProgress: ({ scanned }) => progress.show(`${Progress.bar({ done: scanned, total })}  ${scanned} of ${total} open operations`)
      })
    )
    const isWhole = !input.dryRun && Option.isNone(input.limit)
    return { report, expiry: isWhole ? yield* orCannotRun(payments.expire(bounds)) : undefined }
  }).pipe(Effect.ensuring(progress.end), Effect.provide(Engine.layer(target, "existing")))
  yield* print({
    json: expiry === undefined ? report : { ...report, expiry },
    text: [...textOf(report, input.dryRun), ...(expiry === undefined ? [] : textOfExpiry(expiry))]
  })
  const open = leftOpen.flatMap((result) => (report.results[result] === undefined ? [] : [`${report.results[result]} ${result}`]))
  if (expiry !== undefined && expiry.errors.length > 0) open.push(`${expiry.errors.length} that could not be expired`)
  if (report.needsReviewCount > 0) {
    const others = open.length === 0 ? "" : `; left open: ${open.join(", ")}`
    return yield* notDone(
      `${report.needsReviewCount} payments need a person: aegispay payment list --status needs_review shows the evidence, aegispay payment resolve takes a word${others}`
    )
  }
  if (open.length > 0) return yield* notDone(`left open: ${open.join(", ")}; see aegispay payment events for each, or run it again later`)
})

/** How many there are to look at, those that are too young included. */
const openOperations = Effect.fnUntraced(function* (input: Input) {
  const repository = yield* PaymentRepository
  const summary = yield* orCannotRun(repository.openSummary)
  const counts = summary.filter(({ gateway }) => Option.isNone(input.gateway) || gateway === input.gateway.value).map(({ count }) => count)
  return Math.min(
    counts.reduce((sum, count) => sum + count, 0),
    Option.getOrElse(input.limit, () => Number.MAX_SAFE_INTEGER)
  )
})

const textOf = (report: RecoveryReport, dryRun: boolean): ReadonlyArray<string> => [
  `${report.scanned} open operations ${dryRun ? "asked about, nothing recorded or sent," : "looked at"} in ${report.durationMillis} ms`,
  ...Object.entries(report.results).map(([result, count]) => `  ${result}: ${count}`),
  ...report.needsReview.map((review) => `  needs review: ${review.payment} operation ${review.operation}: ${review.reason}`),
  ...report.errors.map((error) => `  ${error.payment} operation ${error.operation}: ${error.message}`)
]

/** Nothing where nothing was due. */
const textOfExpiry = ({ due, errors, holds, results }: ExpiryReport): ReadonlyArray<string> => [
  ...(due === 0 ? [] : [`${due} payments waited for their customer too long`]),
  ...Object.entries(results).map(([result, count]) => `  ${result}: ${count}`),
  ...(Object.keys(holds).length === 0 ? [] : ["authorizations past their validity"]),
  ...Object.entries(holds).map(([result, count]) => `  ${result}: ${count}`),
  ...errors.map(({ message, payment }) => `  ${payment}: ${message}`)
]
