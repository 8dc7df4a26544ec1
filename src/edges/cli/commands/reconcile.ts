/**
 * `aegispay reconcile`: a gateway's own list of charges and refunds against ours. Safe beside `serve` and beside itself.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { GatewayName } from "../../../domain/payment/Ids.ts"
import * as Payments from "../../../orchestration/payment/Payments.ts"
import type { Finding } from "../../../orchestration/recovery/Finding.ts"
import type { ReconciliationReport } from "../../../orchestration/recovery/Reconciliation.ts"
import { notDone, orCannotRun } from "../Failure.ts"
import { print } from "../Output.ts"
import * as Progress from "../Progress.ts"
import * as Engine from "../runtime/Engine.ts"
import * as Target from "../runtime/Target.ts"

export interface Input {
  readonly gateway: GatewayName
  /** Epoch milliseconds. */
  readonly from: number
  readonly to: Option.Option<number>
  readonly dryRun: boolean
  readonly concurrency: Option.Option<number>
}

export const run = Effect.fnUntraced(function* (input: Input) {
  const target = yield* Target.load
  const progress = yield* Progress.make
  const to = Option.isSome(input.to) ? input.to.value : DateTime.toEpochMillis(yield* DateTime.now)
  const report = yield* orCannotRun(
    Payments.Payments.use((payments) =>
      payments.reconcile({
        gateway: input.gateway,
        from: input.from,
        to,
        dryRun: input.dryRun,
        concurrency: Option.getOrElse(input.concurrency, () => target.config.recovery.concurrency),
        onProgress: ({ findings, listed }) => progress.show(`${listed} records, ${findings} findings`)
      })
    )
  ).pipe(Effect.ensuring(progress.end), Effect.provide(Engine.layer(target, "existing")))
  yield* print({ json: { gateway: input.gateway, from: input.from, to, dryRun: input.dryRun, ...report }, text: textOf(report) })
  const found = Object.values(report.counts).reduce((sum, count) => sum + count, 0)
  if (found > 0) return yield* notDone(`${found} findings, ${report.resolved} of them resolved by what the gateway says`)
})

const textOf = (report: ReconciliationReport): ReadonlyArray<string> => [
  `${report.listed} records of the gateway in ${report.durationMillis} ms: ${report.matched} say what we say, ${report.inProgress} in progress`,
  ...Object.entries(report.counts).map(([kind, count]) => `  ${kind}: ${count}`),
  ...report.findings.map((finding) => `  ${lineOf(finding)}`)
]

const lineOf = (finding: Finding): string => {
  switch (finding._tag) {
    case "Orphan":
      return `Orphan ${finding.kind} ${finding.gatewayReference} (${finding.theirs}${finding.live ? ", holds money" : ""}): ${finding.why}, reference ${finding.reference}`
    case "Double":
      return `Double ${finding.payment} operation ${finding.operation}: ${finding.gatewayReference} holds money as well (${finding.why})`
    case "Difference":
      return `Difference ${finding.payment} operation ${finding.operation}: ${finding.field} ${finding.ours} here, ${finding.theirs} there${finding.resolved ? "; resolved" : ""}`
    case "Missing":
      return `Missing ${finding.payment} operation ${finding.operation}: succeeded here, ${finding.theirs} there`
  }
}
