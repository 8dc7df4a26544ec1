/**
 * Which experiment is meant: a named one, or a file with a definition in JSON.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { Experiment } from "../../../../domain/chaos/experiment/Experiment.ts"
import { named } from "../../../../domain/chaos/experiment/presets/Named.ts"
import { ConfigInvalid, read } from "../../../config/Config.ts"
import { problemsOf } from "../../../config/Issues.ts"

/** What the command line changes of a definition. */
export interface Changes {
  readonly seed: number | undefined
  readonly durationMillis: number | undefined
}

/** The experiment of that name, or of that file. Fails with `ConfigInvalid`, which names every problem. */
export const load = Effect.fnUntraced(function* (nameOrFile: string, { durationMillis, seed }: Changes) {
  const preset = named.get(nameOrFile)
  const input = preset ?? (yield* read(nameOrFile).pipe(Effect.mapError((error) => withNames(nameOrFile, error))))
  const changed = { ...(seed === undefined ? {} : { seed }), ...(durationMillis === undefined ? {} : { durationMillis }) }
  const wanted = typeof input === "object" && input !== null && !Array.isArray(input) ? { ...input, ...changed } : input
  const decoded = Schema.decodeUnknownResult(Experiment)(wanted, { errors: "all", onExcessProperty: "error" })
  if (Result.isSuccess(decoded)) return decoded.success
  // An experiment holds no secrets.
  return yield* new ConfigInvalid({
    source: nameOrFile,
    problems: problemsOf(decoded.failure.issue, wanted, { showValue: () => true })
  })
})

/** Whoever mistyped a name wants to know the names. */
const withNames = <E extends { readonly message: string }>(nameOrFile: string, error: E): E | Error =>
  /^[a-z-]+$/.test(nameOrFile)
    ? new Error(`there is no experiment "${nameOrFile}", and no such file; named experiments: ${[...named.keys()].join(", ")}`)
    : error
