/**
 * `aegispay chaos run`: an experiment on virtual time in this process, or in real time against a running server. Exit code 1 when it did
 * not pass, 2 when it could not run.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Fs from "node:fs/promises"
import type { Experiment } from "../../../../domain/chaos/experiment/Experiment.ts"
import type { ExperimentResult } from "../../../../domain/chaos/experiment/ExperimentResult.ts"
import type { Findings } from "../../../../domain/chaos/experiment/Findings.ts"
import { cannotRun, notDone, orCannotRun } from "../../Failure.ts"
import { print } from "../../Output.ts"
import * as Progress from "../../Progress.ts"
import * as Definition from "./Definition.ts"
import * as Text from "./Text.ts"

export interface Input {
  readonly experiment: string
  readonly seed: Option.Option<number>
  readonly duration: Option.Option<Duration.Duration>
  readonly html: Option.Option<string>
  readonly out: Option.Option<string>
}

export const run = Effect.fnUntraced(function* (input: Input) {
  const experiment = yield* orCannotRun(
    Definition.load(input.experiment, {
      seed: Option.getOrUndefined(input.seed),
      durationMillis: Option.getOrUndefined(Option.map(input.duration, Duration.toMillis))
    })
  )
  const startedAt = yield* Clock.currentTimeMillis
  const findings = yield* virtual(experiment)
  const result = stamped(findings, { startedAt, finishedAt: yield* Clock.currentTimeMillis })
  if (Option.isSome(input.out)) yield* write(input.out.value, `${JSON.stringify(result, null, 2)}\n`)
  if (Option.isSome(input.html)) yield* write(input.html.value, yield* htmlOf(result))
  yield* print({ json: result, text: Text.of(result) })
  if (result.verdict.outcome !== "passed") {
    const [first] = result.verdict.reasons
    return yield* notDone(
      `the experiment ${result.experiment.name} ${result.verdict.outcome === "failed" ? "failed" : "was ended early"}${first === undefined ? "" : `: ${first.message}`}`
    )
  }
})

/** Runs it bit by bit: between two bits signals are heard, and the line of progress is written. */
const virtual = Effect.fnUntraced(function* (experiment: Experiment) {
  const Virtual = yield* Effect.promise(() => import("../../../../simulation/experiment/Virtual.ts"))
  const progress = yield* Progress.make
  const life = Virtual.steps(experiment)
  for (;;) {
    const step = life.next()
    if (step.done === true) {
      yield* progress.end
      return step.value
    }
    const { atMillis, charges, injections, loadMillis } = step.value
    yield* progress.show(
      `${Progress.bar({ done: atMillis, total: loadMillis })}  ${experiment.name}: ${charges} payments, ${injections} faults`
    )
    yield* turn
  }
})

/** Lets the event loop go round. */
const turn = Effect.callback<void>((resume) => {
  const waiting = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(waiting))
})

const stamped = (
  findings: Findings,
  { finishedAt, startedAt }: { readonly startedAt: number; readonly finishedAt: number }
): ExperimentResult => ({
  ...findings,
  timestamps: { startedAt: iso(startedAt), finishedAt: iso(finishedAt), runMillis: finishedAt - startedAt }
})

const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

const write = (file: string, text: string) =>
  Effect.tryPromise({
    try: () => Fs.writeFile(file, text),
    catch: (error) => cannotRun(`${file}: cannot be written (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`)
  })

const htmlOf = Effect.fnUntraced(function* (result: ExperimentResult) {
  const Report = yield* Effect.promise(() => import("../../../report/Report.ts"))
  return yield* orCannotRun(Report.renderHtml(result))
})
