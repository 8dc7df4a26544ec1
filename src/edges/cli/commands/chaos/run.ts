/**
 * `aegispay chaos run`: an experiment on virtual time in this process, or in real time against a running server. Exit code 1 when it did
 * not pass, 2 when it could not run.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import type { Experiment } from "../../../../domain/chaos/experiment/Experiment.ts"
import type { ExperimentResult } from "../../../../domain/chaos/experiment/ExperimentResult.ts"
import type { Findings } from "../../../../domain/chaos/experiment/Findings.ts"
import { variableOf } from "../../../config/ConfigSchema.ts"
import { cannotRun, type Failure, notDone, orCannotRun } from "../../Failure.ts"
import { print } from "../../Output.ts"
import * as Progress from "../../Progress.ts"
import * as Development from "../../runtime/Development.ts"
import * as Definition from "./Definition.ts"
import * as Text from "./Text.ts"

export interface Input {
  readonly experiment: string
  readonly seed: Option.Option<number>
  readonly duration: Option.Option<Duration.Duration>
  readonly html: Option.Option<string>
  readonly out: Option.Option<string>
  readonly target: Option.Option<string>
  readonly apiKey: Option.Option<string>
  readonly ledger: Option.Option<string>
  readonly settle: Option.Option<Duration.Duration>
}

const defaultKey = "env:AEGISPAY_API_KEY"
const defaultSettle = Duration.minutes(5)

export const run = Effect.fnUntraced(function* (input: Input) {
  const experiment = yield* orCannotRun(
    Definition.load(input.experiment, {
      seed: Option.getOrUndefined(input.seed),
      durationMillis: Option.getOrUndefined(Option.map(input.duration, Duration.toMillis))
    })
  )
  yield* targetless(input)
  // Whoever wants a file hears before a long experiment that it cannot be written, or not be drawn.
  yield* writable(Option.toArray(input.out), Option.toArray(input.html))
  const htmlOf = Option.isSome(input.html) ? yield* renderer : undefined
  const startedAt = yield* Clock.currentTimeMillis
  const findings = yield* Option.match(input.target, {
    onNone: () => virtual(experiment),
    onSome: (target) => remote(experiment, target, input)
  })
  const result = stamped(findings, { startedAt, finishedAt: yield* Clock.currentTimeMillis })
  // A disk that is full by now does not take what was found.
  yield* print({ json: result, text: Text.of(result) })
  if (Option.isSome(input.out)) yield* write(input.out.value, `${JSON.stringify(result, null, 2)}\n`)
  if (Option.isSome(input.html) && htmlOf !== undefined) yield* write(input.html.value, yield* orCannotRun(htmlOf(result)))
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

/** Against a running server. */
const remote = Effect.fnUntraced(function* (experiment: Experiment, target: string, input: Input) {
  const [Client, Remote] = yield* Effect.promise(() => Promise.all([import("./remote/Client.ts"), import("./remote/Remote.ts")]))
  const progress = yield* Progress.make
  const client = Client.make({
    target: yield* serverOf("--target", target),
    apiKey: yield* keyOf(Option.getOrElse(input.apiKey, () => defaultKey)),
    run: `chaos-${(yield* Clock.currentTimeMillis).toString(36)}`
  })
  const ledger = Option.isNone(input.ledger) ? undefined : yield* serverOf("--ledger", input.ledger.value)
  return yield* Effect.ensuring(
    Remote.run(experiment, {
      client,
      ledger,
      settle: Option.getOrElse(input.settle, () => defaultSettle),
      onProgress: ({ atMillis, loadMillis, text }) => progress.show(`${Progress.bar({ done: atMillis, total: loadMillis })}  ${text}`)
    }),
    progress.end
  )
})

/** An address without a slash at its end. A key and payments go there: over https, or to this machine. */
const serverOf = (flag: string, text: string): Effect.Effect<string, Failure> => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) return Effect.fail(cannotRun(`${flag}: expected a URL`))
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return Effect.fail(cannotRun(`${flag}: expected a URL without a user name, query and fragment`))
  }
  const isHere = /^(localhost|\[::1\]|127\.\d{1,3}\.\d{1,3}\.\d{1,3})$/.test(url.hostname)
  if (url.protocol === "http:" && !isHere)
    return Effect.fail(cannotRun(`${flag}: expected an https URL; plain http is for this machine only`))
  return Effect.succeed(`${url.origin}${url.pathname.replace(/\/+$/, "")}`)
}

/** The key that a reference names; a literal one would be seen by everybody who sees the list of processes. */
const keyOf = (reference: string): Effect.Effect<Redacted.Redacted, Failure> => {
  const name = variableOf(reference)
  if (name === undefined)
    return Effect.fail(cannotRun('--api-key: expected a reference to an environment variable, such as "env:AEGISPAY_API_KEY"'))
  const value = Development.environment()[name]
  return value === undefined || value === ""
    ? Effect.fail(cannotRun(`--target needs an API key: environment variable ${name} is not set`))
    : Effect.succeed(Redacted.make(value))
}

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

/** Refuses what is for a running server where none is named: whoever gave it believes that the server is asked. */
const targetless = ({ apiKey, ledger, settle, target }: Input): Effect.Effect<void, Failure> => {
  const flags = { "--api-key": Option.isSome(apiKey), "--ledger": Option.isSome(ledger), "--settle": Option.isSome(settle) }
  const given = Object.entries(flags).find(([, isGiven]) => isGiven)
  return Option.isSome(target) || given === undefined
    ? Effect.void
    : Effect.fail(cannotRun(`${given[0]} is for a running server: name it with --target`))
}

/** Whether the files can be written, as far as that can be told without writing them. */
const writable = Effect.fnUntraced(function* ([out]: ReadonlyArray<string>, [html]: ReadonlyArray<string>) {
  if (out !== undefined && html !== undefined && Path.resolve(out) === Path.resolve(html)) {
    return yield* cannotRun("--out and --html name the same file")
  }
  for (const file of [out, html]) if (file !== undefined) yield* tryWriting(file, () => probe(file))
})

const probe = async (file: string): Promise<void> => {
  const stats = await Fs.stat(file).catch(() => undefined)
  if (stats?.isDirectory() === true) throw Object.assign(new Error(), { code: "EISDIR" })
  await Fs.access(stats === undefined ? Path.dirname(file) : file, Fs.constants.W_OK)
}

const write = (file: string, text: string) => tryWriting(file, () => Fs.writeFile(file, text))

const tryWriting = (file: string, attempt: () => Promise<void>) =>
  Effect.tryPromise({
    try: attempt,
    catch: (error) => cannotRun(`${file}: cannot be written (${(error as NodeJS.ErrnoException).code ?? "unknown error"})`)
  })

const renderer = Effect.suspend(() =>
  Effect.flatMap(
    Effect.promise(() => import("../../../report/Report.ts")),
    (Report) => orCannotRun(Report.renderer)
  )
)
