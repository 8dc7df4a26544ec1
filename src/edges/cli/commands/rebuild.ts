/**
 * `aegispay rebuild`: writes the payments as they are shown anew from their events. Safe beside `serve` and beside itself.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Projection from "../../../layers/postgres/recovery/Projection.ts"
import * as Rebuild from "../../../orchestration/recovery/Rebuild.ts"
import { notDone, orCannotRun } from "../Failure.ts"
import { print } from "../Output.ts"
import * as Progress from "../Progress.ts"
import * as Storage from "../runtime/Storage.ts"
import * as Target from "../runtime/Target.ts"

export interface Input {
  readonly dryRun: boolean
  readonly concurrency: Option.Option<number>
}

export const run = Effect.fnUntraced(function* (input: Input) {
  const target = yield* Target.load
  const progress = yield* Progress.make
  const report = yield* orCannotRun(
    Rebuild.rebuild({
      dryRun: input.dryRun,
      concurrency: Option.getOrElse(input.concurrency, () => target.config.recovery.concurrency),
      onProgress: ({ damaged, rewritten, scanned }) =>
        progress.show(`${scanned} payments, ${rewritten} ${input.dryRun ? "differ" : "rewritten"}, ${damaged} damaged`)
    })
  ).pipe(Effect.ensuring(progress.end), Effect.provide(Layer.provide(Projection.layer, Storage.layer(target, "existing"))))
  yield* print({ json: report, text: textOf(report, input.dryRun) })
  if (report.damaged > 0) {
    return yield* notDone(`${report.damaged} payments have a damaged history and were left as they are; a person has to look`)
  }
  if (input.dryRun && report.rewritten > 0)
    return yield* notDone(`${report.rewritten} payments differ from their events; run it without --dry-run`)
})

const textOf = (report: Rebuild.RebuildReport, dryRun: boolean): ReadonlyArray<string> => [
  `${report.scanned} payments looked at in ${report.durationMillis} ms`,
  `  ${dryRun ? "differ" : "rewritten"}: ${report.rewritten}`,
  `  unchanged: ${report.unchanged}`,
  `  damaged: ${report.damaged}`,
  ...report.differences.map(({ parts, payment }) => `  ${payment}: ${parts.join(", ")}`),
  ...report.damages.map(({ message, payment }) => `  ${payment}: ${message}`)
]
