/**
 * What a command works on: the configuration file, or without one the development set-up of a directory.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { TenantId } from "../../../domain/payment/Ids.ts"
import * as Config from "../../config/Config.ts"
import { cannotRun, type Failure } from "../Failure.ts"
import { ConfigPath, DataDir } from "../GlobalFlags.ts"
import * as Development from "./Development.ts"

/** A configuration and where it came from. */
export interface Target {
  readonly config: Config.Config
  /** What messages call it: the file, or the directory of the development set-up. */
  readonly source: string
  readonly development: Development.Development | undefined
}

/** Reads the configuration named by `--config`, or the development set-up of `--data-dir`, which is made where there is none. */
export const load = Effect.gen(function* () {
  const file = yield* ConfigPath
  const dataDir = yield* DataDir
  const environment = Development.environment()
  if (Option.isNone(file)) return yield* Development.load({ dataDir: Option.getOrUndefined(dataDir), environment })
  if (Option.isSome(dataDir)) return yield* cannotRun("--config and --data-dir exclude each other; set database.dataDir in the file")
  const config = yield* Config.load({ file: file.value, environment }).pipe(Effect.mapError((error) => cannotRun(error.message)))
  return { config, source: file.value, development: undefined } satisfies Target
})

/**
 * Whose payments: the flag, or the one merchant that the configuration knows. Where there are API keys, a merchant without one is a slip of
 * the pen: nobody could see its payments.
 */
export const merchant = (target: Pick<Target, "config" | "source">, given: Option.Option<TenantId>): Effect.Effect<TenantId, Failure> => {
  const known = [...new Set(target.config.http.apiKeys.map((key) => key.merchant))]
  if (Option.isSome(given)) {
    return known.length === 0 || known.includes(given.value)
      ? Effect.succeed(given.value)
      : cannotRun(`no API key of ${target.source} belongs to merchant "${given.value}"; its merchants are ${known.join(", ")}`)
  }
  const [only, ...others] = known
  return only !== undefined && others.length === 0
    ? Effect.succeed(only)
    : cannotRun(
        `whose payment? ${target.source} has ${known.length === 0 ? "no" : "several"} merchants in http.apiKeys; name one with --merchant`
      )
}
